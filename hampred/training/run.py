"""A training run: from a configuration to a folder with its checkpoints, logs and the finished model.

RUN/config.yaml           the whole configuration, every default written out
RUN/metrics.csv           one line for each validation
RUN/tensorboard/          the same for TensorBoard
RUN/checkpoints/          last.ckpt to resume from, best.ckpt
RUN/model.safetensors     the best averaged weights, when the run has ended
"""

import logging
import platform
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from hampred.baseline import make_baseline
from hampred.config import TrainConfig, load_config
from hampred.data.dataset import Batches, LabelledGraph, label_graph
from hampred.data.inputs import INPUTS
from hampred.data.sample import HamiltonianSample
from hampred.data.split import split_samples
from hampred.data.statistics import all_statistics
from hampred.data.store import Store
from hampred.errors import FailedError, HampredError
from hampred.files import locked, replacing, require_writable
from hampred.model_file import Model, load_model, save_model
from hampred.nn.models import build_net, require_settings
from hampred.training.callbacks import AtomicCheckpoints, Ema, LastCheckpoint, MetricsFile, Progress, Report, silent
from hampred.training.module import MONITOR, HamiltonianModule

PARTS = ("train", "validation")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Labels of a run.

    Attributes:
        samples: Labels under ``train`` and ``validation``.
        split: Keys of all samples under ``train``, ``validation`` and ``test``.
    """

    samples: dict[str, list[HamiltonianSample]]
    split: dict[str, list[str]]


def read_data(config: TrainConfig) -> TrainingData:
    """Opens the stores and shares out their samples.

    Raises:
        HampredError: A store is missing or damaged, stores do not fit together, or the split asks for too much.
    """
    stores = [Store(path) for path in config.data]
    for store in stores[1:]:
        stores[0].level.require_equal(store.level)
        stores[0].basis.require_compatible(store.basis, str(stores[0].path), str(store.path))
    places = [(store, index) for store in stores for index in range(len(store))]
    molecules = [name for store in stores for name in store.molecules]
    keys = [key for store in stores for key in store.keys]
    if len(set(keys)) < len(keys):
        raise HampredError("data: the stores hold the same sample twice, which could train and test: leave one out.")
    parts = split_samples(molecules, **config.split.model_dump())
    basis = stores[0].basis
    for store in stores[1:]:
        basis = basis.merged(store.basis)
    samples = {name: [replace(places[k][0][places[k][1]], basis=basis) for k in parts[name]] for name in PARTS}
    return TrainingData(samples, {name: [keys[k] for k in members] for name, members in parts.items()})


def prepare(config: TrainConfig, report: Report = silent) -> tuple[Model, dict[str, list[LabelledGraph]]]:
    """Fits the baseline, builds the network with the statistics of the labels, and turns labels into graphs.

    Returns:
        The untrained model, and the labelled graphs under ``train`` and ``validation``.

    Raises:
        HampredError: Data or configuration do not fit.
    """
    require_settings(config.net.name, config.net.model_extra or {})
    data = read_data(config)
    train = data.samples["train"]
    baseline = make_baseline(config.baseline, train[0].level)
    baseline.fit(train)
    torch.manual_seed(config.seed)
    net = build_net(config.net.name, train[0].basis, net_settings(config, train))
    if train[0].level.crystal is not None:
        net.require_periodic()
    total, graphs = sum(map(len, data.samples.values())), {name: [] for name in PARTS}
    start = time.monotonic()
    for name, samples in data.samples.items():
        for sample in samples:
            known = net.decomposer, net.cutoff, net.pair_cutoff, net.inputs, net.has_spins
            graphs[name].append(label_graph(sample, baseline, *known))
            done = sum(map(len, graphs.values()))
            report("reading labels", done, total, done / max(time.monotonic() - start, 1e-9), "")
    net.set_statistics(*all_statistics(graphs["train"], net.decomposer))
    net = net.to(torch.float64 if config.trainer.precision == "64-true" else torch.float32)
    provenance = {
        "config": config.model_dump(mode="json"),
        "n_train": len(train),
        "charges": sorted({sample.charge for sample in train}),
        "spins": sorted({sample.spin for sample in train}),
        "largest_field_V_A": max(float(np.linalg.norm(sample.electric_field)) for sample in train),
        "n_parameters": net.n_parameters,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return Model(net, baseline, train[0].level, data.split, provenance), graphs


def net_settings(config: TrainConfig, labels: Sequence[HamiltonianSample]) -> dict[str, Any]:
    """Settings of the network: it is told what labels differ in, charges, spins and fields, unless the settings say."""
    given, spins = dict(config.net.model_extra or {}), any(label.spin for label in labels)
    told = ["charge"] * (len({label.charge for label in labels}) > 1) + ["spin"] * spins
    told += ["electric_field"] * any(label.electric_field.any() for label in labels)
    if told and given.get("conditions") is None:
        given["conditions"] = told
    if spins:
        given.setdefault("inputs", list(INPUTS))
    return given


def train(config: TrainConfig, out: Path, report: Report = silent) -> Path:
    """Trains, or goes on where a killed run of the same configuration stopped.

    Args:
        config: What to train on and how.
        out: Folder of the run.
        report: Where progress goes.

    Returns:
        The finished model file.

    Raises:
        HampredError: Data, configuration or folder do not fit.
    """
    finished, known = out / "model.safetensors", _require_own(config, out)
    if known and finished.exists():
        return finished
    require_writable(out)
    resume = _checkpoint(out / "checkpoints" / "last.ckpt")
    if config.threads:
        torch.set_num_threads(config.threads)
    trainer = _trainer(config, out, report)
    pl.seed_everything(config.seed, verbose=False)
    model, graphs = prepare(config, report)
    n_slots = model.net.decomposer.n_slots
    batches = Batches(graphs["train"], config.batch_size, n_slots, config.seed)
    watched = graphs["validation"] or graphs["train"]
    validation = Batches(watched, config.batch_size, n_slots, shuffle=False)
    n_steps = config.epochs * len(batches)
    module = HamiltonianModule(model, config.loss, config.optimizer, n_steps)
    with warnings.catch_warnings(), locked(out) if is_first_process() else nullcontext():
        warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning_fabric")
        if not known and trainer.is_global_zero:
            with replacing(out / "config.yaml") as temporary:
                temporary.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        start = time.monotonic()
        try:
            trainer.fit(module, batches, validation, ckpt_path=resume)
        except SystemExit:  # how Lightning ends after a signal
            if not trainer.interrupted:
                raise
        if trainer.interrupted:
            raise KeyboardInterrupt
        if trainer.is_global_zero:
            _finish(out, {"training_wall_s": round(time.monotonic() - start, 1), "n_steps": trainer.global_step})
    return finished


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first of a distributed one, which alone writes and tells."""
    return rank_zero_only.rank == 0


def _require_own(config: TrainConfig, out: Path) -> bool:
    """Whether a folder holds an earlier start of the same run.

    Raises:
        HampredError: It holds another run.
    """
    known = (out / "config.yaml").exists()
    if known and load_config(TrainConfig, out / "config.yaml") != config:
        raise HampredError(
            f"{out} holds a run with another configuration: choose another --out, or `hampred train {out}`."
        )
    if not known and ((out / "checkpoints").exists() or (out / "model.safetensors").exists()):
        raise HampredError(f"{out} holds a model, but no config.yaml of its run: choose another --out.")
    return known


def _checkpoint(path: Path) -> str | None:
    """The checkpoint from which the run goes on, if there is one.

    Raises:
        HampredError: It cannot be read.
    """
    if not path.exists():
        return None
    try:
        load_model(path)
    except HampredError as error:
        raise HampredError(f"The run cannot go on: {error} Without {path.name} it starts again.") from error
    return str(path)


def _trainer(config: TrainConfig, out: Path, report: Report) -> pl.Trainer:
    """Lightning's Trainer; nothing is written yet.

    Raises:
        HampredError: Flags that do not fit together or this machine.
    """
    for name in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    folder = out / "checkpoints"
    callbacks: list[pl.Callback] = [
        MetricsFile(out / "metrics.csv"),
        Progress(report),
        ModelCheckpoint(folder, "best", monitor=MONITOR, enable_version_counter=False),
        LastCheckpoint(folder / "last.ckpt", config.checkpoint_every_steps),
    ]
    if config.optimizer.ema_decay:
        callbacks.append(Ema(config.optimizer.ema_decay))
    if config.early_stopping:
        callbacks.append(EarlyStopping(MONITOR, patience=config.early_stopping, check_on_train_epoch_end=False))
    try:
        return pl.Trainer(
            **config.trainer.model_dump(exclude={"precision"}),  # the network itself has it
            max_epochs=config.epochs,
            check_val_every_n_epoch=_divisor(config.epochs, config.validate_every_epochs),
            gradient_clip_val=config.optimizer.gradient_clip,
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            logger=TensorBoardLogger(out, name="tensorboard", version=""),
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=50,
            default_root_dir=out,
        )
    except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
        told = " ".join(f"{key}={value}" for key, value in config.trainer.model_dump(exclude_defaults=True).items())
        raise HampredError(f"trainer: {told} does not work here: {error}") from error


def _divisor(epochs: int, interval: int) -> int:
    """Largest interval up to the one asked for at which the last epoch, where the cosine ends, is validated."""
    return next(n for n in range(min(interval, epochs), 0, -1) if epochs % n == 0)


def _finish(out: Path, notes: dict[str, Any]) -> None:
    """Makes the model file from the best checkpoint."""
    checkpoints = [out / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    written = [path for path in checkpoints if path.exists()]
    if not written:
        raise FailedError(f"The run in {out} ended before its first checkpoint: give it more time (trainer.max_time).")
    best = load_model(written[0])
    save_model(out / "model.safetensors", replace(best, provenance={**best.provenance, **notes}))

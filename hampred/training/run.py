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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from hampred.baseline import make_baseline
from hampred.config import TrainConfig
from hampred.data.dataset import Batches, LabelledGraph, label_graph
from hampred.data.sample import HamiltonianSample
from hampred.data.split import split_samples
from hampred.data.statistics import block_statistics
from hampred.data.store import Store, replacing
from hampred.errors import HampredError
from hampred.model_file import Model, load_model, save_model
from hampred.nn.models import build_net
from hampred.training.callbacks import AtomicCheckpoints, Ema, Progress, Report, silent
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
    data = read_data(config)
    train = data.samples["train"]
    baseline = make_baseline(config.baseline, train[0].level)
    baseline.fit(train)
    torch.manual_seed(config.seed)
    net = build_net(config.net.name, train[0].basis, config.net.model_extra or {})
    total, graphs = sum(map(len, data.samples.values())), {name: [] for name in PARTS}
    start = time.monotonic()
    for name, samples in data.samples.items():
        for sample in samples:
            graphs[name].append(label_graph(sample, baseline, net.decomposer, net.cutoff, net.pair_cutoff))
            done = sum(map(len, graphs.values()))
            report("reading labels", done, total, done / max(time.monotonic() - start, 1e-9), "")
    net.set_statistics(block_statistics(((g.graph, g.onsite, g.offsite) for g in graphs["train"]), net.decomposer))
    net = net.to(torch.float64 if config.trainer.precision == "64-true" else torch.float32)
    provenance = {
        "config": config.model_dump(mode="json"),
        "n_train": len(train),
        "n_parameters": net.n_parameters,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return Model(net, baseline, train[0].level, data.split, provenance), graphs


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
    resume = _claim(config, out)
    if config.threads:
        torch.set_num_threads(config.threads)
    pl.seed_everything(config.seed, verbose=False)
    model, graphs = prepare(config, report)
    n_slots = model.net.decomposer.n_slots
    batches = Batches(graphs["train"], config.batch_size, n_slots, config.seed)
    validation = Batches(graphs["validation"], config.batch_size, n_slots, shuffle=False)
    n_steps = config.epochs * len(batches)
    trainer = _trainer(config, out, report, n_steps)
    module = HamiltonianModule(model, config.loss, config.optimizer, n_steps)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning_fabric")
        trainer.fit(module, batches, validation, ckpt_path=str(resume) if resume else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        _finish(out, {"training_wall_s": round(time.monotonic() - start, 1), "n_steps": trainer.global_step})
    return out / "model.safetensors"


def _claim(config: TrainConfig, out: Path) -> Path | None:
    """Makes the folder of the run, or finds the checkpoint from which an earlier start of the same run goes on."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    path, last = out / "config.yaml", out / "checkpoints" / "last.ckpt"
    if path.exists():
        if yaml.safe_load(path.read_text()) != yaml.safe_load(text):
            raise HampredError(
                f"{out} holds a run with another configuration: choose another --out, or `hampred train {out}`."
            )
        return last if last.exists() else None
    with replacing(path) as temporary:
        temporary.write_text(text)
    return None


def _trainer(config: TrainConfig, out: Path, report: Report, n_steps: int) -> pl.Trainer:
    for name in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    folder, every = out / "checkpoints", config.checkpoint_every_steps
    callbacks: list[pl.Callback] = [
        Progress(report, n_steps),
        ModelCheckpoint(folder, "best", monitor=MONITOR, enable_version_counter=False),
        ModelCheckpoint(folder, "last", every_n_train_steps=every, enable_version_counter=False),
    ]
    if config.optimizer.ema_decay:
        callbacks.append(Ema(config.optimizer.ema_decay))
    if config.early_stopping:
        callbacks.append(EarlyStopping(MONITOR, patience=config.early_stopping))
    return pl.Trainer(
        **config.trainer.model_dump(),
        max_epochs=config.epochs,
        check_val_every_n_epoch=_divisor(config.epochs, config.validate_every_epochs),
        gradient_clip_val=config.optimizer.gradient_clip,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=[CSVLogger(out, name="", version=""), TensorBoardLogger(out, name="tensorboard", version="")],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=50,
        default_root_dir=out,
    )


def _divisor(epochs: int, interval: int) -> int:
    """Largest interval up to the one asked for at which the last epoch, where the cosine ends, is validated."""
    return next(n for n in range(min(interval, epochs), 0, -1) if epochs % n == 0)


def _finish(out: Path, notes: dict[str, Any]) -> None:
    """Makes the model file from the best checkpoint."""
    checkpoints = [out / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    best = load_model(next(path for path in checkpoints if path.exists()))
    save_model(out / "model.safetensors", replace(best, provenance={**best.provenance, **notes}))

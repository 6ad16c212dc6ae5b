"""The model on disk: safetensors with a JSON header that holds all that a prediction needs.

A training checkpoint of Lightning carries the same header and can be loaded like a model file. Nothing in either can
execute code: safetensors holds numbers only, and checkpoints are read with ``weights_only=True``.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hampred.baseline import Baseline, baseline_from_state
from hampred.basis import OrbitalBasis
from hampred.confidence import Calibration, Familiarity
from hampred.data.sample import LevelOfTheory
from hampred.errors import HampredError
from hampred.files import replacing
from hampred.nn.base import HamiltonianNet
from hampred.nn.models import build_net

FORMAT = "hampred-model"
VERSION = 3
HEADER_KEY = "hampred"
"""Where the header stands, in the metadata of safetensors and in a checkpoint of Lightning."""

HEADER: dict[str, type] = {
    "version": int,
    "net": dict,
    "basis": dict,
    "basis_hash": str,
    "baseline": dict,
    "level": dict,
    "split": dict,
    "provenance": dict,
}


@dataclass(frozen=True, eq=False)
class Model:
    """A network with everything that gives its numbers a meaning.

    Attributes:
        net: The network.
        baseline: Gives H0, to which the network's ΔH is added.
        level: Level of theory of the labels.
        split: Keys of the samples it was trained, validated and may be tested on.
        provenance: How it was trained; plain JSON types.
        familiarity: Which atoms it was trained on; None before `hampred.evaluation.confidence.calibrate`.
        calibration: How large its errors are; None where there was no label to learn that from.
    """

    net: HamiltonianNet
    baseline: Baseline
    level: LevelOfTheory
    split: Mapping[str, list[str]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    familiarity: Familiarity | None = None
    calibration: Calibration | None = None

    def header(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "net": {"name": self.net.name, "settings": self.net.settings()},
            "basis": self.net.basis.to_dict(),
            "basis_hash": self.net.basis.hash,
            "baseline": self.baseline.state(),
            "level": self.level.to_dict(),
            "split": {name: list(keys) for name, keys in self.split.items()},
            "provenance": dict(self.provenance),
            "calibration": self.calibration.to_dict() if self.calibration else None,
        }


def save_model(path: Path, model: Model) -> None:
    """Writes a model file; it appears under its name only when complete.

    Raises:
        HampredError: The path cannot be written.
    """
    from safetensors.torch import save

    arrays = model.net.weights() | (model.familiarity.arrays() if model.familiarity else {})
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in arrays.items()}
    content = save(weights, metadata={HEADER_KEY: json.dumps(model.header())})
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def load_model(path: Path | str) -> Model:
    """Reads a model file, a training checkpoint, or the model of a run folder.

    Raises:
        HampredError: No such file, another or a newer format, or contents that do not fit together.
    """
    header, weights = _read(model_path(Path(path)))
    return _build(header, weights, Path(path))


def read_header(path: Path | str) -> dict[str, Any]:
    """The header of a model, without building it.

    Raises:
        HampredError: As `load_model`.
    """
    return _read(model_path(Path(path)))[0]


def model_path(path: Path) -> Path:
    """The file itself: of a run folder its ``model.safetensors``, or the last checkpoint of an unfinished run.

    Raises:
        HampredError: There is none.
    """
    candidates = [path / "model.safetensors", path / "checkpoints" / "last.ckpt"] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise HampredError(f"There is no model at {path}: give a model file, a checkpoint or the folder of a training run.")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    not_ours = f"{path} is not a hampred model: give a model.safetensors or a checkpoint that `hampred train` wrote."
    try:
        if zipfile.is_zipfile(path):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            text = checkpoint[HEADER_KEY]
            state = checkpoint["state_dict"]
            weights = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
        else:
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {})[HEADER_KEY]
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        header = json.loads(text)
    except Exception as error:  # both readers raise types of their own for foreign or damaged files
        raise HampredError(not_ours) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise HampredError(not_ours)
    if isinstance(header.get("version"), int) and header["version"] > VERSION:
        raise HampredError(f"{path} has format {header['version']}, newer than {VERSION}: update hampred.")
    if isinstance(header.get("version"), int) and header["version"] < VERSION:
        raise HampredError(
            f"{path} has format {header['version']}, older than {VERSION}: train the model again, in a new folder."
        )
    for name, kind in HEADER.items():
        if not isinstance(header.get(name), kind):
            raise HampredError(f"The model {path} is damaged (its header has no {name}): train or copy it again.")
    with _naming(path):
        basis = OrbitalBasis.from_dict(header["basis"])
        if basis.hash != header["basis_hash"] or not isinstance(header["net"]["settings"], dict):
            raise ValueError("its header contradicts itself")
    return header, weights


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns whatever a damaged header leads to into one line that names the file."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HampredError(
            f"The model {path} is damaged or of another version of hampred ({reason}): train or copy it again."
        ) from error


def _build(header: dict[str, Any], weights: dict[str, Tensor], path: Path) -> Model:
    with _naming(path):
        net = build_net(header["net"]["name"], OrbitalBasis.from_dict(header["basis"]), header["net"]["settings"])
        net.load_weights(weights)
        if not all(bool(tensor.isfinite().all()) for tensor in net.weights().values()):
            raise ValueError("its weights are not finite")
        return Model(
            net=net.eval(),
            baseline=baseline_from_state(header["baseline"]),
            level=LevelOfTheory.from_dict(header["level"]),
            split=header["split"],
            provenance=header["provenance"],
            familiarity=Familiarity.from_arrays(weights),
            calibration=Calibration.from_dict(header["calibration"]) if header.get("calibration") else None,
        )

"""The one schema of every YAML: unknown keys are refused, and all errors are told at once.

A configuration is data: it is read with `yaml.safe_load` into pydantic models and names nothing that could be executed.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hampred.config_errors import tell
from hampred.errors import HampredError

PRESETS = (Path(__file__).parent / "_configs", Path(__file__).parent.parent / "configs")
"""Folders of the presets: in a wheel, and in a checkout."""


class Config(BaseModel):
    """Base of every configuration: frozen, and refusing keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Int = Annotated[int, Field(strict=True)]
"""A whole number, for which YAML's Yes and No do not pass."""

PositiveInt = Annotated[int, Field(strict=True, ge=1)]

Vector = tuple[float, float, float]

ConfigT = TypeVar("ConfigT", bound=Config)


# ---------------------------------------------------------------------------------------------------------------------
# Generation of labels


class RattleConfig(Config):
    """Gaussian displacements of every coordinate."""

    kind: Literal["rattle"]
    count: Int = Field(1, ge=1)  # structures made from each one that comes in
    stdev: float = Field(0.05, gt=0, le=0.5)  # Å


class StrainConfig(Config):
    """Random symmetric strains of a crystal, shear included."""

    kind: Literal["strain"]
    count: Int = Field(1, ge=1)
    stdev: float = Field(0.02, gt=0, le=0.1)  # of each component of the strain
    isotropic: float = Field(0.0, ge=0, le=0.2)  # half width of the range that a change of all lengths is spread over


class VacancyConfig(Config):
    """Atoms of a crystal removed at random."""

    kind: Literal["vacancy"]
    count: Int = Field(1, ge=1)
    atoms: PositiveInt = 1  # removed from each structure
    element: str | None = None  # of these atoms; None: any


class SubstitutionConfig(Config):
    """Atoms replaced at random by another element."""

    kind: Literal["substitution"]
    count: Int = Field(1, ge=1)
    atoms: PositiveInt = 1  # replaced in each structure
    element: str  # put in
    replaces: str | None = None  # element taken out; None: any other


class FieldConfig(Config):
    """Uniform electric fields in random directions about a molecule."""

    kind: Literal["field"]
    count: Int = Field(1, ge=1)
    strength: float = Field(0.5, gt=0, le=5)  # V/Å, the largest; all strengths up to it are equally likely


class NormalModesConfig(Config):
    """Quantum-harmonic samples of the GFN2-xTB normal modes about the relaxed geometry."""

    kind: Literal["normal_modes"]
    count: Int = Field(1, ge=1)
    temperature: float = Field(300.0, gt=0)  # K


class MolecularDynamicsConfig(Config):
    """Frames of a GFN2-xTB Langevin trajectory."""

    kind: Literal["md"]
    count: Int = Field(1, ge=1)
    temperature: float = Field(400.0, gt=0)  # K
    timestep: float = Field(1.0, gt=0, le=5.0)  # fs
    interval: Int = Field(100, ge=1)  # steps between two frames
    friction: float = Field(0.01, gt=0)  # 1/fs


Sampling = Annotated[
    RattleConfig
    | StrainConfig
    | VacancyConfig
    | SubstitutionConfig
    | FieldConfig
    | NormalModesConfig
    | MolecularDynamicsConfig,
    Field(discriminator="kind"),
]


class SourceConfig(Config):
    """What every source of geometries can be told."""

    sampling: list[Sampling] = []  # applied one after the other to each structure
    rotate: bool = False  # turn each structure at random
    charge: Int | None = None  # e; None: what the source says, else 0
    spin: Int | None = Field(None, ge=0)  # unpaired electrons; None: what the source says, else 0


class FileConfig(SourceConfig):
    """Structures from a file that ASE reads."""

    kind: Literal["file"]
    path: Path
    count: Int | None = Field(None, ge=1)  # at most so many frames
    every: Int = Field(1, ge=1)  # take each n-th frame


class G2Config(SourceConfig):
    """Molecules of ASE's G2 set by name."""

    kind: Literal["g2"]
    names: list[str] = Field(min_length=1)


class SmilesConfig(SourceConfig):
    """Conformers of SMILES by RDKit."""

    kind: Literal["smiles"]
    smiles: list[str] = Field(min_length=1)
    conformers: Int = Field(1, ge=1)


class BulkConfig(SourceConfig):
    """A crystal by name, as ASE builds it."""

    kind: Literal["bulk"]
    name: str  # Si, MgO
    structure: str | None = None  # diamond, fcc, rocksalt, …; None: that of the element
    a: float | None = Field(None, gt=0)  # Å; None: that of the element
    c: float | None = Field(None, gt=0)  # Å
    cubic: bool = False  # the conventional instead of the primitive cell
    repeat: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)


class AtomsConfig(SourceConfig):
    """A structure written out, as `ase.Atoms` takes it."""

    kind: Literal["atoms"]
    name: str | None = None  # by which data are split; None: the formula
    symbols: list[str] = Field(min_length=1)
    positions: list[Vector] = Field(min_length=1)  # Å
    cell: tuple[Vector, Vector, Vector] | None = None  # rows, Å
    pbc: tuple[bool, bool, bool] = (False, False, False)
    repeat: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)


Source = Annotated[FileConfig | G2Config | SmilesConfig | BulkConfig | AtomsConfig, Field(discriminator="kind")]


class CrystalConfig(Config):
    """What the labels of crystals need to be told besides; see `hampred.interop.crystal_level.CrystalLevel`."""

    pseudo: str = "gth-pbe"
    ke_cutoff: float = Field(20.0, gt=0, le=2000)  # Hartree
    kpoint_length: float = Field(10.0, ge=0, le=500)  # Å; n points where lattice planes are h apart: n h ≥ length
    folding_length: float = Field(18.0, ge=0, le=500)  # Å; H(R) must have decayed at half of it
    smearing: float = Field(0.0, ge=0, le=0.1)  # Hartree, of the occupations of metals


class LevelConfig(Config):
    """Level of theory of the labels."""

    functional: str = "pbe"
    basis: str = "def2-svp"
    grid_level: Int = Field(3, ge=0, le=9)
    conv_tol: float = Field(1e-9, gt=0, le=1e-4)  # Hartree
    density_fit: bool = False  # shifts F by about 8e-6 Hartree: part of the level
    auxbasis: str | None = None
    crystal: CrystalConfig | None = None  # labels of crystals; grid_level then has no meaning


class ScfConfig(Config):
    """How hard the SCF tries."""

    max_cycle: Int = Field(60, ge=1)
    retries: bool = True  # level shift, then second-order SCF, where DIIS does not converge


class GuardConfig(Config):
    """What is refused before the SCF."""

    min_overlap_eigenvalue: float = Field(1e-6, gt=0)
    allow_unusual_distances: bool = False  # switches off the check that tells Å from Bohr
    max_spin_contamination: float = Field(0.1, gt=0)  # ⟨S²⟩ of an open shell over that of a pure spin
    max_folding_error: float = Field(1.0, gt=0)  # meV, of the occupied bands of H(R)


class GenerateConfig(Config):
    """`hampred generate`: geometries, level of theory and how to run."""

    seed: Int = Field(0, ge=0)
    geometries: list[Source] = Field(min_length=1)
    level: LevelConfig = LevelConfig()
    forces: bool = False
    scf: ScfConfig = ScfConfig()
    guard: GuardConfig = GuardConfig()
    label_noise: bool = True  # one more SCF in another orientation measures the noise of the labels
    retry_failed: bool = False
    task_timeout: float | None = Field(3600.0, gt=0)  # s of one structure
    memory_limit: float | None = Field(None, gt=0)  # GiB of one worker


# ---------------------------------------------------------------------------------------------------------------------
# Training


class SplitConfig(Config):
    """How samples are shared out: whole numbers are counts, others fractions."""

    train: Int | float = Field(0.8, gt=0)
    validation: Int | float = Field(0.1, ge=0)  # 0: every label trains, and the training labels are watched
    test: Int | float | None = Field(None, ge=0)  # None: all that is left
    by: Literal["geometry", "molecule"] = "geometry"  # molecule: all geometries of a molecule stay together
    seed: Int = Field(0, ge=0)


class NetConfig(Config):
    """Architecture, and its own settings, which the architecture itself checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = "bond_frame"


class LossConfig(Config):
    """Weights of the terms of the loss."""

    elements: float = Field(1.0, ge=0)  # mean |δH| of the matrix elements
    orbitals: float = Field(0.3, ge=0)  # mean row norm of Cᵀ δH C, high virtual orbitals damped


class OptimizerConfig(Config):
    """AdamW and its schedule."""

    learning_rate: float = Field(4e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_steps: Int = Field(200, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.99, ge=0, lt=1)


class TrainerConfig(Config):
    """Flags that go to Lightning's Trainer as they are."""

    accelerator: str = "auto"
    devices: Int | str | list[int] = "auto"
    num_nodes: Int = Field(1, ge=1)
    strategy: str = "auto"
    precision: Literal["32-true", "64-true"] = "32-true"
    max_time: str | None = None  # DD:HH:MM:SS


class TrainConfig(Config):
    """`hampred train`: data, baseline, network and optimisation."""

    data: list[Path] = Field(min_length=1)  # stores of labels
    split: SplitConfig = SplitConfig()
    baseline: str = "projectors"
    net: NetConfig = NetConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: Int = Field(100, ge=1)
    batch_size: Int = Field(10, ge=1)
    seed: Int = Field(0, ge=0)
    validate_every_epochs: Int = Field(5, ge=1)
    checkpoint_every_steps: Int = Field(500, ge=1)
    early_stopping: Int | None = Field(None, ge=1)  # validations without improvement
    threads: Int | None = Field(None, ge=1, le=1024)  # of torch
    trainer: TrainerConfig = TrainerConfig()


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def load_config(model: type[ConfigT], source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> ConfigT:
    """Reads a configuration.

    Args:
        model: Its schema.
        source: YAML file, name of a preset such as ``generate/water``, or a mapping.
        overrides: ``a.b=value``, parsed as YAML; a number names an item of a list: ``geometries.0.rotate=true``.

    Raises:
        HampredError: No such file, not YAML, or keys and values that the schema does not allow: all of them, in a line.
    """
    verb = {GenerateConfig: "generate", TrainConfig: "train"}.get(model, "")
    name, data = ("configuration", _copy(source)) if isinstance(source, Mapping) else _read(Path(source), verb)
    for override in overrides:
        _override(data, override)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        told = "; ".join(tell(model, e) for e in error.errors(include_url=False, include_context=False))
        raise HampredError(f"{name}: {told}") from None


def read_run(out: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Configuration of an existing run folder.

    Raises:
        HampredError: The folder holds no run, or settings are to be changed within it.
    """
    if not (out / "config.yaml").is_file():
        raise HampredError(f"{out} holds no training run (no config.yaml): give a configuration or a run folder.")
    if overrides:
        raise HampredError("A run goes on with its own configuration: leave out --set, or start a new run.")
    return load_config(TrainConfig, out / "config.yaml")


def preset_names(verb: str = "") -> list[str]:
    """Names of the presets that come with hampred, such as ``generate/water``; those of one verb, or all."""
    folder = next((f for f in PRESETS if f.is_dir()), None)
    found = [] if folder is None else (folder / verb).rglob("*.yaml")
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in found)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def _read(path: Path, verb: str) -> tuple[str, dict[str, Any]]:
    found = path if path.is_file() else _preset(path, verb)
    try:
        data = yaml.safe_load(found.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise HampredError(f"Cannot read {found}: {error}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise HampredError(f"{found} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise HampredError(f"{found} holds no `key: value` pairs: see the presets {', '.join(preset_names(verb))}.")
    return str(path), data


def _preset(path: Path, verb: str) -> Path:
    names = preset_names(verb)
    name = str(path.with_suffix("")) if path.suffix == ".yaml" else str(path)
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean the preset {close[0]}?" if close else f"give a file, or a preset: {', '.join(names)}."
        raise HampredError(f"There is no configuration {path}: {hint}")
    return next(folder / f"{name}.yaml" for folder in PRESETS if folder.is_dir())


def _override(data: dict[str, Any], override: str) -> None:
    """Sets one ``a.b=value`` in place."""
    key, separator, text = override.partition("=")
    if not separator or not all(key.split(".")):
        raise HampredError(f"--set {override}: write key=value, such as level.basis=sto-3g.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise HampredError(f"--set {override}: the value is not valid YAML; quote it.") from None
    *parents, last = key.split(".")
    target: Any = data
    for part in parents:
        target = target.setdefault(part, {}) if isinstance(target, dict) else _item(target, part, override)
    if isinstance(target, dict):
        target[last] = value
    else:
        _item(target, last, override)
        target[int(last)] = value


def _item(target: Any, part: str, override: str) -> Any:
    if not isinstance(target, list) or not part.isdigit() or int(part) >= len(target):
        raise HampredError(f"--set {override}: there is no {part!r} at that place of the configuration.")
    return target[int(part)]

"""Electronic Hamiltonians from geometries: PySCF labels, O(3)-equivariant networks, orbital energies without an SCF."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hampred.basis import BasisLayout, OrbitalBasis
    from hampred.blocks.decomposer import BlockDecomposer
    from hampred.blocks.matrix import BlockMatrix
    from hampred.calculator import HampredCalculator
    from hampred.data.sample import HamiltonianSample, LevelOfTheory
    from hampred.data.store import Store, write_store
    from hampred.electronic.state import ElectronicState
    from hampred.errors import FailedError, HampredError
    from hampred.inference import Prediction, Predictor, load
    from hampred.interop.structures import read_structures
    from hampred.prediction import OpenShellPrediction
    from hampred.scf import warm_start

    __version__: str

_PLACES = {
    "BasisLayout": "hampred.basis",
    "BlockDecomposer": "hampred.blocks.decomposer",
    "BlockMatrix": "hampred.blocks.matrix",
    "ElectronicState": "hampred.electronic.state",
    "FailedError": "hampred.errors",
    "HamiltonianSample": "hampred.data.sample",
    "HampredCalculator": "hampred.calculator",
    "HampredError": "hampred.errors",
    "LevelOfTheory": "hampred.data.sample",
    "OpenShellPrediction": "hampred.prediction",
    "OrbitalBasis": "hampred.basis",
    "Prediction": "hampred.inference",
    "Predictor": "hampred.inference",
    "Store": "hampred.data.store",
    "load": "hampred.inference",
    "read_structures": "hampred.interop.structures",
    "warm_start": "hampred.scf",
    "write_store": "hampred.data.store",
}

__all__ = [
    "BasisLayout",
    "BlockDecomposer",
    "BlockMatrix",
    "ElectronicState",
    "FailedError",
    "HamiltonianSample",
    "HampredCalculator",
    "HampredError",
    "LevelOfTheory",
    "OpenShellPrediction",
    "OrbitalBasis",
    "Prediction",
    "Predictor",
    "Store",
    "__version__",
    "load",
    "read_structures",
    "warm_start",
    "write_store",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is first asked for, so that `import hampred` is immediate."""
    if name == "__version__":
        value: Any = _version()
    elif name in _PLACES:
        value = getattr(import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module 'hampred' has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hampred")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+checkout"


def __dir__() -> list[str]:
    return __all__

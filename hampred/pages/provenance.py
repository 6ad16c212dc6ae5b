"""Where a prediction comes from, in words."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hampred.data.sample import LevelOfTheory


def of_level(level: LevelOfTheory) -> dict[str, str]:
    """A level of theory: what → text."""
    fitted = f"fitted in {level.auxbasis or 'the default basis'}" if level.density_fit else "exact"
    return {
        "Level of theory": f"{level.method} {level.functional}/{level.basis}",
        "Functional": level.functional_definition,
        "Coulomb integrals of the labels": fitted,
        "Program of the labels": level.code or "unknown",
    }


def of_model(header: Mapping[str, Any]) -> dict[str, str]:
    """A model: what → text.

    Args:
        header: Of a model file; what it does not tell is left out.
    """
    training = header["provenance"]
    told = {
        "Network": (header["net"]["name"], training.get("n_parameters"), "parameters"),
        "Trained on": ("", training.get("n_train"), "structures"),
        "Steps of training": ("", training.get("n_steps"), ""),
        "Baseline H0": (header["baseline"]["name"], None, ""),
    }
    words = {what: _words(*parts) for what, parts in told.items()}
    return {what: text for what, text in words.items() if text} | {"Hash of the basis": header["basis_hash"][:16]}


def of_programs() -> dict[str, str]:
    """Versions of the programs that are running."""
    found = {}
    for name in ("hampred", "pyscf", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that was never installed
            found[name] = "not installed"
    return {"Versions": ", ".join(f"{name} {number}" for name, number in found.items())}


def _words(name: str, count: int | None, of: str) -> str:
    """A name and a number of something, as far as they are known."""
    counted = "" if count is None else f"{count:,} {of}".strip()
    return ", ".join(filter(None, (name, counted)))

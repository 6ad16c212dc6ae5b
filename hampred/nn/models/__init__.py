"""Architectures: one file each, found by the word that a configuration names."""

import inspect
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from hampred.basis import OrbitalBasis
from hampred.data.inputs import INPUTS
from hampred.errors import HampredError
from hampred.nn.base import FORMS, HamiltonianNet, double_precision
from hampred.nn.conditions import CONDITIONS

LISTS = {"inputs": tuple(INPUTS), "forms": FORMS, "conditions": CONDITIONS}
"""Settings that are lists, and what may stand in them."""

MAX_SIZE = 1024
"""Largest width or number of layers: a file cannot ask for more memory than a machine has."""


def architectures() -> dict[str, type[HamiltonianNet]]:
    """All installed architectures by name: the files of this folder, and entry points of ``hampred.models``."""
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [kind for module in modules for kind in vars(module).values() if _is_architecture(kind)]
    found += [entry.load() for entry in entry_points(group="hampred.models")]
    return {kind.name: kind for kind in found}


def _is_architecture(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, HamiltonianNet) and not inspect.isabstract(kind)


def build_net(name: str, basis: OrbitalBasis, settings: Mapping[str, Any]) -> HamiltonianNet:
    """A network with fresh weights in float64.

    Args:
        name: One of `architectures`.
        basis: Orbitals of the elements that it will know.
        settings: Arguments of the architecture; those left out keep their defaults.

    Raises:
        HampredError: What `require_settings` refuses, or settings that do not fit the basis.
    """
    require_settings(name, settings)
    with double_precision():
        return architectures()[name](basis, **settings)


def require_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Checks a configuration of a network before any work is done.

    Args:
        name: One of `architectures`.
        settings: Arguments of the architecture.

    Raises:
        HampredError: Unknown architecture or argument, or a value out of range.
    """
    known = architectures()
    if name not in known:
        raise HampredError(f"There is no network {name!r}: set net.name to one of {', '.join(sorted(known))}.")
    parameters = inspect.signature(known[name]).parameters
    arguments = [key for key in parameters if key != "basis"]
    for key, value in settings.items():
        if key not in arguments:
            close = get_close_matches(key, arguments, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(arguments)}."
            raise HampredError(f"The network {name} has no setting net.{key}: {hint}")
        _check_range(key, value, parameters[key].default)
    cutoff, blocks = (
        settings.get(key, parameters[key].default) if key in parameters else None for key in ("cutoff", "pair_cutoff")
    )
    if cutoff is not None and blocks is not None and blocks < cutoff:
        raise HampredError(
            f"net.pair_cutoff {blocks:g} is less than net.cutoff {cutoff:g}, and messages would end abruptly: "
            "raise the one or lower the other."
        )


def _check_range(key: str, value: object, default: object) -> None:
    """Refuses a number that cannot be meant; what is allowed follows from the default of the setting."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, float) and not (number and 0 < float(value) < 1e6):
        raise HampredError(f"net.{key}: give a positive number, not {value!r}.")
    if key in LISTS:
        known = LISTS[key]
        given = () if value is None and default is None else value
        if not isinstance(given, (list, tuple)) or set(map(str, given)) - set(known) or len(set(given)) < len(given):
            raise HampredError(f"net.{key}: give a list of {', '.join(known)}, not {value!r}.")
        if key == "forms" and not value:
            raise HampredError(f"net.forms: give one or more of {', '.join(known)}.")
        return
    whole = type(default) is int or (default is None and value is not None)
    if whole and not (type(value) is int and 0 <= value <= MAX_SIZE):
        raise HampredError(f"net.{key}: give a whole number from 0 to {MAX_SIZE}, not {value!r}.")

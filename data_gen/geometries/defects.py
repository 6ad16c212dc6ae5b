"""Point defects of crystals: vacancies and substitutions at random sites. Atoms stay where they were: rattle them."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from hampred.config import SubstitutionConfig, VacancyConfig
from hampred.errors import HampredError

Seed = tuple[int, ...]


def vacancies(atoms: Atoms, how: VacancyConfig, seed: Seed) -> Iterator[Atoms]:
    """Copies without some atoms.

    Raises:
        HampredError: No atom would be left, there are too few of the element, or it is no element.
    """
    if how.atoms >= len(atoms):
        raise HampredError(
            f"The sampling vacancy would remove {how.atoms} of {len(atoms)} atoms: repeat the cell or remove fewer."
        )
    sites = np.arange(len(atoms)) if how.element is None else np.flatnonzero(atoms.numbers == _number(how.element))
    for chosen in _choices(atoms, sites, how, seed):
        keep = np.delete(np.arange(len(atoms)), chosen)
        yield Atoms(atoms.numbers[keep], atoms.positions[keep], cell=atoms.cell, pbc=atoms.pbc)


def substitutions(atoms: Atoms, how: SubstitutionConfig, seed: Seed) -> Iterator[Atoms]:
    """Copies with another element in place of some atoms.

    Raises:
        HampredError: There are too few atoms to replace, or an element is none.
    """
    new = _number(how.element)
    replaceable = atoms.numbers != new if how.replaces is None else atoms.numbers == _number(how.replaces)
    for chosen in _choices(atoms, np.flatnonzero(replaceable), how, seed):
        numbers = atoms.numbers.copy()
        numbers[chosen] = new
        yield Atoms(numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _choices(
    atoms: Atoms, sites: NDArray[np.int64], how: VacancyConfig | SubstitutionConfig, seed: Seed
) -> Iterator[NDArray[np.int64]]:
    """Different ones of the sites [how.atoms] for each new structure."""
    if len(sites) < how.atoms:
        raise HampredError(
            f"The sampling {how.kind} takes {how.atoms} atoms, and {atoms.get_chemical_formula()} has {len(sites)} "
            "that it may take: check its elements, or repeat the cell."
        )
    for number in range(how.count):
        yield np.random.default_rng((*seed, number)).choice(sites, how.atoms, replace=False)


def _number(symbol: str) -> int:
    if symbol not in atomic_numbers or symbol == "X":
        raise HampredError(f"{symbol!r} is no element: write a symbol such as C.")
    return int(atomic_numbers[symbol])

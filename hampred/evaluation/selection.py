"""Which structures are worth labelling next, and which first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.confidence import Familiarity, most_representative
from hampred.errors import HampredError
from hampred.evaluation.surroundings import Surroundings, valence_orbitals
from hampred.inference import Predictor
from hampred.interop.electric_field import electric_field
from hampred.interop.structures import read_charge, read_spin

Array = NDArray[np.float64]

Report = Callable[[str, int, int], None]

LACKING = "an element that the training labels lack: label some of these in any case"
"""Why a structure cannot be ranked: it holds this."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Structures in the order of their worth.

    Attributes:
        names: Of the chosen ones.
        novelties: Mean novelty of the atoms of each; None without a model.
        unknown: Names of structures that cannot be ranked, and what they hold: `LACKING`.
    """

    names: list[str]
    novelties: list[float] | None
    unknown: dict[str, str]


def select(
    predictor: Predictor,
    pool: Mapping[str, Atoms],
    count: int,
    report: Report = lambda label, done, total: None,
) -> Selection:
    """Chooses the structures from which a model would learn most; see `most_representative`.

    Args:
        predictor: A model that knows the atoms of its training labels.
        pool: Name → structure, positions in Å.
        count: How many to choose.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: The model does not know them; nothing in the pool can be ranked; or a structure makes no sense.
    """
    familiarity = predictor.model.familiarity
    if familiarity is None:
        raise HampredError(
            "This model does not know which atoms it was trained on: finish its run with `hampred train RUN`, "
            "and give the run folder."
        )
    names, unknown, rows, novelties = [], {}, [], []
    for done, (name, atoms) in enumerate(pool.items(), start=1):
        if set(atoms.numbers) <= set(familiarity.elements):
            names.append(name)
            invariants = predictor.invariants(atoms)
            rows.append((atoms.numbers, invariants))
            novelties.append(float(familiarity.novelty(atoms.numbers, invariants).mean()))
        else:
            unknown[name] = LACKING
        report("looking at structures", done, len(pool))
    if not rows:
        raise HampredError("No structure of the pool holds only elements that the training labels have.")
    chosen = most_representative(familiarity, rows, count, orbitals_of_elements(predictor.basis), report)
    return Selection([names[k] for k in chosen], [novelties[k] for k in chosen], unknown)


def select_first(pool: Mapping[str, Atoms], count: int, report: Report = lambda label, done, total: None) -> Selection:
    """Chooses the structures to begin with, before there are labels or a model; see `most_representative`.

    Args:
        pool: Name → structure, positions in Å; ``info`` may hold ``charge``, ``spin`` and ``electric_field``.
        count: How many to choose.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: An empty pool, molecules and crystals in one, or a charge, spin or field that makes no sense.
    """
    if not pool:
        raise HampredError("The pool holds no structure: give files that do.")
    if len({bool(atoms.pbc.any()) for atoms in pool.values()}) > 1:
        raise HampredError(
            "The pool holds molecules and crystals, which no model knows together: choose from one kind."
        )
    conditions = [_conditions(atoms, name) for name, atoms in pool.items()]
    surroundings, rows = Surroundings({int(z) for atoms in pool.values() for z in atoms.numbers}), []
    for done, (atoms, told) in enumerate(zip(pool.values(), conditions), start=1):
        rows.append((atoms.numbers, surroundings.invariants(atoms, *told)))
        report("looking at structures", done, len(pool))
    weights = {int(z): valence_orbitals(int(z)) for numbers, _ in rows for z in numbers}
    chosen = most_representative(Familiarity.unlabelled(rows), rows, count, weights, report)
    names = list(pool)
    return Selection([names[k] for k in chosen], None, {})


def _conditions(atoms: Atoms, name: str) -> tuple[int, int, Array]:
    """Charge, unpaired electrons and electric field that a structure tells.

    Raises:
        HampredError: One of them makes no sense.
    """
    charge = read_charge(atoms, name)
    return charge, read_spin(atoms, charge, name), electric_field(atoms, name)


def orbitals_of_elements(basis: OrbitalBasis) -> dict[int, float]:
    """Orbitals of an atom of each element: rows of H, to whose error it adds."""
    return {z: float(basis.layout([z]).n_orbitals) for z in basis.elements}

"""Which structures are worth labelling next, and which first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import ElementBasis, OrbitalBasis
from hampred.confidence import Familiarity, most_representative
from hampred.data.graph import build_graph
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.interop.electric_field import electric_field
from hampred.interop.structures import read_charge, read_spin
from hampred.nn.conditions import CONDITIONS
from hampred.nn.models import build_net

Array = NDArray[np.float64]

Report = Callable[[str, int, int], None]

LACKING = "an element that the training labels lack: label some of these in any case"
"""Why a structure cannot be ranked: it holds this."""


SURROUNDINGS = {
    "cutoff": 6.0,
    "pair_cutoff": 6.0,
    "lmax": 3,
    "natural": 24,
    "unnatural": 8,
    "hidden": 32,
    "inputs": [],
    "forms": ["covariant"],
    "conditions": list(CONDITIONS),
}
"""Network that describes atoms before there are labels: by the geometry of their surroundings (Å), charge and field."""

D_BLOCK = (range(21, 31), range(39, 49), range(72, 81), range(104, 113))
F_BLOCK = (range(57, 72), range(89, 104))
"""Atomic numbers of elements with d and with f electrons in their valence."""


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
    untrained, rows = Untrained(), []
    for done, (atoms, told) in enumerate(zip(pool.values(), conditions), start=1):
        rows.append((atoms.numbers, untrained.invariants(atoms, *told)))
        report("looking at structures", done, len(pool))
    weights = {int(z): valence_orbitals(int(z)) for numbers, _ in rows for z in numbers}
    chosen = most_representative(Familiarity.unlabelled(rows), rows, count, weights, report)
    names = list(pool)
    return Selection([names[k] for k in chosen], None, {})


class Untrained:
    """A network with random weights, the same ones for all pools, that describes the surroundings of atoms.

    Its invariants are smooth functions of these: where atoms are alike, they are too.
    """

    def __init__(self) -> None:
        """Draws the weights; of the orbitals that networks are made for, every element has one s orbital."""
        basis = OrbitalBasis("surroundings", {z: ElementBasis((0,), "") for z in range(1, len(chemical_symbols))})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self._net = build_net("bond_frame", basis, SURROUNDINGS).eval()

    def invariants(self, atoms: Atoms, charge: int, spin: int, field: Array) -> Array:
        """What the last layer tells of each atom [n_atoms, d]; no rotation changes it.

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e).
            spin: Unpaired electrons.
            field: Electric field, V/Å [3].
        """
        graph, _ = build_graph(atoms, self._net.decomposer, self._net.cutoff, self._net.pair_cutoff)
        with torch.inference_mode():
            *_, last = self._net.hidden_layers(graph.under(charge, spin, field))
            return last.invariants().numpy()


def _conditions(atoms: Atoms, name: str) -> tuple[int, int, Array]:
    """Charge, unpaired electrons and electric field that a structure tells.

    Raises:
        HampredError: One of them makes no sense.
    """
    charge = read_charge(atoms, name)
    return charge, read_spin(atoms, charge, name), electric_field(atoms, name)


def valence_orbitals(number: int) -> float:
    """Orbitals in the valence of an element: about in proportion to its rows of H in any basis set."""
    if number <= 2:
        return 1.0
    d_or_f = 9.0 * any(number in block for block in D_BLOCK) + 16.0 * any(number in block for block in F_BLOCK)
    return d_or_f or 4.0


def orbitals_of_elements(basis: OrbitalBasis) -> dict[int, float]:
    """Orbitals of an atom of each element: rows of H, to whose error it adds."""
    return {z: float(basis.layout([z]).n_orbitals) for z in basis.elements}

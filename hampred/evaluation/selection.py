"""Which structures are worth labelling next, and which first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.confidence import Familiarity, most_representative
from hampred.data.graph import build_graph
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.nn.models import build_net

Array = NDArray[np.float64]

Report = Callable[[str, int, int], None]

LACKING = "an element that the training labels lack: label some of these in any case"
"""Why a structure cannot be ranked: it holds this."""


SURROUNDINGS = {"cutoff": 6.0, "pair_cutoff": 6.0, "inputs": [], "forms": ["covariant"]}
"""Network that describes atoms before there are labels: by the geometry of their surroundings, Å."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Structures in the order of their worth.

    Attributes:
        names: Of the chosen ones.
        novelties: Mean novelty of the atoms of each; none without a model.
        unknown: Names of structures that cannot be ranked, and what they hold: `LACKING`.
    """

    names: list[str]
    novelties: list[float]
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


def select_first(
    pool: Mapping[str, Atoms],
    count: int,
    basis: str,
    report: Report = lambda label, done, total: None,
) -> Selection:
    """Chooses the structures to begin with, before there are labels or a model; see `most_representative`.

    The atoms are described by a network with random weights, whose invariants are smooth functions of the surroundings
    of an atom: like atoms are near each other there too.

    Args:
        pool: Name → structure, positions in Å.
        count: How many to choose.
        basis: PySCF's name of the basis set of the labels to come.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: PySCF has no such basis set, or not for an element.
    """
    elements = sorted({int(z) for atoms in pool.values() for z in atoms.numbers})
    untrained = Untrained(OrbitalBasis.from_name(basis, elements))
    rows = []
    for done, atoms in enumerate(pool.values(), start=1):
        rows.append((atoms.numbers, untrained.invariants(atoms)))
        report("looking at structures", done, len(pool))
    nothing = Familiarity.fit(rows).unlabelled()
    chosen = most_representative(nothing, rows, count, orbitals_of_elements(untrained.basis), report)
    names = list(pool)
    return Selection([names[k] for k in chosen], [], {})


class Untrained:
    """A network with random weights, always the same ones, that describes the surroundings of atoms.

    Attributes:
        basis: Orbitals of the elements that it knows.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        """Draws the weights."""
        self.basis = basis
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._net = build_net("bond_frame", basis, SURROUNDINGS).eval()

    def invariants(self, atoms: Atoms) -> Array:
        """What the last layer tells of each atom [n_atoms, d]; no rotation changes it."""
        graph, _ = build_graph(atoms, self._net.decomposer, self._net.cutoff, self._net.pair_cutoff)
        with torch.inference_mode():
            *_, last = self._net.hidden_layers(graph)
            return last.invariants().numpy()


def orbitals_of_elements(basis: OrbitalBasis) -> dict[int, float]:
    """Orbitals of an atom of each element: rows of H, to whose error it adds."""
    return {z: float(basis.layout([z]).n_orbitals) for z in basis.elements}

"""Which structures are worth labelling next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ase import Atoms

from hampred.confidence import most_representative
from hampred.errors import HampredError
from hampred.inference import Predictor

Report = Callable[[str, int, int], None]

LACKING = "an element that the training labels lack: label some of these in any case"
"""Why a structure cannot be ranked: it holds this."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Structures in the order of their worth.

    Attributes:
        names: Of the chosen ones.
        novelties: Mean novelty of the atoms of each.
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
    chosen = most_representative(familiarity, rows, count, orbitals_of_elements(predictor), report)
    return Selection([names[k] for k in chosen], [novelties[k] for k in chosen], unknown)


def orbitals_of_elements(predictor: Predictor) -> dict[int, float]:
    """Orbitals of an atom of each element that a model knows: rows of H, to whose error it adds."""
    return {z: float(predictor.basis.layout([z]).n_orbitals) for z in predictor.basis.elements}

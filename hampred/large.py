"""Predictions of large molecules: sparse matrices at linear cost."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import cast

from ase import Atoms

from hampred.baseline import LocalBaseline
from hampred.data.inputs import LOCAL
from hampred.data.system import half_baseline
from hampred.electronic.sparse_state import SparseState
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.interop.structures import read_spin
from hampred.nn.models.bond_frame import BondFrameNet
from hampred.nn.portions import LargeGraph, corrected, correction_blocks
from hampred.prediction import CrystalPrediction, OpenShellPrediction, Prediction

LARGE = 4000
"""Orbitals above which sparse matrices are the better choice: 500 atoms of an organic molecule in def2-SVP."""

LARGEST_DENSE = 16_000
"""Orbitals above which dense matrices are refused: 2 GiB each, and hours of diagonalisation."""


def require_local(predictor: Predictor) -> tuple[BondFrameNet, LocalBaseline]:
    """Network and baseline of a model that can be run on large molecules.

    Raises:
        HampredError: The network is of another architecture, or needs the density of H0, a dense diagonalisation.
    """
    net = predictor.model.net
    if not isinstance(net, BondFrameNet):
        raise HampredError(f"The architecture {net.name} has no linear-scaling path: train net.name=bond_frame.")
    baseline = predictor.model.baseline
    if not baseline.local:
        raise HampredError(
            f"The baseline {predictor.baseline_name} reaches over the whole molecule: for large molecules train with "
            "projectors or none."
        )
    if set(net.inputs) - set(LOCAL):
        raise HampredError("net.inputs with a density need a dense diagonalisation: train with [overlap, baseline].")
    return net, cast(LocalBaseline, baseline)


def is_large(predictor: Predictor, atoms: Atoms) -> bool:
    """Whether a molecule has more than `LARGE` orbitals and the model has a linear-scaling path."""
    if atoms.pbc.any() or predictor.basis.layout(atoms.numbers).n_orbitals <= LARGE:
        return False
    try:
        require_local(predictor)
    except HampredError:
        return False
    return True


def require_affordable(predictor: Predictor, atoms: Atoms, name: str) -> None:
    """Refuses a molecule that is too large for dense matrices where the model has no linear-scaling path.

    Args:
        predictor: The model.
        atoms: The molecule, or a crystal, whose H(R) is sparse in any case.
        name: How the message calls it.

    Raises:
        HampredError: It has more than `LARGEST_DENSE` orbitals, and the model is not local.
    """
    n = predictor.basis.layout(atoms.numbers).n_orbitals
    if n > LARGEST_DENSE and not atoms.pbc.any() and not is_large(predictor, atoms):
        raise HampredError(
            f"{name} has {n} orbitals, too many for dense matrices: train bond_frame with "
            f"net.inputs=[{', '.join(LOCAL)}] and the baseline projectors, whose cost is linear."
        )


def predict_stream(
    predictor: Predictor, structures: Iterable[Atoms], charge: int | None = None
) -> Iterator[Prediction | OpenShellPrediction | CrystalPrediction | SparseState]:
    """Predicts structures one after the other: small ones and crystals in batches, large molecules one by one.

    Args:
        predictor: The model.
        structures: Positions in Å.
        charge: As `Predictor.predict`.

    Raises:
        HampredError: As `Predictor.predict` and `predict_large`.
    """
    for large, group in groupby(structures, key=lambda atoms: is_large(predictor, atoms)):
        if large:
            yield from (predict_large(predictor, atoms, charge) for atoms in group)
        else:
            yield from predictor.predict_stream(group, charge)


def predict_large(predictor: Predictor, atoms: Atoms, charge: int | None = None) -> SparseState:
    """Predicts a large molecule.

    The matrices are those of `Predictor.predict` without the blocks between atoms whose orbitals do not overlap.

    Args:
        predictor: A model whose baseline and network are local.
        atoms: The molecule, positions in Å.
        charge: Total charge (e); without it what ``atoms.info["charge"]`` says, else 0.

    Raises:
        HampredError: What `Predictor.check`, `require_local` and the baseline refuse.
    """
    net, baseline = require_local(predictor)
    charge = predictor.check(atoms, charge)
    if read_spin(atoms, charge):
        raise HampredError("Open shells are predicted with dense matrices alone: give a smaller molecule.")
    integrals = Integrals(atoms, predictor.level.basis, charge)
    known = {"overlap": integrals.half_overlap, "baseline": half_baseline(baseline, integrals)}
    graph = LargeGraph(integrals, net, [known[name] for name in net.inputs])
    h, s = corrected(net, graph, known["baseline"], correction_blocks(net, graph))
    notes = predictor.beyond(atoms, charge)
    return SparseState(atoms, integrals.layout, h, s, integrals.n_electrons // 2, charge, notes)

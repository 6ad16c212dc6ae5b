"""Predictions of large molecules: sparse matrices at linear cost."""

from ase import Atoms

from hampred.basis import OrbitalBasis
from hampred.electronic.sparse_state import SparseState
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.interop.local_integrals import LocalIntegrals
from hampred.interop.pyscf import build_mole
from hampred.nn.models.bond_frame import BondFrameNet
from hampred.nn.portions import LargeGraph, correction, correction_elements

LARGE = 4000
"""Orbitals above which sparse matrices are the better choice: 500 atoms of an organic molecule in def2-SVP."""

LARGEST_DENSE = 16_000
"""Orbitals above which dense matrices are refused: 2 GiB each, and hours of diagonalisation."""

INPUTS = ("overlap", "baseline")
"""Input matrices of a network that are local."""

BASELINES = ("fitted_sap", "sap", "none")
"""Baselines with a `local_hamiltonian`."""


def require_local(predictor: Predictor) -> BondFrameNet:
    """The network of a model that can be run on large molecules.

    Raises:
        HampredError: The network is of another architecture, or needs the density of H0, a dense diagonalisation.
    """
    net = predictor.model.net
    if not isinstance(net, BondFrameNet):
        raise HampredError(f"The architecture {net.name} has no linear-scaling path: train net.name=bond_frame.")
    if set(net.inputs) - set(INPUTS):
        raise HampredError("net.inputs with a density need a dense diagonalisation: train with [overlap, baseline].")
    return net


def is_large(predictor: Predictor, atoms: Atoms) -> bool:
    """Whether a molecule has more than `LARGE` orbitals and the model has a linear-scaling path."""
    if predictor.basis.layout(atoms.numbers).n_orbitals <= LARGE:
        return False
    if predictor.baseline_name not in BASELINES:
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
        atoms: The molecule.
        name: How the message calls it.

    Raises:
        HampredError: It has more than `LARGEST_DENSE` orbitals, and the model is not local.
    """
    n = predictor.basis.layout(atoms.numbers).n_orbitals
    if n > LARGEST_DENSE and not is_large(predictor, atoms):
        raise HampredError(
            f"{name} has {n} orbitals, too many for dense matrices: train bond_frame with "
            f"net.inputs=[{', '.join(INPUTS)}] and the baseline {BASELINES[0]}, whose cost is linear."
        )


def predict_large(predictor: Predictor, atoms: Atoms, charge: int | None = None) -> SparseState:
    """Predicts a large molecule.

    Integrals are left out as `hampred.interop.local_integrals` says; otherwise the matrices are those of
    `Predictor.predict`.

    Args:
        predictor: A model whose baseline and network are local.
        atoms: The molecule, positions in Å.
        charge: Total charge (e); without it what ``atoms.info["charge"]`` says, else 0.

    Raises:
        HampredError: What `Predictor.check`, `require_local` and the baseline refuse.
    """
    net, charge = require_local(predictor), predictor.check(atoms, charge)
    mole = build_mole(atoms, predictor.level.basis, charge)
    layout = net.basis.layout(atoms.numbers)
    net.basis.require_compatible(OrbitalBasis.from_mole(mole, predictor.level.basis), "the model", "PySCF here")
    integrals = LocalIntegrals(mole)
    s, h0 = integrals.overlap(), predictor.model.baseline.local_hamiltonian(integrals)
    known = {"overlap": s, "baseline": h0}
    graph = LargeGraph(atoms, net, [known[name] for name in net.inputs])
    h = h0 + correction(net, graph, correction_elements(net, graph))
    return SparseState(atoms, layout, h.tocsr(), s, mole.nelectron // 2, charge)

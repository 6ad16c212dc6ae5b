"""Predictions whose Hamiltonian is PySCF's Fock matrix: no network and no training."""

from ase import Atoms
from pyscf import scf

from hampred.basis import OrbitalBasis
from hampred.data.sample import LevelOfTheory
from hampred.inference import Prediction
from hampred.interop.pyscf import build_mole


def solved(atoms: Atoms, charge: int = 0) -> Prediction:
    """Hartree–Fock in a minimal basis."""
    mole = build_mole(atoms, "sto-3g", charge)
    field = scf.RHF(mole).run(conv_tol=1e-9)
    return Prediction(
        atoms=atoms,
        layout=OrbitalBasis.from_name("sto-3g", sorted(set(atoms.numbers))).layout(atoms.numbers),
        hamiltonian=field.get_fock(),
        overlap=field.get_ovlp(),
        n_occupied=mole.nelectron // 2,
        charge=charge,
        level=LevelOfTheory("hf", "exact exchange", "sto-3g", method="RHF"),
        baseline_hamiltonian=field.get_hcore(),
        made_by={"Model": "none"},
    )

"""Predictions whose Hamiltonian is PySCF's Fock matrix: no network and no training."""

from typing import Any

from ase import Atoms
from pyscf import scf

from hampred.basis import OrbitalBasis
from hampred.data.sample import LevelOfTheory
from hampred.interop.pyscf import build_mole
from hampred.prediction import OpenShellPrediction, Prediction


def solved(atoms: Atoms, charge: int = 0, spin: int = 0) -> Any:
    """Hartree–Fock in a minimal basis: a `Prediction`, or an `OpenShellPrediction` of unpaired electrons."""
    mole = build_mole(atoms, "sto-3g", charge, spin)
    field = (scf.UHF if spin else scf.RHF)(mole).run(conv_tol=1e-9)
    fock = field.get_fock()
    shared = {
        "atoms": atoms,
        "layout": OrbitalBasis.from_name("sto-3g", sorted(set(atoms.numbers))).layout(atoms.numbers),
        "overlap": field.get_ovlp(),
        "charge": charge,
        "level": LevelOfTheory("hf", "exact exchange", "sto-3g", method="UHF" if spin else "RHF"),
        "baseline_hamiltonian": field.get_hcore(),
        "made_by": {"Model": "none"},
    }
    if spin:
        mean, splitting = fock.mean(axis=0), 0.5 * (fock[0] - fock[1])
        return OpenShellPrediction(hamiltonian=mean, spin_splitting=splitting, n_occupied=mole.nelec, **shared)
    return Prediction(hamiltonian=fock, n_occupied=mole.nelectron // 2, **shared)

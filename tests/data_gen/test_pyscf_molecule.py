"""The backend of molecules: labels agree with PySCF, and say what they are."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from pyscf import dft
from scipy.linalg import eigh

import data_gen.backends.pyscf_molecule as module
from data_gen.backends.pyscf_molecule import PySCFMolecule, functional_definition
from hampred.config import LevelConfig, ScfConfig
from hampred.errors import FailedError, HampredError
from hampred.interop.pyscf import build_mole, overlap


def level(**more):
    return LevelConfig(**{"functional": "pbe", "basis": "sto-3g", "grid_level": 1, **more})


def reference(atoms, charge=0, **more):
    settings = level(**more)
    field = dft.rks.RKS(build_mole(atoms, settings.basis, charge), xc=settings.functional)
    field.verbose, field.conv_tol, field.grids.level = 0, 1e-12, settings.grid_level
    if settings.density_fit:
        field = field.density_fit()
    field.kernel()
    return field


@pytest.mark.parametrize(
    ("name", "charge", "more"),
    [("H2O", 0, {}), ("OH", -1, {}), ("CH4", 0, {"functional": "b3lyp"}), ("H2O", 0, {"density_fit": True})],
)
def test_labels_agree_with_a_tight_scf(name, charge, more):
    atoms = molecule(name)
    sample = PySCFMolecule(level(**more)).label(atoms, charge)
    field = reference(atoms, charge, **more)
    fock = field.get_fock(dm=field.make_rdm1())
    np.testing.assert_allclose(sample.hamiltonian.to_dense(), fock, atol=1e-5)
    np.testing.assert_allclose(sample.orbital_energies, field.mo_energy, atol=1e-5)
    np.testing.assert_allclose(sample.dipole, field.dip_moment(unit="AU", verbose=0), atol=1e-4)
    assert sample.total_energy == pytest.approx(field.e_tot, abs=1e-8)
    assert sample.n_electrons == field.mol.nelectron and sample.charge == charge
    assert sample.scf_cycles > 2 and sample.provenance["converged_by"] == "diis"


def test_orbital_energies_belong_to_the_stored_matrix_exactly():
    atoms = molecule("NH3")
    sample = PySCFMolecule(level()).label(atoms)
    s, f = overlap(build_mole(atoms, "sto-3g")), sample.hamiltonian.to_dense()
    energies, c = eigh(f, s)
    np.testing.assert_allclose(energies, sample.orbital_energies, atol=1e-12)
    np.testing.assert_allclose(f @ c, s @ c * energies, atol=1e-10)


def test_kept_orbital_values_change_nothing(monkeypatch):
    kept = PySCFMolecule(level(functional="r2scan")).label(molecule("H2O"))
    monkeypatch.setattr(module, "CACHED_ORBITALS", 0)
    fresh = PySCFMolecule(level(functional="r2scan")).label(molecule("H2O"))
    np.testing.assert_array_equal(kept.hamiltonian.values, fresh.hamiltonian.values)


def test_forces_are_the_derivative_of_the_energy():
    atoms = molecule("H2")
    backend = PySCFMolecule(level(grid_level=4), forces=True)
    forces = backend.label(atoms).forces
    step = 1e-3
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 2] += sign * step
        energies.append(backend.label(moved).total_energy)
    assert forces.shape == (2, 3)
    assert forces[0, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-4)


def test_heavy_elements_come_with_their_potential():
    atoms = Atoms("HI", [(0, 0, 0), (0, 0, 1.61)])
    sample = PySCFMolecule(level(basis="def2-svp")).label(atoms)
    assert sample.n_electrons == 26
    assert sample.total_energy == pytest.approx(-298.3, abs=1.0)  # −2000 without the potential


def test_what_does_not_converge_is_no_label():
    with pytest.raises(FailedError, match="not converged"):
        PySCFMolecule(level(), ScfConfig(max_cycle=1, retries=False)).label(molecule("H2O"))


def test_the_ladder_is_climbed_and_recorded():
    sample = PySCFMolecule(level(), ScfConfig(max_cycle=5)).label(molecule("H2O"))
    assert sample.provenance["converged_by"] in ("level_shift", "second_order")
    np.testing.assert_allclose(sample.orbital_energies, reference(molecule("H2O")).mo_energy, atol=1e-4)


def test_b3lyp_tells_which_correlation_it_means(monkeypatch):
    assert "VWN-RPA" in functional_definition("b3lyp")
    assert "VWN5" in functional_definition("b3lyp5")
    monkeypatch.setitem(dft.libxc.XC_CODES, "B3LYP", "B3LYP5")  # what B3LYP_WITH_VWN5 does
    dft.libxc.parse_xc.cache_clear() if hasattr(dft.libxc.parse_xc, "cache_clear") else None
    assert "VWN5" in functional_definition("b3lyp")


@pytest.mark.parametrize("name", ["nonsense", "", "pbe; import os", "__import__('os')", "b3lyp-d3bj", "a" * 200])
def test_unknown_functionals_are_refused(name):
    with pytest.raises(HampredError):
        PySCFMolecule(level(functional=name))


@pytest.mark.parametrize("more", [{"basis": "def2-svpp"}, {"auxbasis": "def2-svp-jkfit"}, {"basis": "/etc/passwd"}])
def test_unknown_bases_are_refused(more):
    with pytest.raises(HampredError):
        PySCFMolecule(level(**more))


def test_an_element_without_orbitals_is_refused_before_the_run():
    with pytest.raises(HampredError, match="has no U"):
        PySCFMolecule(level(basis="6-31g")).check(Atoms("UO2", [(0, 0, 0), (0, 0, 1.8), (0, 0, -1.8)]), 0)

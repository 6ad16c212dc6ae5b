"""Molden files, read by PySCF and by iodata: orbitals are orthonormal in the overlap that each reader integrates."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from iodata import load_one
from iodata.overlap import compute_overlap
from pyscf.tools import molden

from hampred.electronic import eigen
from hampred.interop.molden import write_molden
from hampred.interop.pyscf import build_mole, kinetic, nuclear_attraction, overlap

CASES = {
    "d": (molecule("H2O"), "def2-svp", 2),
    "f": (molecule("SH2"), "def2-tzvp", 3),
    "core potential": (Atoms("HI", [[0.1, 0.2, 0.0], [0.9, -0.5, 1.2]]), "def2-svp", 2),
    "g": (Atoms("HF", [[0.1, 0.2, 0.0], [0.5, -0.5, 0.6]]), "cc-pvqz", 4),
}


@pytest.fixture(scope="module", params=CASES)
def written(request, tmp_path_factory):
    """A file with the orbitals of T + V, the molecule, and what was written."""
    atoms, basis, highest = CASES[request.param]
    mole = build_mole(atoms, basis)
    assert max(mole.bas_angular(shell) for shell in range(mole.nbas)) == highest
    energies, coefficients = eigen.solve(kinetic(mole) + nuclear_attraction(mole), overlap(mole))
    occupations = np.where(np.arange(len(energies)) < mole.nelectron // 2, 2.0, 0.0)
    path = tmp_path_factory.mktemp("molden") / "orbitals.molden"
    write_molden(path, mole, energies, coefficients, occupations)
    return path, mole, energies, coefficients, occupations


@pytest.fixture(scope="module")
def radical(tmp_path_factory):
    """A file with the orbitals of both spins of a triplet with a core potential, and what was written."""
    mole = build_mole(Atoms("NI", [[0.1, 0.2, 0.0], [0.9, -0.5, 1.2]]), "def2-svp", spin=2)
    h, s = kinetic(mole) + nuclear_attraction(mole), overlap(mole)
    energies, coefficients = (
        np.stack(each) for each in zip(eigen.solve(h, s), eigen.solve(h + 0.1 * kinetic(mole), s))
    )
    occupations = np.where(np.arange(energies.shape[1]) < np.array(mole.nelec)[:, None], 1.0, 0.0)
    path = tmp_path_factory.mktemp("molden") / "radical.molden"
    write_molden(path, mole, energies, coefficients, occupations)
    return path, mole, energies, coefficients, occupations


def test_pyscf_reads_both_spins(radical):
    path, mole, energies, coefficients, occupations = radical
    text = path.read_text()
    assert text.count("[MO]") == 1 and text.count("Spin= Alpha") == text.count("Spin= Beta") == energies.shape[1]
    found, found_energies, c, found_occupations, _, _ = molden.load(path)
    s = found.intor("int1e_ovlp")
    for k in range(2):
        assert np.abs(c[k].T @ s @ c[k] - np.eye(mole.nao)).max() < 1e-8
        assert np.abs(c[k] - coefficients[k]).max() < 1e-12
    assert np.allclose(found_energies, energies, rtol=1e-9, atol=1e-9)
    assert np.array_equal(found_occupations, occupations) and found.spin == mole.spin


def test_iodata_reads_both_spins(radical):
    path, mole, energies, _, occupations = radical
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_one(path)
    s = compute_overlap(found.obasis, found.atcoords)
    assert found.mo.kind == "unrestricted" and found.spinpol == mole.spin
    for c in (found.mo.coeffsa, found.mo.coeffsb):
        assert np.abs(c.T @ s @ c - np.eye(mole.nao)).max() < 1e-8
    assert np.allclose([found.mo.energiesa, found.mo.energiesb], energies, rtol=1e-9, atol=1e-9)
    assert np.array_equal([found.mo.occsa, found.mo.occsb], occupations)


def test_pyscf_reads_the_same_orbitals(written):
    path, mole, energies, coefficients, occupations = written
    found, found_energies, c, found_occupations, _, _ = molden.load(path)
    s = found.intor("int1e_ovlp")
    assert np.abs(c.T @ s @ c - np.eye(len(energies))).max() < 1e-8
    assert np.abs(s - overlap(mole)).max() < 1e-10 and np.abs(c - coefficients).max() < 1e-12
    assert np.allclose(found_energies, energies, rtol=1e-9, atol=1e-9)
    assert np.array_equal(found_occupations, occupations)


def test_iodata_reads_the_same_orbitals(written):
    path, mole, energies, _, occupations = written
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # which it gives where it mends a file
        found = load_one(path)
    c, s = found.mo.coeffs, compute_overlap(found.obasis, found.atcoords)
    assert np.abs(c.T @ s @ c - np.eye(len(energies))).max() < 1e-8
    assert np.allclose(found.atcoords, mole.atom_coords(), atol=1e-12)
    assert found.atcorenums.tolist() == mole.atom_charges().tolist() and found.charge == 0
    assert np.allclose(found.mo.energies, energies, rtol=1e-9, atol=1e-9)
    assert np.array_equal(found.mo.occs, occupations)

"""Cube files, read by ASE and iodata; integrals over the box."""

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube
from iodata import load_one
from pyscf import scf

from hampred.interop.atomic_density import superposed_atoms
from hampred.interop.cube import BYTES_PER_VALUE, cube_grid, write_cube
from hampred.interop.grid import density_values, orbital_values
from hampred.interop.pyscf import build_mole, overlap
from hampred.units import BOHR


@pytest.fixture(scope="module")
def iodide():
    """HI, whose core electrons a potential replaces, a box, and its density there."""
    atoms = Atoms("HI", [[0.1, 0.2, 0.0], [0.9, -0.5, 1.2]])
    mole = build_mole(atoms, "def2-svp")
    field = scf.RHF(mole).run(conv_tol=1e-6)
    grid = cube_grid(atoms, 0.2)
    return atoms, mole, field, grid, density_values(mole, grid, field.make_rdm1())


def test_other_programs_read_the_same(tmp_path, iodide):
    atoms, mole, _, grid, values = iodide
    path = tmp_path / "hi.density.cube"
    write_cube(path, "HI: electron\ndensity", mole, grid, values)
    assert path.read_text().splitlines()[0] == "HI: electron density"
    assert path.stat().st_size == pytest.approx(BYTES_PER_VALUE * grid.n_points, rel=0.02)
    with path.open() as file:
        found = read_cube(file)
    assert found["atoms"].symbols.get_chemical_formula() == "HI"
    assert np.allclose(found["atoms"].positions, atoms.positions, atol=1e-6)
    assert np.allclose(found["origin"], grid.origin, atol=1e-8)
    assert np.allclose(found["spacing"], grid.axes, atol=1e-8)
    assert found["data"].shape == grid.shape and np.allclose(found["data"], values, rtol=1e-5, atol=1e-99)
    other = load_one(path)
    assert other.atnums.tolist() == [1, 53] and other.atcorenums.tolist() == [1, 25]
    assert np.allclose(other.atcoords, mole.atom_coords(), atol=1e-6)
    assert np.allclose(other.cube.origin * BOHR, grid.origin) and np.allclose(other.cube.axes * BOHR, grid.axes)
    assert np.array_equal(other.cube.data, found["data"])


def test_density_and_orbitals_integrate(iodide):
    """26 electrons and 1: within the error of sums over 0.2 Å, and far within it for what has no cusp."""
    _, mole, field, grid, values = iodide
    assert values.sum() * grid.volume == pytest.approx(mole.nelectron, abs=0.05)
    occupied = orbital_values(mole, grid, field.mo_coeff[:, 12:13])
    assert (occupied**2).sum() * grid.volume == pytest.approx(1, abs=2e-3)


def test_superposed_atoms_hold_the_electrons_of_neutral_atoms(iodide):
    _, mole, _, grid, values = iodide
    density = superposed_atoms(mole)
    assert np.trace(density @ overlap(mole)) == pytest.approx(mole.nelectron, abs=1e-10)
    difference = values - density_values(mole, grid, density)
    assert abs(difference.sum() * grid.volume) < 5e-3 < np.abs(difference).sum() * grid.volume
    ion = build_mole(Atoms("OH"), "def2-svp", charge=-1)
    assert np.trace(superposed_atoms(ion) @ overlap(ion)) == pytest.approx(9, abs=1e-10)


def test_superposed_atoms_are_spherical(iodide):
    """They turn with the molecule: the density of atoms with open p shells has no direction."""
    from hampred.basis import OrbitalBasis
    from hampred.harmonics import random_rotation

    atoms, mole, _, _, _ = iodide
    turned, q = atoms.copy(), random_rotation(np.random.default_rng(0), improper=True)
    turned.positions = atoms.positions @ q.T
    d = OrbitalBasis.from_mole(mole).layout(atoms.numbers).rotation(q)
    density, other = superposed_atoms(mole), superposed_atoms(build_mole(turned, "def2-svp"))
    assert np.abs(other - d @ density @ d.T).max() < 1e-6

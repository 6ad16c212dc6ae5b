"""Values on a box of points: PySCF's cube files are the oracle."""

import numpy as np
import pytest
from ase.build import molecule
from pyscf import scf
from pyscf.tools import cubegen

from hampred.errors import HampredError
from hampred.interop import grid as grids
from hampred.interop.grid import Grid, density_values, electrostatic_potential, orbital_values
from hampred.interop.pyscf import build_mole
from hampred.units import BOHR


@pytest.fixture(scope="module")
def water():
    mole = build_mole(molecule("H2O"), "def2-svp")
    return mole, scf.RHF(mole).run(conv_tol=1e-6)


@pytest.fixture(scope="module")
def oracle(water):
    """PySCF's own box, and the same as a Grid."""
    cube = cubegen.Cube(water[0], nx=9, ny=10, nz=11, margin=3.0)
    steps = np.diag([np.diff(axis)[0] for axis in (cube.xs, cube.ys, cube.zs)]) @ cube.box
    return cube, Grid(cube.boxorig * BOHR, steps * BOHR, (9, 10, 11))


def test_points_are_those_of_a_cube_file(oracle):
    cube, grid = oracle
    assert np.allclose(grid.points() / BOHR, cube.get_coords(), atol=1e-12)
    assert np.array_equal(grid.points(7, 20), grid.points()[7:20])


def test_values_are_those_of_cubegen(water, oracle, tmp_path, monkeypatch):
    (mole, field), (_, grid) = water, oracle
    shape = {"nx": 9, "ny": 10, "nz": 11, "margin": 3.0}
    density = field.make_rdm1()
    monkeypatch.setattr(grids, "SLICE_ELEMENTS", 50_000)  # several slices, the last one shorter
    orbital = orbital_values(mole, grid, field.mo_coeff[:, 3:6])
    assert orbital.shape == (3, *grid.shape)
    assert np.allclose(orbital[1], cubegen.orbital(mole, tmp_path / "o", field.mo_coeff[:, 4], **shape), atol=1e-10)
    assert np.allclose(density_values(mole, grid, density), cubegen.density(mole, tmp_path / "d", density, **shape))
    potential = cubegen.mep(mole, tmp_path / "v", density, **shape)
    assert np.allclose(electrostatic_potential(mole, grid, density), potential, atol=1e-8)


def test_box_surrounds_the_molecule_and_holds_its_valence(water):
    mole, field = water
    grid = Grid.around(molecule("H2O"), margin=4.0, spacing=0.25)
    low, high = grid.points().min(axis=0), grid.points().max(axis=0)
    positions = molecule("H2O").positions
    assert (low <= positions.min(axis=0) - 4).all() and (high >= positions.max(axis=0) + 4).all()
    assert np.allclose(low + high, positions.min(axis=0) + positions.max(axis=0))
    (homo,) = orbital_values(mole, grid, field.mo_coeff[:, 4:5])
    assert (homo**2).sum() * grid.volume == pytest.approx(1, abs=0.03)  # 2p is steep for such steps


def test_potential_is_finite_on_a_nucleus(water):
    mole, field = water
    grid = Grid(molecule("H2O").positions[0], 0.5 * np.eye(3), (2, 1, 1))
    assert np.isfinite(electrostatic_potential(mole, grid, field.make_rdm1())).all()


def test_box_without_end_is_refused():
    with pytest.raises(HampredError, match="spacing above"):
        Grid.around(molecule("H2O"), spacing=0.001)


@pytest.mark.parametrize("spacing", [np.inf, np.nan, 0.0, -0.2])
def test_spacings_that_are_no_lengths_are_refused(spacing):
    with pytest.raises(HampredError, match="give a spacing such as"):
        Grid.around(molecule("H2O"), spacing=spacing)

"""The vacuum level and other zeros of energy."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import LevelOfTheory
from hampred.electronic.crystal import CrystalState
from hampred.errors import HampredError
from hampred.evaluation.band_structure import band_structure
from hampred.evaluation.energy_zero import check_zero, with_zero
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.integrals import Integrals
from hampred.interop.periodic_fock import PeriodicFock
from hampred.interop.vacuum_level import vacuum_level
from hampred.units import MILLI_EV

LEVEL = LevelOfTheory("pbe", "PBE", "gth-szv-molopt-sr", method="KRKS", crystal=CrystalLevel("gth-pbe", 40.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def slab() -> tuple[PeriodicFock, np.ndarray]:
    """Hydrogen molecules so far apart that each is alone, and their converged density."""
    atoms = Atoms("H2", [[4, 4, 0.3], [4, 4, 1.04]], cell=[8, 8, 12], pbc=(True, True, False))
    fock = PeriodicFock(atoms, LEVEL.functional, LEVEL.basis, LEVEL.crystal)
    return fock, fock.converge(1e-9)


def test_a_layer_of_far_atoms_has_the_levels_of_the_atom():
    from pyscf import dft, gto

    atoms = Atoms("Kr", [[4.5, 4.5, 0.2]], cell=[9, 9, 10], pbc=(True, True, False))
    fock = PeriodicFock(atoms, LEVEL.functional, LEVEL.basis, LEVEL.crystal)
    found = vacuum_level(fock, fock.converge(1e-9))
    mole = gto.M(atom="Kr 0 0 0", basis=LEVEL.basis, pseudo="gth-pbe", verbose=0)
    alone = dft.RKS(mole, xc="pbe").run(conv_tol=1e-10).mo_energy[3]
    homo = float(np.asarray(fock.field.mo_energy)[0][3])
    assert abs(homo - found.energy - alone) * MILLI_EV < 1  # 0.65 at 40 Hartree
    assert found.slope * MILLI_EV < 0.1


def test_vacuum_level_does_not_depend_on_the_zero_of_h(slab):
    """H and H + μS have one density, so the edges about the vacuum are the same."""
    fock, density = slab
    overlap = Integrals(fock.atoms, LEVEL.basis).overlap
    h = fock.blocks(density)
    edges = []
    for shift in (0.0, 0.3):
        moved: BlockMatrix = h.plus(replace(overlap, values=shift * overlap.values).on_pairs_of(h))
        state = CrystalState(fock.atoms, moved, overlap, 2)
        bands = band_structure(state, state_path(state), (1, 1, 1))
        about = with_zero(bands, "vacuum", LEVEL)
        assert about.zero.name == "vacuum level" and about.vbm is not None
        edges.append(about.vbm.energy - about.zero.energy)
    assert edges[0] == pytest.approx(edges[1], abs=1e-9)
    homo = float(np.asarray(fock.field.mo_energy)[0][0])
    assert edges[0] == pytest.approx(homo - vacuum_level(fock, density).energy, abs=1e-6)


def state_path(state: CrystalState):
    from hampred.electronic.kpath import band_path

    return band_path(state.atoms, [[0, 0, 0], [0.5, 0, 0]], 0.5)


def test_middle_of_the_gap(slab):
    fock, density = slab
    state = CrystalState(fock.atoms, fock.blocks(density), Integrals(fock.atoms, LEVEL.basis).overlap, 2)
    found = with_zero(band_structure(state, state_path(state), (1, 1, 1)), "midgap", LEVEL)
    assert found.vbm is not None and found.cbm is not None
    assert found.zero.energy == pytest.approx((found.vbm.energy + found.cbm.energy) / 2)


def test_crystals_have_no_vacuum():
    with pytest.raises(HampredError, match="--zero vacuum: .* no vacuum"):
        check_zero("vacuum", bulk("Si"))

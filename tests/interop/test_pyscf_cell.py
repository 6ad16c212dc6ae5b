"""Cells and overlaps of crystals, against PySCF's own lattice sums."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from scipy.spatial.transform import Rotation

from hampred.basis import OrbitalBasis
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals
from hampred.interop.overlap_range import overlap_range
from hampred.interop.pyscf import build_mole, overlap
from hampred.interop.pyscf_cell import build_cell, smallest_overlap_eigenvalue

KPOINTS = np.array([(0, 0, 0), (0.1, 0.2, 0.3), (0.5, 0.4, -0.2)])


def rattled(atoms: Atoms) -> Atoms:
    atoms.rattle(0.05, seed=1)
    return atoms


CRYSTALS = {
    "Si": (rattled(bulk("Si")), "gth-szv-molopt-sr"),
    "Si with d orbitals": (rattled(bulk("Si")), "gth-dzvp-molopt-sr"),
    "BN, sheared": (rattled(bulk("BN", "zincblende", a=3.62)), "gth-szv"),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_bloch_sums_of_the_overlap_are_pyscfs(name):
    atoms, basis = CRYSTALS[name]
    if "sheared" in name:
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * np.triu(np.ones((3, 3)))), scale_atoms=True)
    atoms.positions += 2 * atoms.cell[0]  # atoms may stand anywhere
    s, cell = Integrals(atoms, basis).overlap, build_cell(atoms, basis)
    cell.rcut = 45.0  # Bohr: PySCF's default leaves 1e-8
    for k in KPOINTS:
        reference = cell.pbc_intor("int1e_ovlp", kpts=cell.get_abs_kpts(k))
        np.testing.assert_allclose(s.bloch(k), reference, atol=1e-10)
    np.testing.assert_array_equal(s.transposed().values, s.values)
    assert smallest_overlap_eigenvalue(s, KPOINTS) == pytest.approx(
        min(np.linalg.eigvalsh(s.bloch(k))[0] for k in KPOINTS)
    )


def test_the_overlap_of_a_molecule_has_one_cell():
    atoms = molecule("CH3OH")
    s = Integrals(atoms, "def2-svp").overlap
    assert not s.cell_shifts.any()
    np.testing.assert_allclose(s.to_dense(), overlap(build_mole(atoms, "def2-svp")), atol=1e-14)


def test_the_overlap_turns_with_cell_and_atoms():
    atoms, basis = CRYSTALS["Si with d orbitals"]
    rotation = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    turned = Atoms(atoms.numbers, atoms.positions @ rotation.T, cell=atoms.cell.array @ rotation.T, pbc=True)
    expected = Integrals(atoms, basis).overlap.rotated(rotation)
    np.testing.assert_allclose(
        Integrals(turned, basis).overlap.on_pairs_of(expected).values, expected.values, atol=1e-11
    )


def test_the_range_is_where_the_overlap_ends():
    reach = overlap_range("gth-szv", 6, 14)
    assert reach == overlap_range("gth-szv", 14, 6)
    assert 8 < reach < 21  # Å
    assert overlap_range("gth-szv", 6, 14, 1e-4) < reach


def test_the_basis_knows_the_electrons_left_out():
    atoms, basis = bulk("MgO", "rocksalt", a=4.21), "gth-szv-molopt-sr"
    cell = build_cell(atoms, basis)
    read = OrbitalBasis.from_mole(cell, basis)
    assert read.elements == OrbitalBasis.from_name(basis, atoms.numbers).elements
    assert [read.elements[z].n_core for z in (8, 12)] == [2, 2]
    assert cell.nelectron == 16


def test_a_slab_is_a_cell_with_vacuum():
    atoms = graphene(vacuum=7)
    assert build_cell(atoms, "gth-szv").dimension == 3
    assert not Integrals(atoms, "gth-szv").overlap.cell_shifts[:, 2].any()


def without_cell() -> Atoms:
    return Atoms("Si2", [(0, 0, 0), (1.3, 1.3, 1.3)], pbc=True)


def left_handed() -> Atoms:
    atoms = bulk("Si")
    atoms.cell = atoms.cell.array[[1, 0, 2]]
    return atoms


@pytest.mark.parametrize(
    ("atoms", "basis", "pseudo", "words"),
    [
        (without_cell(), "gth-szv", "gth-pbe", "no volume"),
        (graphene(), "gth-szv", "gth-pbe", "no volume"),
        (graphene(vacuum=1.5), "gth-szv", "gth-pbe", "add vacuum"),
        (molecule("H2O"), "gth-szv", "gth-pbe", "not periodic"),
        (left_handed(), "gth-szv", "gth-pbe", "left-handed"),
        (bulk("U", "fcc", a=4.9), "gth-szv", "gth-pbe", "has no U"),
        (bulk("Si"), "gth-szv", "gth-hf", "no pseudopotential gth-hf of Si"),
        (bulk("Si"), "gth-szv", "/etc/passwd", "no GTH pseudopotential"),
    ],
)
def test_what_is_no_crystal_is_refused(atoms, basis, pseudo, words):
    with pytest.raises(HampredError, match=words) as error:
        build_cell(atoms, basis, pseudo)
    assert "\n" not in str(error.value)


def test_a_basis_for_pseudopotentials_is_refused_for_molecules():
    with pytest.raises(HampredError, match="pseudopotentials"):
        build_mole(molecule("H2O"), "gth-szv")

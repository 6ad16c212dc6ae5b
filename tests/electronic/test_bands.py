"""Bands from H(R) and S(R): PySCF's lattice sums, symmetry, folding, and dispersions on paper."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene

from hampred.blocks.supercell import unfolded
from hampred.electronic.band_error import alignment, band_errors
from hampred.electronic.bands import Bands
from hampred.electronic.crystal import CrystalState
from hampred.electronic.dos import density_of_states
from hampred.electronic.eigen import NearDependentBasis, solve
from hampred.electronic.kmesh import KMesh
from hampred.electronic.kpath import special_points
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.units import HARTREE, MILLI_EV


def test_lattice_sums_are_those_of_pyscf(integrals: Callable, rng: np.random.Generator):
    from pyscf.pbc import gto

    atoms = bulk("Si")
    overlap, kinetic = integrals(atoms, "gth-szv", 16.0)
    named = [(symbol, tuple(r)) for symbol, r in zip(atoms.symbols, atoms.positions)]
    cell = gto.M(a=atoms.cell.array, atom=named, basis="gth-szv", unit="Angstrom", precision=1e-12, verbose=0)
    state = CrystalState(atoms, kinetic, overlap, 8)
    for k in rng.uniform(-1, 1, size=(3, 3)):
        t, s = (cell.pbc_intor(name, kpts=cell.get_abs_kpts(k)) for name in ("int1e_kin", "int1e_ovlp"))
        assert np.abs(state.solve(k)[0] - solve(t, s)[0]).max() < 1e-8


def test_orbitals_are_orthonormal_in_s(silicon: CrystalState, rng: np.random.Generator):
    k = rng.uniform(size=3)
    energies, c = silicon.solve(k)
    h, s = silicon.hamiltonian.bloch(k), silicon.overlap.bloch(k)
    assert np.abs(c.conj().T @ s @ c - np.eye(8)).max() < 1e-12
    assert np.abs(h @ c - s @ c * energies).max() < 1e-12


@pytest.mark.parametrize(
    ("point", "degeneracies"), [("G", [1, 3, 3, 1]), ("X", [2, 2, 2, 2]), ("L", [1, 1, 2, 2, 1, 1])]
)
def test_degeneracies_of_diamond(silicon: CrystalState, point: str, degeneracies: list[int]):
    energies = silicon.solve(special_points(silicon.atoms)[point])[0]
    levels = np.split(energies, np.flatnonzero(np.diff(energies) > 1e-8) + 1)
    assert [len(level) for level in levels] == degeneracies


def test_bands_have_the_symmetry_of_the_crystal(silicon: CrystalState, rng: np.random.Generator):
    from spglib import get_symmetry

    atoms, k = silicon.atoms, rng.uniform(size=3)
    rotations = get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers))["rotations"]
    assert len(rotations) == 48
    for rotation in rotations[::5]:
        assert np.abs(silicon.solve(k @ rotation)[0] - silicon.solve(k)[0]).max() < 1e-10


@pytest.mark.parametrize("improper", [False, True])
def test_a_rotated_crystal_has_the_same_bands(silicon: CrystalState, improper: bool, rng: np.random.Generator):
    q, k = random_rotation(rng, improper), rng.uniform(size=3)
    rotated = [matrix.rotated(q) for matrix in (silicon.hamiltonian, silicon.overlap)]
    state = replace(silicon, hamiltonian=rotated[0], overlap=rotated[1])
    assert np.abs(state.solve(k)[0] - silicon.solve(k)[0]).max() < 1e-12


@pytest.mark.parametrize("vectors", [[[1, 2, 0], [0, 1, 0], [3, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]])
def test_special_points_are_special_in_any_cell(silicon: CrystalState, crystal_of: Callable, vectors):
    """In a skewed cell and in a left-handed one, both turned."""
    atoms = silicon.atoms.copy()
    atoms.set_cell(np.array(vectors) @ atoms.cell.array)
    atoms.rotate(35, (1, 2, 3), rotate_cell=True)
    state = crystal_of(atoms)
    for (name, k), known in zip(special_points(atoms).items(), special_points(silicon.atoms).values()):
        assert np.abs(state.solve(k)[0] - silicon.solve(known)[0]).max() < 1e-9, name
    assert np.abs(state.bands().energies - silicon.bands().energies).max() < 1e-9


@pytest.mark.parametrize("size", [(1, 2, 1), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]])
def test_supercells_fold(silicon: CrystalState, size, crystal_of: Callable, rng: np.random.Generator):
    """From repeated blocks, and from the integrals of the larger cell."""
    large, k = silicon.supercell(size), rng.uniform(size=3)
    folded = np.sort(np.concatenate([silicon.solve(q)[0] for q in unfolded(k, size)]))
    assert HARTREE * np.abs(large.solve(k)[0] - folded).max() < 1e-8
    assert HARTREE * np.abs(crystal_of(large.atoms).solve(k)[0] - folded).max() < 1e-8
    assert large.n_electrons == silicon.n_electrons * len(large.atoms) / 2


def test_mulliken_weights_sum_to_one(silicon: CrystalState):
    bands = silicon.bands("GXL", projected=True)
    assert list(bands.characters) == ["Si s", "Si p"]
    assert np.abs(sum(bands.characters.values()) - 1).max() < 1e-12
    gamma = {name: weights[0] for name, weights in bands.characters.items()}
    assert np.allclose(gamma["Si p"], [0, 1, 1, 1, 1, 1, 1, 0], atol=1e-10)  # by symmetry: Γ1 and Γ2' are s


def test_gap_of_the_silicon_model(silicon: CrystalState):
    bands = silicon.bands()
    assert (bands.n_occupied, bands.is_metal, bands.distances.shape) == (4, False, (len(bands.kpoints),))
    gamma = silicon.solve(np.zeros(3))[0]
    assert bands.gap.vbm == pytest.approx(gamma[3], abs=1e-12) and not bands.kpoints[bands.gap.vbm_index].any()
    assert bands.gap.direct >= bands.gap.indirect
    assert bands.fermi_level() == pytest.approx(0.5 * (bands.gap.vbm + bands.gap.cbm))


def test_graphene_is_a_semimetal_at_k(crystal_of: Callable):
    state = crystal_of(graphene(vacuum=10.0))
    assert state.periodic.tolist() == [True, True, False]
    energies = state.solve([1 / 3, 1 / 3, 0.4])[0]
    assert energies[4] - energies[3] < 1e-8
    assert np.abs(energies - state.solve([1 / 3, 1 / 3, 0.0])[0]).max() < 1e-14


def test_chain_on_paper(toy: Callable):
    state = toy(np.diag([2.0, 9.0, 9.0]), {(0, 0, 0): (-0.3, 1.0), (1, 0, 0): (-0.1, 0.2)}, 1)
    bands = state.bands([[0, 0, 0], [0.5, 0, 0]])
    cosine = np.cos(2.0 * bands.distances)
    assert np.abs(bands.energies[:, 0] - (-0.3 - 0.2 * cosine) / (1 + 0.4 * cosine)).max() < 1e-14
    assert bands.is_metal
    with pytest.raises(HampredError, match="k-mesh"):
        bands.fermi_level()
    # half filled: the level is that of k = π/2a as the temperature vanishes
    assert state.mesh([1201, 1, 1]).fermi_level(1e-3) == pytest.approx(-0.3, abs=1e-4)


def test_square_lattice_fermi_level_and_states(toy: Callable):
    hops = {(0, 0, 0): (0.1, 1.0), (1, 0, 0): (-0.05, 0.0), (0, 1, 0): (-0.05, 0.0)}
    mesh = toy(np.diag([3.0, 3.0, 20.0]), hops, 1).mesh([24, 24, 1], projected=True)
    assert mesh.fermi_level() == pytest.approx(0.1, abs=1e-10)  # particle and hole are alike
    dos = density_of_states(mesh)
    assert np.trapezoid(dos.total, dos.energies) == pytest.approx(2.0, abs=1e-8)
    assert np.abs(dos.projected["H s"] - dos.total).max() < 1e-12
    occupied = dos.energies <= 0.1
    assert np.trapezoid(dos.total[occupied], dos.energies[occupied]) == pytest.approx(1.0, abs=0.1)
    variance = np.trapezoid(dos.total * (dos.energies - 0.1) ** 2, dos.energies) / 2
    broadening = dos.width**2 + mesh.weights @ mesh.spread[:, 0] ** 2
    assert variance == pytest.approx(4 * 0.05**2 + broadening, rel=1e-6)  # Σ_R t² of the four neighbours
    slopes = 0.1 * np.sin(2 * np.pi * mesh.kpoints[:, :2]) * np.sin(2 * np.pi / 24)  # from point to point
    assert np.abs(mesh.spread[:, 0] - 0.5 * np.linalg.norm(slopes, axis=1)).max() < 1e-14


def test_a_coarse_mesh_does_not_show_its_points(toy: Callable):
    """The half-filled chain: 1/(π sqrt(4t² − ε²)) a state, here from 40 points that are up to 0.5 eV apart."""
    mesh = toy(np.diag([2.0, 9.0, 9.0]), {(0, 0, 0): (0.0, 1.0), (1, 0, 0): (-0.05, 0.0)}, 1).mesh([40, 1, 1])
    energies = np.linspace(-0.07, 0.07, 50)
    found = density_of_states(mesh, width=1e-4, energies=energies).total
    np.testing.assert_allclose(found, 2 / (np.pi * np.sqrt(0.1**2 - energies**2)), rtol=0.03)


def test_half_the_mesh_is_enough(silicon: CrystalState):
    mesh = KMesh.gamma_centred([4, 3, 2])
    assert mesh.weights.sum() == pytest.approx(1) and len(mesh.weights) == 14
    every = np.stack(np.meshgrid(*(np.arange(n) / n for n in (4, 3, 2)), indexing="ij"), axis=-1).reshape(-1, 3)
    total = np.mean([silicon.solve(k)[0].sum() for k in every])
    bands = silicon.mesh([4, 3, 2])
    assert bands.weights @ bands.energies.sum(axis=1) == pytest.approx(total, abs=1e-12)


def test_bands_are_compared_up_to_a_shift(silicon: CrystalState):
    reference = silicon.bands("GXL")
    shifted = replace(silicon.hamiltonian, values=silicon.hamiltonian.values + 0.37 * silicon.overlap.values)
    found = replace(silicon, hamiltonian=shifted).bands("GXL")
    assert alignment(found, reference) == pytest.approx(-0.37, abs=1e-12)
    errors = band_errors(found, reference)
    assert errors.pop("shift_meV") == pytest.approx(-0.37 * MILLI_EV)
    assert max(map(abs, errors.values())) < 1e-6
    opened = replace(reference, energies=reference.energies + 0.01 * (np.arange(8) >= 4))
    assert band_errors(opened, reference)["gap_error_meV"] == pytest.approx(0.01 * MILLI_EV)
    with pytest.raises(HampredError, match="different k-points"):
        band_errors(found, silicon.bands("GL"))
    with pytest.raises(HampredError, match="electrons"):
        alignment(replace(found, n_electrons=6.0), reference)


def test_dependent_orbitals_are_projected_out_at_each_k(toy: Callable):
    """S(k) = 1 − cos(ka) vanishes at Γ: one band is left where there are two orbitals elsewhere."""
    state = toy(np.diag([2.0, 9.0, 9.0]), {(0, 0, 0): (1.0, 1.0), (1, 0, 0): (0.0, -0.5)}, 1)
    pair = state.supercell((2, 1, 1))
    with pytest.warns(NearDependentBasis, match=r"at 1 of \d+ k-points: 1 of 2 bands"):
        bands = pair.bands([[0, 0, 0], [0.5, 0, 0]], projected=True)
    assert bands.energies.shape[1] == bands.characters["H s"].shape[1] == 1
    assert bands.energies[0, 0] == pytest.approx(0.5)  # the other one of Γ: 1 / S(π/a)


def test_what_has_no_answer(silicon: CrystalState):
    path, mesh = silicon.bands("GX"), [2, 2, 2]
    with pytest.raises(HampredError, match="k-mesh"):
        density_of_states(path)
    with pytest.raises(HampredError, match="positive"):
        density_of_states(silicon.mesh(mesh), width=0.0)
    for size in ([2, 2], [2, 2, 0], [1.5, 2, 2]):
        with pytest.raises(HampredError, match="three positive integers"):
            silicon.mesh(size)
    with pytest.raises(HampredError, match="no gap"):
        _ = Bands(np.zeros((1, 3)), np.zeros((1, 1)), 2.0).gap


def test_atoms_of_a_far_lattice_are_atoms(crystal_of: Callable):
    state = crystal_of(Atoms("Si", cell=3 * [30.0], pbc=True))
    assert np.allclose(state.bands([[0, 0, 0], [0.5, 0.5, 0.5]]).energies, [-0.55, -0.28, -0.28, -0.28])

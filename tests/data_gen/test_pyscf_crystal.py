"""The backend of crystals: H(R) agrees with PySCF's F(k), and says what it is."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.linalg import eigh
from scipy.spatial.transform import Rotation

from data_gen.backends.pyscf_crystal import PySCFCrystal
from hampred.baseline import baseline_from_state, make_baseline
from hampred.config import CrystalConfig, GuardConfig, LevelConfig, ScfConfig
from hampred.data.sample import LevelOfTheory, structure_key
from hampred.data.store import Store, write_store
from hampred.errors import FailedError, HampredError
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.folding import mesh_kpoints
from hampred.interop.integrals import Integrals
from hampred.interop.periodic_fock import PeriodicFock

BASIS = "gth-szv-molopt-sr"
CRYSTAL = {"ke_cutoff": 15.0, "kpoint_length": 6.0, "folding_length": 9.0}  # 2×2×2 and 3×3×3 points


def backend(loose: float = 1e5, **more):
    level = LevelConfig(functional="pbe", basis=BASIS, conv_tol=1e-9, crystal=CrystalConfig(**{**CRYSTAL, **more}))
    return PySCFCrystal(level, guard=GuardConfig(max_folding_error=loose))


def silicon() -> Atoms:
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=4)
    atoms.info = {"molecule": "Si"}
    return atoms


@pytest.fixture(scope="module")
def sample():
    return backend().label(silicon())


@pytest.fixture(scope="module")
def reference(sample):
    """PySCF at the same level with a tight SCF: the operator and its density."""
    fock = PeriodicFock(silicon(), "pbe", BASIS, sample.level.crystal)
    fock.field.conv_tol = 1e-12
    fock.field.kernel()
    return fock, fock.field.make_rdm1()


def test_bloch_sums_are_the_fock_matrices_of_pyscf(sample, reference):
    fock, density = reference
    k = mesh_kpoints((3, 3, 3))[0]
    for point, direct in zip(k, fock.at(density, k)):
        np.testing.assert_allclose(sample.hamiltonian.bloch(point), direct, atol=1e-5)
    bands = fock.field.get_bands(fock.cell.get_abs_kpts(k))[0]
    s = Integrals(silicon(), BASIS).overlap
    for point, energies in zip(k, bands):
        found = eigh(sample.hamiltonian.bloch(point), s.bloch(point), eigvals_only=True)
        np.testing.assert_allclose(found, energies, atol=1e-5)


def test_the_sample_counts_electrons_of_one_cell(sample, reference):
    assert (sample.n_electrons, sample.n_occupied) == (8, 4)
    assert sample.total_energy == pytest.approx(reference[0].field.e_tot, abs=1e-8)
    assert sample.provenance["kpoint_mesh"] == [2, 2, 2] and sample.provenance["folding_mesh"] == [3, 3, 3]
    assert sample.provenance["folding_error_kpoints"] == 12 and sample.provenance["folding_error_meV"] > 1
    assert len(sample.orbital_energies) == 8 and sample.provenance["molecule"] == "Si"


def test_blocks_are_hermitian_and_real(sample):
    np.testing.assert_array_equal(sample.hamiltonian.transposed().values, sample.hamiltonian.values)
    assert sample.hamiltonian.values.dtype == np.float64


def test_the_hamiltonian_turns_with_cell_and_atoms(sample):
    rotation = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    atoms = silicon()
    turned = Atoms(atoms.numbers, atoms.positions @ rotation.T, cell=atoms.cell.array @ rotation.T, pbc=True)
    expected = sample.hamiltonian.rotated(rotation)
    found = backend().label(turned).hamiltonian.on_pairs_of(expected)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)


def test_samples_come_back_from_the_store(sample, tmp_path):
    write_store(tmp_path / "labels.h5", [sample])
    with Store(tmp_path / "labels.h5") as store:
        read = store[0]
    assert read.level == sample.level and read.provenance == sample.provenance
    assert read.atoms.pbc.all() and np.array_equal(read.atoms.cell.array, sample.atoms.cell.array)
    k = (0.1, 0.2, 0.3)
    np.testing.assert_allclose(read.hamiltonian.bloch(k), sample.hamiltonian.bloch(k), atol=1e-14)
    assert read.n_electrons == 8
    other = replace(sample, level=backend(ke_cutoff=16.0).level)
    with pytest.raises(HampredError, match="crystal is"):
        write_store(tmp_path / "both.h5", [sample, other])


def test_the_level_of_molecules_is_told_as_before():
    level = LevelOfTheory("pbe", "x", "sto-3g")
    assert "crystal" not in level.to_dict()
    crystal = backend().level
    assert LevelOfTheory.from_dict(crystal.to_dict()) == crystal
    keys = {structure_key(silicon(), 0, 0, lv) for lv in (level, crystal, backend(smearing=0.01).level)}
    assert len(keys) == 3


def test_the_minao_baseline_is_the_first_fock_matrix(sample, reference):
    fock, _ = reference
    baseline = make_baseline("minao", sample.level)
    h0 = baseline.blocks(Integrals(silicon(), BASIS))
    np.testing.assert_array_equal(h0.transposed().values, h0.values)
    k = mesh_kpoints((3, 3, 3))[0]
    for point, direct in zip(k, fock.at(fock.guess(), k)):
        np.testing.assert_allclose(h0.bloch(point), direct, atol=1e-10)
    difference = sample.hamiltonian.error(h0.on_pairs_of(sample.hamiltonian))["all"]
    assert difference < 0.05 * np.abs(sample.hamiltonian.values).mean()
    assert baseline_from_state(baseline.state()) == baseline


def test_a_hamiltonian_that_has_not_decayed_is_refused():
    with pytest.raises(HampredError, match=r"not decayed on the 3×3×3 mesh.* meV .*raise level\.crystal"):
        backend(loose=1.0).label(silicon())


def test_metals_need_smearing():
    with pytest.raises(HampredError, match="3 electrons.*smearing"):
        backend().check(bulk("Al"), 0)
    metal = backend(smearing=0.01).label(bulk("Al"))
    assert metal.provenance["kpoint_mesh"] == [4, 4, 4]  # 27 points would hold 81 electrons, no whole pairs
    assert metal.n_electrons == 3 and metal.provenance["gap_on_mesh_Eh"] < 0


def test_a_chain_is_periodic_along_one_direction():
    atoms = Atoms("H2", [(0, 4, 4), (0.75, 4, 4)], cell=[2.5, 8, 8], pbc=(True, False, False))
    level = LevelConfig(basis="gth-szv", crystal=CrystalConfig(ke_cutoff=15, kpoint_length=10, folding_length=18))
    found = PySCFCrystal(level, guard=GuardConfig(max_folding_error=10.0)).label(atoms)
    assert found.provenance["kpoint_mesh"] == [4, 1, 1] and found.provenance["folding_mesh"] == [9, 1, 1]
    assert found.hamiltonian.cell_shifts[:, 0].any() and not found.hamiltonian.cell_shifts[:, 1:].any()
    assert found.provenance["folding_error_meV"] < 1 and found.n_electrons == 2


def test_a_gap_that_is_none_is_refused():
    level = LevelConfig(basis=BASIS, crystal=CrystalConfig(**CRYSTAL))
    with pytest.raises(FailedError, match="smearing"):  # whether it converges or not
        PySCFCrystal(level, ScfConfig(max_cycle=10, retries=False)).label(bulk("Si", "fcc", a=3.9))


def test_a_nearly_dependent_basis_is_refused_with_the_number():
    level = LevelConfig(basis="gth-dzvp", crystal=CrystalConfig(**CRYSTAL))
    with pytest.raises(HampredError, match=r"smallest eigenvalue of S\(k\) \d\.\de-0[4567] < 1e-04"):
        PySCFCrystal(level, guard=GuardConfig(min_overlap_eigenvalue=1e-4)).label(silicon())


def test_what_does_not_converge_is_no_label():
    level = LevelConfig(basis=BASIS, crystal=CrystalConfig(**CRYSTAL))
    with pytest.raises(FailedError, match="not converged"):
        PySCFCrystal(level, ScfConfig(max_cycle=1, retries=False)).label(silicon())


def test_the_scf_of_a_metal_with_whole_occupations_gives_up_early():
    level = CrystalLevel("gth-pbe", ke_cutoff=8.0, kpoint_length=6.0, folding_length=2.0)
    fock = PeriodicFock(bulk("Al", "bcc", a=3.3, cubic=True), "pbe", BASIS, level)
    with pytest.raises(FailedError, match=r"if this is a metal, set level\.crystal\.smearing"):
        fock.converge(1e-9, max_cycle=2)
    assert fock.field.cycles == 2  # no second attempt


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ({"basis": "def2-svp"}, "not made for pseudopotentials"),
        ({"functional": "b3lyp"}, "neither an LDA nor a GGA"),
        ({"functional": "r2scan"}, "neither an LDA nor a GGA"),
        ({"density_fit": True}, "plane waves"),
    ],
)
def test_levels_that_crystals_do_not_have_are_refused(level, words):
    with pytest.raises(HampredError, match=words):
        PySCFCrystal(LevelConfig(**{"basis": BASIS, "crystal": CrystalConfig(), **level}))


def overlapping() -> Atoms:
    atoms = bulk("Si")
    atoms.positions[1] = atoms.positions[0] + 0.5
    return atoms


@pytest.mark.parametrize(
    ("atoms", "charge", "words"),
    [
        (Atoms("Si2", [(0, 0, 0), (1.3, 1.3, 1.3)], pbc=True), 0, "no volume"),
        (bulk("Si"), 1, "cannot be charged"),
        (bulk("Si", a=5.43 * 1.8897), 0, "too long"),
        (bulk("Si", a=5.43 * 0.5292), 0, "too short"),
        (overlapping(), 0, "overlap"),
        (Atoms("Si2", [(0, 0, 0), (1.3, 1.3, 1.3)]), 0, "not periodic"),
    ],
)
def test_structures_that_cannot_be_meant_are_refused(atoms, charge, words):
    with pytest.raises(HampredError, match=words):
        backend().check(atoms, charge)

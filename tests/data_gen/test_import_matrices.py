"""Matrices computed elsewhere become a store, or are refused with the reason."""

import h5py
import numpy as np
import pytest
from ase.build import molecule

from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.import_matrices import import_matrices
from hampred.config import LevelConfig
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.units import HARTREE

LEVEL = LevelConfig(functional="pbe", basis="sto-3g", grid_level=1)


@pytest.fixture(scope="module")
def sample():
    return PySCFMolecule(LEVEL).label(molecule("H2O"))


def arrays(sample, **change):
    data = {
        "numbers": sample.atoms.numbers,
        "positions": sample.atoms.positions,
        "fock": sample.hamiltonian.to_dense(),
    }
    return {**data, **change}


def save(tmp_path, **data):
    np.savez(tmp_path / "a.npz", **data)
    return tmp_path / "a.npz"


def test_a_matrix_becomes_a_sample_and_verifies(tmp_path, sample):
    path = save(tmp_path, **arrays(sample, molecule="water", energy=sample.total_energy))
    assert import_matrices([path], tmp_path / "s.h5", LEVEL, verify=True) == 1
    with Store(tmp_path / "s.h5") as store:
        np.testing.assert_allclose(store[0].hamiltonian.to_dense(), sample.hamiltonian.to_dense(), atol=1e-14)
        np.testing.assert_allclose(store[0].orbital_energies, sample.orbital_energies, atol=1e-12)
        assert store[0].provenance["molecule"] == "water" and store[0].total_energy == sample.total_energy


def test_a_matrix_of_another_level_is_refused_with_the_difference(tmp_path, sample):
    path = save(tmp_path, **arrays(sample))
    with pytest.raises(HampredError, match=r"differs from PySCF's b3lyp/sto-3g by \d\.\d+e-0[1-4] Ha"):
        import_matrices([path], tmp_path / "s.h5", LevelConfig(functional="b3lyp", basis="sto-3g"), verify=True)
    assert not (tmp_path / "s.h5").exists()


def test_matrices_that_cannot_be_meant_are_refused(tmp_path, sample):
    fock = sample.hamiltonian.to_dense()
    nan = fock.copy()
    nan[0, 0] = np.nan
    cases = {
        "orbitals": {"fock": fock[:5, :5]},
        "not finite": {"fock": nan},
        "not symmetric": {"fock": fock + np.triu(np.full_like(fock, 1e-4), 1)},
        "Hartree": {"fock": fock * HARTREE},
        "overlap": {"positions": 0 * sample.atoms.positions},
        "Bohr": {"positions": sample.atoms.positions / 0.529},
        "integers": {"numbers": sample.atoms.numbers.astype(float)},
        "positions": {"positions": sample.atoms.positions[:2]},
        "unknown": {"numbers": np.array([8, 1, 200])},
    }
    for words, change in cases.items():
        with pytest.raises(HampredError, match=words):
            import_matrices([save(tmp_path, **arrays(sample, **change))], tmp_path / "s.h5", LEVEL)
    assert not (tmp_path / "s.h5").exists()


def test_objects_in_npz_are_not_loaded(tmp_path, sample):
    path = save(tmp_path, **arrays(sample, molecule=np.array([{"a": 1}], dtype=object)))
    with pytest.raises(HampredError, match="plain npz"):
        import_matrices([path], tmp_path / "s.h5", LEVEL)


def test_missing_arrays_and_files_are_named(tmp_path, sample):
    data = arrays(sample)
    del data["fock"]
    with pytest.raises(HampredError, match="lacks fock"):
        import_matrices([save(tmp_path, **data)], tmp_path / "s.h5", LEVEL)
    with pytest.raises(HampredError, match="no file"):
        import_matrices([tmp_path / "none.npz"], tmp_path / "s.h5", LEVEL)
    with pytest.raises(HampredError, match="--functional"):
        import_matrices([save(tmp_path, **data)], tmp_path / "s.h5")


@pytest.fixture
def flat(tmp_path, sample):
    """The flat ragged layout with two samples of water."""
    fock = sample.hamiltonian.to_dense()
    n = len(fock)
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file.attrs.update(functional="PySCF 2.14 'pbe'", basis="sto-3g", grid_level=1, conv_tol=1e-9, density_fit=False)
        file["n_atoms"], file["n_orbitals"], file["cycles"] = [3, 3], [n, n], [7, 8]
        file["numbers"] = np.tile(sample.atoms.numbers, 2)
        file["positions"] = np.tile(sample.atoms.positions, (2, 1))
        file["hamiltonian_triu"] = np.tile(fock[np.triu_indices(n)], 2)
        file["energy"] = [sample.total_energy] * 2
        file["dipole"] = np.tile(sample.dipole, (2, 1))
        file["smiles"] = ["O", "O"]
    return tmp_path / "flat.h5"


def test_the_flat_layout_tells_its_own_level(tmp_path, flat, sample):
    assert import_matrices([flat], tmp_path / "s.h5", verify=True) == 2
    with Store(tmp_path / "s.h5") as store:
        assert (store.level.functional, store.level.basis, store.level.grid_level) == ("pbe", "sto-3g", 1)
        second = store[1]
        np.testing.assert_allclose(second.hamiltonian.to_dense(), sample.hamiltonian.to_dense(), atol=1e-14)
        assert (second.provenance["molecule"], second.scf_cycles) == ("O", 8)


def test_a_flat_file_of_wrong_lengths_or_with_links_is_refused(tmp_path, flat):
    with h5py.File(flat, "a") as file:
        del file["numbers"]
        file["numbers"] = [8, 1, 1]
    with pytest.raises(HampredError, match="length"):
        import_matrices([flat], tmp_path / "s.h5")
    with h5py.File(flat, "a") as file:
        del file["numbers"]
        file["numbers"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(HampredError, match="of its own"):
        import_matrices([flat], tmp_path / "s.h5")
    flat.write_bytes(flat.read_bytes()[:300])
    with pytest.raises(HampredError, match="HDF5"):
        import_matrices([flat], tmp_path / "s.h5")

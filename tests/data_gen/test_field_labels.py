"""Labels in electric fields: from the sampling to the store, against PySCF."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from pyscf import dft

from data_gen.backends.pyscf_crystal import PySCFCrystal
from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.geometries import geometries, turned
from data_gen.pipeline import generate
from hampred.config import CrystalConfig, GenerateConfig, LevelConfig, ScfConfig, load_config
from hampred.data.sample import structure_key
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import electric_field, rotated, with_field
from hampred.interop.pyscf import build_mole, charge_centre
from hampred.units import FIELD

VECTOR = np.array([0.2, -0.3, 0.4])
LEVEL = LevelConfig(functional="pbe", basis="sto-3g", grid_level=1)


def structures(*steps, source="g2", **more) -> list[Atoms]:
    kind = {"kind": "g2", "names": ["H2O"]} if source == "g2" else source
    config = {"geometries": [{**kind, "sampling": list(steps), **more}]}
    return list(geometries(load_config(GenerateConfig, config)))


def bent(vector=VECTOR) -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=1)
    return with_field(atoms, vector)


def test_random_directions_and_strengths_up_to_the_largest():
    step = {"kind": "field", "count": 400, "strength": 0.5}
    fields = np.array([electric_field(atoms) for atoms in structures(step)])
    strengths = np.linalg.norm(fields, axis=1)
    assert 0.48 < strengths.max() <= 0.5 and strengths.mean() == pytest.approx(0.25, abs=0.03)
    assert np.abs((fields / strengths[:, None]).mean(axis=0)).max() < 0.1
    few = np.array([electric_field(atoms) for atoms in structures({**step, "count": 3})])
    assert np.array_equal(few, fields[:3])  # more structures keep the first


def test_sampling_after_the_field_and_orientations_keep_it():
    steps = [{"kind": "field", "strength": 0.5}, {"kind": "rattle", "count": 2, "stdev": 0.02}]
    plain, again = (structures(*steps, rotate=turn) for turn in (False, True))
    for a, b in zip(plain, again):
        before, after = electric_field(a), electric_field(b)
        assert np.linalg.norm(before) == pytest.approx(np.linalg.norm(after), abs=1e-7)
        angles = (atoms.positions[1:] - atoms.positions[0] for atoms in (a, b))
        np.testing.assert_allclose(*(bonds @ f for bonds, f in zip(angles, (before, after))), atol=1e-6)
        assert np.abs(before - after).max() > 1e-3


def test_files_tell_fields(tmp_path):
    write(tmp_path / "a.extxyz", [bent(), molecule("H2O")])
    first, second = structures(source={"kind": "file", "path": str(tmp_path / "a.extxyz")})
    assert np.array_equal(electric_field(first), VECTOR) and not electric_field(second).any()


def test_fields_of_crystals_are_refused():
    silicon = {"kind": "bulk", "name": "Si"}
    with pytest.raises(HampredError, match="for molecules"):
        structures({"kind": "field"}, source=silicon)
    backend = PySCFCrystal(LevelConfig(functional="pbe", basis="gth-szv", crystal=CrystalConfig()))
    atoms = bulk("Si")
    atoms.info["electric_field"] = [0, 0, 0.1]
    with pytest.raises(HampredError, match="for molecules"):
        backend.check(atoms, 0)


@pytest.mark.parametrize(("name", "charge", "fitted"), [("H2O", 0, False), ("OH", -1, False), ("H2O", 0, True)])
def test_labels_agree_with_pyscf(name: str, charge: int, fitted: bool):
    """The field's potential written out, as PySCF's examples have it."""
    atoms = with_field(molecule(name), VECTOR)
    sample = PySCFMolecule(LEVEL.model_copy(update={"density_fit": fitted})).label(atoms, charge)
    mole = build_mole(atoms, "sto-3g", charge)
    field = dft.RKS(mole, xc="pbe").density_fit() if fitted else dft.RKS(mole, xc="pbe")
    field.grids.level, field.conv_tol = 1, 1e-12
    with mole.with_common_orig(charge_centre(mole)):
        core = mole.intor("int1e_kin") + mole.intor("int1e_nuc")
        core = core + np.einsum("x,xij->ij", VECTOR / FIELD, mole.intor("int1e_r"))
    field.get_hcore = lambda *arguments: core
    field.kernel()
    np.testing.assert_allclose(sample.hamiltonian.to_dense(), field.get_fock(dm=field.make_rdm1()), atol=1e-5)
    np.testing.assert_allclose(sample.dipole, field.dip_moment(unit="AU", verbose=0), atol=1e-4)
    assert sample.total_energy == pytest.approx(field.e_tot, abs=1e-8)
    assert np.array_equal(sample.electric_field, VECTOR)


def test_second_order_scf_is_in_the_field_too():
    sample = PySCFMolecule(LEVEL, ScfConfig(max_cycle=4)).label(bent())
    assert sample.provenance["converged_by"] != "diis"
    np.testing.assert_allclose(sample.dipole, PySCFMolecule(LEVEL).label(bent()).dipole, atol=1e-4)


@pytest.mark.parametrize("improper", [False, True])
def test_the_label_of_a_rotated_molecule_is_the_rotated_label(improper: bool):
    """To the noise of the integration grid."""
    backend, q = PySCFMolecule(LEVEL.model_copy(update={"grid_level": 4})), random_rotation(np.random.default_rng(0))
    q = -q if improper else q
    label, again = backend.label(bent()), backend.label(rotated(bent(), q))
    error = again.hamiltonian.error(label.hamiltonian.rotated(q))
    assert error["max"] < 2e-5
    fixed = backend.label(with_field(rotated(bent(), q), VECTOR))  # the field left where it was
    assert fixed.hamiltonian.error(label.hamiltonian.rotated(q))["max"] > 1e-3
    np.testing.assert_allclose(again.dipole, q @ label.dipole, atol=1e-4)


def test_the_dipole_is_the_derivative_of_the_energy_of_labels():
    backend, step = PySCFMolecule(LEVEL.model_copy(update={"conv_tol": 1e-12})), 2e-3
    for axis in np.eye(3):
        energies = [backend.label(bent(VECTOR + sign * step * axis)).total_energy for sign in (1, -1)]
        derivative = -(energies[0] - energies[1]) / (2 * step) * FIELD
        assert derivative == pytest.approx(axis @ backend.label(bent()).dipole, abs=1e-5)


def test_fields_go_into_the_store_and_come_back(tmp_path):
    steps = [{"kind": "rattle", "stdev": 0.03}, {"kind": "field", "count": 3, "strength": 0.4}]
    source = {"kind": "g2", "names": ["H2O"], "sampling": steps, "rotate": True}
    config = load_config(GenerateConfig, {"geometries": [source], "level": LEVEL.model_dump(), "forces": True})
    summary = generate(config, tmp_path, workers=1)
    assert summary.n_labels == 3 and 0 < summary.label_noise < 1e-4  # the molecule turned without its field: 1e-3
    with Store(summary.store) as store:
        fields = [sample.electric_field for sample in store]
        assert store.damaged() == [] and len(set(store.keys)) == 3
        assert all(sample.forces is not None and np.abs(sample.forces.sum(axis=0)).max() < 1e-2 for sample in store)
    expected = [electric_field(atoms) for atoms in geometries(config)]
    np.testing.assert_array_equal(fields, expected)
    assert json.loads((tmp_path / "geometries.json").read_text())["structures"][0]["info"]["electric_field"]
    again = generate(config, tmp_path, workers=1)
    assert (again.n_labels, again.n_new) == (3, 0)


def test_keys_know_the_field_and_leave_those_without_one_alone():
    level = PySCFMolecule(LEVEL).level
    keys = [structure_key(bent(vector), 0, 0, level) for vector in (VECTOR, -VECTOR, np.zeros(3))]
    assert len(set(keys)) == 3
    bare = bent(np.zeros(3))
    bare.info.clear()
    assert keys[2] == structure_key(bare, 0, 0, level)


def test_stores_from_before_there_were_fields_are_read(tmp_path):
    sample = PySCFMolecule(LEVEL).label(bent(np.zeros(3)))
    write_store(tmp_path / "new.h5", [sample])
    write_store(tmp_path / "old.h5", [sample])
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        header = json.loads(file["header"][()].tobytes())
        text = np.frombuffer(json.dumps({**header, "version": 1}).encode(), dtype="|u1")
        del file["electric_field"], file["header"]
        file.create_dataset("header", data=text)
    with Store(tmp_path / "new.h5") as new, Store(tmp_path / "old.h5") as old:
        assert old.keys == new.keys and old.damaged() == []  # so that splits of old models still name them
        assert not old[0].electric_field.any() and old[0].atoms == new[0].atoms
        write_store(tmp_path / "field.h5", [replace(old[0], atoms=bent())])
        with Store(tmp_path / "field.h5") as field:
            assert field.keys != old.keys and np.array_equal(field[0].electric_field, VECTOR)


def test_turned_structures_are_rounded():
    found = turned(bent(), random_rotation(np.random.default_rng(0)))
    assert np.array_equal(electric_field(found), np.round(electric_field(found), 8))

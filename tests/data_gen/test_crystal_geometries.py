"""Geometries of crystals, and their way through a generation."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from data_gen.folder import OutputFolder, from_row, to_row
from data_gen.geometries import geometries, turned
from data_gen.pipeline import generate
from hampred.config import GenerateConfig, load_config
from hampred.data.store import Store
from hampred.errors import HampredError

SILICON = {"kind": "bulk", "name": "Si", "structure": "diamond", "a": 5.43}
STRAIN, RATTLE = {"kind": "strain", "count": 3, "stdev": 0.03}, {"kind": "rattle", "count": 2, "stdev": 0.05}


def config(*sampling, level=None, **source):
    data = {"geometries": [{**SILICON, "sampling": list(sampling), **source}], "level": level or {}}
    return load_config(GenerateConfig, data)


def test_a_crystal_by_name():
    (atoms,) = geometries(config(repeat=[1, 2, 1]))
    expected = bulk("Si", a=5.43).repeat((1, 2, 1))
    np.testing.assert_allclose(atoms.positions, expected.positions, atol=1e-8)
    assert atoms.pbc.all() and atoms.info == {"source": "bulk", "molecule": "Si", "charge": 0}
    assert len(next(geometries(config(cubic=True)))) == 8


def test_strain_moves_atoms_with_the_cell():
    made = list(geometries(config(STRAIN)))
    ideal = bulk("Si", a=5.43)
    assert len(made) == 3 and made[0].info["source"] == "bulk strain"
    for atoms in made:
        np.testing.assert_allclose(atoms.get_scaled_positions(), ideal.get_scaled_positions(), atol=1e-7)
        strain = np.linalg.solve(ideal.cell.array, atoms.cell.array) - np.eye(3)
        np.testing.assert_allclose(strain, strain.T, atol=1e-7)
        assert 0.003 < np.abs(strain).max() < 0.15


def test_more_structures_keep_the_first():
    few, many = list(geometries(config(STRAIN))), list(geometries(config({**STRAIN, "count": 5})))
    for a, b in zip(few, many):
        assert np.array_equal(a.cell.array, b.cell.array) and np.array_equal(a.positions, b.positions)
    assert len(list(geometries(config(STRAIN, RATTLE)))) == 6


def test_turning_a_crystal_turns_its_cell():
    (straight,), (atoms,) = geometries(config()), geometries(config(rotate=True))
    assert not np.allclose(atoms.cell.array, straight.cell.array)
    np.testing.assert_allclose(atoms.get_scaled_positions(), straight.get_scaled_positions(), atol=1e-7)
    np.testing.assert_allclose(atoms.cell.array @ atoms.cell.array.T, straight.cell.array @ straight.cell.array.T)
    same = turned(straight, np.eye(3))
    assert np.array_equal(same.positions, straight.positions) and np.array_equal(same.cell.array, straight.cell.array)


@pytest.mark.parametrize(
    ("how", "source", "words"),
    [
        ({"kind": "normal_modes"}, {}, "for molecules"),
        ({"kind": "md"}, {}, "for molecules"),
        (STRAIN, {"kind": "g2", "names": ["H2O"]}, "for crystals"),
    ],
)
def test_sampling_that_does_not_fit_is_refused(how, source, words):
    keys = source or SILICON
    with pytest.raises(HampredError, match=words):
        list(geometries(load_config(GenerateConfig, {"geometries": [{**keys, "sampling": [how]}]})))


@pytest.mark.parametrize("source", [{"name": "Xx"}, {"structure": "cubist"}, {"name": "MgO", "structure": None}])
def test_crystals_that_ase_cannot_build_are_refused(source):
    with pytest.raises(HampredError, match="ASE cannot build the crystal"):
        list(geometries(config(**source)))


def test_structures_come_back_from_their_rows(tmp_path):
    crystal, molecule = bulk("Si"), Atoms("H2", [(0, 0, 0), (0, 0, 0.74)])
    crystal.pbc = (True, True, False)
    assert set(to_row(molecule)) == {"numbers", "positions"}
    for atoms in (crystal, molecule):
        assert from_row(to_row(atoms)) == atoms
    folder = OutputFolder(tmp_path)
    folder.save_geometries({}, [crystal, molecule])
    assert folder.load_geometries({}) == [crystal, molecule]


def test_crystals_are_generated_and_resumed(tmp_path):
    crystal = {"ke_cutoff": 12, "kpoint_length": 6, "folding_length": 9}
    level = {"basis": "gth-szv-molopt-sr", "conv_tol": 1e-9, "crystal": crystal}
    settings = config({**RATTLE, "count": 2}, level=level).model_dump(mode="json")
    settings["guard"]["max_folding_error"] = 1e4
    settings = load_config(GenerateConfig, settings)
    summary = generate(settings, tmp_path, workers=1)
    assert summary.n_labels == 2 and summary.failures == ()
    assert 1e-8 < summary.label_noise < 1e-4  # of the grid, on which the shifted crystal stands differently
    with Store(tmp_path / "labels.h5") as store:
        assert store.level.crystal.ke_cutoff == 12 and store[1].n_electrons == 8
        assert store[0].atoms.pbc.all() and store.molecules == ["Si", "Si"]
    assert generate(settings, tmp_path, workers=1).n_new == 0


def test_the_preset_asks_for_crystals():
    settings = load_config(GenerateConfig, "generate/silicon")
    made = list(geometries(settings))
    assert {len(atoms) for atoms in made} == {2, 8} and all(atoms.pbc.all() for atoms in made)

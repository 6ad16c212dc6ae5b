"""Geometries of crystals, and their way through a generation."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.formula import Formula

from data_gen.folder import OutputFolder, from_row, to_row
from data_gen.geometries import geometries, turned
from data_gen.pipeline import generate, make_backend, make_plan
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


def strains(atoms, ideal):
    return np.array([np.linalg.solve(ideal.cell.array, a.cell.array) - np.eye(3) for a in atoms])


@pytest.mark.parametrize("seed", range(5))
def test_isotropic_strain_covers_its_range(seed):
    step = {"kind": "strain", "count": 12, "stdev": 1e-6, "isotropic": 0.07}
    settings = config(step).model_copy(update={"seed": seed})
    lengths = np.sort(strains(geometries(settings), bulk("Si", a=5.43))[:, 0, 0])
    assert lengths[0] < -0.049 and lengths[-1] > 0.049 and np.abs(lengths).max() < 0.0701
    assert np.diff(lengths).max() < 0.021  # even, where independent draws leave gaps


def test_isotropic_strain_comes_on_top():
    plain, added = (list(geometries(config({**STRAIN, "isotropic": width}))) for width in (0, 0.05))
    difference = strains(added, bulk("Si", a=5.43)) - strains(plain, bulk("Si", a=5.43))
    np.testing.assert_allclose(difference, difference[:, :1, :1] * np.eye(3), atol=1e-7)
    assert np.abs(difference).max() > 0.01


def test_a_layer_is_strained_in_its_plane():
    (flat,) = geometries(layer())
    for atoms in geometries(layer({**STRAIN, "isotropic": 0.05})):
        np.testing.assert_array_equal(atoms.positions[:, 2], flat.positions[:, 2])
        np.testing.assert_array_equal(atoms.cell.array[2], flat.cell.array[2])
        assert np.abs(atoms.cell.array[:2] - flat.cell.array[:2]).max() > 1e-3


def layer(*sampling, **changes):
    sheet = {"kind": "atoms", "symbols": ["C", "C"], "positions": [[0, 0, 5], [1.23, 0.71014, 5]]}
    cell = [[2.46, 0, 0], [-1.23, 2.13042, 0], [0, 0, 10]]
    sheet = {**sheet, "cell": cell, "pbc": [True, True, False], "sampling": list(sampling), **changes}
    return load_config(GenerateConfig, {"geometries": [sheet]})


def test_a_structure_written_out():
    (atoms,) = geometries(layer(repeat=[2, 1, 1], name="graphene"))
    assert atoms.info == {"source": "atoms", "molecule": "graphene", "charge": 0}
    assert atoms.pbc.tolist() == [True, True, False] and str(atoms.symbols) == "C4"
    np.testing.assert_allclose(atoms.get_all_distances(mic=True)[0, 1], 2.46 / 3**0.5, atol=1e-4)
    molecule = {"kind": "atoms", "symbols": ["H", "H"], "positions": [[0, 0, 0], [0, 0, 0.74]]}
    (atoms,) = geometries(load_config(GenerateConfig, {"geometries": [molecule]}))
    assert atoms.info["molecule"] == "H2" and not atoms.pbc.any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"symbols": ["C"]}, "1 symbols and 2 positions"),
        ({"symbols": ["C", "Xx"]}, "'Xx' is no element"),
        ({"cell": None}, "without a cell"),
    ],
)
def test_structures_that_cannot_be_meant_are_refused(changes, words):
    with pytest.raises(HampredError, match=words):
        list(geometries(layer(**changes)))


CARBIDE = {"name": "SiC", "structure": "zincblende", "a": 4.36, "cubic": True}
VACANCY, SUBSTITUTION = {"kind": "vacancy", "count": 3}, {"kind": "substitution", "count": 3, "element": "Ge"}


@pytest.mark.parametrize(
    ("how", "formulas"),
    [
        (VACANCY, {"Si4C3", "Si3C4"}),
        ({**VACANCY, "atoms": 2, "element": "C"}, {"Si4C2"}),
        (SUBSTITUTION, {"GeSi3C4", "GeSi4C3"}),
        ({**SUBSTITUTION, "atoms": 2, "replaces": "Si"}, {"Ge2Si2C4"}),
        ({**SUBSTITUTION, "atoms": 4, "element": "C"}, {"C8"}),
    ],
)
def test_defects_stand_at_random_sites(how, formulas):
    (ideal,) = geometries(config(**CARBIDE))
    made, again = list(geometries(config(how, **CARBIDE))), list(geometries(config(how, **CARBIDE)))
    more = list(geometries(config({**how, "count": 5}, **CARBIDE)))
    assert len(made) == 3 and made == again == more[:3]
    sites = {tuple(r) for r in ideal.positions}
    for atoms in more:
        assert str(Formula(str(atoms.symbols)).convert("hill")) in {str(Formula(f).convert("hill")) for f in formulas}
        assert {tuple(r) for r in atoms.positions} <= sites and np.array_equal(atoms.cell.array, ideal.cell.array)
        assert atoms.info["source"] == f"bulk {how['kind']}" and atoms.info["molecule"] == "SiC"
    assert len({atoms.positions.tobytes() + atoms.numbers.tobytes() for atoms in more}) > 1 or formulas == {"C8"}


@pytest.mark.parametrize(
    ("how", "source", "words"),
    [
        (VACANCY, {"name": "Cu", "structure": "fcc", "a": 3.6}, "remove 1 of 1 atoms"),
        ({**VACANCY, "atoms": 8}, {"cubic": True}, "remove 8 of 8 atoms"),
        ({**VACANCY, "element": "C"}, {}, "takes 1 atoms, and Si2 has 0"),
        ({**VACANCY, "element": "Xx"}, {}, "'Xx' is no element"),
        ({**SUBSTITUTION, "element": "X"}, {}, "'X' is no element"),
        ({**SUBSTITUTION, "element": "Si"}, {}, "Si2 has 0"),
        ({**SUBSTITUTION, "atoms": 3}, {}, "Si2 has 2"),
    ],
)
def test_defects_that_cannot_be_made_are_refused(how, source, words):
    with pytest.raises(HampredError, match=words):
        list(geometries(config(how, **source)))


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
        (VACANCY, {"kind": "g2", "names": ["H2O"]}, "for crystals"),
        (SUBSTITUTION, {"kind": "g2", "names": ["H2O"]}, "for crystals"),
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


CUBIC = ["silicon", "diamond", "boron_nitride", "silicon_carbide", "si_c_sic"]
PERIODIC = {**dict.fromkeys(CUBIC, 3), "graphene": 2, "polyacetylene": 1}


@pytest.mark.parametrize("preset", PERIODIC)
def test_presets_ask_for_crystals(preset):
    settings = load_config(GenerateConfig, f"generate/{preset}")
    plan = make_plan(settings, make_backend(settings))
    assert plan.refused == {} and len(plan.structures) <= 60
    assert all(atoms.pbc.sum() == PERIODIC[preset] for atoms in plan.structures.values())


@pytest.mark.parametrize("preset", CUBIC)
def test_presets_cover_six_percent_of_strain(preset):
    changes: dict[tuple[str, int], list[float]] = {}
    for source in load_config(GenerateConfig, f"generate/{preset}").geometries:
        ideal = bulk(source.name, source.structure, a=source.a, cubic=source.cubic)
        of_one = GenerateConfig(geometries=[source])
        isotropic = strains(geometries(of_one), ideal).trace(axis1=1, axis2=2) / 3
        changes.setdefault((source.name, len(ideal)), []).extend(isotropic)
    for isotropic in changes.values():
        assert min(isotropic) < -0.05 and max(isotropic) > 0.05

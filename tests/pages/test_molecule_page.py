"""The page of a molecule: complete, alone, and made for every molecule."""

import base64
import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from fock import solved
from scipy.spatial.transform import Rotation

from hampred.confidence import Confidence
from hampred.electronic.channel import channels
from hampred.errors import HampredError
from hampred.evaluation.prediction_formats import CRYSTAL, FORMATS, Contents, require_formats
from hampred.interop.grid import Grid, density_values, orbital_values
from hampred.pages.level_diagram import level_diagram
from hampred.pages.scene import scene
from hampred.units import DEBYE, HARTREE


def numbers(field, shape):
    """Values of a surface as the page reads them."""
    return field["scale"] * np.frombuffer(base64.b64decode(field["data"]), "<i2").reshape(shape)


def test_surfaces_are_those_of_the_state(water):
    data = scene(water)
    grid = Grid(np.array(data["grid"]["origin"]), data["grid"]["spacing"] * np.eye(3), tuple(data["grid"]["shape"]))
    named = channels(water)[0].around_gap()
    assert [f["name"] for f in data["fields"]] == ["HOMO−2", "HOMO−1", "HOMO", "LUMO", "LUMO+1", "Density"]
    orbitals = orbital_values(water.mole, grid, water.orbital_coefficients[:, list(named.values())])
    for field, values in zip(data["fields"], [*orbitals, density_values(water.mole, grid, water.density_matrix)]):
        assert np.abs(numbers(field, grid.shape) - np.clip(values, -1, 1)).max() < 3.1e-5
    assert data["fields"][data["first"]]["name"] == "HOMO"


def test_both_spins_are_drawn(methyl):
    data, drawing = scene(methyl), level_diagram(methyl)
    grid = Grid(np.array(data["grid"]["origin"]), data["grid"]["spacing"] * np.eye(3), tuple(data["grid"]["shape"]))
    fields = {field["name"]: numbers(field, grid.shape) for field in data["fields"]}
    alpha, beta = (orbital_values(methyl.mole, grid, c) for c in methyl.orbital_coefficients)
    for name, values in {"α HOMO": alpha[4], "α LUMO": alpha[5], "β HOMO": beta[3], "β LUMO": beta[4]}.items():
        assert np.abs(fields[name] - np.clip(values, -1, 1)).max() < 3.1e-5, name
    assert fields["Spin density"].sum() * grid.volume == pytest.approx(1, abs=0.02)
    assert np.abs(fields["Spin density"] - density_values(methyl.mole, grid, methyl.spin_density_matrix)).max() < 3.1e-5
    assert data["fields"][data["first"]]["name"] == "α HOMO" and [*fields][-2:] == ["Density", "Spin density"]
    carbon, *hydrogens = map(float, (text.replace("−", "-") for text in data["labels"]["mulliken_spins"]))
    assert carbon > 1 > 0 > max(hydrogens)
    named = {name: number for number, name in enumerate(fields)}
    for name, (spin, k) in {"α HOMO": (0, 4), "β HOMO": (1, 3), "β LUMO": (1, 4)}.items():
        energy = f"{HARTREE * methyl.orbital_energies[spin, k]:.3f}".replace("-", "−")
        assert f'data-field="{named[name]}"><title>{name[0]} orbital {k + 1}: {energy} eV' in drawing


def test_dipole_goes_from_minus_to_plus(water):
    arrow = scene(water)["dipole"]
    along = np.subtract(arrow["end"], arrow["start"])
    assert np.allclose(along, DEBYE * water.dipole)
    oxygen, *hydrogens = water.atoms.positions
    assert along @ (np.mean(hydrogens, axis=0) - oxygen) > 0
    assert scene(solved(molecule("H2")))["dipole"] is None


def test_orientation_lays_the_longest_axis_across():
    acetylene = solved(molecule("C2H2"))
    axis = acetylene.atoms.positions[0] - acetylene.atoms.positions[1]
    turned = Rotation.from_quat(scene(acetylene)["orientation"]).apply(axis / np.linalg.norm(axis))
    assert abs(turned[0]) > 0.9


@pytest.mark.parametrize(
    ("atoms", "charge", "spin", "n_levels"),
    [
        (Atoms("He"), 0, 0, 1),
        (molecule("H2"), 0, 0, 2),
        (molecule("NH3"), 0, 0, None),
        (Atoms("Li"), 1, 0, None),
        (Atoms("H"), 0, 1, 2),
        (molecule("H2"), 0, 2, None),
        (molecule("O2"), 0, 2, None),
        (molecule("H2O"), 1, 1, None),
    ],
    ids=["no-lumo", "one-each", "degenerate", "ion", "no-beta", "no-beta-lumo", "triplet", "cation"],
)
def test_every_molecule_has_a_page(atoms, charge, spin, n_levels):
    state = solved(atoms, charge, spin)
    text = state.page().html()
    assert "nan" not in level_diagram(state) and "NaN" not in text.split("<script>")[0]
    if n_levels:
        assert level_diagram(state).count("<g ") == n_levels
    assert ("dipole moment of an ion" in text) == bool(charge)


@pytest.fixture(scope="module")
def text(water):
    return water.page("water", energy=-74.96, notes=["a note"]).html()


def test_page_asks_for_nothing(text):
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"'](?!data:image/png;base64,)", shown)
    assert "url(" not in shown and "@import" not in shown and "viewer_3Dmoljs" not in shown
    assert len(text) < 3_000_000


def test_page_tells_where_it_comes_from(text):
    for part in ("RHF hf/sto-3g", "Model", "PySCF", "a note", "−74.960000 Eₕ", "HOMO−2", "Löwdin", "|H − H0|"):
        assert part.lower() in text.lower(), part


def test_page_of_a_radical_tells_its_spins(methyl):
    text = methyl.page("methyl").html()
    for part in ("UHF hf/sto-3g", "Unpaired electrons", "⟨S²⟩", "Mulliken spin", "β LUMO+1", "Spin density", "|H_α"):
        assert part in text, part
    assert unescape(re.findall(r'srcdoc="([^"]*)"', methyl._repr_html_())[0]) == methyl.page().html()


def test_page_of_a_doubtful_state_says_so(methyl, water):
    told = "HOMO and LUMO are not apart"
    assert not any(told in state.page().html() for state in (methyl, water))
    excited = replace(methyl, n_occupied=(8, 1))
    assert excited.gap < 0 and told in excited.page().html()


@pytest.mark.parametrize(("level", "shown"), [(0, "± 0.12 eV"), (2, "± ? eV")])
def test_page_tells_above_the_molecule_how_sure_it_is(water, level, shown):
    sure = Confidence(np.array([0.5, 9, 0.5]), level, {"gap_mae_meV": 120})
    head, _, _ = replace(water, confidence=sure).page().html().partition('class="stage"')
    assert shown in head and "± holds 90 %" in head and ("atom 2 (H) is the newest" in head) == bool(level)


def test_notebook_shows_the_page_apart(water):
    shown = water._repr_html_()
    (page,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert 'sandbox="allow-scripts"' in shown and unescape(page) == water.page().html()
    (block,) = re.findall(r'id="molecule-data">(.*?)</script>', unescape(page))
    assert json.loads(block)["xyz"].splitlines()[0] == "3"


def test_file_is_written(tmp_path, water):
    water.page("ψ").write(tmp_path / "w.html")
    assert "<h1>ψ</h1>" in (tmp_path / "w.html").read_text(encoding="utf-8")


def test_predict_writes_it(tmp_path, water):
    contents = Contents("w", water, {"notes": ["a note"], "energy_Eh": -1.5}, {}, 0.2)
    assert FORMATS["html"].write(tmp_path, contents) == ["w.html"]
    text = (tmp_path / "w.html").read_text(encoding="utf-8")
    assert "−1.500000 Eₕ" in text and "a note" in text
    with pytest.raises(HampredError, match="si8 is a crystal, and html files hold molecules only"):
        require_formats(["html"], CRYSTAL, "si8")

"""Predictions of a trained model: any orientation, batches, both precisions, and what PySCF says of them."""

import numpy as np
import pytest
from ase.build import molecule

import hampred
from hampred.confidence import Confidence
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, overlap

N_ROTATIONS = 500


@pytest.fixture(scope="module", params=["float64", "float32"])
def predictor(request, run_folder):
    return hampred.load(run_folder, dtype=request.param)


def water(seed=0):
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=seed)
    return atoms


def test_five_hundred_orientations(predictor):
    """H of the turned molecule, baseline included, is D H Dᵀ for proper and improper rotations."""
    tolerance = 1e-12 if str(predictor.dtype).endswith("64") else 2e-6
    atoms, generator = water(), np.random.default_rng(0)
    rotations = [random_rotation(generator, improper=bool(k % 2)) for k in range(N_ROTATIONS)]
    turned = []
    for q in rotations:
        copy = atoms.copy()
        copy.positions = atoms.positions @ q.T
        turned.append(copy)
    h = predictor.predict(atoms).hamiltonian
    layout, largest = predictor.basis.layout(atoms.numbers), 0.0
    for q, found in zip(rotations, predictor.predict_stream(turned), strict=True):
        d = layout.rotation(q)
        largest = max(largest, np.abs(found.hamiltonian - d @ h @ d.T).max())
    assert largest <= tolerance * np.abs(h).max()


@pytest.mark.parametrize("what", ["water.xyz", None, 3, ["water.xyz"], [None]])
def test_what_is_no_structure_is_refused(predictor, what):
    with pytest.raises(HampredError, match=r"is no structure: give ase.Atoms, of a file hampred.read_structures"):
        predictor.predict(what)
    assert predictor.predict([]) == [] and "molecules of H, O, pbe/sto-3g" in repr(predictor)


def test_names_that_are_not_there_get_a_hint(predictor):
    found = predictor.predict(water()).properties
    with pytest.raises(HampredError, match=r"no property 'polarisability': did you mean 'polarizability'\?$"):
        found["polarisability"]
    with pytest.raises(HampredError, match=r"no property 'colour': choose one of homo, lumo"):
        found["colour"]
    assert "colour" not in found and found.get("colour") is None


def test_list_equals_singles(predictor):
    structures = [water(1), molecule("H2"), molecule("H2O2"), water(2)]
    together = predictor.predict(structures)
    for atoms, found in zip(structures, together, strict=True):
        alone = predictor.predict(atoms)
        assert np.abs(found.hamiltonian - alone.hamiltonian).max() < 1e-6 * np.abs(alone.hamiltonian).max()


def test_orbitals_solve_the_predicted_problem(predictor):
    p = predictor.predict(water())
    s = overlap(build_mole(p.atoms, "sto-3g"))
    assert np.abs(p.overlap - s).max() < 1e-14
    c = p.orbital_coefficients
    assert np.allclose(c.T @ s @ c, np.eye(7), atol=1e-10)
    assert np.allclose(p.hamiltonian @ c, s @ c * p.orbital_energies, atol=1e-9)
    assert np.isclose(np.trace(p.density_matrix @ s), 10)
    assert p.homo == p.orbital_energies[4] and p.lumo == p.orbital_energies[5] and p.gap == p.lumo - p.homo


def test_pyscf_object_carries_the_orbitals(predictor):
    p = predictor.predict(water())
    field = p.to_pyscf()
    assert np.array_equal(field.mo_energy, p.orbital_energies) and np.array_equal(field.mo_occ, p.occupations)
    assert np.allclose(field.make_rdm1(), p.density_matrix, atol=1e-12)
    assert np.allclose(field.dip_moment(unit="AU", verbose=0), p.dipole, atol=1e-6)


def test_charge_fills_fewer_orbitals(predictor):
    assert predictor.predict(water(), charge=2).n_occupied == 4


def test_charges_that_no_label_had_are_told(predictor, monkeypatch):
    sure = Confidence(np.ones(3), 0, {"gap_mae_meV": 1.0})
    monkeypatch.setattr(predictor, "_confidence", lambda *_: sure)
    known, ion = predictor.predict([water(), water()]), predictor.predict(water(), charge=2)
    assert [p.notes for p in known] == [[], []] and known[0].confidence.level == 0
    assert ion.confidence.warning == "unlike the labels" and len(ion.notes) == 2
    assert "charge: 2, where the labels of the model have 0" in ion.notes[0] and ion.notes[0] in ion.page().notes
    assert ion.refined(1).notes == []


@pytest.mark.parametrize(
    ("name", "charge", "told"),
    [
        ("CH4", 0, "does not know the element C"),
        ("H2O", 1, "closed shell"),
        ("H2O", 10, "no electrons left"),
        ("H2O", -6, "higher charge"),
    ],
)
def test_what_cannot_be_predicted_is_refused(predictor, name, charge, told):
    with pytest.raises(HampredError, match=told):
        predictor.predict(molecule(name), charge=charge)


def test_precisions_agree(run_folder):
    exact, fast = (hampred.load(run_folder, dtype=d).predict(water()).hamiltonian for d in ("float64", "float32"))
    assert 0 < np.abs(exact - fast).max() < 1e-5


def test_unknown_precision_is_refused(run_folder):
    with pytest.raises(HampredError, match="float32, float64"):
        hampred.load(run_folder, dtype="float16")

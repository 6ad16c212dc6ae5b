"""The guard: no false alarm on good molecules, and no wrong physics let through."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.collections import g2

from data_gen.guard import BadLabelError, check_geometry, check_label, check_overlap
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, overlap
from hampred.units import BOHR

MOLECULES = [name for name in g2.names if len(g2[name]) >= 2]


def refusal(atoms, charge=None):
    """Why the guard refuses, or None; the charge makes the shell closed unless one is given."""
    charge = int(atoms.numbers.sum()) % 2 if charge is None else charge
    try:
        check_geometry(atoms, charge)
    except HampredError as error:
        return str(error)
    return None


def test_no_false_alarm_on_the_g2_set():
    assert len(MOLECULES) > 140
    assert [name for name in MOLECULES if refusal(g2[name]) is not None] == []


def test_no_false_alarm_on_rattled_g2_molecules():
    rng = np.random.default_rng(0)
    for name in MOLECULES:
        atoms = g2[name]
        atoms.positions += 0.05 * rng.standard_normal(atoms.positions.shape)
        assert refusal(atoms) is None, name


@pytest.mark.parametrize(("factor", "words"), [(1 / BOHR, "Bohr read as Å"), (BOHR, "Å read as Bohr")])
def test_the_wrong_unit_of_length_is_noticed(factor, words):
    noticed = []
    for name in MOLECULES:
        atoms = g2[name]
        atoms.positions *= factor
        noticed.append(words in (refusal(atoms) or "") or "overlap" in (refusal(atoms) or ""))
    assert np.mean(noticed) >= 0.98


@pytest.mark.parametrize(
    ("atoms", "charge", "words"),
    [
        (Atoms(), 0, "no atoms"),
        (Atoms("H2", [(0, 0, 0), (0, 0, np.nan)]), 0, "NaN"),
        (Atoms("H2", [(0, 0, 0), (0, 0, np.inf)]), 0, "infinite"),
        (Atoms("H2", [(0, 0, 0), (0, 0, 0)]), 0, "overlap"),
        (Atoms("H2", [(0, 0, 0), (0, 0, 1e-4)]), 0, "overlap"),
        (Atoms("H2", [(0, 0, 0), (0, 0, 99)]), 0, "Bohr"),
        (Atoms("H"), 0, "open shell"),
        (Atoms("H"), 1, "no electrons"),
        (molecule("H2O"), 1, "open shell"),
        (molecule("H2O"), 12, "no electrons"),
        (molecule("H2O", vacuum=3, pbc=True), 0, "periodic"),
        (molecule("H2O") + Atoms("Li", [(0, 0, 9)]), 1, "alone"),
    ],
)
def test_refused_geometries(atoms, charge, words):
    assert words in (refusal(atoms, charge) or "accepted")


@pytest.mark.parametrize("atoms", [Atoms("He"), Atoms("ArAr", [(0, 0, 0), (0, 0, 3.8)]), molecule("H2O")])
def test_accepted_geometries(atoms):
    assert refusal(atoms, 0) is None


def test_a_bond_scan_can_be_allowed():
    stretched = Atoms("H2", [(0, 0, 0), (0, 0, 1.6)])
    assert refusal(stretched) is not None
    check_geometry(stretched, 0, allow_unusual_distances=True)


def test_near_linear_dependence_is_refused_with_its_figure():
    chain = Atoms("H6", [(0, 0, 0.8 * i) for i in range(6)])
    with pytest.raises(HampredError, match=r"eigenvalue of S 2\.9e-07"):
        check_overlap(overlap(build_mole(chain, "aug-cc-pvdz")), 1e-6)
    assert check_overlap(overlap(build_mole(molecule("H2O"), "def2-svp")), 1e-6) == pytest.approx(0.035, abs=5e-3)


@pytest.fixture
def label():
    """F, S, D and ε of two electrons in three orthonormal orbitals."""
    return {
        "fock": np.diag([-1.0, 0.2, 0.5]),
        "overlap": np.eye(3),
        "density": np.diag([2.0, 0.0, 0.0]),
        "energies": np.array([-1.0, 0.2, 0.5]),
        "n_electrons": 2,
    }


def test_a_good_label_passes(label):
    check_label(**label)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fock": np.diag([np.nan, 0.2, 0.5])}, "not finite"),
        ({"fock": np.diag([-1.0, 0.2, 0.5]) + np.diag([1e-6, 0], 1)}, "not symmetric"),
        ({"density": np.diag([1.0, 0.0, 0.0])}, "electrons"),
        ({"n_electrons": 4}, "electrons"),
        ({"density": np.array([[1.0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 0]])}, "commute"),
        ({"energies": np.array([-1.0, -1.0, 0.5])}, "gap"),
    ],
)
def test_bad_labels_are_refused(label, change, words):
    with pytest.raises(BadLabelError, match=words) as error:
        check_label(**{**label, **change})
    assert ": " in str(error.value)  # what to do

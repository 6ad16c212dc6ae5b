"""Errors of energies, forces, quadrupoles and charges, in `hampred evaluate` and alone."""

from dataclasses import replace

import numpy as np
import pytest

from hampred.data.store import Store, write_store
from hampred.evaluation.evaluate import evaluate
from hampred.evaluation.property_errors import FORCE_METRICS, PROPERTY_METRICS, property_errors
from hampred.evaluation.states import label_state
from hampred.interop.energy import EnergyFunctional
from hampred.units import KCAL_PER_MOL


@pytest.fixture(scope="module")
def with_forces(store, tmp_path_factory):
    """The waters of the store with the forces of their own density."""
    samples = []
    for k in range(2):
        label = label_state(store[k])
        functional = EnergyFunctional(label.atoms, store.level)
        _, fock = functional.energy_and_fock(label.density_matrix)
        forces = functional.forces(label.orbital_coefficients, label.n_occupied, fock)
        samples.append(replace(store[k], forces=forces))
    path = tmp_path_factory.mktemp("labels") / "forces.h5"
    write_store(path, samples)
    with Store(path) as opened:
        yield opened


def test_the_label_itself_has_no_error(with_forces):
    label = label_state(with_forces[0])
    (errors,) = property_errors([label], label, with_forces[0])
    assert list(errors) == list(PROPERTY_METRICS)
    assert max(errors.values()) < 1e-4


def test_errors_follow_their_definition(with_forces):
    label = label_state(with_forces[0])
    noise = np.random.default_rng(0).normal(scale=0.01, size=label.hamiltonian.shape)
    found = replace(label, hamiltonian=label.hamiltonian + noise + noise.T)
    (errors,) = property_errors([found], label, with_forces[0])
    energy, _ = EnergyFunctional(label.atoms, with_forces.level).energy_and_fock(found.density_matrix)
    assert errors["energy_mae_kcal_mol"] == pytest.approx(627.5095 * (energy - with_forces[0].total_energy), rel=1e-5)
    charges = [state.properties["lowdin_charges"] for state in (found, label)]
    assert errors["lowdin_mae_e"] == pytest.approx(np.abs(charges[0] - charges[1]).mean())
    assert 0 < errors["forces_mae_meV_A"] < errors["forces_max_meV_A"]
    assert errors["quadrupole_mae_DA"] > 1e-3
    assert pytest.approx(627.5095, rel=1e-6) == KCAL_PER_MOL


def test_properties_stand_beside_those_of_the_baseline(make_stand, with_forces):
    result = evaluate(make_stand(), with_forces, "all", properties=True)
    table = result.table()
    assert list(table)[-len(PROPERTY_METRICS) :] == list(PROPERTY_METRICS)
    for name in PROPERTY_METRICS:
        assert 0 < table[name]["model"] < table[name]["baseline"]
    assert result.to_dict()["labels_with_forces"] == 2


def test_labels_without_forces_have_no_such_rows(make_stand, store):
    result = evaluate(make_stand(), store, properties=True)
    assert result.about["labels_with_forces"] == 0
    assert set(PROPERTY_METRICS) - set(result.table()) == set(FORCE_METRICS)


def test_nothing_is_built_unless_asked_for(make_stand, store, monkeypatch):
    monkeypatch.setattr(EnergyFunctional, "energy_and_fock", lambda *_: pytest.fail("a Fock build"))
    assert not PROPERTY_METRICS.keys() & evaluate(make_stand(), store).table().keys()

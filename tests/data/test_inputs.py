"""The matrices that a network is given: they transform like H, and the density counts the electrons."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.linalg import eigh

from hampred.baseline.sap import Sap
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.inputs import INPUTS, input_values
from hampred.electronic.orbitals import fermi_occupations
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.integrals import Integrals


def matrices(atoms: Atoms) -> dict[str, np.ndarray]:
    integrals = Integrals(atoms, "def2-svp", spin=2)  # so that the spin density is there
    s, h0 = integrals.overlap, Sap().blocks(integrals)
    values = input_values(list(INPUTS), s, h0, integrals).numpy()
    return {name: replace(s, values=column).to_dense() for name, column in zip(INPUTS, values.T)}


@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
def test_inputs_of_a_rotated_molecule_are_rotated(improper):
    atoms = molecule("CH3OH")
    q = random_rotation(np.random.default_rng(1), improper)
    turned = atoms.copy()
    turned.positions = atoms.positions @ q.T
    d = OrbitalBasis.from_name("def2-svp", atoms.numbers).layout(atoms.numbers).rotation(q)
    first, second = matrices(atoms), matrices(turned)
    for name in INPUTS:
        assert np.abs(second[name] - d @ first[name] @ d.T).max() < 1e-12 * np.abs(first[name]).max(), name


def test_density_holds_the_electrons():
    found = matrices(molecule("H2O"))
    assert np.isclose(np.trace(np.linalg.solve(found["overlap"], found["density"])), 10, atol=1e-10)


def test_occupations_are_aufbau_when_cold_and_even_where_levels_meet():
    energies = np.array([-1.0, -0.5, -0.5, 0.5])
    assert np.allclose(fermi_occupations(energies, 6, 1e-3), [2, 2, 2, 0])
    assert np.allclose(fermi_occupations(energies, 4, 1e-3), [2, 1, 1, 0])
    assert np.isclose(fermi_occupations(energies, 3.3, 0.2).sum(), 3.3)
    assert np.allclose(fermi_occupations(energies, 8, 0.02), 2)


def test_density_is_smooth_where_levels_cross():
    integrals = Integrals(Atoms("He3", np.eye(3)), "sto-3g")
    vectors = eigh(np.eye(3), integrals.overlap.to_dense())[1]
    dual = integrals.overlap.to_dense() @ vectors

    def density(split: float) -> np.ndarray:
        h = BlockMatrix.from_dense(integrals.layout, dual @ np.diag([-1.0, -0.5, -0.5 + split]) @ dual.T)
        return input_values(["density"], integrals.overlap, h, charged).numpy()

    charged = Integrals(integrals.atoms, "sto-3g", charge=2)
    assert np.abs(density(1e-7) - density(-1e-7)).max() < 1e-4


def test_density_is_for_molecules():
    integrals = Integrals(bulk("C"), "sto-3g")
    with pytest.raises(HampredError, match="for molecules only"):
        input_values(["density"], integrals.overlap, integrals.overlap, integrals)

"""Labels and predictions as states of one kind: molecules with dense matrices, crystals with blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample
from hampred.electronic.crystal import CrystalState
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.evaluation.crystal_spectrum import CRYSTAL_METRICS, aligned, compare_crystals
from hampred.evaluation.spectrum import METRICS, compare
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]
State = ElectronicState | CrystalState


def metrics_of(is_crystal: bool) -> Mapping[str, str]:
    """The metrics of molecules or of crystals: name → what it says, with its unit."""
    return CRYSTAL_METRICS if is_crystal else METRICS


def label_state(sample: HamiltonianSample) -> State:
    """A label as a state, with the analytic overlap.

    Raises:
        HampredError: The label is an open shell.
    """
    if sample.spin:
        raise HampredError("Open shells cannot be evaluated yet: give a store of closed shells.")
    atoms, h = sample.atoms, sample.hamiltonian
    overlap = Integrals(atoms, sample.basis.name).overlap
    if atoms.pbc.any():
        return CrystalState(atoms, h, overlap, sample.n_electrons)
    return ElectronicState(atoms, h.layout, h.to_dense(), overlap.to_dense(), sample.n_occupied, sample.charge)


def baseline_state(prediction: Any, label: State) -> State:
    """H0 of a prediction in the place of the label's Hamiltonian."""
    h0 = prediction.baseline_hamiltonian
    if isinstance(label, CrystalState):
        return CrystalState(label.atoms, h0, label.overlap, label.n_electrons)
    return ElectronicState(label.atoms, label.layout, h0, label.overlap, label.n_occupied, label.charge)


def compare_states(found: State, label: State) -> dict[str, float]:
    """Every metric of `metrics_of` for a molecule or crystal; see `compare` and `compare_crystals`."""
    if isinstance(found, CrystalState) and isinstance(label, CrystalState):
        return compare_crystals(found, label)
    assert isinstance(found, ElectronicState) and isinstance(label, ElectronicState)
    return compare(found, label)


def blocks(found: State, label: State) -> BlockMatrix:
    """The Hamiltonian on the label's list of pairs, of a crystal shifted to the label's zero of energy."""
    if isinstance(found, CrystalState) and isinstance(label, CrystalState):
        return aligned(found.hamiltonian, label.hamiltonian, label.overlap)
    return hamiltonian_blocks(found)


def hamiltonian_blocks(state: State) -> BlockMatrix:
    """The Hamiltonian of a molecule or crystal as blocks, Hartree."""
    if isinstance(state, CrystalState):
        return state.hamiltonian
    return BlockMatrix.from_dense(state.layout, state.hamiltonian)


def levels(state: State) -> tuple[Array, int]:
    """Orbital energies, of a crystal those at Γ (Hartree), and how many of them are occupied."""
    if isinstance(state, CrystalState):
        return state.solve(np.zeros(3))[0], int(state.n_electrons // 2)
    return state.orbital_energies, state.n_occupied

"""Labels and predictions as states of one kind: molecules with dense matrices, crystals with blocks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample
from hampred.electronic.crystal import CrystalState
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.state import ElectronicState
from hampred.evaluation.crystal_spectrum import CRYSTAL_METRICS, aligned, compare_crystals
from hampred.evaluation.open_shells import compare_open_shells
from hampred.evaluation.spectrum import METRICS, compare
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]
State = ElectronicState | OpenShellState | CrystalState


def metrics_of(is_crystal: bool) -> Mapping[str, str]:
    """The metrics of molecules or of crystals: name → what it says, with its unit."""
    return CRYSTAL_METRICS if is_crystal else METRICS


def label_state(sample: HamiltonianSample) -> State:
    """A label as a state, with the analytic overlap."""
    atoms, h = sample.atoms, sample.hamiltonian
    overlap = Integrals(atoms, sample.basis.name).overlap
    if atoms.pbc.any():
        return CrystalState(atoms, h, overlap, sample.n_electrons)
    s = overlap.to_dense()
    if sample.spin_splitting is not None:
        both = h.to_dense(), sample.spin_splitting.to_dense()
        return OpenShellState(atoms, h.layout, *both, s, sample.n_of_spins, sample.charge)
    return ElectronicState(atoms, h.layout, h.to_dense(), s, sample.n_occupied, sample.charge)


def baseline_state(prediction: Any, label: State) -> State:
    """H0 of a prediction in the place of the label's Hamiltonian, the same for both spins of an open shell."""
    h0 = prediction.baseline_hamiltonian
    if isinstance(label, CrystalState):
        return CrystalState(label.atoms, h0, label.overlap, label.n_electrons)
    if isinstance(label, OpenShellState):
        return replace(label, hamiltonian=h0, spin_splitting=np.zeros_like(h0))
    return ElectronicState(label.atoms, label.layout, h0, label.overlap, label.n_occupied, label.charge)


def compare_states(found: State, label: State) -> dict[str, float]:
    """Every metric of `metrics_of` for a molecule or crystal; see `compare` and `compare_crystals`."""
    if isinstance(found, CrystalState) and isinstance(label, CrystalState):
        return compare_crystals(found, label)
    if isinstance(found, OpenShellState) and isinstance(label, OpenShellState):
        return compare_open_shells(found, label)
    assert isinstance(found, ElectronicState) and isinstance(label, ElectronicState)
    return compare(found, label)


def blocks(found: State, label: State) -> BlockMatrix:
    """The Hamiltonian on the label's list of pairs, of a crystal shifted to the label's zero of energy."""
    if isinstance(found, CrystalState) and isinstance(label, CrystalState):
        return aligned(found.hamiltonian, label.hamiltonian, label.overlap)
    return hamiltonian_blocks(found)


def hamiltonian_blocks(state: State) -> BlockMatrix:
    """The Hamiltonian of a molecule or crystal as blocks, Hartree; of an open shell that of α."""
    if isinstance(state, CrystalState):
        return state.hamiltonian
    alpha = isinstance(state, OpenShellState)
    return BlockMatrix.from_dense(state.layout, state.hamiltonians[0] if alpha else state.hamiltonian)


def levels(state: State) -> tuple[Array, int]:
    """Orbital energies (Hartree), of a crystal at Γ, of an open shell those of α, and how many of them are occupied."""
    if isinstance(state, CrystalState):
        return state.solve(np.zeros(3))[0], int(state.n_electrons // 2)
    if isinstance(state, OpenShellState):
        return state.orbital_energies[0], state.n_occupied[0]
    return state.orbital_energies, state.n_occupied

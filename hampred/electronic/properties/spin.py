"""Where unpaired electrons are, and how pure their spin is."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.properties.charges import orthogonalised

if TYPE_CHECKING:
    from hampred.electronic.open_shell import OpenShellState

Array = NDArray[np.float64]


def mulliken_spins(state: "OpenShellState") -> Array:
    """α less β electrons of each atom [n_atoms], by Mulliken's populations."""
    return _on_atoms(state, (state.spin_density_matrix * state.overlap).sum(axis=1))


def lowdin_spins(state: "OpenShellState") -> Array:
    """α less β electrons of each atom [n_atoms], in Löwdin's orthogonalised orbitals."""
    return _on_atoms(state, np.diag(orthogonalised(state.spin_density_matrix, state.overlap)))


def _on_atoms(state: "OpenShellState", populations: Array) -> Array:
    return np.add.reduceat(populations, state.layout.offsets[:-1])


def s_squared(state: "OpenShellState") -> float:
    """⟨S²⟩ of the determinant of the occupied orbitals: M (M + 1) + N_β − Σ_ij ⟨α_i|β_j⟩², with M = ½ (N_α − N_β).

    It exceeds M (M + 1) by the contamination with states of higher spin (Szabo and Ostlund, eq. 2.271).
    """
    (alpha, beta), (n_alpha, n_beta) = state.orbital_coefficients, state.n_occupied
    shared = alpha[:, :n_alpha].T @ state.overlap @ beta[:, :n_beta]
    return pure(n_alpha - n_beta) + n_beta - float((shared**2).sum())


def pure(spin: int) -> float:
    """⟨S²⟩ of a pure state with so many unpaired electrons."""
    return 0.5 * spin * (0.5 * spin + 1)

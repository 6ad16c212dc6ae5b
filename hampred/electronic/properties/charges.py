"""Atomic charges from a density matrix."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]


def mulliken_charges(state: "ElectronicState") -> Array:
    """q_A = Z_A − Σ_{i in A} (D S)_ii [n_atoms], e (Mulliken, J. Chem. Phys. 23, 1833 (1955))."""
    return _charges(state, (state.density_matrix * state.overlap).sum(axis=1))


def lowdin_charges(state: "ElectronicState") -> Array:
    """q_A = Z_A − Σ_{i in A} (S^½ D S^½)_ii [n_atoms], e (Löwdin, J. Chem. Phys. 18, 365 (1950))."""
    return _charges(state, np.diag(orthogonal_density(state)))


def orthogonal_density(state: "ElectronicState") -> Array:
    """S^½ D S^½ [n, n]: the density matrix in the symmetrically orthogonalised orbitals, which rotate as those of D."""
    return orthogonalised(state.density_matrix, state.overlap)


def orthogonalised(density: Array, overlap: Array) -> Array:
    """S^½ D S^½ [n, n] of any density D and the overlap S."""
    weights, vectors = eigh(overlap)
    root = (vectors * np.sqrt(np.maximum(weights, 0.0))) @ vectors.T  # rounding, where the basis is near-dependent
    return root @ density @ root


def _charges(state: "ElectronicState", populations: Array) -> Array:
    """Nuclear charges, less the cores that potentials replace, less the electrons in the orbitals of each atom."""
    layout = state.layout
    nuclei = [z - layout.basis.elements[int(z)].n_core for z in layout.numbers]
    return np.array(nuclei) - np.add.reduceat(populations, layout.offsets[:-1])

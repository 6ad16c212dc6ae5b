"""What a predicted correction may say of orbitals that nearly depend on each other.

An orbital c with cᵀ S c = 1 in a direction in which S has an eigenvalue s is as large as 1/√s, and feels an error ε of
the matrix elements as ε/s: where s is small, errors far below those of any element make states that are not there.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]

DEPENDENT, INDEPENDENT = 1e-4, 3e-3
"""Eigenvalues of S: below the first a correction is left out, from the second on it counts in full."""


def independent_part(correction: Array, overlap: Array) -> Array:
    """P Δ P with P = f(S): what is left of a correction in directions in which the orbitals are independent.

    f is 0 up to `DEPENDENT`, 1 from `INDEPENDENT` on, and between them a polynomial in ln s with two derivatives that
    vanish at both ends. A function of S turns with the molecule, and changes smoothly with its geometry.

    Args:
        correction: Symmetric Δ [n, n].
        overlap: S [n, n].

    Returns:
        Symmetric, in the unit of Δ; Δ itself where no eigenvalue of S is below `INDEPENDENT`.
    """
    eigenvalues, vectors = eigh(overlap, subset_by_value=(-np.inf, INDEPENDENT))
    if not len(eigenvalues):
        return correction
    x = np.log(np.maximum(eigenvalues, DEPENDENT) / DEPENDENT) / np.log(INDEPENDENT / DEPENDENT)
    lost = vectors * (1 - x**3 * (10 - 15 * x + 6 * x**2))
    half = correction - lost @ (vectors.T @ correction)
    part = half - (half @ vectors) @ lost.T
    return np.asarray(0.5 * (part + part.T), dtype=np.float64)

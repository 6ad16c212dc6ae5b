"""Inertia of the nuclei, from the masses of ase.Atoms."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from hampred.units import ROTATIONAL_CONSTANT

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]

LINEAR = 1e-8
"""Moments of inertia below this share of the largest are those of a rotation about the axis of the nuclei."""


def inertia(state: "ElectronicState") -> Array:
    """Tensor of inertia Σ_A m_A (r_A² 1 − r_A r_Aᵀ) [3, 3] about the centre of mass, u·Å²."""
    masses = state.atoms.get_masses()
    r = state.atoms.positions - state.atoms.get_center_of_mass()
    second = np.einsum("a,ax,ay->xy", masses, r, r)
    return np.eye(3) * np.trace(second) - second


def rotational_constants(state: "ElectronicState") -> Array:
    """A ≥ B ≥ C = ħ / (4π I) of the principal moments [3], GHz; infinite where there is nothing to turn."""
    moments: Array = eigvalsh(inertia(state))
    moments[moments <= LINEAR * moments[-1]] = 0.0
    with np.errstate(divide="ignore"):
        return ROTATIONAL_CONSTANT / moments

"""How far two Hamiltonians, those of α and β, and their orbitals are from the label, for one open shell."""

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.orbitals import orbital_similarities
from hampred.evaluation.spectrum import density_errors, frontier_errors, matrix_errors
from hampred.units import MICRO_HARTREE, MILLI_EV

Array = NDArray[np.float64]

SPIN_METRICS: dict[str, str] = {
    "spin_splitting_mae_uEh": "½ (H_α − H_β) of open shells, mean absolute error / µE_h",
    "spin_mae": "Mulliken spins of open shells, mean absolute error",
    "s_squared_error": "⟨S²⟩ of open shells, absolute error",
}
"""Metric → what it says, with its unit; beside those of all molecules, which are means over both spins."""


def compare_open_shells(found: OpenShellState, label: OpenShellState) -> dict[str, float]:
    """Every metric of `hampred.evaluation.spectrum.METRICS`, and of `SPIN_METRICS`, for one open shell.

    Args:
        found: Prediction, or the baseline.
        label: The reference, for the same atoms in the same places.

    Returns:
        Metric → value in the unit that its name carries; NaN where a molecule has none (one atom, no LUMO).
    """
    similarity, occupied = [], []
    for c, e, c0, e0, n in zip(*_orbitals(found), *_orbitals(label), label.n_occupied):
        similarity.append(orbital_similarities(c, c0, label.overlap, e, e0, n))
        occupied.append(np.abs(e[:n] - e0[:n]))
    spins = found.properties["mulliken_spins"] - label.properties["mulliken_spins"]
    splitting = np.abs(found.spin_splitting - label.spin_splitting)
    return {
        **matrix_errors(found.hamiltonians - label.hamiltonians, label.layout),
        "occupied_mae_meV": MILLI_EV * float(np.concatenate(occupied).mean()),
        **frontier_errors(found, label),
        "orbital_similarity": float(np.concatenate(similarity).mean()),
        **density_errors(found, label),
        "spin_splitting_mae_uEh": MICRO_HARTREE * float(splitting.mean()),
        "spin_mae": float(np.abs(spins).mean()),
        "s_squared_error": abs(found.s_squared - label.s_squared),
    }


def _orbitals(state: OpenShellState) -> tuple[Array, Array]:
    return state.orbital_coefficients, state.orbital_energies

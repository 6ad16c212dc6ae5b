"""Metrics between a predicted and a reference Hamiltonian of one crystal."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hampred.blocks.matrix import BlockMatrix
from hampred.electronic.band_error import band_errors
from hampred.electronic.crystal import CrystalState
from hampred.interop.crystal_level import mesh_of
from hampred.units import MILLI_EV

Array = NDArray[np.float64]

CRYSTAL_METRICS: dict[str, str] = {
    "H_mae_meV": "H(R), mean absolute error / meV",
    "H_onsite_mae_meV": "H(R) onsite, mean absolute error / meV",
    "H_offsite_mae_meV": "H(R) offsite, mean absolute error / meV",
    "H_rms_meV": "H(R), root mean square error / meV",
    "H_max_meV": "H(R), largest error / meV",
    "occupied_mae_meV": "occupied bands, mean absolute error / meV",
    "occupied_max_meV": "occupied bands, largest error / meV",
    "gap_mae_meV": "band gap, absolute error / meV",
    "direct_gap_mae_meV": "direct band gap, absolute error / meV",
}
"""Metric → what it says, with its unit, in the order of every table; all of them after the best shift μS."""

MESH_LENGTH = 16.0
"""Å, of the Γ-centred mesh of k-points on which bands are compared."""


def aligned(found: BlockMatrix, label: BlockMatrix, overlap: BlockMatrix) -> BlockMatrix:
    """A Hamiltonian on the pairs of a label, with the shift μS of least squares between the two.

    H of a crystal is defined up to μS, as the average potential of an infinite crystal is not.

    Args:
        found: H(R), Hartree.
        label: The H(R) that it is compared with.
        overlap: S(R).
    """
    found, s = found.on_pairs_of(label), overlap.on_pairs_of(label).values
    shift = ((label.values - found.values) @ s) / (s @ s)
    return replace(found, values=found.values + shift * s)


def compare_crystals(found: CrystalState, label: CrystalState) -> dict[str, float]:
    """Every metric of `CRYSTAL_METRICS` for one crystal.

    Args:
        found: Prediction, or the baseline.
        label: The reference, for the same atoms in the same cell.

    Returns:
        Metric → value in the unit that its name carries; NaN where a crystal has none.
    """
    h = label.hamiltonian
    moved = aligned(found.hamiltonian, h, label.overlap)
    error = moved.error(h)
    mesh = mesh_of(label.atoms, MESH_LENGTH)
    bands = band_errors(found.mesh(mesh), label.mesh(mesh))
    return {
        "H_mae_meV": MILLI_EV * error["all"],
        "H_onsite_mae_meV": MILLI_EV * error["onsite"],
        "H_offsite_mae_meV": MILLI_EV * error["offsite"],
        "H_rms_meV": MILLI_EV * float(np.sqrt(((moved.values - h.values) ** 2).mean())),
        "H_max_meV": MILLI_EV * error["max"],
        "occupied_mae_meV": bands["occupied_mae_meV"],
        "occupied_max_meV": bands["occupied_max_meV"],
        "gap_mae_meV": abs(bands["gap_error_meV"]),
        "direct_gap_mae_meV": abs(bands["direct_gap_error_meV"]),
    }

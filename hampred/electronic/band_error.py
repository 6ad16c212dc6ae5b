"""How far two band structures of one crystal are apart."""

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.bands import Bands
from hampred.errors import HampredError
from hampred.units import MILLI_EV

Array = NDArray[np.float64]


def alignment(found: Bands, reference: Bands) -> float:
    """Shift that is added to the found energies for the best agreement, Hartree.

    The potential of an infinite crystal has no zero: H is defined up to μS, which moves all bands by μ. The shift is
    the one of least squares over the occupied bands, that is, their mean difference, weighted where there is a mesh.

    Raises:
        HampredError: Different k-points or numbers of electrons.
    """
    _require_same(found, reference)
    n = reference.n_occupied
    difference = (reference.energies[:, :n] - found.energies[:, :n]).mean(axis=1)
    return float(np.average(difference, weights=reference.weights))


def band_errors(found: Bands, reference: Bands) -> dict[str, float]:
    """Errors of bands after `alignment`, meV.

    Args:
        found: Prediction, or a baseline.
        reference: On the same k-points.

    Returns:
        ``shift_meV`` (added to the found energies), ``occupied_mae_meV`` and ``occupied_max_meV`` over the occupied
        bands, ``gap_error_meV`` and ``direct_gap_error_meV`` (found − reference, NaN without an empty band).

    Raises:
        HampredError: Different k-points or numbers of electrons.
    """
    shift, n = alignment(found, reference), reference.n_occupied
    error = np.abs(found.energies[:, :n] + shift - reference.energies[:, :n])
    result = {
        "shift_meV": MILLI_EV * shift,
        "occupied_mae_meV": MILLI_EV * float(np.average(error.mean(axis=1), weights=reference.weights)),
        "occupied_max_meV": MILLI_EV * float(error.max()),
        "gap_error_meV": float("nan"),
        "direct_gap_error_meV": float("nan"),
    }
    if n < min(found.n_bands, reference.n_bands):
        result["gap_error_meV"] = MILLI_EV * (found.gap.indirect - reference.gap.indirect)
        result["direct_gap_error_meV"] = MILLI_EV * (found.gap.direct - reference.gap.direct)
    return result


def _require_same(found: Bands, reference: Bands) -> None:
    if found.kpoints.shape != reference.kpoints.shape or not np.allclose(found.kpoints, reference.kpoints, atol=1e-9):
        raise HampredError("Two band structures on different k-points: compute both on one path or mesh.")
    if found.n_electrons != reference.n_electrons:
        raise HampredError(
            f"Bands of {found.n_electrons:g} and {reference.n_electrons:g} electrons: compare one crystal with itself."
        )
    n = reference.n_occupied
    if not 0 < n <= min(found.n_bands, reference.n_bands):
        raise HampredError(f"{n} occupied bands to compare, of {found.n_bands} and {reference.n_bands}: check them.")

"""Effective masses: curvature of bands at an extremum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from hampred.electronic.bands import Bands
from hampred.electronic.crystal import CrystalState
from hampred.errors import HampredError
from hampred.units import BOHR

Array = NDArray[np.float64]

STEP = 0.01
"""1/Å; step of the finite differences, of which the outermost points are two away."""

DEGENERATE = 2e-5
"""Hartree (0.5 meV); bands closer than this at the extremum are one level, which integration grids split that far."""

FOURTH_ORDER = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / 12
"""Second derivative from f(−2h) … f(2h), over h²."""


@dataclass(frozen=True, eq=False)
class EffectiveMasses:
    """Masses 1/(d²ε/dk²) at an extremum, in electron masses: positive at a minimum, negative at a maximum.

    Attributes:
        kpoint: Place of the extremum, in units of the reciprocal vectors [3].
        energy: There, Hartree.
        bands: Indices of the bands that meet there.
        directions: Cartesian unit vectors [m, 3]: the principal axes of a single band; the Cartesian axes of the
            periodic directions where bands meet, as such bands have no tensor (they are warped: Luttinger and Kohn,
            Phys. Rev. 97, 869 (1955)), and a mass holds for its direction only.
        masses: Along each direction [n_bands, m], in electron masses; where bands meet, of the sorted energies on
            each line, so that one row is not one band.
        inverse_tensor: ∂²ε/∂k∂k of a single band [3, 3], 1/electron mass; None where bands meet.
    """

    kpoint: Array
    energy: float
    bands: tuple[int, ...]
    directions: Array
    masses: Array
    inverse_tensor: Array | None


def edge_masses(state: CrystalState, bands: Bands, edge: Literal["vbm", "cbm"]) -> EffectiveMasses:
    """Masses at the top of the occupied or the bottom of the empty bands.

    Args:
        state: The crystal.
        bands: Its bands on a path or mesh; from their extremum the search for the true one starts.
        edge: Which of the two.

    Raises:
        HampredError: No such band, or a metal.
    """
    if bands.is_metal:
        raise HampredError("A metal has no band edges: give the k-point and the band to effective_masses.")
    index, below, sign = (bands.gap.vbm_index, 1, -1.0) if edge == "vbm" else (bands.gap.cbm_index, 0, 1.0)
    band = bands.n_occupied - below
    return effective_masses(state, _downhill(state, bands.kpoints[index], band, sign), band)


def effective_masses(state: CrystalState, kpoint: ArrayLike, band: int, step: float = STEP) -> EffectiveMasses:
    """Masses at the extremum of a band next to a k-point.

    Where the band meets no other at `kpoint`, the extremum is refined from there. Derivatives are central differences
    of fourth order; where bands meet, those of the sorted energies along each line through the extremum.

    Args:
        state: The crystal.
        kpoint: Near the extremum, in units of the reciprocal vectors [3].
        band: Index, counted from 0.
        step: 1/Å.

    Raises:
        HampredError: No such band, no periodic direction, no extremum near the k-point, or a crossing of bands.
    """
    axes = _axes(state)
    place = np.asarray(kpoint, dtype=float) @ state.reciprocal  # 1/Å
    energies = _energies(state, place)
    if not 0 <= band < len(energies):
        raise HampredError(f"There is no band {band}: this crystal has {len(energies)}, counted from 0.")
    if (np.abs(energies - energies[band]) < DEGENERATE).sum() == 1:
        place = _refined(state, place, band, axes, step)
        energies = _energies(state, place)
    members = np.flatnonzero(np.abs(energies - energies[band]) < DEGENERATE)
    k, energy = place @ np.linalg.inv(state.reciprocal), float(energies[band])
    if len(members) == 1:
        tensor = axes.T @ _hessian(lambda q: _energies(state, q)[band], place, axes, step) @ axes
        curvatures, vectors = np.linalg.eigh(axes @ tensor @ axes.T)
        return EffectiveMasses(k, energy, (band,), vectors.T @ axes, 1 / curvatures[None], tensor)
    curvatures = _curvatures(state, place, members, axes, step)
    finer = _curvatures(state, place, members, axes, 0.5 * step)
    if np.abs(finer - curvatures).max() > 0.2 * np.abs(curvatures).max():  # of a cone it grows as 1 / step
        raise HampredError("Bands cross with a slope there, as at a Dirac point: such a point has no effective mass.")
    return EffectiveMasses(k, energy, tuple(map(int, members)), axes, 1 / finer, None)


def _downhill(state: CrystalState, kpoint: Array, band: int, sign: float) -> Array:
    """Walks along the axes to where ± ε is lowest within `STEP`, across kinks where bands meet (compass search)."""
    axes, place, step = _axes(state), kpoint @ state.reciprocal, 16 * STEP
    lowest = sign * _energies(state, place)[band]
    while step >= STEP:
        trials = [place + x * axis for axis in axes for x in (-step, step)]
        found = [sign * _energies(state, trial)[band] for trial in trials]
        if min(found) < lowest - 1e-10:
            place, lowest = trials[int(np.argmin(found))], min(found)
        else:
            step *= 0.5
    return place @ np.linalg.inv(state.reciprocal)


def _axes(state: CrystalState) -> Array:
    """Orthonormal basis of the periodic directions [m, 3]: x, y, z of a crystal."""
    if state.periodic.all():
        return np.eye(3)
    if not state.periodic.any():
        raise HampredError("A molecule has no effective masses: give a structure that repeats.")
    orthogonal, _ = np.linalg.qr(state.atoms.cell.array[state.periodic].T)
    return orthogonal.T


def _energies(state: CrystalState, place: Array) -> Array:
    """Bands at a Cartesian k (1/Å)."""
    return state.energies(place @ np.linalg.inv(state.reciprocal))


def _curvatures(state: CrystalState, place: Array, bands: NDArray[np.int64], axes: Array, step: float) -> Array:
    """Second derivatives of the sorted energies along each axis [n_bands, m], Hartree Bohr²."""
    offsets = step * np.arange(-2, 3)
    lines = np.array([[_energies(state, place + x * axis)[bands] for x in offsets] for axis in axes])  # [m, 5, n]
    return np.einsum("s,msn->nm", FOURTH_ORDER, lines) / (step * BOHR) ** 2


def _hessian(energy: Callable[[Array], float], place: Array, axes: Array, step: float) -> Array:
    """Second derivatives along the axes [m, m], Hartree Bohr²."""

    def along(direction: Array) -> float:
        samples = np.array([energy(place + x * step * direction) for x in range(-2, 3)])
        return float(FOURTH_ORDER @ samples) / (step * BOHR) ** 2

    m = len(axes)
    result = np.diag([along(axis) for axis in axes])
    for a in range(m):
        for b in range(a):
            # the second derivative along a + b, and along a − b, differ by four times the mixed one
            mixed = 0.25 * (along(axes[a] + axes[b]) - along(axes[a] - axes[b]))
            result[a, b] = result[b, a] = mixed
    return result


def _refined(state: CrystalState, place: Array, band: int, axes: Array, step: float) -> Array:
    """The extremum of a band next to a Cartesian k (1/Å): up or down as the band bends there.

    Raises:
        HampredError: The search ends where the band is not flat.
    """
    hessian = _hessian(lambda q: _energies(state, q)[band], place, axes, step)
    sign = -1.0 if np.trace(hessian) < 0 else 1.0

    def energy(x: Array) -> float:
        return sign * float(_energies(state, place + x @ axes)[band])

    def gradient(x: Array) -> Array:
        shifts = step * np.eye(len(axes))
        weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12 * step)
        return np.array([weights @ [energy(x + n * d) for n in (-2, -1, 1, 2)] for d in shifts])

    found = minimize(energy, np.zeros(len(axes)), jac=gradient, method="BFGS", options={"gtol": 1e-8, "maxiter": 50})
    if np.abs(gradient(found.x)).max() > 1e-6:
        raise HampredError(f"No extremum of band {band} near this k-point: give one closer to it.")
    return place + found.x @ axes

"""Real spherical harmonics in the orders that meet here: PySCF's atomic orbitals and e3nn's irreps.

PySCF (AO order): l = 1 as x, y, z; l ≥ 2 as m = −l … l about the polar axis z.
e3nn: m = −l … l about the polar axis y, so l = 1 is x, y, z there as well.
The two are related by one orthogonal matrix for each l, `ao_to_irreps(l)`, which is the identity for l = 0 and 1.
Nothing is typed in: every matrix follows from the values of the functions at sample points.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y

Array = NDArray[np.float64]


def real_spherical_harmonics(l: int, directions: Array) -> Array:
    """Real spherical harmonics Y_lm in PySCF's AO order, normalised to 1 on the unit sphere.

    Args:
        l: Angular momentum.
        directions: Vectors [n, 3] in any unit; only their directions count.

    Returns:
        Values [n, 2l+1], in x, y, z order for l = 1 and m = −l … l otherwise.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=float), -1, 0)
    polar, azimuth = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    columns = []
    for m in range(-l, l + 1):
        value = sph_harm_y(l, abs(m), polar, azimuth) * (-1) ** m  # without the Condon–Shortley phase
        columns.append(np.sqrt(2) * value.imag if m < 0 else np.sqrt(2) * value.real if m > 0 else value.real)
    if l == 1:
        columns = [columns[2], columns[0], columns[1]]
    return np.stack(columns, axis=-1)


@cache
def _sample_directions(l: int) -> Array:
    """Directions [n, 3] at which the Y_lm are well-conditioned: a Fibonacci sphere."""
    n = 6 * (2 * l + 1)
    height = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=-1)


@cache
def _sample_inverse(l: int) -> Array:
    """Pseudo-inverse [2l+1, n] of the harmonics at the sample directions."""
    return np.linalg.pinv(real_spherical_harmonics(l, _sample_directions(l))).astype(np.float64)


def _nearest_orthogonal(matrix: Array) -> Array:
    """Polar projection: removes the last rounding errors of a matrix that is orthogonal by theory."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def ao_rotation(l: int, rotation: Array) -> Array:
    """Wigner matrix D_l(Q) of real orbitals in AO order: Y_l(Q r) = D_l(Q) Y_l(r).

    Args:
        l: Angular momentum of the shell.
        rotation: Element Q of O(3), [3, 3], proper or improper.

    Returns:
        Orthogonal matrix [2l+1, 2l+1]; the parity (−1)^l of improper rotations is included.
    """
    rotated = real_spherical_harmonics(l, _sample_directions(l) @ np.asarray(rotation, dtype=float).T)
    return _nearest_orthogonal((_sample_inverse(l) @ rotated).T)


@cache
def ao_to_irreps(l: int) -> Array:
    """U_l [2l+1, 2l+1] with c_e3nn = U_l c_AO; the identity for l = 0 and 1.

    e3nn's Y_lm(x, y, z) is the harmonic about the polar axis y: the standard one at (z, x, y), with m ascending.
    """
    x, y, z = _sample_directions(l).T
    e3nn_values = real_spherical_harmonics(l, np.stack([z, x, y], axis=-1))
    if l == 1:
        e3nn_values = e3nn_values[:, [1, 2, 0]]  # back from x, y, z to m = −1, 0, 1
    return _nearest_orthogonal((_sample_inverse(l) @ e3nn_values).T)


def irreps_rotation(l: int, rotation: Array) -> Array:
    """Wigner matrix [2l+1, 2l+1] of the irrep l of SO(3) in e3nn's convention, for a proper rotation [3, 3]."""
    u = ao_to_irreps(l)
    return u @ ao_rotation(l, rotation) @ u.T


def random_rotation(generator: np.random.Generator, improper: bool = False) -> Array:
    """Random element of SO(3) (uniform), or of O(3) with determinant −1.

    Args:
        generator: Source of randomness.
        improper: Whether to multiply with the inversion.

    Returns:
        Orthogonal matrix [3, 3].
    """
    q, r = np.linalg.qr(generator.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    determinant = -1.0 if improper else 1.0
    return q * (np.sign(np.linalg.det(q)) * determinant)

"""What follows from orbitals: occupations, density matrix, frontier orbitals, similarity of two sets of orbitals."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import expit

from hampred.errors import HampredError

Array = NDArray[np.float64]

DEGENERACY = 1e-4
"""Hartree; neighbouring levels closer than this (2.7 meV) count as one level."""

SMALLEST_GAP = 1e-3
"""Hartree; HOMO and LUMO closer than this (27 meV), or in the wrong order, are no ground state to rely on."""


def occupations(n_orbitals: int, n_occupied: int) -> Array:
    """Aufbau occupations of a closed shell: 2 for the lowest `n_occupied` orbitals, 0 above [n_orbitals].

    Raises:
        HampredError: There are more electrons than the orbitals can hold.
    """
    if not 0 <= n_occupied <= n_orbitals:
        raise HampredError(f"{2 * n_occupied} electrons do not fit in {n_orbitals} orbitals: check charge and basis.")
    filled = np.zeros(n_orbitals)
    filled[:n_occupied] = 2.0
    return filled


def fermi_level(energies: Array, n_electrons: float, temperature: float, weights: Array | None = None) -> float:
    """Fermi level of doubly degenerate levels under Fermi–Dirac occupation.

    Args:
        energies: Of a molecule [m], or of a crystal on a k-mesh [n_kpoints, m]; Hartree.
        n_electrons: Sum of the occupations; of a crystal in one cell.
        temperature: k_B T, Hartree.
        weights: Share of each k-point in the Brillouin zone [n_kpoints], of a crystal.

    Returns:
        Hartree.

    Raises:
        HampredError: There are more electrons than the orbitals can hold.
    """
    n_orbitals = energies.shape[-1]
    if not 0 <= n_electrons <= 2 * n_orbitals:
        raise HampredError(f"{n_electrons} electrons do not fit in {n_orbitals} orbitals: check charge and basis.")
    reach = 60 * temperature  # beyond it an occupation is 0 or 2 to all digits
    share = 1.0 if weights is None else weights[:, None]

    def surplus(level: float) -> float:
        return 2 * float((share * expit((level - energies) / temperature)).sum()) - n_electrons

    return root_scalar(surplus, bracket=(energies.min() - reach, energies.max() + reach), xtol=1e-14).root


def fermi_occupations(energies: Array, n_electrons: float, temperature: float) -> Array:
    """Fermi–Dirac occupations of doubly degenerate levels.

    Args:
        energies: Energies [m], Hartree.
        n_electrons: Sum of the occupations.
        temperature: k_B T, Hartree.

    Returns:
        Occupations between 0 and 2 [m].

    Raises:
        HampredError: There are more electrons than the orbitals can hold.
    """
    return 2 * expit((fermi_level(energies, n_electrons, temperature) - energies) / temperature)


def density_matrix(coefficients: Array, occupations: Array) -> Array:
    """Density matrix D = Σ_i n_i c_i c_iᵀ.

    Args:
        coefficients: Orbitals as columns [n, m].
        occupations: Electrons n_i in each of them [m].

    Returns:
        D [n, n], with tr(D S) = number of electrons.
    """
    filled = occupations > 0
    occupied = coefficients[:, filled]
    return (occupied * occupations[filled]) @ occupied.T


def frontier(energies: Array, n_occupied: int) -> tuple[float, float, float]:
    """Energies of HOMO and LUMO, and their difference, in the unit of the energies [m].

    Returns:
        HOMO, LUMO, gap; NaN where there is no such orbital.
    """
    homo = float(energies[n_occupied - 1]) if n_occupied > 0 else float("nan")
    lumo = float(energies[n_occupied]) if n_occupied < len(energies) else float("nan")
    return homo, lumo, lumo - homo


def split_level(energies: Array, n_occupied: int, tolerance: float = DEGENERACY) -> tuple[int, int]:
    """The degenerate level that HOMO and LUMO share, if they do: then chance decides which of its orbitals are filled.

    Args:
        energies: Ascending energies [m], Hartree.
        n_occupied: Occupied orbitals.
        tolerance: Hartree.

    Returns:
        Its orbitals and how many of them are occupied; 0 and 0 without such a level.
    """
    groups = level_groups(energies, energies, tolerance)
    if not 0 < n_occupied < len(groups) or groups[n_occupied - 1] != groups[n_occupied]:
        return 0, 0
    level = groups == groups[n_occupied]
    return int(level.sum()), int(level[:n_occupied].sum())


def notes_of_level(n_orbitals: int, n_filled: int, spin: str = "") -> list[str]:
    """What the user should know of a level that the occupation splits.

    Args:
        n_orbitals: Its orbitals, and
        n_filled: how many of them are occupied; both from `split_level`.
        spin: Of its electrons, α or β; empty for both.
    """
    if not n_orbitals:
        return []
    level = f"{n_orbitals} degenerate {spin and spin + ' '}orbitals, {n_filled} of them filled"
    return [f"the occupation splits a level of {level}: chance chose which, so that density and dipole lack symmetry"]


def level_groups(energies: Array, others: Array, tolerance: float = DEGENERACY) -> NDArray[np.int64]:
    """Number of the level to which each orbital belongs [m], counted from 0.

    Neighbouring orbitals belong to one level where they are closer than `tolerance` in either list: inside a level the
    orbitals of a calculation are any rotation of one another, so only the space that they span has a meaning.

    Args:
        energies: Ascending energies [m], Hartree.
        others: The same orbitals in the other calculation [m], Hartree.
        tolerance: Hartree.
    """
    apart = (np.diff(energies) > tolerance) & (np.diff(others) > tolerance)
    return np.concatenate([[0], np.cumsum(apart)]).astype(np.int64)[: len(energies)]


def orbital_similarities(
    coefficients: Array,
    reference: Array,
    overlap: Array,
    energies: Array,
    reference_energies: Array,
    n_occupied: int,
    tolerance: float = DEGENERACY,
) -> Array:
    """Cosine of the angle between each occupied reference orbital and the predicted level that takes its place.

    With the groups G of `level_groups` over the occupied orbitals, orbital i of the reference and j of the prediction,

        s_i = ‖P_G(i) c_i‖ = ( Σ_{j in G(i)} (c_iᵀ S c'_j)² )^½,

    which is |c_iᵀ S c'_i| for a level of one orbital and 1 for any rotation within a degenerate level.

    Args:
        coefficients: Predicted C' [n, m].
        reference: Reference C [n, m].
        overlap: S [n, n].
        energies: Predicted energies [m], Hartree.
        reference_energies: Reference energies [m], Hartree.
        n_occupied: Occupied orbitals.
        tolerance: Hartree.

    Returns:
        s_i of the occupied orbitals [n_occupied], between 0 and 1.
    """
    if n_occupied == 0:
        return np.ones(0)
    groups = level_groups(reference_energies[:n_occupied], energies[:n_occupied], tolerance)
    projections = reference[:, :n_occupied].T @ overlap @ coefficients[:, :n_occupied]
    weights = np.where(groups[:, None] == groups[None, :], projections**2, 0.0).sum(axis=1)
    return np.sqrt(np.minimum(weights, 1.0))

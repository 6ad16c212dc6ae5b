"""What is refused: geometries before the SCF, labels after it. PySCF converges wrong physics without a word.

Distances are judged by x = d / (r_i + r_j) with covalent radii r. Of the molecules of the G2 set the median over atoms
of the nearest x lies between 0.77 and 1.25; lengths in Bohr read as Å multiply it by 1.89, in Å read as Bohr by 0.53.
"""

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from hampred.electronic.orbitals import SMALLEST_GAP
from hampred.electronic.properties.spin import pure
from hampred.errors import FailedError, HampredError
from hampred.interop.neighbors import neighbor_pairs
from hampred.interop.pyscf_cell import check_cell

Array = NDArray[np.float64]

OVERLAPPING = 0.4  # nearest x of any atom
SHORTEST, LONGEST = 0.66, 1.45  # median of the nearest x
ALONE = 3.0  # nearest x of an atom that is bound to nothing
FAR = 8.0  # Å: no atom of a crystal is searched for beyond
SHORTEST_BOND = 0.74  # Å, of H2, which the covalent radii of hydrogen underestimate
NOBLE_GASES = (2, 10, 18, 36, 54, 86)

SYMMETRY = 1e-8  # Hartree
COMMUTATOR = 1e-3  # Hartree, of F D S − S D F
ELECTRONS = 1e-5


class BadLabelError(FailedError):
    """A label that must not be learned from; the message says why."""


def check_geometry(atoms: Atoms, charge: int = 0, spin: int = 0, *, allow_unusual_distances: bool = False) -> None:
    """Refuses a molecule whose label would be wrong, without any integral.

    Args:
        atoms: Positions in Å.
        charge: Total charge (e).
        spin: Unpaired electrons.
        allow_unusual_distances: Skip the comparison of distances with covalent radii, overlapping atoms aside.

    Raises:
        HampredError: Empty, not finite, periodic, electrons that do not fit the spin, overlapping atoms, wrong unit of
            length, lone atoms.
    """
    _check_not_empty(atoms)
    if not np.isfinite(atoms.positions).all():
        raise HampredError("A coordinate is NaN or infinite: check the structure.")
    if np.any(atoms.pbc):
        raise HampredError(
            "The structure is periodic and this is the level of molecules: set pbc to False, or give level.crystal."
        )
    _check_electrons(atoms, charge, spin)
    if len(atoms) > 1:
        _check_distances(atoms, allow_unusual_distances)


def check_crystal(atoms: Atoms, charge: int = 0, *, allow_unusual_distances: bool = False) -> None:
    """Refuses a crystal whose label would be wrong, without any integral.

    Args:
        atoms: Positions and cell in Å.
        charge: Total charge (e).
        allow_unusual_distances: Skip the comparison of distances with covalent radii, overlapping atoms aside.

    Raises:
        HampredError: Empty, not finite, not periodic, a bad cell, charged, overlapping atoms, wrong unit, lone atoms.
    """
    _check_not_empty(atoms)
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise HampredError("A coordinate or cell vector is NaN or infinite: check the structure.")
    if charge:
        raise HampredError(f"A crystal cannot be charged, and this one has charge {charge}: leave the charge out.")
    check_cell(atoms)
    _check_distances(atoms, allow_unusual_distances)


def _check_not_empty(atoms: Atoms) -> None:
    if len(atoms) == 0:
        raise HampredError("The structure has no atoms: give at least one.")


def _check_electrons(atoms: Atoms, charge: int, spin: int) -> None:
    electrons = int(atoms.numbers.sum()) - charge
    formula = atoms.get_chemical_formula()
    if electrons <= 0:
        raise HampredError(f"{formula} with charge {charge} has no electrons: check the charge.")
    if (electrons - spin) % 2:
        raise HampredError(
            f"{formula} with charge {charge} has {electrons} electrons, an open shell: check the charge, or give the "
            "unpaired electrons as spin."
        )


def nearest_ratios(atoms: Atoms) -> tuple[Array, NDArray[np.int64]]:
    """Smallest distance of each atom to another over the sum of covalent radii, and that other atom [n_atoms]."""
    if atoms.pbc.any():
        distances = np.full((len(atoms), len(atoms)), np.inf)
        pairs, _, vectors = neighbor_pairs(atoms, FAR)
        np.minimum.at(distances, tuple(pairs.T), np.linalg.norm(vectors, axis=1))
    else:
        distances = atoms.get_all_distances()
        np.fill_diagonal(distances, np.inf)
    ratios = distances / _bond_lengths(atoms)
    return ratios.min(axis=1), ratios.argmin(axis=1)


def _bond_lengths(atoms: Atoms) -> Array:
    """Sums of covalent radii [n_atoms, n_atoms], Å."""
    radii = covalent_radii[atoms.numbers]
    return np.maximum(radii[:, None] + radii, SHORTEST_BOND)


def _check_distances(atoms: Atoms, allow_unusual: bool) -> None:
    ratios, others = nearest_ratios(atoms)
    closest = int(ratios.argmin())
    if ratios[closest] < OVERLAPPING:
        other = int(others[closest])
        distance = ratios[closest] * _bond_lengths(atoms)[closest, other]
        pair = " and ".join(f"{chemical_symbols[atoms.numbers[i]]}{i}" for i in sorted((closest, other)))
        hint = " (or are the positions in Bohr units of another program?)" if np.median(ratios) < SHORTEST else ""
        raise HampredError(f"Atoms {pair} overlap: they are {distance:.3g} Å apart; check the structure{hint}.")
    if allow_unusual:
        return
    bound = ratios[~np.isin(atoms.numbers, NOBLE_GASES)]
    if len(bound) == 0:
        return
    typical = float(np.median(bound))
    if typical < SHORTEST or typical > LONGEST:
        unit = "too short: Å read as Bohr?" if typical < SHORTEST else "too long: Bohr read as Å?"
        raise HampredError(
            f"Bonds are {typical:.2f} times the sum of covalent radii, {unit} Positions must be in Å "
            "(guard.allow_unusual_distances: true if they are)."
        )
    if bound.max() > ALONE:
        raise HampredError(
            f"An atom stands alone, {bound.max():.1f} covalent radii from its neighbour: a closed-shell label would be "
            "wrong there (guard.allow_unusual_distances: true to label it all the same)."
        )


def check_overlap(overlap: Array, smallest: float) -> float:
    """Smallest eigenvalue of the overlap matrix [n_orbitals, n_orbitals].

    Raises:
        HampredError: It is below `smallest`: the basis is linearly dependent and PySCF would drop orbitals.
    """
    value = float(np.linalg.eigvalsh(overlap)[0])
    if not value >= smallest:
        raise HampredError(
            f"The basis is nearly linearly dependent here (smallest eigenvalue of S {value:.1e} < {smallest:.0e}): "
            "choose a basis without diffuse functions."
        )
    return value


def check_label(
    fock: Array, overlap: Array, density: Array, energies: Array, n_electrons: int, filling: int = 2
) -> None:
    """Refuses a label that is not the ground state of a finite, symmetric F, of a closed shell or of one spin.

    Args:
        fock: F at the converged density [n_orbitals, n_orbitals], Hartree.
        overlap: S [n_orbitals, n_orbitals].
        density: The converged density matrix D [n_orbitals, n_orbitals].
        energies: Eigenvalues of F [n_orbitals], Hartree.
        n_electrons: Electrons outside the cores that potentials replace; of an open shell those of the spin of F.
        filling: Electrons in an occupied orbital.

    Raises:
        BadLabelError: NaN, asymmetry, F D S ≠ S D F, tr(DS) ≠ N, or no gap above the occupied orbitals.
    """
    if not (np.isfinite(fock).all() and np.isfinite(energies).all()):
        raise BadLabelError("F has elements that are not finite: check geometry, charge and basis.")
    asymmetry = float(np.abs(fock - fock.T).max())
    if asymmetry > SYMMETRY:
        raise BadLabelError(f"F is not symmetric (by {asymmetry:.1e} Ha): is it the Fock matrix of real orbitals?")
    held = float(np.sum(density * overlap))
    if abs(held - n_electrons) > ELECTRONS:
        raise BadLabelError(
            f"The density holds {held:.6f} electrons where {n_electrons} were expected: check charge and spin."
        )
    product = fock @ density @ overlap
    residual = float(np.abs(product - product.T).max())
    if residual > COMMUTATOR:
        raise BadLabelError(
            f"F and the density do not commute (residual {residual:.1e} Ha), which is not self-consistent: converge "
            "the SCF further (level.conv_tol)."
        )
    occupied = n_electrons // filling
    if 0 < occupied < len(energies) and energies[occupied] - energies[occupied - 1] < SMALLEST_GAP:
        gap, what = energies[occupied] - energies[occupied - 1], "a closed shell" if filling == 2 else "this spin"
        raise BadLabelError(
            f"The gap is {gap:.1e} Ha, and {what} is not the ground state: give another number of unpaired electrons "
            "as spin, or leave the structure out."
        )


def check_spin(found: float, spin: int, largest: float) -> float:
    """Contamination of an open shell with states of higher spin: ⟨S²⟩ over that of a pure state.

    Args:
        found: ⟨S²⟩ of the determinant.
        spin: Unpaired electrons.
        largest: Contamination that is let through.

    Raises:
        BadLabelError: It is contaminated more.
    """
    contamination = found - pure(spin)
    if contamination > largest:
        raise BadLabelError(
            f"⟨S²⟩ is {found:.3f} where a pure state has {pure(spin):.2f}, a mixture of spins: leave the structure "
            f"out, or raise guard.max_spin_contamination above {largest:g}."
        )
    return contamination

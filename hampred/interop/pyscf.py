"""PySCF molecules from numbers and positions, and the analytic integrals that hampred takes from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import is_gth, load_element
from hampred.errors import HampredError
from hampred.units import BOHR

Array = NDArray[np.float64]

SMALL = 200
"""Orbitals below which more threads do not pay; measured on 2 cores, where spinning made water 10 times slower."""


def build_mole(atoms: Atoms, basis: str, charge: int = 0, spin: int = 0) -> Any:
    """A PySCF Mole, built from numbers only; effective core potentials come with their basis set.

    Args:
        atoms: The molecule, positions in Å.
        basis: Name of a basis set that PySCF knows.
        charge: Total charge (e).
        spin: Number of unpaired electrons.

    Raises:
        HampredError: Unknown basis, one for pseudopotentials, or a number of electrons that does not fit the spin.
    """
    from pyscf import gto

    if is_gth(basis):
        raise HampredError(f"Basis set {basis} is made for the pseudopotentials of crystals: choose one for molecules.")
    symbols = [chemical_symbols[z] for z in atoms.numbers]
    tables = {symbol: load_element(basis, symbol) for symbol in set(symbols)}
    mole = gto.Mole(verbose=0)
    mole.atom = [(s, tuple(map(float, r))) for s, r in zip(symbols, atoms.positions / BOHR)]
    mole.unit = "Bohr"
    mole.basis = {symbol: shells for symbol, (shells, _) in tables.items()}
    mole.ecp = {symbol: core for symbol, (_, core) in tables.items() if core}
    mole.charge, mole.spin = int(charge), int(spin)
    n_electrons = int(sum(atoms.numbers)) - charge - sum(int(c[0]) * symbols.count(s) for s, c in mole.ecp.items())
    if n_electrons <= 0 or spin > n_electrons or (n_electrons - spin) % 2:
        raise HampredError(
            f"{atoms.get_chemical_formula()} with charge {charge} has {n_electrons} electrons beside its cores, which "
            f"do not fit spin {spin}: give the unpaired electrons of an open shell as spin, or another charge."
        )
    mole.build(dump_input=False, parse_arg=False)
    return mole


@contextmanager
def threads_for(mole: Any) -> Iterator[None]:
    """Keeps PySCF to one thread where a molecule is so small that waking others costs more than its integrals."""
    from pyscf.lib import num_threads, with_omp_threads

    with with_omp_threads(1 if mole.nao < SMALL else num_threads()):
        yield


def overlap(mole: Any) -> Array:
    """Analytic overlap matrix S [n_orbitals, n_orbitals] in AO order."""
    return mole.intor_symmetric("int1e_ovlp")


def kinetic(mole: Any) -> Array:
    """Analytic kinetic energy T [n_orbitals, n_orbitals], Hartree."""
    return mole.intor_symmetric("int1e_kin")


def nuclear_attraction(mole: Any) -> Array:
    """Analytic attraction by nuclei and effective core potentials [n_orbitals, n_orbitals], Hartree."""
    potential = mole.intor_symmetric("int1e_nuc")
    return potential + mole.intor_symmetric("ECPscalar") if len(mole._ecpbas) else potential


def dipole_integrals(mole: Any) -> Array:
    """⟨φ_i| r |φ_j⟩ [3, n_orbitals, n_orbitals] in Bohr, about the origin of the coordinates."""
    with mole.with_common_orig((0.0, 0.0, 0.0)):
        return mole.intor_symmetric("int1e_r", comp=3)


def second_moment_integrals(mole: Any, origin: Array) -> Array:
    """⟨φ_i| r rᵀ |φ_j⟩ [3, 3, n_orbitals, n_orbitals] in Bohr², about an origin [3] in Bohr."""
    with mole.with_common_orig(tuple(origin)):
        return mole.intor_symmetric("int1e_rr", comp=9).reshape(3, 3, mole.nao, mole.nao)


def angular_integrals(mole: Any, origin: Array) -> Array:
    """⟨φ_i| r × ∇ |φ_j⟩ [3, n_orbitals, n_orbitals], antisymmetric, about an origin [3] in Bohr."""
    with mole.with_common_orig(tuple(origin)):
        return mole.intor("int1e_cg_irxp", comp=3)


def charge_centre(mole: Any) -> Array:
    """Centre of nuclear charge [3], Bohr; electrons that core potentials replace are left out."""
    charges = mole.atom_charges()
    return charges @ mole.atom_coords() / charges.sum()


def unsolved_field(mole: Any, level: Any) -> Any:
    """PySCF's RKS object of a level of theory, or UKS of unpaired electrons, not yet run.

    Args:
        mole: From `build_mole`.
        level: `hampred.data.sample.LevelOfTheory`.
    """
    from pyscf import dft

    field = (dft.UKS if mole.spin else dft.RKS)(mole, xc=level.functional)
    if level.density_fit:
        field = field.density_fit(auxbasis=level.auxbasis)
    field.grids.level, field.conv_tol = level.grid_level, level.conv_tol
    return field


def mean_field(mole: Any, level: Any, energies: Array, coefficients: Array, occupations: Array) -> Any:
    """PySCF's RKS or UKS object of a level of theory with given orbitals, ready for its property and export functions.

    Args:
        mole: From `build_mole`.
        level: `hampred.data.sample.LevelOfTheory`.
        energies: Orbital energies [(2,) n], Hartree; of unpaired electrons those of α and β.
        coefficients: Orbitals as columns [(2,) n_orbitals, n].
        occupations: Electrons in each orbital [(2,) n].
    """
    field = unsolved_field(mole, level)
    field.mo_energy, field.mo_coeff, field.mo_occ = energies, coefficients, occupations
    return field

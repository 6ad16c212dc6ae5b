"""What a mean field that a user built calculates: its kind, structure, functional and pseudopotentials."""

from typing import Any

import numpy as np
from ase import Atoms

from hampred.basis import load_pseudopotential
from hampred.errors import HampredError
from hampred.units import BOHR


def has_closed_shells(field: Any) -> bool:
    """Whether a mean field is RKS or RHF of a molecule without unpaired electrons, or KRKS or KRHF of a crystal."""
    from pyscf.pbc.scf.khf import KRHF
    from pyscf.scf.hf import RHF
    from pyscf.scf.rohf import ROHF

    molecule = isinstance(field, RHF) and not isinstance(field, ROHF) and not field.mol.spin
    return molecule or isinstance(field, KRHF)  # a cell of a metal may hold an odd number of electrons


def has_open_shells(field: Any) -> bool:
    """Whether a mean field is UKS or UHF of a molecule with unpaired electrons."""
    from pyscf.scf.uhf import UHF

    return isinstance(field, UHF) and field.mol.spin > 0


def is_predictable(field: Any) -> bool:
    """Whether a mean field is of a kind whose Hamiltonian models predict."""
    return has_closed_shells(field) or has_open_shells(field)


def require_predictable(field: Any) -> None:
    """Lets mean fields through whose Hamiltonian models predict.

    Raises:
        HampredError: Another kind of object, UKS without unpaired electrons, or k-points reduced by symmetry.
    """
    from pyscf.pbc.lib.kpts import KPoints

    kind = type(field).__name__
    if not is_predictable(field):
        raise HampredError(
            f"{kind} is no mean field that models predict: give dft.RKS(mol) of a closed shell, dft.UKS(mol) of "
            "unpaired electrons, or pbc.dft.KRKS(cell, kpts)."
        )
    if isinstance(getattr(field, "kpts", None), KPoints):
        raise HampredError(f"{kind} has k-points reduced by symmetry: give it those of cell.make_kpts(mesh) instead.")


def atoms_of(mole: Any) -> Atoms:
    """Structure of a built PySCF Mole or Cell, positions in Å; ``info["spin"]`` of a Mole tells its unpaired electrons.

    Raises:
        HampredError: It has ghost atoms.
    """
    from pyscf import gto

    numbers = [int(gto.charge(mole.atom_symbol(atom))) for atom in range(mole.natm)]
    if 0 in numbers:
        raise HampredError("The molecule has ghost atoms, which no model knows: remove them.")
    cell, dimension = None, getattr(mole, "dimension", 0)
    if dimension:
        cell = mole.lattice_vectors() * BOHR
    info = {"spin": int(mole.spin)} if mole.spin and not dimension else {}
    return Atoms(numbers, mole.atom_coords() * BOHR, cell=cell, pbc=np.arange(3) < dimension, info=info)


def functional_of(field: Any) -> str:
    """PySCF's name of the functional of a mean field, ``hf`` for Hartree–Fock."""
    return str(getattr(field, "xc", "hf"))


def same_functional(name: str, other: str) -> bool:
    """Whether two names mean one functional to libxc, dispersion corrections aside."""
    from pyscf.dft import libxc

    try:
        (mixing, parts), (other_mixing, other_parts) = libxc.parse_xc(name), libxc.parse_xc(other)
    except (KeyError, ValueError, IndexError):  # a functional that the user defined
        return name.lower() == other.lower()
    return tuple(mixing) == tuple(other_mixing) and sorted(parts) == sorted(other_parts)


def has_pseudopotentials(cell: Any, name: str) -> bool:
    """Whether the atoms of a Cell have the GTH pseudopotentials of a name."""
    elements = {cell.atom_pure_symbol(atom): cell.atom_symbol(atom) for atom in range(cell.natm)}
    return all(cell._pseudo.get(symbol) == load_pseudopotential(name, pure) for pure, symbol in elements.items())

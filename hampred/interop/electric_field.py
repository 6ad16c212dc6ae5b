"""A uniform electric field: a vector of the structure, and what it does to PySCF's mean fields.

A structure carries its field as ``info["electric_field"]`` = (Ex, Ey, Ez) in V/Å, as it carries its charge: all that
takes `ase.Atoms` knows it, and all that turns the structure turns the field. A charge q feels the force q E, so an
electron has the energy +E·r and a nucleus −Z E·R. Both are counted from the centre of nuclear charge: then H does not
depend on where the molecule stands, and the nuclei together have no energy in the field.
"""

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.errors import HampredError
from hampred.interop.pyscf import charge_centre
from hampred.units import FIELD

Array = NDArray[np.float64]

KEY = "electric_field"
"""Where `ase.Atoms.info` has the field."""

STRONGEST = 5.0
"""V/Å; fields beyond it tear electrons away, so that another unit is meant."""


def electric_field(atoms: Atoms, name: str = "The structure") -> Array:
    """The field of a structure [3], V/Å; zero where it has none.

    Args:
        atoms: The structure; its ``info`` may hold ``electric_field``.
        name: How messages call the structure.

    Raises:
        HampredError: Not three finite numbers, stronger than `STRONGEST`, or the field of a crystal.
    """
    told = atoms.info.get(KEY)
    try:
        field = np.array([0.0, 0.0, 0.0] if told is None else told, dtype=float)
    except (TypeError, ValueError):
        field = np.full(3, np.nan)
    if field.shape != (3,) or not np.isfinite(field).all():
        raise HampredError(f"{name}: electric_field {told!r} is not a vector: give three numbers in V/Å.")
    if np.linalg.norm(field) > STRONGEST:
        raise HampredError(f"{name}: electric_field {told!r} is stronger than {STRONGEST:g} V/Å: give it in V/Å.")
    if field.any() and atoms.pbc.any():
        raise HampredError(f"{name} is periodic, and electric fields are for molecules: remove electric_field.")
    return field


def with_field(atoms: Atoms, field: Array) -> Atoms:
    """A copy in another field [3] (V/Å); without the entry in ``info`` where that is zero."""
    copy = atoms.copy()
    copy.info.pop(KEY, None)
    if np.any(field):
        copy.info[KEY] = np.asarray(field, dtype=float).tolist()
    return copy


def has_same_field(first: Atoms, second: Atoms) -> bool:
    """Whether two structures stand in the same field."""
    return bool(np.array_equal(electric_field(first), electric_field(second)))


def rotated(atoms: Atoms, rotation: Array) -> Atoms:
    """A copy with positions r, cell vectors and field turned to Q r.

    Args:
        atoms: The structure.
        rotation: Element Q of O(3), [3, 3].
    """
    turned = with_field(atoms, electric_field(atoms) @ rotation.T)
    turned.positions = atoms.positions @ rotation.T
    turned.cell = atoms.cell.array @ rotation.T
    return turned


def in_electric_field(field: Any, vector: Array) -> Any:
    """A mean field of PySCF in an electric field; the same object where there is none.

    Args:
        field: Any mean field of a molecule, not yet run.
        vector: V/Å [3].
    """
    if not np.any(vector):
        return field
    from pyscf import lib

    return lib.set_class(InElectricField(field, np.asarray(vector, dtype=float)), (InElectricField, type(field)))


def field_of(field: Any) -> Array:
    """The electric field [3] (V/Å) that a mean field of PySCF is in, if `in_electric_field` put it there."""
    return field.electric_field if isinstance(field, InElectricField) else np.zeros(3)


class InElectricField:
    """Over the class of a mean field of PySCF: its electrons and nuclei feel a uniform electric field.

    Attributes:
        electric_field: V/Å [3].
    """

    __name_mixin__ = "InElectricField"
    _keys = frozenset({KEY})

    def __init__(self, field: Any, vector: Array) -> None:
        """Takes over everything of a mean field."""
        self.__dict__.update(field.__dict__)
        self.electric_field = vector

    def get_hcore(self, mol: Any = None) -> Array:
        """Core Hamiltonian and E·(r − R) about the centre R of nuclear charge [n, n], Hartree."""
        mol = self.mol if mol is None else mol
        with mol.with_common_orig(tuple(charge_centre(mol))):
            moments = mol.intor_symmetric("int1e_r", comp=3)
        return super().get_hcore(mol) + np.tensordot(self.electric_field / FIELD, moments, 1)  # type: ignore[misc]

    def nuc_grad_method(self) -> Any:
        """Gradient of the energy in the field by the nuclei."""
        from pyscf import lib

        gradient = super().nuc_grad_method()  # type: ignore[misc]
        kind = type(gradient)
        return lib.set_class(GradientInElectricField(gradient), (GradientInElectricField, kind))

    Gradients = nuc_grad_method


class GradientInElectricField:
    """Over the class of a gradient of PySCF: orbitals, nuclei and the centre of charge move in the field."""

    __name_mixin__ = "InElectricField"

    def __init__(self, gradient: Any) -> None:
        """Takes over everything of a gradient."""
        self.__dict__.update(gradient.__dict__)

    def get_hcore(self, mol: Any = None) -> Array:
        """−⟨∇φ_i| h |φ_j⟩ [3, n, n], with E·(r − R) as a part of h."""
        mol = self.mol if mol is None else mol
        with mol.with_common_orig(tuple(charge_centre(mol))):
            moments = mol.intor("int1e_irp", comp=9).reshape(3, 3, mol.nao, mol.nao)  # ⟨φ_i| r_a ∂_b φ_j⟩
        vector = self.base.electric_field / FIELD
        return super().get_hcore(mol) - np.einsum("a,abij->bji", vector, moments)  # type: ignore[misc]

    def grad_nuc(self, mol: Any = None, atmlst: Any = None) -> Array:
        """Derivative [n_atoms, 3] of the energy of the nuclei, and of the origin of the field, in Hartree/Bohr.

        A nucleus adds −Z E. The origin, the centre of nuclear charge, goes along by Z / Σ Z of its shift, which adds
        q E Z / Σ Z for a molecule of charge q. Together −Z N E / Σ Z with N electrons: nothing drives a whole ion.
        """
        mol = self.mol if mol is None else mol
        charges = mol.atom_charges()
        share = charges * (mol.nelectron / charges.sum())
        more = -np.outer(share, self.base.electric_field / FIELD)
        return super().grad_nuc(mol, atmlst) + (more if atmlst is None else more[atmlst])  # type: ignore[misc]

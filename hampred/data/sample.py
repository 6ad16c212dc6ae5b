"""HamiltonianSample: one labelled structure, and the level of theory that defines its label."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.electric_field import electric_field


@dataclass(frozen=True)
class LevelOfTheory:
    """What defines a label: samples of different levels never meet in one store.

    Attributes:
        functional: PySCF's name, such as ``pbe`` or ``b3lyp``.
        functional_definition: What libxc evaluates; for B3LYP whether the correlation is VWN5 or VWN-RPA.
        basis: PySCF's name of the basis set.
        grid_level: Level of PySCF's integration grid (0 to 9).
        conv_tol: Convergence of the energy (Hartree).
        density_fit: Whether Coulomb integrals are density-fitted, which shifts F by about 8e-6 Hartree.
        auxbasis: Fitting basis, None for PySCF's default.
        method: Kind of calculation.
        code: Program and version.
        crystal: Pseudopotential, plane waves and meshes of a crystal, which take the place of grid and density fitting;
            None for molecules.
    """

    functional: str
    functional_definition: str
    basis: str
    grid_level: int = 3
    conv_tol: float = 1e-9
    density_fit: bool = False
    auxbasis: str | None = None
    method: str = "RKS"
    code: str = ""
    crystal: CrystalLevel | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a molecule has no key ``crystal``."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("crystal", None)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LevelOfTheory":
        """Inverse of `to_dict`; unknown keys are ignored."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        if known.get("crystal") is not None:
            known["crystal"] = CrystalLevel.from_dict(known["crystal"])
        return cls(**known)

    def of_spins(self, spins: Iterable[int]) -> "LevelOfTheory":
        """The same level with the name of the method that labels of these unpaired electrons have: RKS, UKS or both.

        Stores and models name the method of closed shells, whatever their spins.
        """
        methods = {self.method.replace("RKS", "UKS") if spin else self.method for spin in spins}
        return replace(self, method="/".join(sorted(methods)))

    def require_equal(self, other: "LevelOfTheory") -> None:
        """Compares two levels, the program's version aside.

        Raises:
            HampredError: They differ; the first difference is named.
        """
        if (self.crystal is None) != (other.crystal is None):
            raise HampredError("Labels of molecules and of crystals do not go together: give stores of one kind.")
        for f in fields(self):
            a, b = getattr(self, f.name), getattr(other, f.name)
            if a != b and f.name != "code":
                raise HampredError(f"Labels of different levels of theory: {f.name} is {a!r} here and {b!r} there.")


@dataclass(frozen=True, eq=False)
class HamiltonianSample:
    """One labelled structure.

    Attributes:
        atoms: Numbers, positions (Å), cell and periodicity; ``info`` holds electric field and spin, if there are any.
        basis: Orbitals of its elements.
        matrices: ``hamiltonian`` (Hartree), of an open shell the mean of those of α and β, and ``spin_splitting``, half
            their difference; the overlap is never stored, since it is analytic.
        orbital_energies: Eigenvalues [n_orbitals], Hartree; of a crystal at Γ, and up to a constant (H up to μS); of an
            open shell those of α and β [2, n_orbitals].
        level: What defines the label.
        total_energy: Hartree, of a crystal that of one cell.
        dipole: Atomic units [3]; NaN for a crystal.
        forces: Hartree/Å [n_atoms, 3], or None.
        scf_cycles: Cycles from PySCF's default guess.
        charge: Total charge (e).
        spin: Unpaired electrons.
        provenance: Where the geometry came from (``source``, ``molecule``, ``seed``, …), plain JSON types.
    """

    atoms: Atoms
    basis: OrbitalBasis
    matrices: Mapping[str, BlockMatrix]
    orbital_energies: NDArray[np.float64]
    level: LevelOfTheory
    total_energy: float = float("nan")
    dipole: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    forces: NDArray[np.float64] | None = None
    scf_cycles: int = 0
    charge: int = 0
    spin: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        name, state = self.atoms.get_chemical_formula(), f"charge={self.charge}, spin={self.spin}"
        n = self.basis.layout(self.atoms.numbers).n_orbitals
        return f"HamiltonianSample({name}, {self.level.functional}/{self.level.basis}, {state}, n_orbitals={n})"

    @property
    def hamiltonian(self) -> BlockMatrix:
        """The label F as blocks, Hartree; of an open shell the mean over the spins."""
        return self.matrices["hamiltonian"]

    @property
    def spin_splitting(self) -> BlockMatrix | None:
        """½ (F_α − F_β) as blocks, Hartree; None of a closed shell."""
        return self.matrices["spin_splitting"] if self.spin else None

    @property
    def electric_field(self) -> NDArray[np.float64]:
        """Uniform field that the molecule is in [3], V/Å."""
        return electric_field(self.atoms)

    @property
    def n_electrons(self) -> int:
        """Electrons that the orbitals hold, of a crystal those of one cell; cores replaced by potentials aside."""
        return self.basis.layout(self.atoms.numbers).n_electrons(self.charge)

    @property
    def n_occupied(self) -> int:
        """Doubly occupied orbitals of the closed shell, or filled bands of an insulator."""
        return self.n_electrons // 2

    @property
    def n_of_spins(self) -> tuple[int, int]:
        """Electrons of spin α and β of a molecule."""
        return (self.n_electrons + self.spin) // 2, (self.n_electrons - self.spin) // 2


def structure_key(atoms: Atoms, charge: int, spin: int, level: LevelOfTheory) -> str:
    """Name of a label: SHA-256 of the structure, its field and its level of theory; one task has one key everywhere.

    Returns:
        64 hexadecimal digits.
    """
    definition = {**level.to_dict(), "code": ""}
    field = np.round(electric_field(atoms), 10)
    text = json.dumps([definition, int(charge), int(spin), [bool(b) for b in atoms.pbc]], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    if field.any():  # so that keys of structures without one are what they were before there were fields
        digest.update(np.ascontiguousarray(field, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(np.round(atoms.positions, 10), dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(np.round(atoms.cell.array, 10), dtype="<f8").tobytes())
    return digest.hexdigest()

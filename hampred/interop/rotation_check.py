"""Proof of the orbital conventions on PySCF's integrals: a rotated molecule's matrix equals D M Dᵀ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import LETTERS, BasisLayout, OrbitalBasis
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, kinetic, nuclear_attraction, overlap

Array = NDArray[np.float64]

INTEGRALS: dict[str, Callable[[Any], Array]] = {"S": overlap, "T": kinetic, "V": nuclear_attraction}


@dataclass(frozen=True)
class RotationCheck:
    """Largest errors over all rotations, relative to the largest element of each matrix.

    Attributes:
        n_orbitals: Orbitals of the molecule.
        formula: Its atoms.
        matrices: ``S``, ``T``, ``V`` and perhaps ``F`` → largest error.
        shell_pairs: ``s-p`` and the like → largest error over all matrices.
    """

    n_orbitals: int
    formula: str
    matrices: dict[str, float]
    shell_pairs: dict[str, float]

    @property
    def worst(self) -> float:
        """Largest error of all."""
        return max(self.matrices.values())


def check_rotations(
    basis: str, numbers: Sequence[int], count: int = 4, fock: bool = False, seed: int = 0
) -> RotationCheck:
    """Rotates a molecule that holds the elements by random elements of O(3), every second one improper.

    Args:
        basis: Name of a basis set that PySCF knows.
        numbers: Atomic numbers.
        count: Rotations.
        fock: Also compares the Hartree–Fock matrix of PySCF's minao density, which needs no grid and no SCF.
        seed: Of the geometry and the rotations.

    Raises:
        HampredError: The basis set or one of its elements is unknown.
    """
    generator = np.random.default_rng(seed)
    atoms_of = (list(numbers) * 3)[: max(3, len(numbers))]
    layout = OrbitalBasis.from_name(basis, numbers).layout(np.array(sorted(atoms_of)))
    atoms = _scattered(layout, generator)
    integrals = {**INTEGRALS, "F": _minao_fock} if fock else INTEGRALS
    before = {name: function(_mole(atoms, basis, layout)) for name, function in integrals.items()}
    errors = {name: np.zeros((layout.n_orbitals,) * 2) for name in integrals}
    for k in range(count):
        q = random_rotation(generator, improper=bool(k % 2))
        d, rotated = layout.rotation(q), atoms.copy()
        rotated.positions = atoms.positions @ q.T
        for name, function in integrals.items():
            difference = np.abs(function(_mole(rotated, basis, layout)) - d @ before[name] @ d.T)
            errors[name] = np.maximum(errors[name], difference / np.abs(before[name]).max())
    return RotationCheck(
        n_orbitals=layout.n_orbitals,
        formula=atoms.get_chemical_formula(),
        matrices={name: float(error.max()) for name, error in errors.items()},
        shell_pairs=_by_shell_pair(layout, np.max(list(errors.values()), axis=0)),
    )


def _scattered(layout: BasisLayout, generator: np.random.Generator) -> Atoms:
    """Atoms at random places, none closer than 1.2 Å: no symmetry hides an error."""
    positions = [np.zeros(3)]
    size = 1.5 * max(len(layout.numbers), 3) ** (1 / 3)
    while len(positions) < len(layout.numbers):
        trial = generator.uniform(-size, size, size=3)
        if np.linalg.norm(np.array(positions) - trial, axis=1).min() > 1.2:
            positions.append(trial)
        size *= 1.01
    return Atoms(layout.numbers, np.array(positions))


def _mole(atoms: Atoms, basis: str, layout: BasisLayout) -> Any:
    """The molecule with a charge that leaves an even number of electrons."""
    n_electrons = layout.n_electrons()
    return build_mole(atoms, basis, charge=n_electrons % 2)


def _minao_fock(mole: Any) -> Array:
    """Hartree–Fock matrix of the density that PySCF projects from minimal orbitals of the atoms, Hartree."""
    from pyscf import scf

    mf = scf.RHF(mole)
    return mf.get_fock(dm=mf.get_init_guess(key="minao"))


def _by_shell_pair(layout: BasisLayout, error: Array) -> dict[str, float]:
    """Largest error of each pair of angular momenta, such as ``s-p``."""
    momentum = np.array([l for z in layout.numbers for l in layout.basis.shells(int(z)) for _ in range(2 * l + 1)])
    pairs = [(a, b) for a in np.unique(momentum) for b in np.unique(momentum) if a <= b]
    return {
        f"{LETTERS[a]}-{LETTERS[b]}": float(error[(momentum == a)[:, None] & (momentum == b)[None, :]].max())
        for a, b in pairs
    }

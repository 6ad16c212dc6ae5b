"""AtomicOperator: an atom as a separable operator of short range."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from hampred.basis import BasisLayout
from hampred.blocks.matrix import BlockMatrix
from hampred.interop.integrals import Integrals
from hampred.interop.neighbors import neighbor_pairs
from hampred.interop.overlap_range import fading
from hampred.interop.two_centre import TwoCentre

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

SOFTEST, RATIO = 0.2, 2.5
"""Exponents of the projectors are SOFTEST · RATIO^k, Bohr⁻²."""

SHARPEST = (10.0, 2.0, 0.2, 0.1)
"""Up to which exponent s, p, d and all other projectors go, in units of the squared charge that the orbitals see."""

Places = tuple[slice, slice, tuple[IntArray, IntArray], Array, IntArray]
"""See `Surroundings.places`."""

Shell = tuple[int, float]
"""l and exponent (Bohr⁻²) of a projector."""


@dataclass(frozen=True)
class AtomicOperator:
    """What an element adds to H0: numbers c that follow the surroundings of each atom, c = c₀ + (n − n₀) c₁.

    Attributes:
        shells: l and exponent (Bohr⁻²) of each projector.
        strengths: w₀ and w₁ between projectors, Hartree, 0 where they differ in l [2, n_projectors, n_projectors].
        shifts: y₀ and y₁ of each shell of orbitals, Hartree [2, n_shells].
        scales: t₀ and t₁ of each shell of orbitals [2, n_shells].
        crowding: n₀.
    """

    shells: tuple[Shell, ...]
    strengths: Array
    shifts: Array
    scales: Array
    crowding: float

    @cached_property
    def matrices(self) -> Array:
        """w₀ and w₁ between the components m of the projectors [2, Σ(2l+1), Σ(2l+1)]."""
        degree = np.array([l for l, _ in self.shells])
        shell = np.repeat(np.arange(len(degree)), 2 * degree + 1)
        component = np.concatenate([np.arange(2 * l + 1) for l in degree])
        alike = (component[:, None] == component) & (degree[shell][:, None] == degree[shell])
        return self.strengths[:, shell[:, None], shell] * alike

    def weights(self, crowding: float) -> Array:
        """1 and n − n₀ of an atom [2]."""
        return np.array([1.0, crowding - self.crowding])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        arrays = {name: getattr(self, name).tolist() for name in ("strengths", "shifts", "scales")}
        return {"shells": [list(shell) for shell in self.shells], "crowding": self.crowding, **arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ValueError: Numbers that do not fit together.
        """
        shells = tuple((int(l), float(a)) for l, a in data["shells"])
        arrays = [np.array(data[name], dtype=float) for name in ("strengths", "shifts", "scales")]
        found = cls(shells, *arrays, float(data["crowding"]))
        n, m = len(shells), found.shifts.shape[-1:]
        if found.strengths.shape != (2, n, n) or not found.shifts.shape == found.scales.shape == (2, *m):
            raise ValueError("its arrays do not fit together")
        if not np.array_equal(found.strengths, found.strengths.transpose(0, 2, 1)):
            raise ValueError("strengths are symmetric")
        numbers = np.concatenate([*map(np.ravel, arrays), [found.crowding]])
        if not np.isfinite(numbers).all() or any(l not in range(10) or not 0 < a < np.inf for l, a in shells):
            raise ValueError("positive exponents and finite numbers are needed")
        return found


def crowding(atoms: Atoms, reach: float) -> Array:
    """How close the neighbours of each atom are: a coordination number n = Σ_B exp(−(r_AB / (R_A + R_B))²) [n_atoms].

    Args:
        atoms: Positions and cell in Å; R are covalent radii.
        reach: Å, at which the sum has faded out.
    """
    pairs, _, vectors = neighbor_pairs(atoms, reach)
    distances, radii = np.linalg.norm(vectors, axis=1), covalent_radii[atoms.numbers]
    terms = np.exp(-((distances / radii[pairs].sum(axis=1)) ** 2)) * (1 - (distances / reach) ** 2) ** 3
    total = np.zeros(len(atoms))
    np.add.at(total, pairs[:, 0], terms)
    return total


def projector_shells(charge: float, orbitals: Sequence[Any]) -> tuple[Shell, ...]:
    """Projectors of an element, sorted by l, which goes one beyond that of its orbitals.

    Args:
        charge: That its orbitals see: of the nucleus, less the core that a potential replaces (e).
        orbitals: Its contracted shells, as PySCF writes them.
    """
    sharpest = max(primitive[0] for shell in orbitals for primitive in shell[1:])
    shells: list[Shell] = []
    for l in range(max(shell[0] for shell in orbitals) + 2):
        limit = min(SHARPEST[min(l, len(SHARPEST) - 1)] * charge**2, sharpest)
        count = 1 + max(int(np.log(limit / SOFTEST) / np.log(RATIO)), 0)
        shells += [(l, SOFTEST * RATIO**k) for k in range(count)]
    return tuple(shells)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Orbitals that touch the projectors of one atom.

    Attributes:
        atom: The atom.
        number: Its atomic number.
        overlaps: X = ⟨projector|orbital⟩, which fades out at the reach of the projectors [n_projectors, n].
        places: Of the orbitals of all atoms of two elements: which rows and columns they are of a matrix [n, n], and
            for the blocks that a matrix holds, between which of the atoms they are [n_blocks], twice, factors that fade
            out where these cease to overlap [n_blocks], and where their values stand in its list [n_blocks, n_i, n_j].
    """

    atom: int
    number: int
    overlaps: Array
    places: list[Places]

    def add_to(self, values: Array, potential: Array) -> None:
        """Adds an operator between these orbitals [n, n] to the values of the matrix; it fades out with their overlap.

        Blocks that are not in the matrix are left out.
        """
        for rows, columns, (i, j), factors, places in self.places:
            _, n_i, n_j = places.shape
            blocks = potential[rows, columns].reshape(-1, n_i, (columns.stop - columns.start) // n_j, n_j)[i, :, j]
            blocks *= factors[:, None, None]
            np.add.at(values, places.ravel(), blocks.ravel())  # images of one pair have one place


def surroundings(
    integrals: Integrals, projectors: Mapping[int, Sequence[Shell]], matrix: BlockMatrix, reach: float
) -> Iterator[Surroundings]:
    """The surroundings of each atom of a structure.

    Args:
        integrals: Of the structure.
        projectors: Of each element.
        matrix: Whose values the places count.
        reach: Å, at which projectors have faded out.
    """
    atoms, n = integrals.atoms, len(integrals.atoms)
    pairs, shifts, vectors = neighbor_pairs(atoms, reach)
    table = np.column_stack([pairs, shifts])
    table = np.concatenate([table, np.arange(n)[:, None] * [1, 1, 0, 0, 0]])
    distances = np.concatenate([np.linalg.norm(vectors, axis=1), np.zeros(n)])
    order = np.lexsort((atoms.numbers[table[:, 1]], table[:, 0]))
    table, strength = table[order], (1 - (distances[order] / reach) ** 6) ** 3
    touching = TwoCentre(atoms, table[:, :2], table[:, 2:])
    shells = {z: [[l, [a, 1.0]] for l, a in some] for z, some in projectors.items()}
    overlaps = touching.integrals("int1e_ovlp_sph", shells, integrals.shells)
    ends = fading(atoms, integrals.basis, matrix.pairs, matrix.cell_shifts)
    for atom, (first, last, x) in enumerate(zip(touching.starts, touching.starts[1:], overlaps)):
        members, cells = table[first:last, 1], table[first:last, 2:]
        fade = np.repeat(strength[first:last], integrals.layout.sizes[members])
        yield Surroundings(atom, int(atoms.numbers[atom]), x * fade, list(_places(matrix, ends, members, cells)))


def _places(matrix: BlockMatrix, factors: Array, members: IntArray, cells: IntArray) -> Iterator[Places]:
    """See `Surroundings.places`, for atoms [m], sorted by element, in the cells [m, 3], and factors of all blocks."""
    i, j = np.nonzero(members[:, None] >= members if matrix.lower else np.ones(2 * members.shape, dtype=bool))
    block = np.full(2 * members.shape, -1)
    block[i, j] = matrix.find(np.stack([members[i], members[j]], axis=1), cells[j] - cells[i])
    bounds = np.flatnonzero(np.diff(matrix.layout.numbers[members], prepend=0, append=0))
    sizes = matrix.layout.sizes[members]
    offsets = np.append(0, np.cumsum(sizes))
    for (a, b), (c, d) in itertools.product(itertools.pairwise(bounds), repeat=2):
        n_i, n_j = sizes[a], sizes[c]
        within = np.arange(n_i * n_j).reshape(n_i, n_j)
        rows, columns = slice(offsets[a], offsets[b]), slice(offsets[c], offsets[d])
        i, j = np.nonzero(block[a:b, c:d] >= 0)
        which = block[a:b, c:d][i, j]
        yield rows, columns, (i, j), factors[which], matrix.starts[which, None, None] + within


def orbital_values(layout: BasisLayout, of_atoms: Sequence[Array]) -> Array:
    """A number for each orbital of a structure [n_orbitals] from those of the shells of each atom."""
    degrees = [np.array(layout.basis.shells(int(z))) for z in layout.numbers]
    return np.concatenate([np.repeat(values, 2 * l + 1) for values, l in zip(of_atoms, degrees)])


def add_half_anticommutator(values: Array, matrix: BlockMatrix, diagonal: Array) -> None:
    """Adds ½ (d M + M d) with a diagonal matrix d [n_orbitals] to the values of a matrix on the pairs of M."""
    for _, _, members, places in matrix.groups():
        i, j = matrix.layout.offsets[matrix.pairs[members]].T
        _, n_i, n_j = places.shape
        rows, columns = diagonal[i[:, None] + np.arange(n_i)], diagonal[j[:, None] + np.arange(n_j)]
        values[places] += 0.5 * (rows[:, :, None] + columns[:, None, :]) * matrix.values[places]

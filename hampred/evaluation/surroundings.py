"""Surroundings: which atoms are alike by geometry alone, before there are labels or a network."""

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.harmonics import real_spherical_harmonics
from hampred.interop.neighbors import neighbor_pairs

Array = NDArray[np.float64]

CUTOFF = 4.0
"""Å, beyond which an atom sees nothing."""

SHELLS = np.arange(0.5, CUTOFF, 0.3)
"""Distances at which neighbours are counted, Å."""

SHARPNESS = 0.2
"""Width of a shell, Å: less than what a bond changes by when its order does."""

LMAX = 3
"""Largest angular momentum in which the directions of neighbours are resolved."""

D_BLOCK = (range(21, 31), range(39, 49), range(72, 81), range(104, 113))
F_BLOCK = (range(57, 72), range(89, 104))
"""Atomic numbers of elements with d and with f electrons in their valence."""


class Surroundings:
    """Power spectrum of the density of neighbours of each element in shells (Bartók et al., Phys. Rev. B 87, 184115).

    Of the density c_znlm = Σ_j g_n(r_ij) Y_lm(r̂_ij) over the neighbours j of element z, the invariants Σ_m c²_znlm,
    which products of different shells and elements would make complete, and c_zn00, which counts the neighbours. Smooth
    in the positions, and sharp in the distances: a hydrogen atom with one neighbour still tells how far it is. What
    acts on the whole structure multiplies the density, so that it counts as much as the geometry does.
    """

    def __init__(self, elements: Iterable[int]) -> None:
        """Takes the atomic numbers of the neighbours."""
        self._elements = np.array(sorted(elements))

    def invariants(self, atoms: Atoms, charge: int, spin: int, field: Array) -> Array:
        """What surrounds each atom [n_atoms, d]; no rotation changes it.

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e).
            spin: Unpaired electrons.
            field: Electric field, V/Å [3].
        """
        pairs, _, vectors = neighbor_pairs(atoms, CUTOFF)
        distance = np.linalg.norm(vectors, axis=1)
        fading = 0.5 * (1 + np.cos(np.pi * distance / CUTOFF)) / distance
        shells = fading[:, None] * np.exp(-0.5 * ((distance[:, None] - SHELLS) / SHARPNESS) ** 2)
        first, kind = pairs[:, 0], np.searchsorted(self._elements, atoms.numbers)[pairs[:, 1]]
        size = (len(atoms), len(self._elements), len(SHELLS))
        parts = [np.broadcast_to([charge, spin, field @ field], (len(atoms), 3))]
        for l in range(LMAX + 1):
            density = np.zeros((*size, 2 * l + 1))
            angular = real_spherical_harmonics(l, vectors)
            np.add.at(density, (first, kind), shells[:, :, None] * angular[:, None])
            parts.append((density**2).sum(-1).reshape(len(atoms), -1))
            if l == 0:
                parts += [factor * density.reshape(len(atoms), -1) for factor in (1, charge, spin)]
            if l == 1:
                parts.append((density @ field).reshape(len(atoms), -1))
        return np.concatenate(parts, axis=1)


def valence_orbitals(number: int) -> float:
    """Orbitals in the valence of an element: about in proportion to its rows of H in any basis set."""
    if any(number in block for block in F_BLOCK):
        return 16.0
    if any(number in block for block in D_BLOCK):
        return 9.0
    return 1.0 if number <= 2 else 4.0

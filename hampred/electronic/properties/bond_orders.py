"""Bond orders from a density matrix."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.properties.charges import orthogonal_density

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]


def mayer_bond_orders(state: "ElectronicState") -> Array:
    """B_AB = Σ_{i in A, j in B} (D S)_ij (D S)_ji [n_atoms, n_atoms] (Mayer, Chem. Phys. Lett. 97, 270 (1983))."""
    product = state.density_matrix @ state.overlap
    return _between_atoms(state, product * product.T)


def wiberg_bond_orders(state: "ElectronicState") -> Array:
    """B_AB = Σ_{i in A, j in B} (S^½ D S^½)_ij² [n_atoms, n_atoms] (Wiberg, Tetrahedron 24, 1083 (1968))."""
    return _between_atoms(state, orthogonal_density(state) ** 2)


def _between_atoms(state: "ElectronicState", terms: Array) -> Array:
    """Sums of the terms [n, n] over the orbitals of two atoms; 0 for an atom and itself."""
    first = state.layout.offsets[:-1]
    orders = np.add.reduceat(np.add.reduceat(terms, first, axis=0), first, axis=1)
    np.fill_diagonal(orders, 0.0)
    return orders

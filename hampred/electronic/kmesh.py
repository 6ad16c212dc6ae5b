"""KMesh: k-points and weights for sums over the Brillouin zone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.errors import HampredError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KMesh:
    """A mesh of the Brillouin zone.

    Attributes:
        kpoints: In units of the reciprocal vectors [n, 3], in [0, 1).
        weights: Share of the zone that each one stands for [n]; they sum to 1.
    """

    kpoints: Array
    weights: Array

    @classmethod
    def gamma_centred(cls, size: ArrayLike) -> "KMesh":
        """Points i/N along each reciprocal vector; of k and −k one, as real H(R) give both the same energies.

        Args:
            size: N along each reciprocal vector [3].

        Raises:
            HampredError: Not three positive integers.
        """
        n = np.asarray(size)
        if n.shape != (3,) or not np.issubdtype(n.dtype, np.integer) or n.min() < 1:
            raise HampredError(f"A k-mesh of {n.tolist()}: give three positive integers.")
        points = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), axis=-1).reshape(-1, 3)
        partner = np.ravel_multi_index(((-points) % n).T, tuple(n))
        kept = np.flatnonzero(np.arange(len(points)) <= partner)
        weights = np.where(partner[kept] == kept, 1.0, 2.0)
        return cls(points[kept] / n, weights / len(points))

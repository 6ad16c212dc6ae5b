"""KMesh: k-points and weights for sums over the Brillouin zone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.errors import HampredError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KMesh:
    """A mesh of the Brillouin zone.

    Attributes:
        kpoints: In units of the reciprocal vectors [n, 3], in [0, 1).
        weights: Share of the zone that each one stands for [n]; they sum to 1.
        representative: Which of them stands for each point of the whole mesh [n₁, n₂, n₃].
    """

    kpoints: Array
    weights: Array
    representative: IntArray

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
        index = np.searchsorted(kept, np.minimum(np.arange(len(points)), partner))
        return cls(points[kept] / n, weights / len(points), index.reshape(n))

    def spread(self, energies: Array) -> Array:
        """Half the change of each energy from one point of the mesh to the next.

        Gaussians that are this wide fill the space between the points of the mesh and are narrow where a band is flat
        (Yates, Wang, Vanderbilt, Souza, Phys. Rev. B 75, 195121 (2007), sec. III C).

        Args:
            energies: At each k-point, in the same order [n, n_bands].

        Returns:
            In the unit of the energies [n, n_bands].
        """
        whole = energies[self.representative]  # [n₁, n₂, n₃, n_bands]
        slopes = [0.5 * (np.roll(whole, -1, axis) - np.roll(whole, 1, axis)) for axis in range(3)]
        found = np.empty_like(energies)
        found[self.representative] = 0.5 * np.sqrt(np.sum(np.square(slopes), axis=0))
        return found

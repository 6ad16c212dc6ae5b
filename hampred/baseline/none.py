"""No baseline: the network learns the whole Hamiltonian."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from hampred.blocks.matrix import BlockMatrix
from hampred.interop.integrals import Integrals


class Zero:
    """H0 = 0."""

    name: ClassVar[str] = "none"
    grid_free: ClassVar[bool] = True
    local: ClassVar[bool] = True
    screened: ClassVar[bool] = False

    @classmethod
    def from_level(cls, level: Any) -> Self:
        """The same for every level of theory."""
        return cls()

    def blocks(self, integrals: Integrals) -> BlockMatrix:
        """Zeros on the pairs of the overlap."""
        return integrals.overlap.with_values(np.zeros_like(integrals.overlap.values))

    def half_blocks(self, integrals: Integrals) -> BlockMatrix:
        """Zeros on the pairs of half of the overlap."""
        return integrals.half_overlap.with_values(np.zeros_like(integrals.half_overlap.values))

    def fit(self, samples: Iterable[Any]) -> None:
        """There is nothing to fit."""

    def state(self) -> dict[str, Any]:
        """The name alone."""
        return {"name": self.name}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        return cls()

"""No baseline: the network learns the whole Hamiltonian."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hampred.interop.local_integrals import LocalIntegrals


class Zero:
    """H0 = 0."""

    name: ClassVar[str] = "none"
    grid_free: ClassVar[bool] = True

    @classmethod
    def from_level(cls, level: Any) -> Self:
        """The same for every level of theory."""
        return cls()

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """Zeros [n_orbitals, n_orbitals]."""
        return np.zeros((mole.nao, mole.nao))

    def local_hamiltonian(self, integrals: LocalIntegrals) -> csr_array:
        """No elements [n_orbitals, n_orbitals]."""
        return csr_array((integrals.mole.nao, integrals.mole.nao))

    def fit(self, samples: Iterable[Any]) -> None:
        """There is nothing to fit."""

    def state(self) -> dict[str, Any]:
        """The name alone."""
        return {"name": self.name}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        return cls()

"""One Fock build on the density of PySCF's ``minao`` guess: the Hamiltonian of the first SCF cycle."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hampred.errors import HampredError
from hampred.interop.local_integrals import LocalIntegrals


@dataclass(frozen=True)
class Minao:
    """H0 = F[P_minao], with functional and grid of the labels; equivariant to the noise of the grid only.

    Attributes:
        functional: PySCF's name of the functional.
        grid_level: Level of PySCF's integration grid.
        density_fit: Whether Coulomb integrals are density-fitted.
        auxbasis: Fitting basis, None for PySCF's default.
    """

    functional: str
    grid_level: int
    density_fit: bool = False
    auxbasis: str | None = None

    name: ClassVar[str] = "minao"
    grid_free: ClassVar[bool] = False

    @classmethod
    def from_level(cls, level: Any) -> Self:
        """Functional, grid and density fitting of the labels."""
        return cls(level.functional, level.grid_level, level.density_fit, level.auxbasis)

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """The Fock matrix of the guess [n_orbitals, n_orbitals], Hartree.

        Raises:
            HampredError: The molecule has unpaired electrons, or PySCF does not know the functional.
        """
        from pyscf import dft

        if mole.spin:
            raise HampredError("The minao baseline is for closed shells: choose sap or fitted_sap.")
        try:
            dft.libxc.parse_xc(self.functional)
        except (KeyError, ValueError) as error:
            raise HampredError(f"PySCF has no functional {self.functional!r}: give a name such as pbe.") from error
        field = dft.RKS(mole, xc=self.functional)
        if self.density_fit:
            field = field.density_fit(auxbasis=self.auxbasis)
        field.grids.level = self.grid_level
        return np.asarray(field.get_fock(dm=field.get_init_guess(key="minao")), dtype=np.float64)

    def local_hamiltonian(self, integrals: LocalIntegrals) -> csr_array:
        """There is none.

        Raises:
            HampredError: Always.
        """
        raise HampredError(
            f"The baseline {self.name} has a Coulomb potential, which reaches over the whole molecule: "
            "for large molecules train with fitted_sap, sap or none."
        )

    def fit(self, samples: Iterable[Any]) -> None:
        """There is nothing to fit."""

    def state(self) -> dict[str, Any]:
        """Name, functional, grid and density fitting."""
        return {"name": self.name, **asdict(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        auxbasis = state["auxbasis"]
        return cls(
            str(state["functional"]),
            int(state["grid_level"]),
            bool(state["density_fit"]),
            None if auxbasis is None else str(auxbasis),
        )

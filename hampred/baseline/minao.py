"""One Fock build on the density of PySCF's ``minao`` guess: the Hamiltonian of the first SCF cycle."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.integrals import Integrals
from hampred.interop.periodic_fock import PeriodicFock
from hampred.interop.pyscf import threads_for


@dataclass(frozen=True)
class Minao:
    """H0 = F[P_minao], with functional and grid of the labels; equivariant to the noise of the grid only.

    For a crystal these are superposed atomic densities, on the meshes of the labels, and F is folded as the labels are.

    Attributes:
        functional: PySCF's name of the functional.
        grid_level: Level of PySCF's integration grid.
        density_fit: Whether Coulomb integrals are density-fitted.
        auxbasis: Fitting basis, None for PySCF's default.
        crystal: What defines the labels of crystals, None for molecules.
    """

    functional: str
    grid_level: int
    density_fit: bool = False
    auxbasis: str | None = None
    crystal: CrystalLevel | None = None

    name: ClassVar[str] = "minao"
    grid_free: ClassVar[bool] = False
    local: ClassVar[bool] = False
    screened: ClassVar[bool] = True

    @classmethod
    def from_level(cls, level: Any) -> Self:
        """Functional, grid and density fitting, or meshes and pseudopotential, of the labels."""
        crystal = getattr(level, "crystal", None)
        return cls(level.functional, level.grid_level, level.density_fit, level.auxbasis, crystal)

    def blocks(self, integrals: Integrals) -> BlockMatrix:
        """H0 of a molecule or crystal.

        Returns:
            Hartree; of a crystal all blocks that the odd mesh of the level tells apart, with the energy zero of PySCF.

        Raises:
            HampredError: The structure cannot be built, or is a crystal while the level is one of molecules.
        """
        if not integrals.atoms.pbc.any():
            with threads_for(integrals.mole):
                return BlockMatrix.from_dense(integrals.layout, self.hamiltonian(integrals.mole))
        if self.crystal is None:
            raise HampredError("The structure is periodic and this baseline is of molecules: set pbc to False.")
        fock = PeriodicFock(integrals.atoms, self.functional, integrals.basis, self.crystal)
        return fock.blocks(fock.guess())

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """The Fock matrix of the guess [n_orbitals, n_orbitals], Hartree.

        Raises:
            HampredError: The molecule has unpaired electrons, or PySCF does not know the functional.
        """
        from pyscf import dft

        if mole.spin:
            raise HampredError("The minao baseline is for closed shells: choose projectors or sap.")
        try:
            dft.libxc.parse_xc(self.functional)
        except (KeyError, ValueError) as error:
            raise HampredError(f"PySCF has no functional {self.functional!r}: give a name such as pbe.") from error
        field = dft.RKS(mole, xc=self.functional)
        if self.density_fit:
            field = field.density_fit(auxbasis=self.auxbasis)
        field.grids.level = self.grid_level
        return np.asarray(field.get_fock(dm=field.get_init_guess(key="minao")), dtype=np.float64)

    def fit(self, samples: Iterable[Any]) -> None:
        """There is nothing to fit."""

    def state(self) -> dict[str, Any]:
        """Name, functional, grid and density fitting, and what defines the labels of crystals."""
        told = {key: value for key, value in asdict(self).items() if (key, value) != ("crystal", None)}
        return {"name": self.name, **told}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        auxbasis = state["auxbasis"]
        return cls(
            str(state["functional"]),
            int(state["grid_level"]),
            bool(state["density_fit"]),
            None if auxbasis is None else str(auxbasis),
            CrystalLevel.from_dict(state["crystal"]) if state.get("crystal") else None,
        )

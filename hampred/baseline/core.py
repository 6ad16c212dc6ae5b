"""The core Hamiltonian: one electron in the field of the nuclei."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hampred.baseline.none import Zero
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import kinetic, nuclear_attraction, threads_for


class Core(Zero):
    """H0 = T + V_nuc, effective core potentials included."""

    name: ClassVar[str] = "core"
    local: ClassVar[bool] = False

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """Kinetic energy and nuclear attraction [n_orbitals, n_orbitals], Hartree."""
        return kinetic(mole) + nuclear_attraction(mole)

    def blocks(self, integrals: Integrals) -> BlockMatrix:
        """H0 of a molecule, Hartree.

        Raises:
            HampredError: A crystal, where nuclei without electrons have no finite potential.
        """
        if integrals.atoms.pbc.any():
            raise HampredError(f"The baseline {self.name} is of molecules: for crystals choose projectors or minao.")
        with threads_for(integrals.mole):
            return BlockMatrix.from_dense(integrals.layout, self.hamiltonian(integrals.mole))

"""The core Hamiltonian: one electron in the field of the nuclei."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hampred.baseline.none import Zero
from hampred.errors import HampredError
from hampred.interop.local_integrals import LocalIntegrals
from hampred.interop.pyscf import kinetic, nuclear_attraction


class Core(Zero):
    """H0 = T + V_nuc, effective core potentials included."""

    name: ClassVar[str] = "core"

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """Kinetic energy and nuclear attraction [n_orbitals, n_orbitals], Hartree."""
        return kinetic(mole) + nuclear_attraction(mole)

    def local_hamiltonian(self, integrals: LocalIntegrals) -> csr_array:
        """There is none.

        Raises:
            HampredError: Always.
        """
        raise HampredError(
            f"The baseline {self.name} reaches over the whole molecule: "
            "for large molecules train with fitted_sap, sap or none."
        )

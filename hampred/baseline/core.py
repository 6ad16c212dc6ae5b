"""The core Hamiltonian: one electron in the field of the nuclei."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hampred.baseline.none import Zero
from hampred.interop.pyscf import kinetic, nuclear_attraction


class Core(Zero):
    """H0 = T + V_nuc, effective core potentials included."""

    name: ClassVar[str] = "core"

    def hamiltonian(self, mole: Any) -> NDArray[np.float64]:
        """Kinetic energy and nuclear attraction [n_orbitals, n_orbitals], Hartree."""
        return kinetic(mole) + nuclear_attraction(mole)

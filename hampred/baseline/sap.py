"""SAP: the superposition of atomic potentials, analytic as a sum of Gaussians.

Lehtola, J. Chem. Theory Comput. 15, 1593 (2019); Lehtola, Visscher, Engel, J. Chem. Phys. 152, 144105 (2020).
"""

from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from hampred.baseline.core import Core
from hampred.baseline.gaussians import SphericalGaussians
from hampred.errors import HampredError

Array = NDArray[np.float64]


class Sap(Core):
    """H0 = T + V_nuc + Σ_A ∫ ρ_A(r')/|r−r'| dr', where the charge ρ_A screens as electrons and exchange do.

    The published charge of an atom holds all its electrons. Where an effective core potential replaces some of them,
    its sharp Gaussians are damped until the charge of the remaining electrons is left: every atom stays neutral.
    """

    name: ClassVar[str] = "sap"
    screened: ClassVar[bool] = True

    def screening_charges(self, symbol: str, n_electrons: int) -> tuple[Array, Array]:
        """The charges that screen the nucleus of an element.

        Args:
            symbol: Chemical symbol.
            n_electrons: Electrons of the neutral atom that no effective core potential replaces.

        Returns:
            Exponents (Bohr⁻²) and charges (e) of Gaussians; the charges add up to `n_electrons`.

        Raises:
            HampredError: There is no atomic potential for the element.
        """
        return published_charges(symbol, n_electrons)

    def hamiltonian(self, mole: Any) -> Array:
        """Core Hamiltonian and screening [n_orbitals, n_orbitals], Hartree."""
        return super().hamiltonian(mole) + self.screening(mole).summed(mole)

    def screening(self, mole: Any) -> SphericalGaussians:
        """The screening charge of each atom of a molecule, positive where electrons repel."""
        atoms = range(mole.natm)
        tables = [self.screening_charges(mole.atom_pure_symbol(k), int(mole.atom_charge(k))) for k in atoms]
        prefactors = [charges * (exponents / np.pi) ** 1.5 for exponents, charges in tables]
        return SphericalGaussians(mole.atom_coords(), [exponents for exponents, _ in tables], prefactors)


@cache
def published_charges(symbol: str, n_electrons: int) -> tuple[Array, Array]:
    """Exponents (Bohr⁻²) and charges (e) of the published screening of an atom; see `Sap`."""
    from pyscf.gto import basis

    try:
        (shell,) = basis.load("sapgrasplarge", symbol)
    except Exception as error:  # PySCF raises KeyError or BasisNotFoundError here
        raise HampredError(f"There is no atomic potential for {symbol}: choose the baseline core or minao.") from error
    exponents, charges = np.array(shell[1:]).T * np.array([[1.0], [-1.0]])
    if round(charges.sum()) > n_electrons:
        charges = charges * _damping(exponents, charges, n_electrons)
    return exponents, charges


def _damping(exponents: Array, charges: Array, total: float) -> Array:
    """Factors 1/(1 + (a/a0)²), with a0 such that the damped charges add up to a total."""

    def factors(log_a0: float) -> Array:
        return 1 / (1 + (exponents / np.exp(log_a0)) ** 2)

    return factors(brentq(lambda x: charges @ factors(x) - total, -20.0, 30.0, xtol=1e-14))

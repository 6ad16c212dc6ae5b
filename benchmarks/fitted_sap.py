"""Superposition of atomic potentials with charges fitted to labels: what stood at the start of learned corrections."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hampred.baseline.core import Core
from hampred.baseline.gaussians import SphericalGaussians
from hampred.baseline.sap import Sap
from hampred.data.sample import HamiltonianSample
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole

Array = NDArray[np.float64]

SOFTEST, RATIO, SHARPEST = 0.16, 2.2, 10.0
"""Exponents are SOFTEST · RATIO^k up to SHARPEST · Z², Bohr⁻²: from the reach of orbitals to the innermost shell."""

RIDGE = 1e-10
"""Tikhonov term relative to the mean diagonal of the normal equations."""


class FittedSap(Sap):
    """H0 = T + V_nuc + Σ_A Σ_k q_k ⟨i| erf(√a_k r_A) / r_A |j⟩, whose q of each element least squares find.

    The charges of an atom screen its nucleus: Σ_k q_k = Z.
    """

    name: ClassVar[str] = "fitted_sap"

    def __init__(self, charges: Mapping[str, tuple[Array, Array]]) -> None:
        """Takes exponents (Bohr⁻²) and charges (e) of each element."""
        self.charges = charges

    def screening_charges(self, symbol: str, n_electrons: int) -> tuple[Array, Array]:
        """Exponents and charges of an element.

        Raises:
            HampredError: No label of the fit holds it.
        """
        if symbol not in self.charges:
            raise HampredError(f"No label that {self.name} was fitted to holds {symbol}: train on labels that do.")
        return self.charges[symbol]

    @classmethod
    def fitted(cls, samples: Iterable[HamiltonianSample]) -> "FittedSap":
        """Least squares of the mean squared error of each label, which are molecules without core potentials.

        Args:
            samples: One label or more.
        """
        nuclei: dict[str, int] = {}
        normal, right = np.zeros((0, 0)), np.zeros(0)
        for sample in samples:
            mole = build_mole(sample.atoms, sample.level.basis, sample.charge, sample.spin)
            nuclei |= {mole.atom_pure_symbol(k): int(mole.atom_charge(k)) for k in range(mole.natm)}
            more = sum(len(exponents_of(z)) for z in nuclei.values()) - len(right)
            normal, right = np.pad(normal, (0, more)), np.pad(right, (0, more))
            features, target = equations(mole, sample.hamiltonian.to_dense(), nuclei)
            normal += features @ features.T
            right += features @ target
        exponents = [exponents_of(z) for z in nuclei.values()]
        sums = np.repeat(np.eye(len(nuclei)), [len(a) for a in exponents], axis=1)  # Σ_k q_k = Z, by multipliers
        normal += RIDGE * np.trace(normal) / len(right) * np.eye(len(right))
        matrix = np.block([[normal, sums.T], [sums, np.zeros((len(nuclei), len(nuclei)))]])
        solution = np.linalg.solve(matrix, np.concatenate([right, list(nuclei.values())]))[: len(right)]
        charges = np.split(solution, np.cumsum([len(a) for a in exponents])[:-1])
        return cls(dict(zip(nuclei, zip(exponents, charges))))


def exponents_of(charge: int) -> Array:
    """Exponents of the screening charges of a nucleus, Bohr⁻²."""
    return SOFTEST * RATIO ** np.arange(2 + int(np.log(SHARPEST * charge**2 / SOFTEST) / np.log(RATIO)))


def equations(mole: Any, hamiltonian: Array, nuclei: Mapping[str, int]) -> tuple[Array, Array]:
    """Features [n_charges, n_pairs] and target [n_pairs] whose squares sum to the mean squared error of a molecule."""
    i, j = np.tril_indices(mole.nao)
    weights = np.where(i == j, 1.0, np.sqrt(2.0)) / mole.nao  # i ≠ j stands for two matrix elements
    parts = {symbol: np.zeros((len(exponents_of(z)), len(weights))) for symbol, z in nuclei.items()}
    for atom in range(mole.natm):
        symbol = mole.atom_pure_symbol(atom)
        a = exponents_of(nuclei[symbol])
        centres = np.repeat(mole.atom_coord(atom)[None], len(a), axis=0)
        gaussians = SphericalGaussians(centres, list(a[:, None]), list((a[:, None] / np.pi) ** 1.5))
        parts[symbol] += np.concatenate(list(gaussians.integrals(mole)), axis=1).T
    target = (hamiltonian - Core().hamiltonian(mole))[i, j]
    return np.concatenate(list(parts.values())) * weights, target * weights

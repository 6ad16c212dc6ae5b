"""SAP corrected by a short sum of Gaussian potentials for each element, fitted to the labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from hampred.baseline.gaussians import POTENTIAL, SphericalGaussians
from hampred.baseline.sap import Sap
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, threads_for

Array = NDArray[np.float64]

EXPONENTS: Array = 0.06 * np.power(2.2, np.arange(12))
"""Exponents a_k of the potentials of every element, Bohr⁻²."""

SAMPLES_PER_ELEMENT = 64
"""Labels that the fit reads for each element; dozens of coefficients do not need more."""

RIDGE = 1e-11
"""Tikhonov term relative to the mean diagonal of the normal equations."""


class FittedSap(Sap):
    """H0 = SAP + Σ_A Σ_k c_{Z(A),k} ⟨i| exp(−a_k |r − R_A|²) |j⟩, with c from linear least squares on the labels.

    Attributes:
        coefficients: c_{Z,k} of each element that the fit has seen, 12 each, Hartree.
    """

    name: ClassVar[str] = "fitted_sap"

    def __init__(self, coefficients: Mapping[int, Array] | None = None) -> None:
        self.coefficients: dict[int, Array] = dict(coefficients or {})

    def hamiltonian(self, mole: Any) -> Array:
        """SAP and the fitted potentials [n_orbitals, n_orbitals], Hartree.

        Raises:
            HampredError: The fit has not seen one of the elements.
        """
        numbers = _numbers(mole)
        unseen = sorted({chemical_symbols[z] for z in numbers if z not in self.coefficients})
        if unseen:
            known = " ".join(chemical_symbols[z] for z in self.coefficients) or "none"
            raise HampredError(
                f"The baseline fitted_sap was fitted without {' '.join(unseen)} (its elements: {known}): "
                "train on data that holds them, or choose the baseline sap."
            )
        coefficients = [self.coefficients[z] for z in numbers]
        potentials = SphericalGaussians(mole.atom_coords(), [EXPONENTS] * len(numbers), coefficients)
        return super().hamiltonian(mole) + potentials.summed(mole, POTENTIAL)

    def fit(self, samples: Iterable[Any]) -> None:
        """Fits the coefficients to labels: least squares of the mean squared error of each molecule.

        Args:
            samples: Labels; of a long sequence, a random `SAMPLES_PER_ELEMENT` for each element are read.

        Raises:
            HampredError: There is no label.
        """
        elements: list[int] = []
        normal, right = np.zeros((0, 0)), np.zeros(0)
        for sample in _chosen(samples):
            elements += sorted(set(map(int, sample.atoms.numbers)) - set(elements))
            n_new = len(elements) * len(EXPONENTS) - len(right)
            normal, right = np.pad(normal, (0, n_new)), np.pad(right, (0, n_new))
            features, target = self._equations(sample, elements)
            normal += features @ features.T
            right += features @ target
        if not elements:
            raise HampredError("There is no label to fit the baseline fitted_sap to: generate some first.")
        normal += RIDGE * np.trace(normal) / len(right) * np.eye(len(right))
        solution = np.linalg.solve(normal, right).reshape(len(elements), len(EXPONENTS))
        self.coefficients = dict(sorted(zip(elements, solution)))

    def _equations(self, sample: Any, elements: Sequence[int]) -> tuple[Array, Array]:
        """Features [n_elements · 12, n_pairs] and target [n_pairs]; squares sum to the mean squared error."""
        mole = build_mole(sample.atoms, sample.level.basis, sample.charge, sample.spin)
        lower = np.tril_indices(mole.nao)
        weights = np.where(lower[0] == lower[1], 1.0, np.sqrt(2.0)) / mole.nao  # i ≠ j stands for two matrix elements
        features = np.zeros((len(elements), len(EXPONENTS), len(weights)))
        one = np.ones(1)
        with threads_for(mole):
            target = (sample.hamiltonian.to_dense() - super().hamiltonian(mole))[lower]
            for atom, z in enumerate(_numbers(mole)):
                centres = np.repeat(mole.atom_coord(atom)[None], len(EXPONENTS), axis=0)
                each = SphericalGaussians(centres, [a * one for a in EXPONENTS], [one] * len(EXPONENTS))
                features[elements.index(z)] += np.concatenate(list(each.integrals(mole, POTENTIAL)), axis=1).T
        return features.reshape(-1, len(weights)) * weights, target * weights

    def state(self) -> dict[str, Any]:
        """Name, exponents and coefficients."""
        coefficients = {chemical_symbols[z]: c.tolist() for z, c in self.coefficients.items()}
        return {"name": self.name, "exponents": EXPONENTS.tolist(), "coefficients": coefficients}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        if not np.array_equal(state["exponents"], EXPONENTS):
            raise ValueError("other exponents")
        coefficients = {atomic_numbers[s]: np.array(c, dtype=np.float64) for s, c in state["coefficients"].items()}
        if any(c.shape != EXPONENTS.shape or not np.isfinite(c).all() for c in coefficients.values()):
            raise ValueError(f"{len(EXPONENTS)} finite coefficients are needed for each element")
        return cls(coefficients)


def _numbers(mole: Any) -> list[int]:
    """Atomic number of each atom, the core included where an effective potential replaces it."""
    return [atomic_numbers[mole.atom_pure_symbol(atom)] for atom in range(mole.natm)]


def _chosen(samples: Iterable[Any]) -> Iterator[Any]:
    """The labels for the fit: in random but reproducible order, until every element has been seen often enough."""
    seen: Counter[int] = Counter()
    for sample in _shuffled(samples):
        elements = {int(z) for z in sample.atoms.numbers}
        if all(seen[z] >= SAMPLES_PER_ELEMENT for z in sample.basis.elements):
            return
        if any(seen[z] < SAMPLES_PER_ELEMENT for z in elements):
            seen.update(elements)
            yield sample


def _shuffled(samples: Iterable[Any]) -> Iterator[Any]:
    """A sequence in random order, anything else as it comes."""
    if not hasattr(samples, "__getitem__"):
        yield from samples
        return
    for index in np.random.default_rng(0).permutation(len(samples)):
        yield samples[int(index)]

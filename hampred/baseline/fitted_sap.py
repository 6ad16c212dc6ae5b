"""Superposition of atomic potentials whose screening charges are fitted to the labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from hampred.baseline.core import Core
from hampred.baseline.gaussians import CHARGE, SphericalGaussians
from hampred.baseline.sap import Sap
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, threads_for

Array = NDArray[np.float64]

SOFTEST, RATIO, SHARPEST = 0.16, 2.2, 10.0
"""Exponents are SOFTEST · RATIO^k up to SHARPEST · Z² (Bohr⁻²).

The softest falls off as fast as the orbitals' own overlap, which keeps H0 of large molecules short-ranged; the sharpest
is that of the innermost shell.
"""

SAMPLES_PER_ELEMENT = 64
"""Labels that the fit reads for each element; dozens of charges do not need more."""

RIDGE = 1e-10
"""Tikhonov term relative to the mean diagonal of the normal equations."""


def exponents_of(charge: float) -> Array:
    """Exponents of the screening charges of a nucleus of a charge (e), Bohr⁻²."""
    count = 2 + int(np.log(max(SHARPEST * charge**2 / SOFTEST, 1.0)) / np.log(RATIO))
    return SOFTEST * np.power(RATIO, np.arange(count))


class FittedSap(Sap):
    """H0 = T + V_nuc + Σ_A Σ_k q_{Z(A),k} ⟨i| erf(√a_k r_A) / r_A |j⟩, with q from least squares on the labels.

    The charges of an atom screen its nucleus: Σ_k q_{Z,k} = Z, so that its potential has a short range.

    Attributes:
        exponents: a_k of each element that the fit has seen, Bohr⁻², ascending.
        charges: q_{Z,k} of each element, e.
    """

    name: ClassVar[str] = "fitted_sap"

    def __init__(self, charges: Mapping[int, tuple[Array, Array]] | None = None) -> None:
        """Takes exponents (Bohr⁻²) and charges (e) of each atomic number."""
        self.exponents = {z: a for z, (a, _) in (charges or {}).items()}
        self.charges = {z: q for z, (_, q) in (charges or {}).items()}

    def screening_charges(self, symbol: str, n_electrons: int) -> tuple[Array, Array]:
        """Exponents and charges of an element.

        Raises:
            HampredError: The fit has not seen the element.
        """
        number = atomic_numbers[symbol]
        if number not in self.charges:
            known = " ".join(chemical_symbols[z] for z in self.charges) or "none"
            raise HampredError(
                f"The baseline {self.name} was fitted without {symbol} (its elements: {known}): "
                "train on data that holds it, or choose the baseline sap."
            )
        return self.exponents[number], self.charges[number]

    def fit(self, samples: Iterable[Any]) -> None:
        """Fits the charges to labels: least squares of the mean squared error of each molecule.

        Args:
            samples: Labels; of a long sequence, a random `SAMPLES_PER_ELEMENT` for each element are read.

        Raises:
            HampredError: There is no label.
        """
        nuclei: dict[int, int] = {}  # atomic number → charge, less the core that a potential replaces
        normal, right = np.zeros((0, 0)), np.zeros(0)
        for sample in _chosen(samples):
            mole = build_mole(sample.atoms, sample.level.basis, sample.charge, sample.spin)
            for atom, z in enumerate(_numbers(mole)):
                nuclei.setdefault(z, int(mole.atom_charge(atom)))
            n_new = sum(len(exponents_of(charge)) for charge in nuclei.values()) - len(right)
            normal, right = np.pad(normal, (0, n_new)), np.pad(right, (0, n_new))
            features, target = _equations(mole, sample.hamiltonian.to_dense(), nuclei)
            normal += features @ features.T
            right += features @ target
        if not nuclei:
            raise HampredError(f"There is no label to fit the baseline {self.name} to: generate some first.")
        normal += RIDGE * np.trace(normal) / len(right) * np.eye(len(right))
        exponents = [exponents_of(charge) for charge in nuclei.values()]
        charges = _constrained(normal, right, exponents, list(nuclei.values()))
        self.exponents = dict(sorted(zip(nuclei, exponents)))
        self.charges = dict(sorted(zip(nuclei, charges)))

    def state(self) -> dict[str, Any]:
        """Name, exponents and charges."""
        tables = {"exponents": self.exponents, "charges": self.charges}
        return {
            "name": self.name,
            **{key: {chemical_symbols[z]: x.tolist() for z, x in table.items()} for key, table in tables.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        exponents, charges = (_table(state[key]) for key in ("exponents", "charges"))
        if exponents.keys() != charges.keys():
            raise ValueError("exponents and charges of different elements")
        for z, a in exponents.items():
            if a.ndim != 1 or a.shape != charges[z].shape or not (np.isfinite(charges[z]).all() and (a > 0).all()):
                raise ValueError("positive exponents and as many finite charges are needed for each element")
        return cls({z: (exponents[z], charges[z]) for z in exponents})


def _table(table: Any) -> dict[int, Array]:
    """Numbers of each element from plain JSON types."""
    if not isinstance(table, Mapping):
        raise TypeError("no table of elements")
    return {atomic_numbers[symbol]: np.array(x, dtype=np.float64) for symbol, x in table.items()}


def _equations(mole: Any, hamiltonian: Array, nuclei: Mapping[int, int]) -> tuple[Array, Array]:
    """Features [n_charges, n_pairs] and target [n_pairs]; squares sum to the mean squared error of a molecule."""
    lower = np.tril_indices(mole.nao)
    weights = np.where(lower[0] == lower[1], 1.0, np.sqrt(2.0)) / mole.nao  # i ≠ j stands for two matrix elements
    parts = {z: np.zeros((len(exponents_of(charge)), len(weights))) for z, charge in nuclei.items()}
    with threads_for(mole):
        target = (hamiltonian - Core().hamiltonian(mole))[lower]
        for atom, z in enumerate(_numbers(mole)):
            exponents = exponents_of(nuclei[z])
            centres = np.repeat(mole.atom_coord(atom)[None], len(exponents), axis=0)
            each = SphericalGaussians(centres, list(exponents[:, None]), list((exponents[:, None] / np.pi) ** 1.5))
            parts[z] += np.concatenate(list(each.integrals(mole, CHARGE)), axis=1).T
    return np.concatenate(list(parts.values())) * weights, target * weights


def _constrained(normal: Array, right: Array, exponents: Sequence[Array], nuclei: Sequence[int]) -> list[Array]:
    """Charges of each element: minimum of the normal equations where they add up to the charge of the nucleus."""
    lengths = [len(a) for a in exponents]
    sums = np.repeat(np.eye(len(lengths)), lengths, axis=1)
    matrix = np.block([[normal, sums.T], [sums, np.zeros((len(lengths), len(lengths)))]])
    solution = np.linalg.solve(matrix, np.concatenate([right, nuclei]))[: len(right)]
    return np.split(np.asarray(solution, dtype=np.float64), np.cumsum(lengths)[:-1])


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

"""Least squares for the atomic operators of `hampred.baseline.projectors`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.baseline.atomic_operator import (
    AtomicOperator,
    Shell,
    add_half_anticommutator,
    crowding,
    orbital_values,
    projector_shells,
    surroundings,
)
from hampred.blocks.matrix import BlockMatrix
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

RIDGE = 1e-6
"""Tikhonov term relative to the diagonal of the normal equations."""

STEADY = 2e-4
"""The same for slopes, at least, relative to the diagonal of their constants, over n² where n labels hold the element:
pairs of labels tell a slope, and a few labels of like surroundings would make it as steep as they please."""

DEPENDENT = 1e-4
"""Added to the diagonal of S before it is inverted: diffuse orbitals can be as good as linearly dependent."""


@dataclass(frozen=True)
class _Terms:
    """Unknowns of an element: w of each two projectors of one l, y and t of each shell of orbitals, and their slopes.

    Attributes:
        shells: Projectors.
        n_orbital_shells: Shells of orbitals.
        crowding: Mean over the labels.
        first: Place of the first unknown in the vector of all.
    """

    shells: tuple[Shell, ...]
    n_orbital_shells: int
    crowding: float
    first: int

    @cached_property
    def couplings(self) -> list[tuple[int, int]]:
        """Each two projectors of one l, or one with itself."""
        degree = [l for l, _ in self.shells]
        return [(a, b) for a in range(len(degree)) for b in range(a + 1) if degree[a] == degree[b]]

    @property
    def count(self) -> int:
        """Unknowns, their slopes not counted."""
        return len(self.couplings) + 2 * self.n_orbital_shells

    @property
    def end(self) -> int:
        """Place after the last slope."""
        return self.first + 2 * self.count

    def operator(self, solution: Array) -> AtomicOperator:
        """The operator that a vector of all unknowns describes."""
        w, y, t = np.split(
            solution[self.first : self.end].reshape(2, -1), [len(self.couplings), -self.n_orbital_shells], axis=1
        )
        strengths = np.zeros((2, len(self.shells), len(self.shells)))
        for k, (a, b) in enumerate(self.couplings):
            strengths[:, a, b] = strengths[:, b, a] = w[:, k]
        return AtomicOperator(self.shells, strengths, y.copy(), t.copy(), self.crowding)


def fitted_operators(samples: Sequence[Any], reach: float) -> dict[int, AtomicOperator]:
    """The operators of all elements that occur.

    Args:
        samples: Labels.
        reach: Å, beyond which orbitals feel no projector.
    """
    terms = _unknowns(samples, reach)
    n = max(term.end for term in terms.values())
    normal, right, n_labels = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    for sample in samples:
        integrals = Integrals(sample.atoms, sample.level.basis, sample.charge, sample.spin)
        for place, features, target in _equations(integrals, sample, terms, reach):
            normal[np.ix_(place, place)] += features @ features.T
            right[place] += features @ target
        n_labels[place] += 1
    diagonal, ridge = np.maximum(np.diag(normal), 1e-30), np.full(n, RIDGE)
    for term in terms.values():
        fixed, slopes = (slice(first, first + term.count) for first in (term.first, term.first + term.count))
        prior = STEADY / n_labels[fixed] ** 2 * diagonal[fixed]
        ridge[slopes] = np.maximum(RIDGE, prior / diagonal[slopes])
    scale = 1 / np.sqrt(diagonal)
    damped = normal * scale * scale[:, None] + np.diag(ridge)
    solution = scale * np.linalg.solve(damped, scale * right)
    return {z: term.operator(solution) for z, term in terms.items()}


def _unknowns(samples: Sequence[Any], reach: float) -> dict[int, _Terms]:
    """The unknowns of each element that occurs."""
    found: dict[int, list[float]] = {}
    for sample in samples:
        for z, n in zip(sample.atoms.numbers.tolist(), crowding(sample.atoms, reach)):
            found.setdefault(z, []).append(float(n))
    terms: dict[int, _Terms] = {}
    first = 0
    for z, numbers in found.items():
        atom = Integrals(Atoms([z]), samples[0].level.basis)
        basis = atom.layout.basis
        shells = projector_shells(atom.n_electrons, atom.shells[z])
        terms[z] = _Terms(shells, len(basis.shells(z)), float(np.mean(numbers)), first)
        first = terms[z].end
    return terms


def _equations(
    integrals: Integrals, sample: Any, terms: Mapping[int, _Terms], reach: float
) -> Iterator[tuple[IntArray, Array, Array]]:
    """Places of the unknowns [m], their features [m, n_values] and the target [n_values] of a label, in each basis.

    Squares of the difference sum to the mean square of a row, in the atomic orbitals and, of molecules, in orthonormal
    ones.
    """
    s, t, layout = integrals.overlap, integrals.kinetic, integrals.layout
    powers = (0, 1) if sample.atoms.pbc.any() else (0,)  # in molecules slopes make ghost states of unseen surroundings
    numbers = sample.atoms.numbers.tolist()
    slopes = [n - terms[z].crowding for z, n in zip(numbers, crowding(sample.atoms, reach))]
    nothing = {z: np.zeros(terms[z].n_orbital_shells) for z in numbers}
    features = {z: np.zeros((2, terms[z].count, len(s.values))) for z in set(numbers)}
    for z in features:
        first, m = len(terms[z].couplings), terms[z].n_orbital_shells
        for k, unit in enumerate(np.eye(m)):
            for power in powers:
                own = [unit * n**power if x == z else nothing[x] for x, n in zip(numbers, slopes)]
                here = orbital_values(layout, own)
                for matrix, row in ((s, first + k), (t, first + m + k)):
                    add_half_anticommutator(features[z][power, row], matrix, here)
    for here in surroundings(integrals, {z: term.shells for z, term in terms.items()}, s, reach):
        term, mine = terms[here.number], features[here.number]
        x = np.split(here.overlaps, np.cumsum([2 * l + 1 for l, _ in term.shells])[:-1])
        for row, (a, b) in enumerate(term.couplings):
            product = x[a].T @ x[b]
            product = product if a == b else product + product.T
            for power in powers:
                here.add_to(mine[power, row], slopes[here.atom] ** power * product)
    place = np.concatenate([np.arange(terms[z].first, terms[z].end) for z in features])
    target = sample.hamiltonian.on_pairs_of(s).values - t.values
    if integrals.electric_field.any():  # which is no part of what an atom does
        target = target - integrals.field_potential.values
    rows = np.concatenate([f.reshape(-1, len(s.values)) for f in features.values()])
    if not sample.atoms.pbc.any():
        yield place, _orthogonalised(rows, s), _orthogonalised(target[None], s)[0]
    yield place, *_weighted(rows, target, s, sample)


def _orthogonalised(matrices: Array, s: BlockMatrix) -> Array:
    """Elements of symmetric matrices [m, n_values] in an orthonormal basis, weighted [m, n (n + 1) / 2], n orbitals.

    Squares sum to the mean square of a row, which does not fall with the size of a molecule as that of an element does:
    small molecules would have the say. In such a basis an error is as large as the orbitals feel it: one that
    is not shaped like the overlap is blown up by S⁻¹, and can become a state that is not there.
    """
    n = s.layout.n_orbitals
    inverse = np.linalg.inv(np.linalg.cholesky(s.to_dense() + DEPENDENT * np.eye(n)))
    upper = np.triu_indices(n)
    weights = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0)) / np.sqrt(n)
    found = np.empty((len(matrices), len(weights)))
    for k, values in enumerate(matrices):
        found[k] = (inverse @ s.with_values(values).to_dense() @ inverse.T)[upper] * weights
    return found


def _weighted(features: Array, target: Array, s: BlockMatrix, sample: Any) -> tuple[Array, Array]:
    """Features and target with weights, of the pairs (i, j, R) and (j, i, −R) only one."""
    half = s.once
    weights = np.where(s.onsite, 1.0, np.sqrt(2.0))[s.pair_of_value] / np.sqrt(s.layout.n_orbitals)
    kept = half[s.pair_of_value]
    weights = weights[kept]
    features, target, unity = features[:, kept], target[kept] * weights, s.values[kept] * weights
    features *= weights  # in place: this is the largest array of a fit
    if sample.atoms.pbc.any():  # H is known up to μS
        unity /= np.linalg.norm(unity)
        features -= np.outer(features @ unity, unity)
        target -= (target @ unity) * unity
    return features, target

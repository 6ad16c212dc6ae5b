"""Atoms as separable operators of short range, fitted to the labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from hampred.baseline.atomic_operator import (
    AtomicOperator,
    add_half_anticommutator,
    crowding,
    orbital_values,
    surroundings,
)
from hampred.baseline.projector_fit import fitted_operators
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals

REACH, REACH_IN_CRYSTALS = 5.0, 6.5
"""Å; orbitals of atoms farther away do not feel a projector. The valence orbitals of pseudopotentials are softer."""

MOST = 100.0
"""Å; no sensible reach is longer."""

ATOMS_PER_ELEMENT = 150
"""Labels are read for the fit until they hold so many atoms of each element; dozens of unknowns need no more."""


class Projectors:
    """H0 = T + ½ (y S + S y) + ½ (t T + T t) + Σ_A |χ_A⟩ w ⟨χ_A|, with y, t and w of each element from least squares.

    y shifts the shells of an atom, t scales their kinetic energy, and w is what an atom does to all orbitals around it:
    a pseudopotential in separable form (Kleinman and Bylander, Phys. Rev. Lett. 48, 1425 (1982)), here with Gaussians
    for projectors χ. In crystals all three depend linearly on how crowded the atom is, as strain changes its charge; of
    molecules, whose surroundings differ more from label to label, slopes would make states that are not there.
    Two-centre integrals are all that it takes. A smooth envelope ends the projectors at `reach`, another one what two
    orbitals feel of them where their overlap ends, so that H0 is local: of linear cost, and the same for every cell of
    a crystal.

    Attributes:
        operators: Of each element that the fit has seen.
        reach: Å; orbitals of atoms farther away do not feel a projector.
    """

    name: ClassVar[str] = "projectors"
    grid_free: ClassVar[bool] = True
    local: ClassVar[bool] = True
    screened: ClassVar[bool] = True

    def __init__(self, operators: Mapping[int, AtomicOperator] | None = None, reach: float = REACH) -> None:
        """Takes the operator of each atomic number, and the reach of all of them (Å)."""
        self.operators, self.reach = dict(sorted((operators or {}).items())), reach

    @classmethod
    def from_level(cls, level: Any) -> Self:
        """Without operators, before the fit."""
        return cls(reach=REACH if getattr(level, "crystal", None) is None else REACH_IN_CRYSTALS)

    def blocks(self, integrals: Integrals) -> BlockMatrix:
        """H0 on the pairs of the overlap, Hartree.

        Raises:
            HampredError: The fit has not seen an element.
        """
        return integrals.completed(self.half_blocks(integrals))

    def half_blocks(self, integrals: Integrals) -> BlockMatrix:
        """Half of H0, on the pairs of half of the overlap, Hartree.

        Raises:
            HampredError: The fit has not seen an element.
        """
        for z in np.unique(integrals.atoms.numbers):
            self._require_known(int(z))
        s, t = integrals.half_overlap, integrals.half_kinetic
        operators = [self.operators[int(z)] for z in integrals.atoms.numbers]
        weights = [o.weights(n) for o, n in zip(operators, crowding(integrals.atoms, self.reach))]
        shifts = orbital_values(integrals.layout, [c @ o.shifts for c, o in zip(weights, operators)])
        scales = orbital_values(integrals.layout, [c @ o.scales for c, o in zip(weights, operators)])
        values = t.values  # computed for this H0 alone, and large: H0 takes its place
        add_half_anticommutator(values, t, scales)
        add_half_anticommutator(values, s, shifts)
        shells = {z: operator.shells for z, operator in self.operators.items()}
        for here in surroundings(integrals, shells, s, self.reach):
            w = np.tensordot(weights[here.atom], operators[here.atom].matrices, 1)
            here.add_to(values, here.overlaps.T @ w @ here.overlaps)
        return s.with_values(values)

    def _require_known(self, number: int) -> None:
        if number not in self.operators:
            known = " ".join(chemical_symbols[z] for z in self.operators) or "none"
            raise HampredError(
                f"The baseline {self.name} was fitted without {chemical_symbols[number]} (its elements: {known}): "
                "train on data that holds it, or choose the baseline sap or minao."
            )

    def fit(self, samples: Iterable[Any]) -> None:
        """Fits y, t and w to labels: least squares of the mean squared row of the error of each structure.

        H of a crystal is known up to μS; a number μ of each crystal is fitted along.

        Args:
            samples: Labels; of a long sequence, a random part with `ATOMS_PER_ELEMENT` atoms of each element.

        Raises:
            HampredError: There is no label.
        """
        chosen = list(_chosen(samples))
        if not chosen:
            raise HampredError(f"There is no label to fit the baseline {self.name} to: generate some first.")
        self.operators = fitted_operators(chosen, self.reach)

    def state(self) -> dict[str, Any]:
        """Name and the operator of each element."""
        return {
            "name": self.name,
            "reach": self.reach,
            "operators": {chemical_symbols[z]: operator.to_dict() for z, operator in self.operators.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        if not isinstance(state["operators"], Mapping):
            raise TypeError("no table of elements")
        reach = float(state["reach"])
        if not 0 < reach < MOST:
            raise ValueError(f"a reach of {reach} Å")
        operators = {atomic_numbers[symbol]: AtomicOperator.from_dict(x) for symbol, x in state["operators"].items()}
        return cls(operators, reach)


def _chosen(samples: Iterable[Any]) -> Iterator[Any]:
    """The labels for the fit: in random but reproducible order, until every element has been seen often enough."""
    seen: Counter[int] = Counter()
    for sample in _shuffled(samples):
        numbers = sample.atoms.numbers.tolist()
        if all(seen[z] >= ATOMS_PER_ELEMENT for z in sample.basis.elements):
            return
        if any(seen[z] < ATOMS_PER_ELEMENT for z in numbers):
            seen.update(numbers)
            yield sample


def _shuffled(samples: Iterable[Any]) -> Iterator[Any]:
    """A sequence in random order, anything else as it comes."""
    if not hasattr(samples, "__getitem__"):
        yield from samples
        return
    for index in np.random.default_rng(0).permutation(len(samples)):
        yield samples[int(index)]

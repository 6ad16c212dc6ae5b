"""Atomic operators as a fit might find them."""

import numpy as np
from ase import Atoms

from hampred.baseline.atomic_operator import AtomicOperator, projector_shells
from hampred.interop.integrals import Integrals


def random_operator(number: int, basis_name: str = "def2-svp", strength: float = 1.0) -> AtomicOperator:
    """A random operator of an element that has the right shells."""
    generator = np.random.default_rng(number)
    integrals = Integrals(Atoms([number]), basis_name)
    basis = integrals.layout.basis
    shells = projector_shells(number - basis.elements[number].n_core, integrals.shells[number])
    degree = np.array([l for l, _ in shells])
    strengths = strength * generator.normal(size=(2, len(shells), len(shells))) * (degree[:, None] == degree)
    y, t = 0.1 * strength * generator.normal(size=(2, 2, len(basis.shells(number))))
    return AtomicOperator(shells, strengths + strengths.swapaxes(1, 2), y, t, 1.0)

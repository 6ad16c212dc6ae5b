"""Untrained: a network with random weights that tells which atoms are alike, before there are labels."""

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import ElementBasis, OrbitalBasis
from hampred.data.graph import build_graph
from hampred.nn.conditions import CONDITIONS
from hampred.nn.models import build_net

Array = NDArray[np.float64]

SURROUNDINGS = {
    "cutoff": 6.0,
    "pair_cutoff": 6.0,
    "lmax": 3,
    "natural": 24,
    "unnatural": 8,
    "hidden": 32,
    "inputs": [],
    "forms": ["covariant"],
    "conditions": list(CONDITIONS),
}
"""Network that describes atoms before there are labels: by the geometry of their surroundings (Å), charge and field."""

D_BLOCK = (range(21, 31), range(39, 49), range(72, 81), range(104, 113))
F_BLOCK = (range(57, 72), range(89, 104))
"""Atomic numbers of elements with d and with f electrons in their valence."""


class Untrained:
    """A network with random weights, the same ones for all pools, that describes the surroundings of atoms.

    Its invariants are smooth functions of these: where atoms are alike, they are too.
    """

    def __init__(self) -> None:
        """Draws the weights; of the orbitals that networks are made for, every element has one s orbital."""
        basis = OrbitalBasis("surroundings", {z: ElementBasis((0,), "") for z in range(1, len(chemical_symbols))})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self._net = build_net("bond_frame", basis, SURROUNDINGS).eval()

    def invariants(self, atoms: Atoms, charge: int, spin: int, field: Array) -> Array:
        """What the last layer tells of each atom [n_atoms, d]; no rotation changes it.

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e).
            spin: Unpaired electrons.
            field: Electric field, V/Å [3].
        """
        graph, _ = build_graph(atoms, self._net.decomposer, self._net.cutoff, self._net.pair_cutoff)
        with torch.inference_mode():
            *_, last = self._net.hidden_layers(graph.under(charge, spin, field))
            return last.invariants().numpy()


def valence_orbitals(number: int) -> float:
    """Orbitals in the valence of an element: about in proportion to its rows of H in any basis set."""
    if any(number in block for block in F_BLOCK):
        return 16.0
    if any(number in block for block in D_BLOCK):
        return 9.0
    return 1.0 if number <= 2 else 4.0

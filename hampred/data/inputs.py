"""Matrices that a network is given beside the geometry: what is known of the orbitals before any prediction.

All of them transform like H, so that their blocks are equivariant features of atoms and pairs. The density carries what
no distance tells: charges, bond orders and conjugation of the baseline's orbitals (Qiao et al., OrbNet, 2020).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hampred.blocks.matrix import BlockMatrix
from hampred.electronic.eigen import solve
from hampred.electronic.orbitals import fermi_occupations

Array = NDArray[np.float64]

TEMPERATURE = 0.02
"""k_B T of the density's occupations, Hartree: keeps it a smooth and symmetric function where orbitals come close."""


def input_values(names: Sequence[str], skeleton: BlockMatrix, h0: Array, s: Array, n_electrons: int) -> Tensor:
    """Elements of the input matrices of one molecule.

    Args:
        names: Of `INPUTS`.
        skeleton: Blocks of the graph.
        h0: Baseline H0 [n, n], Hartree.
        s: Overlap S [n, n].
        n_electrons: Electrons in the orbitals.

    Returns:
        [n_values, n_inputs], float64, in the order of the skeleton's values.
    """
    matrices = [INPUTS[name](h0, s, n_electrons) for name in names]
    values = np.stack([m[skeleton.rows, skeleton.columns] for m in matrices], axis=1)
    return torch.from_numpy(values)


def _overlap(h0: Array, s: Array, n_electrons: int) -> Array:
    return s


def _baseline(h0: Array, s: Array, n_electrons: int) -> Array:
    return h0


def _density(h0: Array, s: Array, n_electrons: int) -> Array:
    """S D S, the density matrix of H0 with its indices lowered: it transforms, and decays, like H."""
    energies, orbitals = solve(h0, s)
    dual = s @ orbitals
    return (dual * fermi_occupations(energies, n_electrons, TEMPERATURE)) @ dual.T


INPUTS = {"overlap": _overlap, "baseline": _baseline, "density": _density}
"""The input matrices by name: S, H0 (Hartree), and S D S of H0."""

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
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]

TEMPERATURE = 0.02
"""k_B T of the density's occupations, Hartree: keeps it a smooth and symmetric function where orbitals come close."""


def input_values(names: Sequence[str], skeleton: BlockMatrix, h0: BlockMatrix, integrals: Integrals) -> Tensor:
    """Elements of the input matrices of one structure.

    Args:
        names: Of `INPUTS`.
        skeleton: Blocks of the graph.
        h0: Baseline H0, Hartree.
        integrals: Of the structure; gives S and the number of electrons.

    Returns:
        [n_values, n_inputs], float64, in the order of the skeleton's values.

    Raises:
        HampredError: The density of a crystal is asked for.
    """
    return torch.from_numpy(np.stack([INPUTS[name](skeleton, h0, integrals) for name in names], axis=1))


def _overlap(skeleton: BlockMatrix, h0: BlockMatrix, integrals: Integrals) -> Array:
    return integrals.overlap.on_pairs_of(skeleton).values


def _baseline(skeleton: BlockMatrix, h0: BlockMatrix, integrals: Integrals) -> Array:
    return h0.on_pairs_of(skeleton).values


def _density(skeleton: BlockMatrix, h0: BlockMatrix, integrals: Integrals) -> Array:
    """S D S, the density matrix of H0 with its indices lowered: it transforms, and decays, like H."""
    if integrals.atoms.pbc.any():
        raise HampredError("The density is an input for molecules only: set net.inputs to [overlap, baseline].")
    s = integrals.overlap.to_dense()
    energies, orbitals = solve(h0.to_dense(), s)
    dual = s @ orbitals
    density = (dual * fermi_occupations(energies, integrals.n_electrons, TEMPERATURE)) @ dual.T
    return density[skeleton.rows, skeleton.columns]


def _spin_density(skeleton: BlockMatrix, h0: BlockMatrix, integrals: Integrals) -> Array:
    """S (D_α − D_β) S of the orbitals of H0, where unpaired electrons sit; zero of a closed shell."""
    if not integrals.spin:
        return np.zeros(skeleton.starts[-1])
    s = integrals.overlap.to_dense()
    energies, orbitals = solve(h0.to_dense(), s)
    doubled = (integrals.n_electrons + integrals.spin, integrals.n_electrons - integrals.spin)
    alpha, beta = (0.5 * fermi_occupations(energies, n, TEMPERATURE) if n else 0.0 for n in doubled)
    dual = s @ orbitals
    return ((dual * (alpha - beta)) @ dual.T)[skeleton.rows, skeleton.columns]


INPUTS = {"overlap": _overlap, "baseline": _baseline, "density": _density, "spin_density": _spin_density}
"""The input matrices by name: S, H0 (Hartree), S D S of H0, and S (D_α − D_β) S."""

LOCAL = ("overlap", "baseline")
"""Those that know nothing of far atoms: crystals and large molecules have no others."""

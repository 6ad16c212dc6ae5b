"""HamiltonianGraph: a batch of structures as a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from hampred.blocks.decomposer import BlockDecomposer
from hampred.blocks.matrix import BlockMatrix
from hampred.data.neighbors import neighbor_pairs

# what the entries of an integer field count, and so what is added to them when systems are joined
_POINTS_TO = {"pairs": "atoms", "reverse": "pairs", "edges": "pairs", "system_index": "systems"}


@dataclass(frozen=True, eq=False)
class HamiltonianGraph:
    """A batch of systems.

    Every atom has an onsite block, every pair an offsite block; messages run along the edges, which are the shorter
    pairs. Blocks are padded to the N slots of a `BlockDecomposer`; the value lists say which elements of the padded
    blocks are matrix elements, in the order of `BlockMatrix` (first the onsite blocks, then the pairs).

    Attributes:
        numbers: Atomic numbers [n_atoms].
        system_index: System of each atom [n_atoms].
        pairs: Atoms i, j of each block [n_pairs, 2].
        vectors: r_j + R·cell − r_i [n_pairs, 3], Å, float64.
        reverse: Pair (j, i, −R) of each pair [n_pairs].
        edges: Pairs that carry messages [n_edges].
        onsite_values: Element of the padded onsite blocks [n_atoms · N²] behind each onsite matrix element.
        offsite_values: Element of the padded offsite blocks [n_pairs · N²] behind each offsite matrix element.
        counts: Atoms, pairs, onsite values and offsite values of each system [n_systems, 4].
    """

    numbers: Tensor
    system_index: Tensor
    pairs: Tensor
    vectors: Tensor
    reverse: Tensor
    edges: Tensor
    onsite_values: Tensor
    offsite_values: Tensor
    counts: Tensor

    @property
    def n_systems(self) -> int:
        """Number of systems in the batch."""
        return len(self.counts)

    def to(self, device: torch.device | str) -> "HamiltonianGraph":
        """The graph on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @staticmethod
    def batch(graphs: Sequence["HamiltonianGraph"], n_slots: int) -> "HamiltonianGraph":
        """Joins graphs of a decomposer with `n_slots` slots into one without edges between them."""
        totals = torch.cat([graph.counts.sum(0, keepdim=True) for graph in graphs])
        before = torch.cumsum(totals, 0) - totals
        n_systems = torch.tensor([graph.n_systems for graph in graphs])
        shift = {
            "atoms": before[:, 0],
            "pairs": before[:, 1],
            "systems": torch.cumsum(n_systems, 0) - n_systems,
            "onsite": before[:, 0] * n_slots**2,
            "offsite": before[:, 1] * n_slots**2,
        }
        points_to = _POINTS_TO | {"onsite_values": "onsite", "offsite_values": "offsite"}
        joined = {}
        for f in fields(HamiltonianGraph):
            parts = [getattr(graph, f.name) for graph in graphs]
            if f.name in points_to:
                parts = [part + int(first) for part, first in zip(parts, shift[points_to[f.name]])]
            joined[f.name] = torch.cat(parts)
        return HamiltonianGraph(**joined)


def build_graph(
    atoms: Atoms, decomposer: BlockDecomposer, cutoff: float, pair_cutoff: float
) -> tuple[HamiltonianGraph, BlockMatrix]:
    """Graph of one structure, and the empty block matrix that its values fill.

    Args:
        atoms: Structure, positions in Å.
        decomposer: Gives the slots of the orbitals.
        cutoff: Largest distance of a message, Å.
        pair_cutoff: Largest distance of a block, Å, at least `cutoff`.

    Raises:
        HampredError: An element is not in the decomposer's basis.
    """
    layout = decomposer.basis.layout(atoms.numbers)
    pairs, shifts, vectors = neighbor_pairs(atoms, pair_cutoff)
    n = layout.n_atoms
    onsite = np.repeat(np.arange(n)[:, None], 2, axis=1)
    matrix = BlockMatrix(
        layout, np.concatenate([onsite, pairs]), np.concatenate([np.zeros((n, 3), dtype=np.int64), shifts]), np.empty(0)
    )
    row, column = matrix.local_indices
    atom_i, atom_j = matrix.pairs[matrix.pair_of_value].T
    slots, size = decomposer.slots.numpy(), decomposer.n_slots
    numbers = layout.numbers
    padded = matrix.pair_of_value * size**2 + slots[numbers[atom_i], row] * size + slots[numbers[atom_j], column]
    n_onsite = int(matrix.starts[n])
    graph = HamiltonianGraph(
        numbers=torch.from_numpy(numbers),
        system_index=torch.zeros(n, dtype=torch.int64),
        pairs=torch.from_numpy(pairs),
        vectors=torch.from_numpy(vectors),
        reverse=torch.from_numpy(matrix.reverse[n:] - n),
        edges=torch.from_numpy(np.flatnonzero(np.linalg.norm(vectors, axis=1) < cutoff)),
        onsite_values=torch.from_numpy(padded[:n_onsite]),
        offsite_values=torch.from_numpy(padded[n_onsite:] - n * size**2),
        counts=torch.tensor([[n, len(pairs), n_onsite, len(padded) - n_onsite]]),
    )
    return graph, matrix

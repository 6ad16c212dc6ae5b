"""HamiltonianGraph: a batch of structures as a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from hampred.basis import BasisLayout
from hampred.blocks.decomposer import BlockDecomposer
from hampred.blocks.matrix import BlockMatrix
from hampred.interop.neighbors import neighbor_pairs

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

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
        onsite_inputs: Elements of the matrices that the network is given [n_onsite_values, n_inputs], float64; see
            `hampred.data.inputs`.
        offsite_inputs: The same for the pairs [n_offsite_values, n_inputs].
        onsite_places: Row and column of each onsite value in the matrix of its system [n_onsite_values, 2].
        offsite_places: The same for the pairs [n_offsite_values, 2].
        counts: Atoms, pairs, onsite values, offsite values and orbitals of each system [n_systems, 5].
        charge: Total charge of each system [n_systems], e, float64.
        spin: Unpaired electrons of each system [n_systems], float64.
        electric_field: Of each system [n_systems, 3], V/Å, float64.
    """

    numbers: Tensor
    system_index: Tensor
    pairs: Tensor
    vectors: Tensor
    reverse: Tensor
    edges: Tensor
    onsite_values: Tensor
    offsite_values: Tensor
    onsite_inputs: Tensor
    offsite_inputs: Tensor
    onsite_places: Tensor
    offsite_places: Tensor
    counts: Tensor
    charge: Tensor
    spin: Tensor
    electric_field: Tensor

    @property
    def n_systems(self) -> int:
        """Number of systems in the batch."""
        return len(self.counts)

    @property
    def dense_size(self) -> int:
        """Orbitals of the largest system, to which `dense` pads."""
        return int(self.counts[:, 4].max())

    @cached_property
    def system_of_values(self) -> tuple[Tensor, Tensor]:
        """System of each onsite and each offsite value."""
        systems = torch.arange(self.n_systems, device=self.counts.device)
        return torch.repeat_interleave(systems, self.counts[:, 2]), torch.repeat_interleave(systems, self.counts[:, 3])

    @cached_property
    def dense_index(self) -> tuple[Tensor, Tensor]:
        """Element of the padded matrices of all systems behind each onsite and each offsite value."""
        size, places = self.dense_size, (self.onsite_places, self.offsite_places)
        first, second = (
            (system * size + place[:, 0]) * size + place[:, 1] for system, place in zip(self.system_of_values, places)
        )
        return first, second

    def dense(self, onsite: Tensor, offsite: Tensor) -> Tensor:
        """Matrices of all systems, which are molecules [n_systems, n, n], zero-padded, from elements in their order."""
        size = self.dense_size
        flat = onsite.new_zeros(self.n_systems * size * size).index_copy(0, self.dense_index[0], onsite)
        return flat.index_copy(0, self.dense_index[1], offsite).reshape(-1, size, size)

    def values(self, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Onsite and offsite elements of the matrices of all systems [n_systems, n, n]; the inverse of `dense`."""
        onsite, offsite = (dense.flatten()[index] for index in self.dense_index)
        return onsite, offsite

    def to(self, device: torch.device | str) -> "HamiltonianGraph":
        """The graph on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def with_inputs(self, values: Tensor) -> "HamiltonianGraph":
        """The graph of one system with the elements [n_values, n_inputs] of the matrices that the network is given."""
        n_onsite = len(self.onsite_values)
        return replace(self, onsite_inputs=values[:n_onsite], offsite_inputs=values[n_onsite:])

    def under(self, charge: int, spin: int, electric_field: Array) -> "HamiltonianGraph":
        """The graph of one system with a total charge (e), unpaired electrons and an electric field [3] (V/Å)."""
        charges, spins = torch.tensor([[charge], [spin]], dtype=torch.float64)
        return replace(self, charge=charges, spin=spins, electric_field=torch.from_numpy(electric_field)[None])

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
    return graph_of_pairs(layout, decomposer, cutoff, *neighbor_pairs(atoms, pair_cutoff))


def graph_of_pairs(
    layout: BasisLayout, decomposer: BlockDecomposer, cutoff: float, pairs: IntArray, shifts: IntArray, vectors: Array
) -> tuple[HamiltonianGraph, BlockMatrix]:
    """Graph of one structure with given pairs; see `build_graph`.

    Args:
        layout: Orbitals of each atom.
        decomposer: Gives the slots of the orbitals.
        cutoff: Largest distance of a message, Å.
        pairs: Atoms i, j [n_pairs, 2]; with each pair its reverse.
        shifts: Cell shift R of each [n_pairs, 3].
        vectors: r_j + R·cell − r_i of each [n_pairs, 3], Å.
    """
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
    places = torch.from_numpy(np.stack([matrix.rows, matrix.columns], axis=1, dtype=np.int64))
    graph = HamiltonianGraph(
        numbers=torch.from_numpy(numbers),
        system_index=torch.zeros(n, dtype=torch.int64),
        pairs=torch.from_numpy(pairs),
        vectors=torch.from_numpy(vectors),
        reverse=torch.from_numpy(matrix.reverse[n:] - n),
        edges=torch.from_numpy(np.flatnonzero(np.linalg.norm(vectors, axis=1) < cutoff)),
        onsite_values=torch.from_numpy(padded[:n_onsite]),
        offsite_values=torch.from_numpy(padded[n_onsite:] - n * size**2),
        onsite_inputs=torch.zeros(n_onsite, 0, dtype=torch.float64),
        offsite_inputs=torch.zeros(len(padded) - n_onsite, 0, dtype=torch.float64),
        onsite_places=places[:n_onsite],
        offsite_places=places[n_onsite:],
        counts=torch.tensor([[n, len(pairs), n_onsite, len(padded) - n_onsite, layout.n_orbitals]]),
        charge=torch.zeros(1, dtype=torch.float64),
        spin=torch.zeros(1, dtype=torch.float64),
        electric_field=torch.zeros(1, 3, dtype=torch.float64),
    )
    return graph, matrix

"""A network on a large molecule, portion by portion: bounded memory, linear time, the same numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from hampred.basis import BasisLayout
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, graph_of_pairs
from hampred.interop.integrals import Integrals
from hampred.interop.neighbors import neighbor_pairs, pair_keys
from hampred.nn.base import BlockCoefficients
from hampred.nn.features import Features
from hampred.nn.models.bond_frame import PORTION, BondFrameNet, Bonds
from hampred.nn.radial import envelope

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

CELL = 1.0
"""Å, to which portions are compact."""

KEPT = 2**31
"""Bytes of the geometry of bonds that are kept from one layer to the next; what is beyond is made again."""

ROWS = 512
"""Rows of a portion of a product of sparse matrices."""


@dataclass(frozen=True, eq=False)
class Portion:
    """Some pairs of a large molecule, each with its reverse, and their atoms.

    Attributes:
        atoms: Atoms of the molecule that the pairs join [n_atoms].
        graph: Their graph.
        skeleton: Their blocks in the molecule, without values.
    """

    atoms: IntArray
    graph: HamiltonianGraph
    skeleton: BlockMatrix


Located = tuple[Portion, Bonds, Bonds]
"""A portion, and its edges and pairs between atoms of the molecule."""


class LargeGraph:
    """The pairs of atoms of a large molecule, which it gives portion by portion.

    Attributes:
        layout: Orbitals of each atom.
        pairs: Atoms i, j [n_pairs, 2], sorted.
        vectors: r_j − r_i [n_pairs, 3], Å.
        skeleton: The blocks of these pairs and of each atom with itself, without values.
    """

    def __init__(self, integrals: Integrals, net: BondFrameNet, inputs: Sequence[BlockMatrix]) -> None:
        """Finds the pairs.

        Args:
            integrals: Of the molecule.
            net: Gives cutoffs and irreps.
            inputs: Halves of the matrices of `net.inputs`, on pairs as those of `Integrals.half_overlap`.
        """
        self.net, self.inputs, self.integrals = net, inputs, integrals
        self.layout: BasisLayout = net.basis.layout(integrals.atoms.numbers)
        self.pairs, shifts, self.vectors = neighbor_pairs(integrals.atoms, net.pair_cutoff)
        self.conditions = integrals.charge, integrals.spin, integrals.electric_field
        self._reverse = np.argsort(pair_keys(self.pairs[:, ::-1], shifts))
        atoms = np.arange(self.layout.n_atoms)
        blocks = np.concatenate([self.pairs, np.stack([atoms, atoms], axis=1)])
        shifts = np.zeros((len(blocks), 3), dtype=np.int64)
        self.skeleton = BlockMatrix(self.layout, blocks[np.argsort(pair_keys(blocks, shifts))], shifts, np.empty(0))

    def single_atoms(self) -> Iterator[Portion]:
        """All atoms, without pairs."""
        for atoms in _split(np.arange(self.layout.n_atoms), PORTION):
            yield self._portion(atoms, np.empty(0, dtype=np.int64))

    def near(self) -> list[IntArray]:
        """Pairs that carry messages, in portions, each with its reverse."""
        return self._portions(np.linalg.norm(self.vectors, axis=1) < self.net.cutoff)

    def far(self) -> list[IntArray]:
        """The other pairs, in portions."""
        return self._portions(np.linalg.norm(self.vectors, axis=1) >= self.net.cutoff)

    def _portions(self, some: NDArray[np.bool_]) -> list[IntArray]:
        half = np.flatnonzero(some & (self.pairs[:, 0] < self.pairs[:, 1]))
        middles = self.integrals.atoms.positions[self.pairs[half, 0]] + 0.5 * self.vectors[half]
        half = half[np.argsort(_places_on_curve(middles), kind="stable")]  # so that a portion has few atoms
        return [np.concatenate([part, self._reverse[part]]) for part in _split(half, PORTION // 2) if len(part)]

    def portion(self, which: IntArray) -> Portion:
        """Some pairs and their atoms."""
        return self._portion(np.unique(self.pairs[which]), which)

    def _portion(self, atoms: IntArray, which: IntArray) -> Portion:
        layout, net = self.layout.basis.layout(self.layout.numbers[atoms]), self.net
        pairs, shifts = np.searchsorted(atoms, self.pairs[which]), np.zeros((len(which), 3), dtype=np.int64)
        graph, own = graph_of_pairs(layout, net.decomposer, net.cutoff, pairs, shifts, self.vectors[which])
        skeleton = replace(own, layout=self.layout, pairs=atoms[own.pairs])
        values = [matrix.completed(skeleton).values for matrix in self.inputs]
        if values:
            graph = graph.with_inputs(torch.from_numpy(np.stack(values, axis=1)))
        return Portion(atoms, graph.under(*self.conditions), skeleton)


def _places_on_curve(points: Array) -> IntArray:
    """Where points [n, 3] (Å) stand on a curve whose stretches are compact (Morton 1966): bits of x, y, z in turn."""
    cells = ((points - points.min(axis=0, initial=np.inf)) / CELL).astype(np.int64)
    places = np.zeros(len(points), dtype=np.int64)
    for bit in range(int(cells.max(initial=0)).bit_length()):
        places |= ((cells >> bit & 1) << np.arange(3)).sum(axis=1) << 3 * bit
    return places


def _split(places: IntArray, most: int) -> list[IntArray]:
    """Parts of a list, at most so many of it each and of like length."""
    return np.array_split(places, max(-(-len(places) // most), 1))


class Shelf:
    """Rows of tensors, put one behind the other into few large blocks of memory, which go back to the system whole."""

    def __init__(self, n_rows: int, room: int) -> None:
        """Takes how many rows may come, and how many bytes there are for them."""
        self._n_rows, self._room, self._n_used = n_rows, room, 0
        self._columns: list[Tensor] = []

    @property
    def full(self) -> bool:
        """Whether rows have come for which there was no room."""
        return self._n_used > self._n_rows

    def put(self, parts: Sequence[Tensor]) -> list[Tensor] | None:
        """Copies tensors [n, …]; None if there is no room."""
        n = len(parts[0])
        if not self._columns:
            self._n_rows = min(self._n_rows, n * self._room // sum(part.nbytes for part in parts))
            self._columns = [part.new_empty(self._n_rows, *part.shape[1:]) for part in parts]
        first, self._n_used = self._n_used, self._n_used + n
        if self.full:
            return None
        for column, part in zip(self._columns, parts):
            column[first : self._n_used] = part
        return [column[first : self._n_used] for column in self._columns]


class Messages:
    """The bonds along which messages run, portion by portion and layer after layer; and the pairs of all blocks.

    What is known of their geometry is kept within `KEPT` bytes; what is beyond is found again each time.
    """

    def __init__(self, net: BondFrameNet, graph: LargeGraph) -> None:
        """Takes the network and the molecule."""
        self._net, self._graph, self._near = net, graph, graph.near()
        self._shelf = Shelf(sum(map(len, self._near)), KEPT)
        self._kept: list[tuple[Located, Tensor]] = []  # and the elements of the frames, which bonds come without

    def __iter__(self) -> Iterator[Bonds]:
        """The bonds of each portion that carry messages, between atoms of the molecule."""
        yield from (edges for _, edges, _ in self._near_ones())

    def pairs(self) -> Iterator[tuple[Portion, Bonds]]:
        """All blocks: portions, atoms alone among them, and their pairs, between atoms of the molecule."""
        others = chain(self._graph.single_atoms(), map(self._graph.portion, self._graph.far()))
        for portion, _, pairs in chain(map(self._located, others), self._near_ones()):
            yield portion, pairs

    def _near_ones(self) -> Iterator[Located]:
        for (portion, edges, pairs), elements in self._kept:
            frames = self._net.frames.unpacked(elements)
            yield portion, edges._replace(frames=frames), pairs._replace(frames=frames)
        for which in self._near[len(self._kept) :]:
            found = self._located(self._graph.portion(which))
            if not self._shelf.full:
                self._keep(*found)
            yield found

    def _keep(self, portion: Portion, edges: Bonds, pairs: Bonds) -> None:
        """Keeps a portion whose bonds are all near, if there is room; after the first without, there is none."""
        elements, none = self._net.frames.packed(pairs.frames), pairs.frames.of(torch.empty(0, dtype=torch.int64))
        if kept := self._shelf.put((elements, pairs.pairs, *pairs.radial, *pairs.inputs)):
            elements, ends, basis, first, second, *inputs = kept
            pairs = Bonds(ends, none, (basis, first, second), pairs.envelope, Features(*inputs))
            self._kept.append(((portion, pairs._replace(envelope=edges.envelope), pairs), elements))

    def _located(self, portion: Portion) -> Located:
        [(edges, pairs)] = self._net._bonds(portion.graph)
        ends = torch.from_numpy(portion.atoms)[portion.graph.pairs]
        return replace(portion, graph=_bare(portion.graph)), edges._replace(pairs=ends), pairs._replace(pairs=ends)


def _bare(graph: HamiltonianGraph) -> HamiltonianGraph:
    """A graph without what only bonds and whole matrices need."""
    nowhere = torch.empty(0, 2, dtype=torch.int64)
    return replace(graph.with_inputs(nowhere.double()), onsite_places=nowhere, offsite_places=nowhere)


@torch.inference_mode()
def correction_blocks(net: BondFrameNet, graph: LargeGraph) -> dict[str, BlockMatrix]:
    """What the network predicts of a large molecule.

    Returns:
        The blocks of each of `net.forms`, Hartree.
    """
    messages = Messages(net, graph)
    alone = Features(*map(torch.cat, zip(*(net._alone(portion.graph) for portion in graph.single_atoms()))))
    *_, x = net._features(alone, messages)
    onsite, ends = net._onsite(x), net._pair_ends(x)
    skeleton = graph.skeleton
    values = {name: np.empty(skeleton.starts[-1]) for name in net.forms}
    for portion, pairs in messages.pairs():
        places, found = _entries(net, portion, onsite, net._offsite(ends, pairs), skeleton)
        for name, column in zip(values, found):
            values[name][places] = column
    return {name: skeleton.with_values(of_form) for name, of_form in values.items()}


def corrected(
    net: BondFrameNet, graph: LargeGraph, h0: BlockMatrix, blocks: Mapping[str, BlockMatrix]
) -> tuple[csr_array, csr_array]:
    """H and S of a large molecule.

    Args:
        net: The network.
        graph: The molecule.
        h0: Half of H0, on the pairs of `Integrals.half_overlap`, Hartree; covariant blocks are added to it in place.
        blocks: Of `correction_blocks`; those between atoms without overlap are left out.

    Returns:
        H (Hartree) and S, sparse [n_orbitals, n_orbitals].
    """
    integrals = graph.integrals
    if "covariant" in blocks:
        h0.add(blocks["covariant"])
    h, s = integrals.to_sparse(h0, integrals.half_overlap)
    if set(net.forms) - {"covariant"}:
        fade = _fade(net, graph).to_sparse()
        overlap = fade.multiply(s).tocsr()
        for form, factors in (("mixed", (overlap,)), ("contravariant", (overlap, overlap))):
            if form in blocks:
                half = _product(blocks[form].to_sparse(), factors, 0.5 * fade)
                h = h + half + half.T
    return csr_array(h), s


def _fade(net: BondFrameNet, graph: LargeGraph) -> BlockMatrix:
    """A factor of each element that falls to 0 at the cutoff of the blocks."""
    x, skeleton = graph.integrals.atoms.positions, graph.skeleton
    distances = np.linalg.norm(x[skeleton.pairs[:, 1]] - x[skeleton.pairs[:, 0]], axis=1)
    factors = envelope(torch.from_numpy(distances), net.pair_cutoff, power=24.0).numpy()
    return skeleton.with_values(factors[skeleton.pair_of_value])


def _entries(
    net: BondFrameNet, portion: Portion, onsite: Sequence[Tensor], offsite: Sequence[Tensor], skeleton: BlockMatrix
) -> tuple[IntArray, list[Array]]:
    """Where the blocks of a portion stand in a matrix, and their values in each form, all [n_values].

    Args:
        net: The network.
        portion: Its n_atoms atoms and n_pairs pairs.
        onsite: Coefficients of all atoms of the molecule, in each form.
        offsite: Coefficients of the pairs of the portion [n_pairs, D], in each form.
        skeleton: The matrix.
    """
    atoms, own = torch.from_numpy(portion.atoms), portion.skeleton
    raw = [BlockCoefficients(on[atoms], off) for _, on, off in zip(net.forms, onsite, offsite)]
    scaled = net._scaled(portion.graph, raw)
    columns = [torch.cat(net._elements(portion.graph, form, c)) for form, c in zip(net.forms, scaled)]
    starts = skeleton.starts[skeleton.find(own.pairs, own.cell_shifts)] - own.starts[:-1]
    return starts[own.pair_of_value] + np.arange(own.starts[-1]), [column.double().numpy() for column in columns]


def _product(matrix: csr_array, factors: tuple[csr_array, ...], weights: csr_array) -> csr_array:
    """M S or S M S, for one or two factors S, where a matrix of weights is not zero, times the weights."""
    slabs = []
    for first in range(0, len(matrix.indptr) - 1, ROWS):
        rows = slice(first, first + ROWS)
        slab = matrix[rows] @ factors[0] if len(factors) == 1 else (factors[0][rows] @ matrix) @ factors[1]
        slabs.append(slab.multiply(weights[rows]).tocsr())
    return csr_array(vstack(slabs))

"""A network on a large molecule, portion by portion: bounded memory, linear time, the same numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack
from torch import Tensor

from hampred.basis import BasisLayout
from hampred.blocks.matrix import BlockMatrix, Places
from hampred.data.graph import HamiltonianGraph, graph_of_pairs
from hampred.interop.integrals import Integrals
from hampred.interop.neighbors import neighbor_pairs
from hampred.nn.features import Features
from hampred.nn.models.bond_frame import BondFrameNet, Bonds, Ends
from hampred.nn.radial import envelope

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

PAIRS = 512
"""Pairs of atoms, or atoms alone, in a portion: few enough for the caches of a processor."""

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


class LargeGraph:
    """The pairs of atoms of a large molecule, which it gives portion by portion.

    Attributes:
        layout: Orbitals of each atom.
        pairs: Atoms i, j [n_pairs, 2], sorted.
        vectors: r_j − r_i [n_pairs, 3], Å.
    """

    def __init__(self, integrals: Integrals, net: BondFrameNet, inputs: Sequence[BlockMatrix]) -> None:
        """Finds the pairs.

        Args:
            integrals: Of the molecule.
            net: Gives cutoffs and irreps.
            inputs: The matrices of `net.inputs`.
        """
        self.net, self.inputs = net, inputs
        self.layout: BasisLayout = net.basis.layout(integrals.atoms.numbers)
        self.pairs, _, self.vectors = neighbor_pairs(integrals.atoms, net.pair_cutoff)
        self.conditions = integrals.charge, integrals.spin, integrals.electric_field
        self._reverse = np.lexsort((self.pairs[:, 0], self.pairs[:, 1]))

    def single_atoms(self) -> Iterator[Portion]:
        """All atoms, without pairs."""
        for atoms in _split(np.arange(self.layout.n_atoms), PAIRS):
            yield self._portion(atoms, np.empty(0, dtype=np.int64))

    def portions(self, cutoff: float, first: int = 0) -> Iterator[Portion]:
        """All pairs closer than a cutoff (Å), from some portion on."""
        near = np.linalg.norm(self.vectors, axis=1) < cutoff
        half = np.flatnonzero(near & (self.pairs[:, 0] < self.pairs[:, 1]))
        for part in _split(half, PAIRS // 2)[first:]:
            both = np.concatenate([part, self._reverse[part]])
            yield self._portion(np.unique(self.pairs[both]), both)

    def _portion(self, atoms: IntArray, which: IntArray) -> Portion:
        layout, net = self.layout.basis.layout(self.layout.numbers[atoms]), self.net
        pairs, shifts = np.searchsorted(atoms, self.pairs[which]), np.zeros((len(which), 3), dtype=np.int64)
        graph, own = graph_of_pairs(layout, net.decomposer, net.cutoff, pairs, shifts, self.vectors[which])
        skeleton = replace(own, layout=self.layout, pairs=atoms[own.pairs])
        values = [matrix.on_pairs_of(skeleton).values for matrix in self.inputs]
        if values:
            graph = graph.with_inputs(torch.from_numpy(np.stack(values, axis=1)))
        return Portion(atoms, graph.under(*self.conditions), skeleton)


def _split(places: IntArray, most: int) -> list[IntArray]:
    """Parts of a list, at most so many of it each and of like length."""
    return np.array_split(places, max(-(-len(places) // most), 1))


class Messages:
    """Where messages run, portion by portion and layer after layer; within `KEPT` bytes it is found only once."""

    def __init__(self, net: BondFrameNet, graph: LargeGraph) -> None:
        """Takes the network and the molecule."""
        self._net, self._graph, self._room = net, graph, KEPT
        self._kept: list[Bonds] = []

    def __iter__(self) -> Iterator[Bonds]:
        """The bonds of each portion, between atoms of the molecule."""
        yield from self._kept
        for portion in self._graph.portions(self._net.cutoff, first=len(self._kept)):
            bonds = _in_molecule(self._net._bonds(portion.graph)[0], portion)
            self._room -= _bytes(bonds)
            if self._room > 0:  # from then on it stays below
                self._kept.append(bonds)
            yield bonds


def _in_molecule(bonds: Bonds, portion: Portion) -> Bonds:
    """The bonds of a portion with the atoms counted as in the molecule."""
    return bonds._replace(pairs=torch.from_numpy(portion.atoms)[bonds.pairs])


def _bytes(bonds: Bonds) -> int:
    """What the geometry of some bonds takes."""
    parts = (bonds.pairs, bonds.frames.matrices, *bonds.radial, bonds.envelope, *bonds.inputs)
    return sum(part.nbytes for part in parts)


@torch.inference_mode()
def correction_elements(net: BondFrameNet, graph: LargeGraph) -> tuple[Places, Places, Array]:
    """What the network predicts of a large molecule.

    Returns:
        Rows and columns [n_values], and values [n_values, n_forms + 1]: the elements in each of `net.forms` (Hartree),
        and a factor that fades to 0 at the cutoff.
    """
    x = _features(net, graph)
    onsite, ends = net._onsite(x), net._pair_ends(x)
    parts = [_entries(net, portion, onsite, ends) for portion in graph.single_atoms()]
    parts += [_entries(net, portion, onsite, ends) for portion in graph.portions(net.pair_cutoff)]
    rows, columns, values = (np.concatenate(part) for part in zip(*parts))
    return rows, columns, values


def correction(net: BondFrameNet, graph: LargeGraph, elements: tuple[Places, Places, Array]) -> csr_array:
    """ΔH of a large molecule from `correction_elements`: symmetric, sparse [n_orbitals, n_orbitals], Hartree."""
    rows, columns, values = elements
    shape = 2 * (graph.layout.n_orbitals,)

    def sparse(column: int) -> csr_array:
        return coo_array((values[:, column], (rows, columns)), shape=shape).tocsr()

    matrices = {form: sparse(k) for k, form in enumerate(net.forms)}
    total = matrices.get("covariant", csr_array(shape))
    if set(matrices) - {"covariant"}:
        fade = sparse(-1)
        overlap = fade.multiply(graph.inputs[net.inputs.index("overlap")].to_sparse()).tocsr()
        for form, factors in (("mixed", (overlap,)), ("contravariant", (overlap, overlap))):
            if form in matrices:
                half = _product(matrices[form], factors, 0.5 * fade)
                total = total + half + half.T
    return total.tocsr()


def _features(net: BondFrameNet, graph: LargeGraph) -> Features:
    """Features of all atoms after all layers."""
    messages = Messages(net, graph)
    x = _start(net, graph, messages)
    for layer in net.layers:
        ends, x = layer.ends(x), layer.widened(x)
        for bonds in messages:
            for part, message in zip(x, layer.messages(ends, bonds)):
                part.index_add_(0, bonds.pairs[:, 0], message)
        x = x + layer.update(x)
    return x


def _start(net: BondFrameNet, graph: LargeGraph, messages: Messages) -> Features:
    """Features of all atoms before the first layer."""
    x = Features(*map(torch.cat, zip(*(net._alone(portion.graph) for portion in graph.single_atoms()))))
    for bonds in messages:
        x.natural.index_add_(0, bonds.pairs[:, 0], net.density(bonds))
    return x


def _entries(net: BondFrameNet, portion: Portion, onsite: list[Tensor], ends: Ends) -> tuple[Places, Places, Array]:
    """Rows, columns and values [n, n_forms + 1] of the blocks of a portion; the last column fades at the cutoff."""
    atoms, small = torch.from_numpy(portion.atoms), portion.graph
    numbers, alone = small.numbers, not len(small.pairs)
    pairs = [part.new_zeros(0, 0) for part in onsite]
    if not alone:
        pairs = net._offsite(ends, _in_molecule(net._bonds(small)[1], portion))
    columns = []
    for k, (form, on, off) in enumerate(zip(net.forms, onsite, pairs)):
        if alone:
            blocks = net.decomposer.compose(net.onsite_scaling(on[atoms], numbers, with_mean=k == 0), onsite=True)
            columns.append(blocks.flatten()[small.onsite_values])
            continue
        blocks = net.decomposer.compose(net.offsite_scaling(off, numbers[small.pairs], with_mean=False))
        if form != "mixed":
            blocks = 0.5 * (blocks + blocks[small.reverse].transpose(1, 2))
        columns.append(blocks.flatten()[small.offsite_values])
    places = small.onsite_values if alone else small.offsite_values
    fade = envelope(small.vectors.norm(dim=-1), net.pair_cutoff, power=24.0)
    columns.append(torch.ones(len(places)) if alone else fade[places // net.decomposer.n_slots**2])
    first = 0 if alone else len(small.onsite_values)
    i, j = (place[first:] for place in (portion.skeleton.rows, portion.skeleton.columns))
    return i, j, torch.stack([column.double() for column in columns], dim=1).numpy()


def _product(matrix: csr_array, factors: tuple[csr_array, ...], weights: csr_array) -> csr_array:
    """M S or S M S, for one or two factors S, where a matrix of weights is not zero, times the weights."""
    slabs = []
    for first in range(0, len(matrix.indptr) - 1, ROWS):
        rows = slice(first, first + ROWS)
        slab = matrix[rows] @ factors[0] if len(factors) == 1 else (factors[0][rows] @ matrix) @ factors[1]
        slabs.append(slab.multiply(weights[rows]).tocsr())
    return csr_array(vstack(slabs))

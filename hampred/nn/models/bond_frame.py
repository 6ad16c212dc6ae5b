"""BondFrame: messages and pair blocks in the frame of the bond, where O(3) becomes O(2).

The turn onto the bond makes every equivariant map of two atoms a matrix for each m (Passaro and Zitnick 2023, for
SO(3)); here with the mirrors that contain the bond, so that the network is equivariant under all of O(3): features
carry natural (p = (−1)^l) and unnatural parity in separate channels. See `hampred.nn.frames`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from hampred.basis import OrbitalBasis
from hampred.data.graph import HamiltonianGraph
from hampred.irreps import o3
from hampred.nn.base import FORMS, BlockCoefficients, HamiltonianNet, Hidden
from hampred.nn.conditions import Conditions
from hampred.nn.features import FeatureLinear, FeatureNorm, Features, IrrepsPlaces
from hampred.nn.frames import BondFrames, Channels, Frames, O2Linear, from_channels, to_channels
from hampred.nn.input_blocks import InputBlocks
from hampred.nn.norm import DegreeLinear, degree_index
from hampred.nn.radial import RadialBasis, RadialNetwork, envelope

PORTION = 256
"""Bonds or atoms that a processor works on at once where no gradient is asked for: few enough for its caches."""


class Bonds(NamedTuple):
    """Geometry of pairs of atoms.

    Attributes:
        pairs: Atoms i, j [n, 2].
        frames: Of each pair.
        radial: Radial basis and element embeddings of both atoms.
        envelope: Smooth cutoff [n].
        inputs: What the input matrices say of each pair, in its frame.
    """

    pairs: Tensor
    frames: Frames
    radial: tuple[Tensor, Tensor, Tensor]
    envelope: Tensor
    inputs: Features


Ends = tuple[Tensor, Tensor]
"""What atoms bring to their bonds, as the first and as the second atom: each [n_atoms, (lmax+1)², C_n + C_u]."""


Parts = TypeVar("Parts", bound=Sequence[Tensor])


def in_portions(function: Callable[[Features], Parts], x: Features) -> Parts:
    """What a function of each atom by itself gives, portion by portion where no gradient is asked of a processor.

    Args:
        function: From features of some atoms to tensors [n, …].
        x: Features of all atoms.
    """
    n = len(x.natural)
    if torch.is_grad_enabled() or x.natural.device.type != "cpu" or n <= PORTION:
        return function(x)
    whole: list[Tensor] = []
    for rows in torch.arange(n).tensor_split(-(-n // PORTION)):
        some = slice(int(rows[0]), int(rows[-1]) + 1)
        parts = function(Features(*(part[some] for part in x)))
        whole = whole or [part.new_empty(n, *part.shape[1:]) for part in parts]
        for column, part in zip(whole, parts):
            column[some] = part
    return cast(Parts, whole)


class NeighborDensity(nn.Module):
    """First features: Σ_j w_l(r_ij) Y_l(r̂_ij), in whose bond frame only m = 0 is there."""

    def __init__(self, lmax: int, natural: int, radial: dict[str, int]) -> None:
        """Builds the sum for `natural` channels of each l."""
        super().__init__()
        self.shape = (lmax + 1, natural)
        self.radial = RadialNetwork(**radial, n_out=(lmax + 1) * natural)

    def forward(self, bonds: Bonds) -> Tensor:
        """What each bond adds to the natural features of its first atom [n_bonds, (lmax+1)², C_n]."""
        local = (self.radial(*bonds.radial) * bonds.envelope[:, None]).unflatten(1, self.shape)
        return bonds.frames.matrices[:, : self.shape[0]].mT @ local


class BondConvolution(nn.Module):
    """Two O(2) linear maps with a gate between, acting in the frame of a bond on what its two atoms bring."""

    spread: Tensor

    def __init__(
        self,
        lmax: int,
        channels_in: tuple[int, int],
        channels: tuple[int, int],
        radial: dict[str, int],
        inputs: tuple[int, int],
    ) -> None:
        """Builds the convolution.

        Args:
            lmax: Largest angular momentum.
            channels_in: Natural and unnatural channels of the atoms.
            channels: The same for the bonds.
            radial: Sizes of the radial network.
            inputs: Natural and unnatural channels that the bonds bring along.
        """
        super().__init__()
        self.channels, self.n_rows, c = channels, lmax + 1, sum(channels)
        odd = channels_in[1] + inputs[1] > 0
        both = (channels[0] + inputs[0], channels[1] + inputs[1])
        self.atoms = nn.ModuleList(FeatureLinear(lmax, channels_in, channels) for _ in range(2))
        self.radial = RadialNetwork(**radial, n_out=self.n_rows * (2 * c + channels[0]))
        self.n_gates = [channels[1] * odd] + [c] * lmax
        self.first = O2Linear(lmax, both, channels, gates=sum(self.n_gates), pseudoscalars=odd)
        self.second = O2Linear(lmax, channels, channels, pseudoscalars=odd)
        self.register_buffer("spread", nn.functional.one_hot(degree_index(lmax)).to(torch.get_default_dtype()), False)

    def ends(self, x: Features) -> Ends:
        """What atoms with features x bring as first and as second atoms of bonds."""
        first, second = (torch.cat(linear(x), dim=-1) for linear in self.atoms)
        return first, second

    def forward(self, ends: Ends, bonds: Bonds) -> Channels:
        """Features of the bonds, in the frame of each."""
        weights = self.radial(*bonds.radial)
        n_scale = self.n_rows * sum(self.channels)
        first, second, shift = weights.split([n_scale, n_scale, weights.shape[1] - 2 * n_scale], dim=1)
        i, j = bonds.pairs.unbind(-1)
        both = ends[0].index_select(0, i) * self._spread(first) + ends[1].index_select(0, j) * self._spread(second)
        natural, unnatural = bonds.frames.into(*both.split(self.channels, dim=-1))
        local = torch.cat([natural, bonds.inputs.natural, unnatural, bonds.inputs.unnatural], dim=-1)
        channels = to_channels(local, natural.shape[-1] + bonds.inputs.natural.shape[-1])
        return self.second(self._gate(self.first(channels), shift))

    def _spread(self, scale: Tensor) -> Tensor:
        """Factors [n, (lmax+1)², C] from factors for each l [n, (lmax+1)·C]."""
        return self.spread @ scale.unflatten(1, (self.n_rows, sum(self.channels)))

    def _gate(self, channels: Channels, shift: Tensor) -> Channels:
        """Invariants pass SiLU; all else is multiplied with a sigmoid of invariants for each m and channel."""
        invariants, odd, *pairs = channels
        natural, gates = invariants.split([shift.shape[-1], sum(self.n_gates)], dim=-1)
        first, *rest = torch.sigmoid(gates).split(self.n_gates, dim=-1)
        return [nn.functional.silu(natural + shift), _gated(odd, first), *map(_gated, pairs, rest)]


def _gated(x: Tensor, gate: Tensor) -> Tensor:
    """Features [n, …, k·C] times a factor for each channel [n, C], the same for every l; without a gate as they are."""
    if not gate.shape[1]:
        return x
    factors = gate.reshape(len(gate), *(1,) * (x.ndim - 1), gate.shape[1])
    return (x.unflatten(-1, (-1, gate.shape[1])) * factors).flatten(-2)


class AtomUpdate(nn.Module):
    """Gated perceptron on the features of each atom."""

    def __init__(self, lmax: int, channels: tuple[int, int]) -> None:
        """Builds the perceptron for features with l ≤ lmax and (natural, unnatural) channels."""
        super().__init__()
        c_n, c_u = channels
        self.c_n, self.lmax = c_n, lmax
        self.norm = FeatureNorm(lmax, channels)
        self.first = nn.ModuleList([DegreeLinear(lmax, c_n, c_n), DegreeLinear(lmax, c_u, c_u, bias=False)])
        self.second = nn.ModuleList([DegreeLinear(lmax, c_n, c_n), DegreeLinear(lmax, c_u, c_u, bias=False)])
        self.gates = nn.Sequential(nn.Linear(c_n, c_n), nn.SiLU(), nn.Linear(c_n, (lmax + 1) * (c_n + c_u)))
        self.register_buffer("degree", self.first[0].degree, persistent=False)

    def forward(self, x: Features) -> Features:
        """The change of the features."""
        natural, unnatural = self.norm(x)
        gates = self.gates(natural[:, 0]).unflatten(1, (self.lmax + 1, -1)).index_select(1, self.degree)
        natural = self.first[0](natural) * gates[..., : self.c_n]
        unnatural = self.first[1](unnatural) * gates[..., self.c_n :]
        return Features(self.second[0](natural), self.second[1](unnatural))


class Interaction(nn.Module):
    """One layer: messages along the bonds, then an update of each atom."""

    def __init__(
        self,
        lmax: int,
        channels_in: tuple[int, int],
        channels: tuple[int, int],
        radial: dict[str, int],
        inputs: tuple[int, int],
        scale: float,
    ) -> None:
        """Builds the layer; sums of messages are multiplied with `scale`."""
        super().__init__()
        self.norm = FeatureNorm(lmax, channels_in)
        self.convolution = BondConvolution(lmax, channels_in, channels, radial, inputs)
        self.update = AtomUpdate(lmax, channels)
        self.scale, self.added = scale, [new - old for old, new in zip(channels_in, channels)]

    def forward(self, x: Features, edges: Iterable[Bonds]) -> Features:
        """New features of the atoms from the edges, which come in portions."""
        ends = in_portions(lambda some: self.convolution.ends(self.norm(some)), x)
        x = Features(*(nn.functional.pad(part, (0, added)) for part, added in zip(x, self.added)))  # a copy
        for bonds in edges:
            for part, message in zip(x, self._messages(ends, bonds)):
                part.index_add_(0, bonds.pairs[:, 0], message)
        return Features(*in_portions(lambda some: some + self.update(some), x))

    def _messages(self, ends: Ends, bonds: Bonds) -> Features:
        """What each bond [n_bonds, …] brings to its first atom."""
        local = from_channels(self.convolution(ends, bonds), *self.convolution.channels)
        return Features(*bonds.frames.back(*local, bonds.envelope * self.scale))


class BondFrameNet(HamiltonianNet):
    """Network in the frame of the bond; see the module's text."""

    name = "bond_frame"

    def __init__(
        self,
        basis: OrbitalBasis,
        cutoff: float = 6.0,
        pair_cutoff: float = 12.0,
        n_layers: int = 2,
        natural: int = 48,
        unnatural: int = 16,
        lmax: int | None = None,
        n_radial: int = 16,
        hidden: int = 64,
        n_embedding: int = 16,
        n_neighbors: float = 8.0,
        inputs: Sequence[str] = ("overlap", "baseline", "density"),
        forms: Sequence[str] = FORMS,
        conditions: Sequence[str] | None = None,
    ) -> None:
        """Builds the network.

        Args:
            basis: Orbitals of the elements that it will know.
            cutoff: Largest distance of a message, Å.
            pair_cutoff: Largest distance of a block, Å.
            n_layers: Rounds of messages.
            natural: Channels of natural parity for each l.
            unnatural: Channels of unnatural parity for each l.
            lmax: Largest angular momentum; None takes what the largest block needs.
            n_radial: Radial functions.
            hidden: Width of the radial networks.
            n_embedding: Size of the element embedding.
            n_neighbors: Typical number of neighbours, which scales the sum of messages.
            inputs: Matrices that the network is given beside the geometry: ``overlap``, ``baseline``, ``density``.
            forms: Components in which it predicts: ``covariant``, ``mixed``, ``contravariant``.
            conditions: What it is told of a system beside these: ``charge``, ``spin``, ``electric_field``; None: none.

        Raises:
            HampredError: `lmax` is too small for the blocks of the basis.
        """
        super().__init__(basis, cutoff, pair_cutoff, inputs, forms, conditions or ())
        self.lmax = lmax = self.required_lmax(lmax)
        inputs, forms, conditions = list(inputs), list(forms), list(conditions or ())
        self._settings = {k: v for k, v in locals().items() if k not in ("self", "basis", "__class__")}
        channels = (natural, unnatural)
        radial = {"n_radial": n_radial, "n_embedding": n_embedding, "hidden": hidden}
        n_elements = len(basis.elements)
        self.start = nn.Embedding(n_elements, natural)
        self.embedding = nn.Embedding(n_elements, n_embedding)
        self.radial_basis = RadialBasis(n_radial)
        self.frames = BondFrames(lmax)
        self.density = NeighborDensity(lmax, natural, radial)
        extra = (natural // 2, unnatural // 2) if inputs else (0, 0)
        self.blocks = InputBlocks(self.decomposer, lmax, len(inputs), channels, extra) if inputs else None
        before = [channels if inputs else (natural, 0)] + [channels] * (n_layers - 1)
        scale = n_neighbors**-0.5
        self.layers = nn.ModuleList(Interaction(lmax, c_in, channels, radial, extra, scale) for c_in in before)
        self.norm = FeatureNorm(lmax, channels)
        self.register_buffer("element_index", self.decomposer.element_index.clone(), persistent=False)
        self.told = Conditions(conditions, self.decomposer.element_index, natural) if conditions else None

        onsite, offsite = IrrepsPlaces.of(self.decomposer, lmax)
        self.pair_convolution = BondConvolution(lmax, channels, channels, radial, extra)
        self.pair_out = O2Linear(lmax, channels, self._for_sets(offsite))
        self.onsite_update = AtomUpdate(lmax, channels)
        widths = zip(channels, self._for_sets(onsite), (True, False))
        self.onsite_out = nn.ModuleList(DegreeLinear(lmax, c_in, c_out, bias=bias) for c_in, c_out, bias in widths)
        self.offsite_places, self.onsite_places = offsite, onsite

    def settings(self) -> dict[str, Any]:
        """Arguments that build this network again."""
        return dict(self._settings)

    def _bonds(self, graph: HamiltonianGraph) -> Iterator[tuple[Bonds, Bonds]]:
        """The edges and the pairs, portion by portion."""
        n = len(graph.pairs)
        near = torch.zeros(n, dtype=torch.bool, device=graph.pairs.device).index_fill(0, graph.edges, True)
        inputs = [] if self.blocks is None else self.offsite_input_coefficients(graph)
        whole = torch.is_grad_enabled() or near.device.type != "cpu"
        count = 1 if whole else max(-(-n // PORTION), 1)
        for pairs, vectors, edges, *given in zip(
            *(column.tensor_split(count) for column in (graph.pairs, graph.vectors, near, *inputs))
        ):
            bonds = self._pairs(pairs, graph.numbers[pairs], vectors, given)
            yield self._edges(bonds, vectors, edges), bonds

    def _pairs(self, pairs: Tensor, numbers: Tensor, vectors: Tensor, inputs: Sequence[Tensor]) -> Bonds:
        """Pairs with their atomic numbers [n, 2], vectors [n, 3] and coefficients of the input matrices [n, D]."""
        dtype, distance, frames = self.dtype, vectors.norm(dim=-1), self.frames(vectors)
        given = Features(*(distance.new_zeros(len(distance), (self.lmax + 1) ** 2, 0, dtype=dtype),) * 2)
        if self.blocks is not None:
            given = self.blocks.of_bonds(inputs, frames)
        radial = self.radial_basis(distance).to(dtype), *self.embedding(self.element_index[numbers]).unbind(1)
        return Bonds(pairs, frames, radial, envelope(distance, self.pair_cutoff).to(dtype), given)

    def _edges(self, pairs: Bonds, vectors: Tensor, near: Tensor) -> Bonds:
        """Those of some pairs that are near enough for messages."""
        pairs = pairs._replace(envelope=envelope(vectors.norm(dim=-1), self.cutoff).to(self.dtype))
        if near.all():
            return pairs
        radial, first, second = (part[near] for part in pairs.radial)
        inputs = Features(*(part[near] for part in pairs.inputs))
        return Bonds(pairs.pairs[near], pairs.frames.of(near), (radial, first, second), pairs.envelope[near], inputs)

    def _alone(self, graph: HamiltonianGraph) -> Features:
        """Features of the atoms before anything is known of their neighbours."""
        scalars = self.start(self.element_index[graph.numbers])
        size = (self.lmax + 1) ** 2
        natural = nn.functional.pad(scalars[:, None], (0, 0, 0, size - 1))
        if self.told is not None:
            more = torch.cat(self.told(graph), dim=1)[:, :size]
            natural = natural + nn.functional.pad(more, (0, 0, 0, size - more.shape[1]))
        if self.blocks is None:
            return Features(natural, natural.new_zeros(len(natural), size, 0))
        atoms = self.blocks.of_atoms(self.onsite_input_coefficients(graph))
        return Features(natural + atoms.natural, atoms.unnatural)

    def _features(self, alone: Features, edges: Iterable[Bonds]) -> Iterator[Features]:
        """Features of the atoms before and after each layer, from those `_alone`."""
        natural = alone.natural.clone()
        for bonds in edges:
            natural.index_add_(0, bonds.pairs[:, 0], self.density(bonds))
        x = alone._replace(natural=natural)
        yield x
        for layer in self.layers:
            x = layer(x, edges)
            yield x

    def hidden_layers(self, graph: HamiltonianGraph) -> Iterator[Hidden]:
        """Features of the atoms after each layer."""
        for x in self._features(self._alone(graph), [edges for edges, _ in self._bonds(graph)]):
            yield self._hidden(x)

    def _hidden(self, x: Features) -> Hidden:
        """Features as e3nn lays them out."""
        irreps, rows = [], []
        for part, sign in zip(x, (1, -1)):
            if part.shape[-1]:  # nothing of unnatural parity at the start
                irreps += [(part.shape[-1], (l, sign * (-1) ** l)) for l in range(self.lmax + 1)]
                rows += [part[:, l * l : (l + 1) ** 2].transpose(1, 2).flatten(1) for l in range(self.lmax + 1)]
        return Hidden(o3.Irreps(irreps), torch.cat(rows, dim=1))

    def _for_sets(self, places: IrrepsPlaces) -> tuple[int, int]:
        """Natural and unnatural channels of all sets of coefficients together."""
        return places.channels[0] * self.n_sets, places.channels[1] * self.n_sets

    def raw_coefficients(self, graph: HamiltonianGraph) -> tuple[list[BlockCoefficients], Hidden]:
        """Sets of coefficients of order one, and the last layer."""
        edges, pairs = zip(*self._bonds(graph))
        *_, x = self._features(self._alone(graph), edges)
        ends = self._pair_ends(x)
        offsite = (torch.cat(portions) for portions in zip(*(self._offsite(ends, bonds) for bonds in pairs)))
        sets = zip(self._onsite(x), offsite)
        return [BlockCoefficients(*parts) for parts in sets], self._hidden(x)

    def _onsite(self, x: Features) -> Sequence[Tensor]:
        """Sets of coefficients of the onsite blocks [n_atoms, D]."""

        def found(some: Features) -> list[Tensor]:
            atoms = some + self.onsite_update(some)
            return self.onsite_places.gather(*(f(part) for f, part in zip(self.onsite_out, atoms)))

        return in_portions(found, x)

    def _pair_ends(self, x: Features) -> Ends:
        """What the atoms bring to the blocks of their pairs."""
        return in_portions(lambda some: self.pair_convolution.ends(self.norm(some)), x)

    def _offsite(self, ends: Ends, pairs: Bonds) -> list[Tensor]:
        """Sets of coefficients of the blocks of pairs [n_pairs, D]."""
        channels = self.pair_out(self.pair_convolution(ends, pairs))
        local = from_channels(channels, *self._for_sets(self.offsite_places))
        return self.offsite_places.gather(*pairs.frames.back(*local, pairs.envelope))

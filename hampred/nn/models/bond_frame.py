"""BondFrame: messages and pair blocks in the frame of the bond, where O(3) becomes O(2).

The turn onto the bond makes every equivariant map of two atoms a matrix for each m (Passaro and Zitnick 2023 for SO(3));
here with the mirrors that contain the bond, so that the network is equivariant under all of O(3): features carry natural
(p = (−1)^l) and unnatural parity in separate channels. See `hampred.nn.frames`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from e3nn import o3
from torch import Tensor, nn

from hampred.basis import OrbitalBasis
from hampred.data.graph import HamiltonianGraph
from hampred.errors import HampredError
from hampred.nn.base import BlockCoefficients, HamiltonianNet
from hampred.nn.frames import BondFrames, Channels, O2Linear, from_channels, to_channels
from hampred.nn.norm import DegreeLinear, DegreeNorm
from hampred.nn.radial import RadialBasis, RadialNetwork, envelope


class Features(NamedTuple):
    """Features of atoms: natural [n, (lmax+1)², C_n] and unnatural [n, (lmax+1)², C_u], components in irreps order."""

    natural: Tensor
    unnatural: Tensor

    def __add__(self, other: "Features") -> "Features":  # type: ignore[override]
        return Features(self.natural + other.natural, self.unnatural + other.unnatural)


class Bonds(NamedTuple):
    """Geometry of pairs of atoms.

    Attributes:
        pairs: Atoms i, j [n, 2].
        frames: Wigner matrices for natural and unnatural channels, each [n, (lmax+1)², (lmax+1)²].
        radial: Radial basis and element embeddings of both atoms.
        envelope: Smooth cutoff [n].
    """

    pairs: Tensor
    frames: tuple[Tensor, Tensor]
    radial: tuple[Tensor, Tensor, Tensor]
    envelope: Tensor


class BondConvolution(nn.Module):
    """Two O(2) linear maps with a gate between, acting on the features of both atoms of a bond in its frame."""

    def __init__(self, lmax: int, channels: tuple[int, int], channels_out: tuple[int, int], radial: dict[str, int]) -> None:
        """Builds the convolution.

        Args:
            lmax: Largest angular momentum.
            channels: Natural and unnatural channels of the atoms.
            channels_out: The same for the result.
            radial: Sizes of the radial network.
        """
        super().__init__()
        self.lmax, self.channels, self.channels_out = lmax, channels, channels_out
        c_n, c_u = channels
        self.n_rows = lmax + 1
        self.radial = RadialNetwork(**radial, n_out=self.n_rows * (2 * c_n + 2 * c_u + c_n))
        self.n_gates = [self.n_rows * c_u] + [(c_n + c_u) * (lmax + 1 - m) for m in range(1, lmax + 1)]
        self.first = O2Linear(lmax, (2 * c_n, 2 * c_u), channels, gates=sum(self.n_gates))
        self.second = O2Linear(lmax, channels, channels_out)
        degree = torch.cat([torch.arange(lmax + 1)] + [torch.arange(m, lmax + 1).repeat(2) for m in range(1, lmax + 1)])
        self.register_buffer("degree", degree, persistent=False)

    def forward(self, x: Features, bonds: Bonds) -> Features:
        """Features of the bonds [n_bonds, …], components in the frame of each bond (rows sorted by m)."""
        c_n, c_u = self.channels
        i, j = bonds.pairs.unbind(-1)
        weights = self.radial(*bonds.radial)
        n_scale = self.n_rows * 2 * (c_n + c_u)
        scale = weights[:, :n_scale].reshape(len(i), self.n_rows, -1)[:, self.degree]
        natural = bonds.frames[0] @ torch.cat([x.natural[i], x.natural[j]], dim=-1) * scale[..., : 2 * c_n]
        unnatural = bonds.frames[1] @ torch.cat([x.unnatural[i], x.unnatural[j]], dim=-1) * scale[..., 2 * c_n :]
        hidden = self.first(to_channels(natural, unnatural))
        hidden = self._gate(hidden, weights[:, n_scale:])
        return Features(*from_channels(self.second(hidden), *self.channels_out))

    def _gate(self, channels: Channels, shift: Tensor) -> Channels:
        """Invariants pass SiLU; everything else is multiplied with a sigmoid of invariants."""
        invariants, unnatural, *pairs = channels
        natural, gates = invariants.split([shift.shape[-1], sum(self.n_gates)], dim=-1)
        first, *rest = torch.sigmoid(gates).split(self.n_gates, dim=-1)
        return [
            nn.functional.silu(natural + shift),
            unnatural * first,
            *(pair * gate[:, None] for pair, gate in zip(pairs, rest)),
        ]


class AtomUpdate(nn.Module):
    """Gated perceptron on the features of each atom."""

    def __init__(self, lmax: int, channels: tuple[int, int]) -> None:
        """Builds the perceptron for features with l ≤ lmax and (natural, unnatural) channels."""
        super().__init__()
        c_n, c_u = channels
        self.c_n, self.lmax = c_n, lmax
        self.norm = nn.ModuleList([DegreeNorm(lmax, c_n), DegreeNorm(lmax, c_u)])
        self.first = nn.ModuleList([DegreeLinear(lmax, c_n, c_n), DegreeLinear(lmax, c_u, c_u, bias=False)])
        self.second = nn.ModuleList([DegreeLinear(lmax, c_n, c_n), DegreeLinear(lmax, c_u, c_u, bias=False)])
        self.gates = nn.Sequential(nn.Linear(c_n, c_n), nn.SiLU(), nn.Linear(c_n, (lmax + 1) * (c_n + c_u)))
        self.register_buffer("degree", self.first[0].degree, persistent=False)

    def forward(self, x: Features) -> Features:
        """The change of the features."""
        natural, unnatural = (f(part) for f, part in zip(self.norm, x))
        gates = self.gates(natural[:, 0]).reshape(len(natural), self.lmax + 1, -1)[:, self.degree]
        natural = self.first[0](natural) * gates[..., : self.c_n]
        unnatural = self.first[1](unnatural) * gates[..., self.c_n :]
        return Features(self.second[0](natural), self.second[1](unnatural))


class Interaction(nn.Module):
    """One layer: messages along the bonds, then an update of each atom."""

    def __init__(self, lmax: int, channels: tuple[int, int], radial: dict[str, int], n_neighbors: float) -> None:
        """Builds the layer; messages are summed and divided by the square root of `n_neighbors`."""
        super().__init__()
        self.norm = nn.ModuleList([DegreeNorm(lmax, c) for c in channels])
        self.convolution = BondConvolution(lmax, channels, channels, radial)
        self.update = AtomUpdate(lmax, channels)
        self.weight = n_neighbors**-0.5

    def forward(self, x: Features, bonds: Bonds) -> Features:
        """New features of the atoms."""
        normed = Features(self.norm[0](x.natural), self.norm[1](x.unnatural))
        messages = self.convolution(normed, bonds)
        target, strength = bonds.pairs[:, 0], (bonds.envelope * self.weight)[:, None, None]
        x = Features(
            *(
                part.index_add(0, target, frame.transpose(1, 2) @ (message * strength))
                for part, frame, message in zip(x, bonds.frames, messages)
            )
        )
        return x + self.update(x)


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

        Raises:
            HampredError: `lmax` is too small for the blocks of the basis.
        """
        super().__init__(basis, cutoff, pair_cutoff)
        needed = max(ir.l for _, ir in self.decomposer.irreps_offsite)
        if lmax is not None and lmax < needed:
            raise HampredError(f"net.lmax {lmax} cannot represent every block of {basis.name}: set it to {needed} or more.")
        self.lmax = lmax = needed if lmax is None else lmax
        self._settings = {k: v for k, v in locals().items() if k not in ("self", "basis", "needed", "__class__")}
        channels = (natural, unnatural)
        radial = {"n_radial": n_radial, "n_embedding": n_embedding, "hidden": hidden}
        n_elements = len(basis.elements)
        self.start = nn.Embedding(n_elements, natural)
        self.embedding = nn.Embedding(n_elements, n_embedding)
        self.radial_basis = RadialBasis(n_radial)
        self.frames = BondFrames(lmax)
        self.layers = nn.ModuleList(Interaction(lmax, channels, radial, n_neighbors) for _ in range(n_layers))
        self.norm = nn.ModuleList([DegreeNorm(lmax, c) for c in channels])
        self.register_buffer("element_index", self.decomposer.element_index.clone(), persistent=False)

        onsite, offsite = (_Places(ir, lmax) for ir in (self.decomposer.irreps_onsite, self.decomposer.irreps_offsite))
        self.pair_convolution = BondConvolution(lmax, channels, channels, radial)
        self.pair_out = O2Linear(lmax, channels, offsite.channels)
        self.onsite_update = AtomUpdate(lmax, channels)
        self.onsite_out = nn.ModuleList(
            DegreeLinear(lmax, c_in, c_out, bias=c_in == natural) for c_in, c_out in zip(channels, onsite.channels)
        )
        self.offsite_places, self.onsite_places = offsite, onsite

    def settings(self) -> dict[str, Any]:
        """Arguments that build this network again."""
        return dict(self._settings)

    def _bonds(self, graph: HamiltonianGraph) -> tuple[Bonds, Bonds]:
        """Geometry of the edges and of the pairs."""
        dtype = self.dtype
        embedding = self.embedding(self.element_index[graph.numbers])
        distance = graph.vectors.norm(dim=-1)
        i, j = graph.pairs.unbind(-1)
        pairs = Bonds(
            graph.pairs,
            self.frames(graph.vectors, dtype),
            (self.radial_basis(distance).to(dtype), embedding[i], embedding[j]),
            envelope(distance, self.pair_cutoff).to(dtype),
        )
        if len(graph.edges) == len(graph.pairs):
            edges = pairs
        else:
            natural, unnatural = (frame[graph.edges] for frame in pairs.frames)
            radial, first, second = (part[graph.edges] for part in pairs.radial)
            edges = Bonds(graph.pairs[graph.edges], (natural, unnatural), (radial, first, second), pairs.envelope)
        return edges._replace(envelope=envelope(distance[graph.edges], self.cutoff).to(dtype)), pairs

    def _features(self, graph: HamiltonianGraph, edges: Bonds) -> Iterator[Features]:
        scalars = self.start(self.element_index[graph.numbers])
        size = (self.lmax + 1) ** 2
        natural = nn.functional.pad(scalars[:, None], (0, 0, 0, size - 1))
        x = Features(natural, natural.new_zeros(len(natural), size, self._settings["unnatural"]))
        yield x
        for layer in self.layers:
            x = layer(x, edges)
            yield x

    def hidden_layers(self, graph: HamiltonianGraph) -> Iterator[tuple[o3.Irreps, Tensor]]:
        """Features of the atoms after each layer, as e3nn lays them out."""
        edges, _ = self._bonds(graph)
        for x in self._features(graph, edges):
            for part, sign in zip(x, (1, -1)):
                irreps = o3.Irreps([(part.shape[-1], (l, sign * (-1) ** l)) for l in range(self.lmax + 1)])
                rows = [part[:, l * l : (l + 1) ** 2].transpose(1, 2).flatten(1) for l in range(self.lmax + 1)]
                yield irreps, torch.cat(rows, dim=1)

    def raw_coefficients(self, graph: HamiltonianGraph) -> BlockCoefficients:
        """Coefficients of order one."""
        edges, pairs = self._bonds(graph)
        *_, x = self._features(graph, edges)

        atoms = x + self.onsite_update(x)
        onsite = self.onsite_places.gather(*(f(part) for f, part in zip(self.onsite_out, atoms)))

        normed = Features(self.norm[0](x.natural), self.norm[1](x.unnatural))
        hidden = self.pair_convolution(normed, pairs)
        local = from_channels(self.pair_out(to_channels(*hidden)), *self.offsite_places.channels)
        strength = pairs.envelope[:, None, None]
        natural, unnatural = (frame.transpose(1, 2) @ (part * strength) for frame, part in zip(pairs.frames, local))
        return BlockCoefficients(onsite, self.offsite_places.gather(natural, unnatural))


class _Places(nn.Module):
    """Where the coefficients of given irreps stand among features [n, (lmax+1)², C] of natural and unnatural parity."""

    index: Tensor

    def __init__(self, irreps: o3.Irreps, lmax: int) -> None:
        super().__init__()
        most = {True: 1, False: 1}
        for mul, ir in irreps:
            most[ir.p == (-1) ** ir.l] = max(most[ir.p == (-1) ** ir.l], mul)
        self.channels = (most[True], most[False])
        index = []
        for mul, ir in irreps:
            natural = ir.p == (-1) ** ir.l
            first = 0 if natural else (lmax + 1) ** 2 * self.channels[0]
            width = self.channels[0] if natural else self.channels[1]
            index += [first + (ir.l**2 + m) * width + k for k in range(mul) for m in range(2 * ir.l + 1)]
        self.register_buffer("index", torch.tensor(index), persistent=False)

    def gather(self, natural: Tensor, unnatural: Tensor) -> Tensor:
        """Coefficients [n, D] in the order of the irreps."""
        return torch.cat([natural.flatten(1), unnatural.flatten(1)], dim=1)[:, self.index]

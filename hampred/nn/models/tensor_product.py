"""TensorProduct: messages and pair blocks by e3nn's tensor products with spherical harmonics of the bond.

The classical construction (Thomas et al. 2018; Batzner et al. 2022): features ⊗ Y_l(r̂) with weights that depend on the
distance. It costs O(L⁶) where `bond_frame` costs O(L³), and shares everything else with it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from e3nn.nn import Gate
from torch import Tensor, nn

from hampred.basis import OrbitalBasis
from hampred.data.graph import HamiltonianGraph
from hampred.irreps import o3
from hampred.nn.base import FORMS, BlockCoefficients, HamiltonianNet, Hidden
from hampred.nn.conditions import Conditions
from hampred.nn.radial import RadialBasis, RadialNetwork, envelope


def _channels(natural: int, unnatural: int, lmax: int) -> o3.Irreps:
    """The same number of channels for each l, natural and unnatural parity."""
    irreps = [(natural, (l, (-1) ** l)) for l in range(lmax + 1)]
    irreps += [(unnatural, (l, -((-1) ** l))) for l in range(1, lmax + 1)]
    return o3.Irreps(irreps).simplify()


def _uvu_product(
    irreps_in: o3.Irreps, irreps_sh: o3.Irreps, irreps_out: o3.Irreps
) -> tuple[o3.TensorProduct, o3.Irreps]:
    """Channel-wise product with weights from outside; all paths that lead to an irrep of the result."""
    paths, found = [], []
    for i, (mul, ir_in) in enumerate(irreps_in):
        for j, (_, ir_sh) in enumerate(irreps_sh):
            for ir_out in ir_in * ir_sh:
                if ir_out in irreps_out:
                    paths.append((i, j, len(found), "uvu", True))
                    found.append((mul, ir_out))
    order = o3.Irreps(found).sort()
    paths = [(i, j, order.p[k], mode, train) for i, j, k, mode, train in paths]
    product = o3.TensorProduct(irreps_in, irreps_sh, order.irreps, paths, shared_weights=False, internal_weights=False)
    return product, order.irreps.simplify()


class BondProduct(nn.Module):
    """Linear combination of tensor products of features with the harmonics of a bond."""

    def __init__(
        self, irreps_in: o3.Irreps, irreps_sh: o3.Irreps, irreps_out: o3.Irreps, radial: dict[str, int]
    ) -> None:
        super().__init__()
        self.product, middle = _uvu_product(irreps_in, irreps_sh, irreps_out)
        self.radial = RadialNetwork(**radial, n_out=self.product.weight_numel)
        self.linear = o3.Linear(middle, irreps_out)

    def forward(self, x: Tensor, harmonics: Tensor, radial: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Result [n, dim of irreps_out] from [n, dim of irreps_in] and [n, dim of irreps_sh]."""
        return self.linear(self.product(x, harmonics, self.radial(*radial)))


def _gate(irreps: o3.Irreps) -> Gate:
    """SiLU on scalars, sigmoid gates on the rest."""
    scalars = o3.Irreps([(mul, ir) for mul, ir in irreps if ir == o3.Irrep("0e")])
    gated = o3.Irreps([(mul, ir) for mul, ir in irreps if ir != o3.Irrep("0e")])
    gates = o3.Irreps([(gated.num_irreps, "0e")])
    return Gate(scalars, [torch.nn.functional.silu], gates, [torch.sigmoid], gated)


class Layer(nn.Module):
    """One round of messages with a gate and a residual."""

    def __init__(
        self, irreps_in: o3.Irreps, irreps: o3.Irreps, irreps_sh: o3.Irreps, radial: dict[str, int], scale: float
    ) -> None:
        """Builds the layer; sums of messages are multiplied with `scale`."""
        super().__init__()
        self.gate = _gate(irreps)
        self.source = o3.Linear(irreps_in, irreps_in)
        self.message = BondProduct(irreps_in, irreps_sh, self.gate.irreps_in, radial)
        self.update = o3.Linear(self.gate.irreps_out, irreps)
        self.residual = o3.Linear(irreps_in, irreps)
        self.scale = scale

    def forward(
        self, x: Tensor, edges: Tensor, harmonics: Tensor, radial: Any, strength: Tensor, given: Tensor | float
    ) -> Tensor:
        """New features of the atoms [n_atoms, dim]."""
        i, j = edges.unbind(-1)
        messages = self.message(self.source(x)[j] + given, harmonics, radial) * (strength * self.scale)[:, None]
        summed = messages.new_zeros(len(x), messages.shape[1]).index_add(0, i, messages)
        return self.residual(x) + self.update(self.gate(summed))


class TensorProductNet(HamiltonianNet):
    """Network of e3nn's tensor products; see the module's text."""

    name = "tensor_product"

    def __init__(
        self,
        basis: OrbitalBasis,
        cutoff: float = 6.0,
        pair_cutoff: float = 12.0,
        n_layers: int = 2,
        natural: int = 16,
        unnatural: int = 8,
        lmax: int | None = None,
        n_radial: int = 16,
        hidden: int = 32,
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
            unnatural: Channels of unnatural parity for each l ≥ 1.
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
        radial = {"n_radial": n_radial, "n_embedding": n_embedding, "hidden": hidden}
        n_elements = len(basis.elements)
        self.irreps_sh = o3.Irreps.spherical_harmonics(lmax)
        self.irreps = _channels(natural, unnatural, lmax)
        self.start = nn.Embedding(n_elements, natural)
        self.embedding = nn.Embedding(n_elements, n_embedding)
        self.radial_basis = RadialBasis(n_radial)
        self.harmonics = o3.SphericalHarmonics(self.irreps_sh, normalize=True, normalization="component")
        start = o3.Irreps([(natural, "0e")])
        before = [self.irreps if inputs or conditions else start] + [self.irreps] * (n_layers - 1)
        self.layers = nn.ModuleList(Layer(x, self.irreps, self.irreps_sh, radial, n_neighbors**-0.5) for x in before)
        d = self.decomposer
        given = (d.irreps_onsite, d.irreps_offsite, d.irreps_offsite) if inputs else ()  # atoms, messages, pairs
        self.given = nn.ModuleList(o3.Linear(len(inputs) * a, self.irreps) for a in given)
        self.onsite_gate = _gate(self.irreps)
        self.onsite_in = o3.Linear(self.irreps, self.onsite_gate.irreps_in)
        self.onsite_out = o3.Linear(self.onsite_gate.irreps_out, self.n_sets * self.decomposer.irreps_onsite)
        self.pair_gate = _gate(self.irreps)
        self.pair_mix = o3.Linear(self.irreps + self.irreps, self.irreps)
        self.pair_product = BondProduct(self.irreps, self.irreps_sh, self.pair_gate.irreps_in, radial)
        self.pair_out = o3.Linear(self.pair_gate.irreps_out, self.n_sets * self.decomposer.irreps_offsite)
        self.register_buffer("element_index", self.decomposer.element_index.clone(), persistent=False)
        self.told = Conditions(conditions, self.decomposer.element_index, natural) if conditions else None

    def settings(self) -> dict[str, Any]:
        """Arguments that build this network again."""
        return dict(self._settings)

    def _given(self, graph: HamiltonianGraph) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """First features of the atoms, and what the input matrices add to messages and pairs."""
        start = self.start(self.element_index[graph.numbers])
        if self.told is not None:
            scalars, vectors = self.told(graph)
            start = torch.cat([start + scalars[:, 0], vectors.transpose(1, 2).flatten(1)], dim=1)[:, : self.irreps.dim]
            start = nn.functional.pad(start, (0, self.irreps.dim - start.shape[1]))
        if not self.inputs:
            return start, 0.0, 0.0
        onsite = torch.cat(self.onsite_input_coefficients(graph), dim=-1)
        offsite = torch.cat(self.offsite_input_coefficients(graph), dim=-1)
        of_atoms, of_messages, of_pairs = self.given
        x = nn.functional.pad(start, (0, self.irreps.dim - start.shape[1])) + of_atoms(onsite)
        return x, of_messages(offsite)[graph.edges], of_pairs(offsite)

    def _features(self, graph: HamiltonianGraph, x: Tensor, given: Tensor | float) -> Iterator[Tensor]:
        edges, harmonics, radial, strength = self._bonds(graph, graph.edges, self.cutoff)
        for layer in self.layers:
            x = layer(x, edges, harmonics, radial, strength, given)
            yield x

    def _bonds(self, graph: HamiltonianGraph, which: Tensor, cutoff: float) -> tuple[Tensor, Tensor, Any, Tensor]:
        """Atoms, harmonics, radial features and envelope of some of the pairs."""
        pairs, vectors, dtype = graph.pairs[which], graph.vectors[which], self.dtype
        distance = vectors.norm(dim=-1)
        embedding = self.embedding(self.element_index[graph.numbers])
        radial = (self.radial_basis(distance).to(dtype), embedding[pairs[:, 0]], embedding[pairs[:, 1]])
        return pairs, self.harmonics(vectors.to(dtype)), radial, envelope(distance, cutoff).to(dtype)

    def hidden_layers(self, graph: HamiltonianGraph) -> Iterator[Hidden]:
        """Features of the atoms after each layer."""
        x, messages, _ = self._given(graph)
        for features in self._features(graph, x, messages):
            yield Hidden(self.irreps, features)

    def raw_coefficients(self, graph: HamiltonianGraph) -> tuple[list[BlockCoefficients], Hidden]:
        """Sets of coefficients of order one, and the last layer."""
        x, messages, given = self._given(graph)
        *_, x = self._features(graph, x, messages)
        onsite = self.onsite_out(self.onsite_gate(self.onsite_in(x)))
        every = torch.arange(len(graph.pairs), device=graph.pairs.device)
        pairs, harmonics, radial, strength = self._bonds(graph, every, self.pair_cutoff)
        both = self.pair_mix(torch.cat([x[pairs[:, 0]], x[pairs[:, 1]]], dim=-1))
        hidden = self.pair_gate(self.pair_product(both + given, harmonics, radial))
        offsite = self.pair_out(hidden) * strength[:, None]
        parts = (x.chunk(self.n_sets, dim=1) for x in (onsite, offsite))
        return [BlockCoefficients(*both) for both in zip(*parts)], Hidden(self.irreps, x)

"""The contract of every architecture, and what all of them share: scaling and assembly of the blocks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from e3nn import o3
from torch import Tensor, nn

from hampred.basis import OrbitalBasis
from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.graph import HamiltonianGraph
from hampred.data.statistics import BlockStatistics
from hampred.errors import HampredError

MAX_DEGREE = 11
"""Largest angular momentum for which e3nn knows the Wigner matrices."""


class BlockCoefficients(NamedTuple):
    """Irreps coefficients of all blocks of a batch.

    Attributes:
        onsite: [n_atoms, D_onsite] in the order of `BlockDecomposer.irreps_onsite`.
        offsite: [n_pairs, D_offsite] in the order of `BlockDecomposer.irreps_offsite`.
    """

    onsite: Tensor
    offsite: Tensor


class BlockScaling(nn.Module):
    """Mean (scalars) and width of every irrep, for each element or pair of elements, from the training labels."""

    def __init__(self, decomposer: BlockDecomposer, onsite: bool) -> None:
        super().__init__()
        irreps = decomposer.irreps_onsite if onsite else decomposer.irreps_offsite
        n_elements = len(decomposer.basis.elements)
        shape = (n_elements,) if onsite else (n_elements, n_elements)
        n_irreps = sum(mul for mul, _ in irreps)
        degrees = torch.tensor([ir.l for mul, ir in irreps for _ in range(mul)])
        of_component = torch.repeat_interleave(torch.arange(n_irreps), 2 * degrees + 1)
        self.register_buffer("element_index", decomposer.element_index.clone(), persistent=False)
        self.register_buffer("of_component", of_component, persistent=False)
        self.register_buffer("mean", torch.zeros(*shape, n_irreps))
        self.register_buffer("width", torch.full((*shape, n_irreps), 0.01))

    def forward(self, coefficients: Tensor, numbers: Tensor) -> Tensor:
        """Turns numbers of order one into Hartree.

        Args:
            coefficients: [n, D].
            numbers: Atomic numbers [n] of onsite blocks, [n, 2] of pairs.
        """
        index = self.element_index[numbers]
        index = (index,) if index.ndim == 1 else index.unbind(-1)
        mean, width = self.mean[index], self.width[index]
        return coefficients * width[:, self.of_component] + mean[:, self.of_component]


class HamiltonianNet(nn.Module, ABC):
    """A network that predicts ΔH = H − H0 of a batch of structures.

    An architecture is one file in `hampred/nn/models` (or an entry point of the group ``hampred.models``) with a
    subclass that gives `name`, `hidden_layers` and `raw_coefficients`. It is equivariant under O(3) by construction.

    Attributes:
        name: The word that selects the architecture in a configuration.
        basis: Orbitals of the elements that it knows.
        decomposer: Blocks ↔ irreps.
        cutoff: Largest distance of a message, Å.
        pair_cutoff: Largest distance of a block, Å.
    """

    name: ClassVar[str]

    def __init__(self, basis: OrbitalBasis, cutoff: float, pair_cutoff: float) -> None:
        super().__init__()
        self.basis, self.cutoff, self.pair_cutoff = basis, cutoff, pair_cutoff
        self.decomposer = BlockDecomposer(basis)
        self.onsite_scaling = BlockScaling(self.decomposer, onsite=True)
        self.offsite_scaling = BlockScaling(self.decomposer, onsite=False)

    @abstractmethod
    def hidden_layers(self, graph: HamiltonianGraph) -> Iterator[tuple[o3.Irreps, Tensor]]:
        """Features of the atoms after each layer: their irreps, and [n_atoms, dimension]."""

    @abstractmethod
    def raw_coefficients(self, graph: HamiltonianGraph) -> BlockCoefficients:
        """Coefficients of order one, before the scaling."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Arguments (plain JSON types) that build this network again, `basis` aside."""

    def required_lmax(self, lmax: int | None) -> int:
        """Largest angular momentum that the features need for the blocks of the basis, or a larger one that is asked.

        Raises:
            HampredError: A smaller one is asked, or more than `MAX_DEGREE`.
        """
        needed = max(ir.l for _, ir in self.decomposer.irreps_offsite)
        if lmax is not None and lmax < needed:
            raise HampredError(
                f"net.lmax {lmax} cannot represent every block of {self.basis.name}: set it to {needed} or more."
            )
        if max(needed, lmax or 0) > MAX_DEGREE:
            raise HampredError(f"{self.basis.name} with net.lmax {lmax} needs more than l = {MAX_DEGREE}: lower it.")
        return needed if lmax is None else lmax

    def set_statistics(self, statistics: BlockStatistics) -> None:
        """Scales the outputs by the statistics of the training labels."""
        self.onsite_scaling.mean.copy_(statistics.onsite_mean)
        self.onsite_scaling.width.copy_(statistics.onsite_width)
        self.offsite_scaling.width.copy_(statistics.offsite_width)

    def forward(self, graph: HamiltonianGraph) -> BlockCoefficients:
        """Coefficients of ΔH, Hartree."""
        onsite, offsite = self.raw_coefficients(graph)
        numbers = graph.numbers
        return BlockCoefficients(
            self.onsite_scaling(onsite, numbers), self.offsite_scaling(offsite, numbers[graph.pairs])
        )

    def matrix_elements(self, graph: HamiltonianGraph, coefficients: BlockCoefficients) -> tuple[Tensor, Tensor]:
        """Assembles Hermitian blocks: M_ij(R) and M_ji(−R)ᵀ are averaged.

        Returns:
            Onsite [n_onsite_values] and offsite [n_offsite_values] elements in the order of the graph's value lists.
        """
        onsite = self.decomposer.compose(coefficients.onsite, onsite=True)
        offsite = self.decomposer.compose(coefficients.offsite)
        offsite = 0.5 * (offsite + offsite[graph.reverse].transpose(1, 2))
        return onsite.flatten()[graph.onsite_values], offsite.flatten()[graph.offsite_values]

    def weights(self) -> dict[str, Tensor]:
        """Everything that training determines: parameters and scaling. Constants are not weights: they stay exact."""
        scaling = {f"{part}_scaling.{kind}" for part in ("onsite", "offsite") for kind in ("mean", "width")}
        return {**dict(self.named_parameters()), **{k: v for k, v in self.named_buffers() if k in scaling}}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over the weights of a network of the same settings; further entries are ignored.

        Raises:
            KeyError: A weight is missing.
            RuntimeError: A weight has another shape.
        """
        with torch.no_grad():
            for name, tensor in self.weights().items():
                if tensor.shape != weights[name].shape:
                    raise RuntimeError(f"{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}")
                tensor.copy_(weights[name])

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.parameters()).dtype

    @property
    def n_parameters(self) -> int:
        """Number of trained weights."""
        return sum(parameter.numel() for parameter in self.parameters())

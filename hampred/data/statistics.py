"""Mean and width of the irreps of ΔH over a set of labels, for each element and pair of elements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.dataset import LabelledGraph
from hampred.data.graph import HamiltonianGraph

INPUT_FLOOR = 1e-3
"""Smallest width of an input matrix, in its unit: irreps that are next to nothing are not blown up."""


@dataclass(frozen=True)
class BlockStatistics:
    """Statistics that scale the outputs of a network, Hartree, float64.

    Attributes:
        onsite_mean: [n_elements, n_irreps_onsite], zero but for scalars.
        onsite_width: Root mean square of a component about the mean, same shape.
        offsite_width: Root mean square of a component [n_elements, n_elements, n_irreps_offsite]; there is no mean,
            since blocks vanish at the cutoff.
    """

    onsite_mean: Tensor
    onsite_width: Tensor
    offsite_width: Tensor


class _Moments:
    """Running sums of the components of every irrep in each class (element or pair of elements)."""

    def __init__(self, decomposer: BlockDecomposer, onsite: bool) -> None:
        irreps = decomposer.irreps_onsite if onsite else decomposer.irreps_offsite
        n_elements = len(decomposer.basis.elements)
        self.shape = (n_elements,) if onsite else (n_elements, n_elements)
        l = [ir.l for mul, ir in irreps for _ in range(mul)]
        even_scalar = [ir.l == 0 and ir.p == 1 for mul, ir in irreps for _ in range(mul)]
        self.dimension = torch.tensor([2 * k + 1 for k in l], dtype=torch.float64)
        self.scalar = torch.tensor(even_scalar, dtype=torch.float64) * onsite
        self.component = torch.repeat_interleave(torch.arange(len(l)), self.dimension.long())
        n_classes = n_elements if onsite else n_elements**2
        self.count = torch.zeros(n_classes, dtype=torch.float64)
        self.sum = torch.zeros(n_classes, len(l), dtype=torch.float64)
        self.square = torch.zeros(n_classes, len(l), dtype=torch.float64)

    def add(self, coefficients: Tensor, classes: Tensor) -> None:
        """Adds blocks [n, D] of the classes [n]."""
        per_irrep = torch.zeros(len(coefficients), len(self.dimension), dtype=torch.float64)
        self.count.index_add_(0, classes, torch.ones(len(classes), dtype=torch.float64))
        self.sum.index_add_(0, classes, per_irrep.index_add(1, self.component, coefficients))
        self.square.index_add_(0, classes, per_irrep.index_add(1, self.component, coefficients**2))

    def result(self, floor: float, together: bool) -> tuple[Tensor, Tensor]:
        """Mean of each class, and width of each, or `together` of all that have the irrep [..., n_irreps]."""
        count = self.count.clamp(min=1)[:, None]
        mean = self.sum / count * self.scalar
        variance = ((self.square / count - mean**2) / self.dimension).clamp(min=0)
        if together:
            weight = torch.where(self.square > 0, self.count[:, None], 0)
            variance = ((weight * variance).sum(0) / weight.sum(0).clamp(min=1)).expand_as(variance)
        return mean.reshape(*self.shape, -1), variance.sqrt().clamp(min=floor).reshape(*self.shape, -1)


def block_statistics(
    labels: Iterable[tuple[HamiltonianGraph, Tensor, Tensor]],
    decomposer: BlockDecomposer,
    floor: float = 1e-5,
    together: bool = False,
) -> BlockStatistics:
    """Statistics of labels.

    Args:
        labels: Graph, onsite values and offsite values of ΔH (Hartree) of each structure.
        decomposer: Blocks ↔ irreps.
        floor: Smallest width, Hartree: irreps that are noise are not blown up.
        together: Whether all elements, and all pairs of elements, share a width for each irrep.
    """
    elements = decomposer.element_index
    onsite, offsite = _Moments(decomposer, True), _Moments(decomposer, False)
    n = decomposer.n_slots
    for graph, onsite_values, offsite_values in labels:
        index = elements[graph.numbers]
        pair_index = index[graph.pairs] @ torch.tensor([len(decomposer.basis.elements), 1])
        for moments, values, places, classes in (
            (onsite, onsite_values, graph.onsite_values, index),
            (offsite, offsite_values, graph.offsite_values, pair_index),
        ):
            blocks = torch.zeros(len(classes) * n * n, dtype=torch.float64)
            blocks[places] = values.double()
            moments.add(decomposer.decompose(blocks.reshape(-1, n, n), onsite=moments is onsite), classes)
    return BlockStatistics(*onsite.result(floor, together), offsite.result(floor, together)[1])


def all_statistics(
    labels: Sequence[LabelledGraph], decomposer: BlockDecomposer
) -> tuple[BlockStatistics, list[BlockStatistics], BlockStatistics | None]:
    """Statistics of ΔH, of each input matrix, and of the splitting by spin over the unpaired electrons.

    Inputs share their widths: the blocks of a bond between elements that no label binds, O–O for one, then look like
    those of another bond. Over the width of the O–O pairs that labels have, all of them far apart, they would be so
    large that the network answers with nonsense.

    Args:
        labels: Of one system each.
        decomposer: Blocks ↔ irreps.

    Returns:
        The last is None where spins are not told apart or there is no open shell.
    """
    inputs = [
        block_statistics(
            ((x.graph, x.graph.onsite_inputs[:, k], x.graph.offsite_inputs[:, k]) for x in labels),
            decomposer,
            INPUT_FLOOR,
            together=True,
        )
        for k in range(labels[0].graph.onsite_inputs.shape[1])
    ]
    if labels[0].onsite.ndim == 1:
        return block_statistics(((x.graph, x.onsite, x.offsite) for x in labels), decomposer), inputs, None
    means = ((x.graph, x.onsite.mean(1), x.offsite.mean(1)) for x in labels)
    split = [
        (x.graph, *(0.5 * (part[:, 0] - part[:, 1]) / x.graph.spin for part in (x.onsite, x.offsite)))
        for x in labels
        if x.graph.spin.any()
    ]
    return block_statistics(means, decomposer), inputs, block_statistics(split, decomposer) if split else None

"""Conditions: what is known of a system beside its geometry, as first features of its atoms."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hampred.data.graph import HamiltonianGraph

SCALARS, VECTORS = ("charge", "spin"), ("electric_field",)
CONDITIONS = (*SCALARS, *VECTORS)
"""Total charge (e), unpaired electrons, electric field (V/Å). Zeros leave the features of the geometry as they are."""


class Conditions(nn.Module):
    """Each condition times a weight of each element and channel: scalars, and vectors (1o).

    Every atom is told the charge of its whole system, as in SpookyNet (Unke et al. 2021); where it sits is learned.
    """

    element_index: Tensor

    def __init__(self, names: Sequence[str], element_index: Tensor, n_channels: int) -> None:
        """Builds the weights of some of `CONDITIONS`.

        Args:
            names: Of the conditions.
            element_index: Rank of each atomic number among the elements.
            n_channels: Natural channels of each l.
        """
        super().__init__()
        n_elements = int(element_index.max()) + 1
        self.weights = nn.ParameterDict({name: torch.randn(n_elements, n_channels) for name in names})
        self.register_buffer("element_index", element_index.clone(), persistent=False)

    def forward(self, graph: HamiltonianGraph) -> tuple[Tensor, Tensor]:
        """What is added to the scalars [n_atoms, 1, C] and to the vectors [n_atoms, 3, C] of the atoms."""
        elements, first = self.element_index[graph.numbers], next(iter(self.weights.values()))
        scalars, vectors = (first.new_zeros(len(elements), n, first.shape[1]) for n in (1, 3))
        for name, weights in self.weights.items():
            value = getattr(graph, name)[graph.system_index].to(first)
            told = value.reshape(len(elements), -1, 1) * weights[elements][:, None]
            scalars, vectors = (scalars + told, vectors) if name in SCALARS else (scalars, vectors + told)
        return scalars, vectors

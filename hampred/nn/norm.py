"""Equivariant operations on features [n, (lmax+1)², C] whose last axis counts channels of one parity class."""

import torch
from torch import Tensor, nn


def degree_index(lmax: int) -> Tensor:
    """Angular momentum l of each row of a feature [(lmax+1)²]."""
    return torch.repeat_interleave(torch.arange(lmax + 1), 2 * torch.arange(lmax + 1) + 1)


class DegreeLinear(nn.Module):
    """The general O(3)-equivariant linear map within a parity class: one matrix for each l, a bias for scalars."""

    def __init__(self, lmax: int, n_in: int, n_out: int, bias: bool = True) -> None:
        """Builds the map from `n_in` to `n_out` channels of each l = 0 … lmax."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(lmax + 1, n_in, n_out) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.register_buffer("degree", degree_index(lmax), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, (lmax+1)², n_in] to [n, (lmax+1)², n_out]."""
        out = torch.bmm(x.transpose(0, 1), self.weight.index_select(0, self.degree)).transpose(0, 1)
        if self.bias is not None:
            out = out + nn.functional.pad(self.bias[None], (0, 0, 0, len(self.degree) - 1))
        return out

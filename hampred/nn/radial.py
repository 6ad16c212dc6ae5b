"""Functions of the distance between two atoms: smooth cutoff and radial basis."""

import math

import torch
from torch import Tensor, nn


def envelope(distance: Tensor, cutoff: float, power: float = 6.0) -> Tensor:
    """Polynomial that falls from 1 to 0 at the cutoff, two derivatives vanish there (Gasteiger et al. 2020, eq. 8).

    Args:
        distance: Å, any shape.
        cutoff: Å.
        power: The larger, the longer it stays at 1.

    Returns:
        Values between 0 and 1, zero beyond the cutoff.
    """
    p, x = power, (distance / cutoff).clamp(max=1.0)
    a, b, c = (p + 1) * (p + 2) / 2, p * (p + 2), p * (p + 1) / 2
    return 1 - a * x**p + b * x ** (p + 1) - c * x ** (p + 2)


class RadialBasis(nn.Module):
    """Bernstein polynomials of exp(−r/a): smooth, dense at short distances (Unke et al., PhiSNet, 2021)."""

    order: Tensor
    log_binomial: Tensor

    def __init__(self, n_radial: int, length: float = 1.0) -> None:
        """Builds the basis.

        Args:
            n_radial: Number of functions.
            length: Decay length a, Å.
        """
        super().__init__()
        k = torch.arange(n_radial)
        log_binomial = [math.lgamma(n_radial) - math.lgamma(i + 1) - math.lgamma(n_radial - i) for i in range(n_radial)]
        self.length = length
        self.register_buffer("order", k.double(), persistent=False)
        self.register_buffer("log_binomial", torch.tensor(log_binomial, dtype=torch.float64), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Values [n, n_radial] at the distances [n] (Å)."""
        order, log_binomial = self.order.to(distance), self.log_binomial.to(distance)
        exponent = -distance[:, None] / self.length  # log of exp(−r/a)
        rest = torch.log(-torch.expm1(exponent))
        return torch.exp(log_binomial + order * exponent + (order.flip(0)) * rest)


class RadialNetwork(nn.Module):
    """What two atoms and their distance say to a weight: a perceptron of radial basis and element embeddings."""

    def __init__(self, n_radial: int, n_embedding: int, hidden: int, n_out: int) -> None:
        """Builds the perceptron.

        Args:
            n_radial: Radial functions.
            n_embedding: Size of the embedding of one element.
            hidden: Width.
            n_out: Number of weights.
        """
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_radial + 2 * n_embedding, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, n_out)

    def forward(self, radial: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Weights [n, n_out] from [n, n_radial] and the embeddings [n, n_embedding] of both atoms."""
        return self.out(self.layers(torch.cat([radial, first, second], dim=-1)))

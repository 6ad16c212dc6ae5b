"""Features of natural and unnatural parity, the linear map and the norm of both, and where irreps stand among them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hampred.blocks.decomposer import BlockDecomposer
from hampred.irreps import o3
from hampred.nn.norm import DegreeLinear, degree_index


class Features(NamedTuple):
    """Features of atoms: natural [n, (lmax+1)², C_n] and unnatural [n, (lmax+1)², C_u], components in irreps order."""

    natural: Tensor
    unnatural: Tensor

    def __add__(self, other: "Features") -> "Features":  # type: ignore[override]
        return Features(self.natural + other.natural, self.unnatural + other.unnatural)


class FeatureLinear(nn.Module):
    """One matrix for each l and parity class; without inputs of unnatural parity those outputs are zero."""

    def __init__(self, lmax: int, channels_in: tuple[int, int], channels: tuple[int, int]) -> None:
        """Builds the map between (natural, unnatural) channels."""
        super().__init__()
        self.natural = DegreeLinear(lmax, channels_in[0], channels[0])
        self.unnatural = DegreeLinear(lmax, channels_in[1], channels[1], bias=False) if channels_in[1] else None
        self.n_unnatural = channels[1]

    def forward(self, x: Features) -> Features:
        """The mapped features."""
        natural = self.natural(x.natural)
        if self.unnatural is None:
            return Features(natural, natural.new_zeros(*natural.shape[:2], self.n_unnatural))
        return Features(natural, self.unnatural(x.unnatural))


class FeatureNorm(nn.Module):
    """Divides features by their root mean square, with a learned factor for each l and channel.

    Both parities share one root mean square: by itself, the pseudo part of a mirror-symmetric molecule, which is zero
    but for rounding, would be blown up to noise of order one.
    """

    share: Tensor

    def __init__(self, lmax: int, channels: tuple[int, int]) -> None:
        """Builds the norm for (natural, unnatural) channels of each l = 0 … lmax; there may be no unnatural ones."""
        super().__init__()
        self.channels, degree = channels, degree_index(lmax)
        self.weight = nn.Parameter(torch.ones(lmax + 1, sum(channels)))
        self.register_buffer("degree", degree, persistent=False)
        self.register_buffer("share", 1.0 / ((2 * degree + 1) * (lmax + 1) * sum(channels)), persistent=False)

    def forward(self, x: Features) -> Features:
        """The normalised features; every l has the same share in the mean."""
        power = ((x.natural**2).sum(-1) + (x.unnatural**2).sum(-1)) @ self.share
        scale = torch.rsqrt(power + 1e-4)[:, None, None]
        weights = self.weight.index_select(0, self.degree).split(self.channels, dim=-1)
        return Features(*(part * scale * weight for part, weight in zip(x, weights)))


class IrrepsPlaces(nn.Module):
    """Where the coefficients of given irreps stand among features [n, (lmax+1)², C] of natural and unnatural parity."""

    index: Tensor

    def __init__(self, irreps: o3.Irreps, lmax: int) -> None:
        super().__init__()
        most = {True: 1, False: 1}
        for mul, ir in irreps:
            most[ir.p == (-1) ** ir.l] = max(most[ir.p == (-1) ** ir.l], mul)
        self.channels, self.rows = (most[True], most[False]), (lmax + 1) ** 2
        index = []
        for mul, ir in irreps:
            natural = ir.p == (-1) ** ir.l
            first = 0 if natural else (lmax + 1) ** 2 * self.channels[0]
            width = self.channels[0] if natural else self.channels[1]
            index += [first + (ir.l**2 + m) * width + k for k in range(mul) for m in range(2 * ir.l + 1)]
        self.register_buffer("index", torch.tensor(index), persistent=False)

    @classmethod
    def of(cls, decomposer: BlockDecomposer, lmax: int) -> tuple["IrrepsPlaces", "IrrepsPlaces"]:
        """Places of the coefficients of onsite blocks and of pairs."""
        return cls(decomposer.irreps_onsite, lmax), cls(decomposer.irreps_offsite, lmax)

    def scatter(self, coefficients: Tensor) -> Features:
        """Inverse of `gather`; all other places are zero."""
        flat = coefficients.new_zeros(len(coefficients), self.rows * sum(self.channels))
        flat = flat.index_copy(1, self.index, coefficients)
        natural, unnatural = flat.split([self.rows * c for c in self.channels], dim=1)
        parts = zip((natural, unnatural), self.channels)
        return Features(*(part.reshape(len(flat), self.rows, c) for part, c in parts))

    def gather(self, natural: Tensor, unnatural: Tensor) -> list[Tensor]:
        """Coefficients [n, D] in the order of the irreps, for each time that the features hold all channels."""
        several = (part.unflatten(-1, (-1, c)).unbind(-2) for part, c in zip((natural, unnatural), self.channels))
        return [torch.cat([a.flatten(1), b.flatten(1)], dim=1)[:, self.index] for a, b in zip(*several)]

"""The frame of the bond: Wigner matrices that turn a bond onto the polar axis, and the O(2) channels in that frame.

In a frame whose polar axis is the bond, the symmetry group left over is O(2): turns about the bond and mirrors that
contain it. A feature of angular momentum l splits into pairs (cos mφ, sin mφ) for m = 1 … l and one component m = 0.
Under the mirror, natural parity (p = (−1)^l, as polar tensors) keeps the cosine and turns the sign of the sine;
unnatural parity (pseudotensors) does the opposite. Storing unnatural pairs as (sin, −cos) makes both alike, so one real
matrix for each m, the same for both members of the pair, is the most general O(2)-equivariant linear map for m ≥ 1;
at m = 0 natural and unnatural channels do not mix.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hampred.harmonics import irreps_rotation

_POLAR_TO_X = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


class Frames(NamedTuple):
    """The frames of some bonds.

    Attributes:
        matrices: Wigner matrices [n, (lmax+1)², (lmax+1)²] from irreps order to rows sorted by m: m = 0 of all l, then
            for m = 1 … lmax the cosines of l = m … lmax and the sines.
        swap: Signed permutation [(lmax+1)², (lmax+1)²] of these rows that makes (sin, −cos) of (cos, sin).
    """

    matrices: Tensor
    swap: Tensor

    def into(self, natural: Tensor, unnatural: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, (lmax+1)², C_n] and [n, (lmax+1)², C_u] in these frames, unnatural pairs as (sin, −cos)."""
        widths = [natural.shape[-1], unnatural.shape[-1]]
        natural, unnatural = (self.matrices @ torch.cat([natural, unnatural], dim=-1)).split(widths, dim=-1)
        return natural, self.swap @ unnatural

    def back(self, natural: Tensor, unnatural: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of `into`; the features times the strength [n] of each bond."""
        widths = [natural.shape[-1], unnatural.shape[-1]]
        local = torch.cat([natural, self.swap.T @ unnatural], dim=-1)
        natural, unnatural = ((self.matrices * strength[:, None, None]).mT @ local).split(widths, dim=-1)
        return natural, unnatural

    def of(self, some: Tensor) -> "Frames":
        """The frames of some of the bonds."""
        return Frames(self.matrices[some], self.swap)


class BondFrames(nn.Module):
    """Finds the frame of each bond."""

    swap: Tensor
    alike: Tensor

    def __init__(self, lmax: int) -> None:
        """Args: lmax: Largest angular momentum of the features."""
        super().__init__()
        self.lmax = lmax
        size = (lmax + 1) ** 2
        turn = np.zeros((size, size))
        for l in range(lmax + 1):
            turn[l * l : (l + 1) ** 2, l * l : (l + 1) ** 2] = irreps_rotation(l, _POLAR_TO_X)
        m = np.concatenate([np.arange(-l, l + 1) for l in range(lmax + 1)])
        flip = np.concatenate([np.arange((l + 1) ** 2 - 1, l * l - 1, -1) for l in range(lmax + 1)])
        rows = [l * l + l for l in range(lmax + 1)]
        swap = np.eye(size)
        for order in range(1, lmax + 1):
            cosines = slice(len(rows), len(rows) + lmax + 1 - order)
            sines = slice(cosines.stop, cosines.stop + lmax + 1 - order)
            rows += [l * l + l + sign * order for sign in (1, -1) for l in range(order, lmax + 1)]
            swap[cosines], swap[sines] = swap[sines].copy(), -swap[cosines]
        degree = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
        alike = np.flatnonzero(degree[rows][:, None] == degree)
        self.register_buffer("alike", torch.from_numpy(alike), persistent=False)
        self.register_buffer("flip", torch.from_numpy(flip), persistent=False)
        self.register_buffer("swap", torch.from_numpy(swap).to(torch.get_default_dtype()), persistent=False)
        # float64 whatever the precision of the network: kept out of reach of module.to(dtype)
        self._turn, self._rows = torch.from_numpy(turn), torch.from_numpy(turn[rows])
        self._m = torch.from_numpy(m).double()

    def forward(self, vectors: Tensor) -> Frames:
        """The frames in the precision of the network.

        The bond r = R_y(α) R_x(β) ŷ is turned back by D(R_x(−β)) D(R_y(−α)); a turn about x is a turn about the polar
        axis y seen from another frame. The remaining freedom, a turn about the bond, cancels in what O(2) allows.

        Args:
            vectors: Bonds [n, 3], float64.
        """
        turn, rows, m = (t.to(vectors.device) for t in (self._turn, self._rows, self._m))
        x, y, z = vectors.unbind(-1)
        alpha = torch.atan2(x, z)[:, None] * m
        beta = torch.atan2(torch.hypot(x, z), y)[:, None] * m
        back = turn.T * alpha.cos()[:, None, :] + (turn.T * alpha.sin()[:, None, :])[:, :, self.flip]
        back = beta.cos()[:, :, None] * back + beta.sin()[:, :, None] * back[:, self.flip]
        return Frames((rows @ back).to(self.swap.dtype), self.swap)

    def packed(self, frames: Frames) -> Tensor:
        """The elements of Wigner matrices between components of one l, all others being zero [n, Σ(2l+1)²]."""
        return frames.matrices.flatten(1).index_select(1, self.alike)

    def unpacked(self, elements: Tensor) -> Frames:
        """Inverse of `packed`."""
        size = len(self.swap)
        matrices = elements.new_zeros(len(elements), size * size).index_copy_(1, self.alike, elements)
        return Frames(matrices.unflatten(1, (size, size)), self.swap)


Channels = list[Tensor]
"""Features in the frame of the bond: m = 0 natural [n, (lmax+1)·C_n], m = 0 unnatural [n, (lmax+1)·C_u], and for
m = 1 … lmax the pairs [n, 2, (lmax+1−m)·(C_n + C_u)], for each l the natural channels and the unnatural ones."""


def to_channels(local: Tensor, n_natural: int) -> Channels:
    """Sorts local features [n, (lmax+1)², C_n + C_u], rows sorted by m, into channels."""
    n, size, width = local.shape
    lmax = int(size**0.5) - 1
    invariant, *pairs = local.split([lmax + 1, *(2 * k for k in range(lmax, 0, -1))], dim=1)
    natural, unnatural = invariant.split([n_natural, width - n_natural], dim=-1)
    rest = (pair.reshape(n, 2, pair.shape[1] // 2 * width) for pair in pairs)
    return [natural.flatten(1), unnatural.flatten(1), *rest]


def from_channels(channels: Channels, n_natural: int, n_unnatural: int) -> tuple[Tensor, Tensor]:
    """Local features [n, (lmax+1)², C_n] and [n, (lmax+1)², C_u], rows sorted by m, of channels."""
    natural, unnatural, *pairs = channels
    n, lmax, widths = len(natural), len(pairs), [n_natural, n_unnatural]
    rows = [torch.cat([part.reshape(n, lmax + 1, c) for part, c in zip((natural, unnatural), widths)], dim=-1)]
    rows += [pair.reshape(n, 2 * (lmax + 1 - m), sum(widths)) for m, pair in enumerate(pairs, start=1)]
    even, odd = torch.cat(rows, dim=1).split(widths, dim=-1)
    return even, odd


class O2Linear(nn.Module):
    """The general O(2)-equivariant linear map between channels in the frame of the bond."""

    def __init__(
        self,
        lmax: int,
        channels_in: tuple[int, int],
        channels_out: tuple[int, int],
        gates: int = 0,
        pseudoscalars: bool = True,
    ) -> None:
        """Builds the map.

        Args:
            lmax: Largest angular momentum.
            channels_in: Natural and unnatural channels of each l.
            channels_out: The same for the result.
            gates: Further invariants at m = 0, [n, gates], put behind the natural ones.
            pseudoscalars: Whether anything odd under the mirror can stand at m = 0; else those channels stay zero.
        """
        super().__init__()
        widths = [lmax + 1 - m for m in range(1, lmax + 1)]
        self.n_unnatural = (lmax + 1) * channels_out[1]
        self.natural = nn.Linear((lmax + 1) * channels_in[0], (lmax + 1) * channels_out[0] + gates)
        self.unnatural = nn.Linear((lmax + 1) * channels_in[1], self.n_unnatural, bias=False) if pseudoscalars else None
        self.pairs = nn.ModuleList(nn.Linear(w * sum(channels_in), w * sum(channels_out), bias=False) for w in widths)

    def forward(self, channels: Channels) -> Channels:
        """Maps channels to channels, same or other numbers of them."""
        natural, odd, *pairs = channels
        odd = odd.new_zeros(len(odd), self.n_unnatural) if self.unnatural is None else self.unnatural(odd)
        return [self.natural(natural), odd, *(f(x) for f, x in zip(self.pairs, pairs))]

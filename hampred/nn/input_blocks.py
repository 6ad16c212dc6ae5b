"""InputBlocks: the blocks of given matrices (S, H0, the density of H0) as features of atoms and pairs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hampred.blocks.decomposer import BlockDecomposer
from hampred.nn.base import BlockCoefficients
from hampred.nn.features import FeatureLinear, Features, IrrepsPlaces
from hampred.nn.frames import O2Linear, from_channels, to_channels


class InputBlocks(nn.Module):
    """The blocks of the input matrices as features: of the atoms in irreps order, of the pairs in the bond frame."""

    def __init__(
        self, decomposer: BlockDecomposer, lmax: int, n_inputs: int, atoms: tuple[int, int], bonds: tuple[int, int]
    ) -> None:
        """Builds the maps from `n_inputs` matrices to (natural, unnatural) channels of `atoms` and `bonds`."""
        super().__init__()
        self.onsite, self.offsite = IrrepsPlaces.of(decomposer, lmax)
        of_atoms, of_bonds = (tuple(n_inputs * c for c in places.channels) for places in (self.onsite, self.offsite))
        self.atoms, self.bonds = FeatureLinear(lmax, of_atoms, atoms), O2Linear(lmax, of_bonds, bonds)
        self.channels = bonds

    def forward(self, blocks: Sequence[BlockCoefficients], frames: tuple[Tensor, Tensor]) -> tuple[Features, Features]:
        """Features of the atoms and of the pairs, given the frames of the pairs."""
        onsite = [self.onsite.scatter(b.onsite) for b in blocks]
        offsite = [self.offsite.scatter(b.offsite) for b in blocks]
        atoms = Features(*(torch.cat(parts, dim=-1) for parts in zip(*onsite)))
        local = (frame @ torch.cat(parts, dim=-1) for frame, parts in zip(frames, zip(*offsite)))
        return self.atoms(atoms), Features(*from_channels(self.bonds(to_channels(*local)), *self.channels))

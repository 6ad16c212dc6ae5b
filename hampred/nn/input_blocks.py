"""InputBlocks: the blocks of given matrices (S, H0, the density of H0) as features of atoms and pairs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hampred.blocks.decomposer import BlockDecomposer
from hampred.nn.features import FeatureLinear, Features, IrrepsPlaces
from hampred.nn.frames import Frames, O2Linear, from_channels, to_channels


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

    def of_atoms(self, onsite: Sequence[Tensor]) -> Features:
        """Features of the atoms from the coefficients [n_atoms, D_onsite] of each matrix."""
        scattered = zip(*(self.onsite.scatter(coefficients) for coefficients in onsite))
        features: Features = self.atoms(Features(*(torch.cat(parts, dim=-1) for parts in scattered)))
        return features

    def of_bonds(self, offsite: Sequence[Tensor], frames: Frames) -> Features:
        """Features of the pairs, in their frames, from the coefficients [n_pairs, D_offsite] of each matrix."""
        scattered = zip(*(self.offsite.scatter(coefficients) for coefficients in offsite))
        natural, unnatural = frames.into(*(torch.cat(parts, dim=-1) for parts in scattered))
        channels = to_channels(torch.cat([natural, unnatural], dim=-1), natural.shape[-1])
        return Features(*from_channels(self.bonds(channels), *self.channels))

"""Models of crystals with random weights: what holds for them holds whatever training finds."""

from collections.abc import Sequence

import torch
from operators import random_operator

from hampred.baseline.projectors import Projectors
from hampred.basis import OrbitalBasis
from hampred.data.sample import LevelOfTheory
from hampred.interop.crystal_level import CrystalLevel
from hampred.model_file import Model
from hampred.nn.models import build_net

BASIS = "gth-szv-molopt-sr"
SMALL = {"natural": 8, "unnatural": 4, "n_layers": 2, "hidden": 16, "cutoff": 4.0, "pair_cutoff": 6.0}
BY_BLOCKS = {"inputs": ["overlap", "baseline"], "forms": ["covariant"]}


def crystal_level(basis: str = BASIS) -> LevelOfTheory:
    """A level of theory of crystals."""
    return LevelOfTheory("pbe", "PBE", basis, method="KRKS", crystal=CrystalLevel())


def crystal_model(numbers: Sequence[int] = (14,), name: str = "bond_frame", basis: str = BASIS) -> Model:
    """A small network with random weights on projectors with random operators.

    Args:
        numbers: Atomic numbers that it knows.
        name: Architecture.
        basis: Basis set.
    """
    torch.manual_seed(1)
    net = build_net(name, OrbitalBasis.from_name(basis, numbers), SMALL | BY_BLOCKS).eval()
    with torch.no_grad():  # a ΔH and inputs of order 0.1, so that every part of the network counts
        for scaling in (net.onsite_scaling, net.offsite_scaling, *net.onsite_inputs, *net.offsite_inputs):
            scaling.width.fill_(0.1)
    operators = {z: random_operator(z, basis, strength=0.1) for z in numbers}
    return Model(net, Projectors(operators), crystal_level(basis), {"train": [], "validation": [], "test": []})

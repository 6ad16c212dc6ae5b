"""Labels as a network is trained on them: graphs with the elements of ΔH, cut into batches that can be resumed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor, nn

from hampred.baseline import Baseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.inputs import input_values
from hampred.data.sample import HamiltonianSample
from hampred.interop.pyscf import build_mole, overlap, threads_for

Array = NDArray[np.float64]

DAMPING = 0.5
"""Energy above the LUMO over which virtual orbitals lose weight in the loss, Hartree."""


@dataclass(frozen=True, eq=False)
class LabelledGraph:
    """Graphs and their labels, one system or a batch.

    Values stand in the order of the graph's value lists: all onsite ones of the batch, then all offsite ones.

    Attributes:
        graph: What the network sees.
        onsite: Elements of ΔH of the onsite blocks [n_onsite_values], Hartree.
        offsite: Elements of ΔH of the pairs [n_offsite_values], Hartree.
        orbitals: Orbitals of the label as columns, weighted [n_systems, n_orbitals, n_orbitals], zero-padded.
        orbital_weights: 1 for occupied orbitals, falling with energy above the LUMO [n_systems, n_orbitals].
    """

    graph: HamiltonianGraph
    onsite: Tensor
    offsite: Tensor
    orbitals: Tensor
    orbital_weights: Tensor

    @staticmethod
    def batch(items: Sequence["LabelledGraph"], n_slots: int) -> "LabelledGraph":
        """Joins labelled graphs of one system each, of a decomposer with `n_slots` slots."""
        size = max(item.orbitals.shape[-1] for item in items)
        missing = [size - item.orbitals.shape[-1] for item in items]
        return LabelledGraph(
            graph=HamiltonianGraph.batch([item.graph for item in items], n_slots),
            onsite=torch.cat([item.onsite for item in items]),
            offsite=torch.cat([item.offsite for item in items]),
            orbitals=torch.cat([nn.functional.pad(item.orbitals, (0, m, 0, m)) for item, m in zip(items, missing)]),
            orbital_weights=torch.cat(
                [nn.functional.pad(item.orbital_weights, (0, m)) for item, m in zip(items, missing)]
            ),
        )

    def to(self, device: torch.device | str) -> "LabelledGraph":
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def label_graph(
    sample: HamiltonianSample,
    baseline: Baseline,
    decomposer: BlockDecomposer,
    cutoff: float,
    pair_cutoff: float,
    inputs: Sequence[str] = (),
) -> LabelledGraph:
    """Graph of a sample with ΔH = H − H0 as its label.

    Args:
        sample: The label.
        baseline: Gives H0.
        decomposer: Gives the slots of the orbitals.
        cutoff: Largest distance of a message, Å.
        pair_cutoff: Largest distance of a block, Å.
        inputs: Matrices that the network is given, of `hampred.data.inputs.INPUTS`.

    Raises:
        HampredError: The sample's basis is not the decomposer's.
    """
    decomposer.basis.require_compatible(sample.basis, "the model", "the data")
    graph, skeleton = build_graph(sample.atoms, decomposer, cutoff, pair_cutoff)
    mole = build_mole(sample.atoms, sample.level.basis, sample.charge, sample.spin)
    hamiltonian = sample.hamiltonian.to_dense()
    with threads_for(mole):
        h0, s = baseline.hamiltonian(mole), overlap(mole)
    if inputs:
        graph = graph.with_inputs(input_values(inputs, skeleton, h0, s, sample.n_electrons))
    matrix = BlockMatrix.from_dense(skeleton.layout, hamiltonian - h0, skeleton.pairs)
    values = torch.from_numpy(matrix.values).to(torch.float32)
    orbitals, weights = _damped_orbitals(hamiltonian, s, sample.n_occupied)
    n_onsite = len(graph.onsite_values)
    return LabelledGraph(
        graph=graph,
        onsite=values[:n_onsite].clone(),
        offsite=values[n_onsite:].clone(),
        orbitals=torch.from_numpy(orbitals * weights)[None].to(torch.float32),
        orbital_weights=torch.from_numpy(weights)[None].to(torch.float32),
    )


def _damped_orbitals(hamiltonian: Array, overlap: Array, n_occupied: int) -> tuple[Array, Array]:
    """Orbitals of the label (columns) and weights that fall by 1/e for every `DAMPING` above the LUMO."""
    energies, orbitals = eigh(hamiltonian, overlap)
    lumo = energies[min(n_occupied, len(energies) - 1)]
    weights = np.exp(-np.maximum(energies - lumo, 0) / DAMPING)
    return orbitals, weights


class Batches:
    """Endless-run loader that resumes exactly: the order of epoch e is a permutation drawn from (seed, e).

    Lightning stores `state_dict` in its checkpoints, so a killed run goes on with the very next batch. Under a
    distributed strategy each process takes its share of every batch.
    """

    def __init__(
        self, items: Sequence[LabelledGraph], batch_size: int, n_slots: int, seed: int = 0, shuffle: bool = True
    ) -> None:
        """Prepares the batches.

        Args:
            items: Labelled graphs.
            batch_size: Systems in a batch, over all processes.
            n_slots: Slots of the decomposer.
            seed: Of the permutations.
            shuffle: Whether to permute and to leave out an incomplete last batch; keeps order and all items without.
        """
        self.items, self.batch_size, self.n_slots = items, min(batch_size, len(items)), n_slots
        self.seed, self.shuffle = seed, shuffle
        self.epoch, self.done = 0, 0

    def __len__(self) -> int:
        return len(self.items) // self.batch_size if self.shuffle else -(-len(self.items) // self.batch_size)

    def __iter__(self) -> Iterator[LabelledGraph]:
        order = np.arange(len(self.items))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        rank, world = _process()
        for number in range(self.done, len(self)):
            members = order[number * self.batch_size : (number + 1) * self.batch_size]
            mine = members[rank::world] if len(members) >= world else members
            # the state moves on before the batch is handed out: Lightning does not come back after the last one
            last = number + 1 == len(self)
            self.epoch, self.done = (self.epoch + 1, 0) if last else (self.epoch, number + 1)
            yield LabelledGraph.batch([self.items[k] for k in mine], self.n_slots)

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch, unless the loader stands within it already."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands."""
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.epoch, self.done = int(state["epoch"]), int(state["done"])


def _process() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

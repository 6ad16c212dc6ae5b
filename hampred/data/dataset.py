"""Labels as a network is trained on them: graphs with the elements of ΔH, cut into batches that can be resumed."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor, nn

from hampred.baseline import Baseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph
from hampred.data.sample import HamiltonianSample
from hampred.data.system import System
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]

DAMPING = 0.5
"""Energy above the LUMO over which virtual orbitals lose weight in the loss, Hartree."""


N_KPOINTS = 4
"""k-points of each crystal at which the loss sees orbitals: Γ and random ones."""


@dataclass(frozen=True, eq=False)
class LabelledGraph:
    """Graphs and their labels, one system or a batch of molecules or of crystals.

    Values stand in the order of the graph's value lists: all onsite ones of the batch, then all offsite ones. Molecules
    have one k-point, Γ, with real orbitals. Where spins are told apart, α and β take the place of two k-points.

    Attributes:
        graph: What the network sees.
        onsite: Elements of ΔH of the onsite blocks [n_onsite_values], Hartree; of ΔH_α and ΔH_β [n_onsite_values, 2].
        offsite: Elements of ΔH of the pairs, likewise.
        phases: e^{2πi k·R} of each offsite value at each k [n_offsite_values, n_k].
        orbitals: Orbitals of the label as columns, weighted [n_systems, n_k, n_orbitals, n_orbitals], zero-padded.
        orbital_weights: 1 for occupied orbitals, falling with energy above the LUMO [n_systems, n_k, n_orbitals].
        gauge_onsite: S of the onsite values of crystals, whose H is known up to μS; empty for molecules.
        gauge_offsite: The same of the offsite values.
    """

    graph: HamiltonianGraph
    onsite: Tensor
    offsite: Tensor
    phases: Tensor
    orbitals: Tensor
    orbital_weights: Tensor
    gauge_onsite: Tensor
    gauge_offsite: Tensor

    @staticmethod
    def batch(items: Sequence["LabelledGraph"], n_slots: int) -> "LabelledGraph":
        """Joins labelled graphs of one system each, of a decomposer with `n_slots` slots."""
        size = max(item.orbitals.shape[-1] for item in items)
        missing = [size - item.orbitals.shape[-1] for item in items]
        joined = {f.name: [getattr(item, f.name) for item in items] for f in fields(LabelledGraph)}
        joined["graph"] = [HamiltonianGraph.batch(joined["graph"], n_slots)]
        joined["orbitals"] = [nn.functional.pad(x, (0, m, 0, m)) for x, m in zip(joined["orbitals"], missing)]
        joined["orbital_weights"] = [nn.functional.pad(x, (0, m)) for x, m in zip(joined["orbital_weights"], missing)]
        return LabelledGraph(**{k: parts[0] if k == "graph" else torch.cat(parts) for k, parts in joined.items()})

    def to(self, device: torch.device | str) -> "LabelledGraph":
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def errors(self, onsite: Tensor, offsite: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted elements of ΔH less the label, Hartree; of a crystal less the μS that brings them closest."""
        onsite, offsite = onsite - self.onsite.to(onsite), offsite - self.offsite.to(offsite)
        if not len(self.gauge_onsite):
            return onsite, offsite
        parts = list(zip((onsite, offsite), (self.gauge_onsite, self.gauge_offsite), self.graph.system_of_values))
        zeros = onsite.new_zeros(self.graph.n_systems)
        product, square = zeros, zeros
        for error, s, system in parts:
            product = product.index_add(0, system, error * s.to(error))
            square = square.index_add(0, system, s.to(error) ** 2)
        first, second = (error - (product / square)[system] * s.to(error) for error, s, system in parts)
        return first, second

    def bloch(self, onsite: Tensor, offsite: Tensor) -> Tensor:
        """Bloch sums Σ_R e^{2πi k·R} M(R) [n_systems, n_k, n_orbitals, n_orbitals] from elements of M, or of each M."""
        phases = self.phases.to(torch.promote_types(onsite.dtype, self.phases.dtype))
        graph, size, n_k = self.graph, self.graph.dense_size, phases.shape[1]
        flat = phases.new_zeros(graph.n_systems * size * size, n_k)
        onsite, offsite = (part if part.ndim == 2 else part[:, None] for part in (onsite, offsite))
        flat = flat.index_add(0, graph.dense_index[0], onsite.to(phases.dtype).expand(-1, n_k))
        flat = flat.index_add(0, graph.dense_index[1], offsite * phases)
        return flat.unflatten(0, (-1, size, size)).permute(0, 3, 1, 2)


def label_graph(
    sample: HamiltonianSample,
    baseline: Baseline,
    decomposer: BlockDecomposer,
    cutoff: float,
    pair_cutoff: float,
    inputs: Sequence[str] = (),
    with_spins: bool = False,
) -> LabelledGraph:
    """Graph of a sample with ΔH = H − H0 as its label; see `System.of` for the other arguments.

    Args:
        sample: The label.
        baseline: Gives H0, the same for both spins.
        decomposer: Of the network.
        cutoff: Å.
        pair_cutoff: Å.
        inputs: Matrices that the network is given.
        with_spins: Whether the label is that of α and β, which a closed shell has as well.

    Raises:
        HampredError: The sample's basis is not the decomposer's, or it is an open shell and spins are not told apart.
    """
    if sample.spin and not with_spins:
        raise HampredError(f"A label has {sample.spin} unpaired electrons: let net.conditions hold spin.")
    decomposer.basis.require_compatible(sample.basis, "the model", "the data")
    integrals = Integrals(sample.atoms, sample.level.basis, sample.charge, sample.spin)
    system = System.of(integrals, baseline, decomposer, cutoff, pair_cutoff, inputs)
    graph, skeleton, s_blocks = system.graph, system.skeleton, integrals.overlap
    s = s_blocks.on_pairs_of(skeleton).values
    values = sample.hamiltonian.on_pairs_of(skeleton).values - system.baseline.on_pairs_of(skeleton).values
    n_onsite, gauge = len(graph.onsite_values), np.empty(0)
    if sample.atoms.pbc.any():
        values, gauge = values - (values @ s) / (s @ s) * s, s
    kpoints = _kpoints(sample.atoms)
    phases = np.exp(2j * np.pi * skeleton.cell_shifts @ kpoints.T)[skeleton.pair_of_value[n_onsite:]]
    solved = [_damped_orbitals(sample.hamiltonian, s_blocks, k, sample.n_occupied, sample.atoms) for k in kpoints]
    if with_spins:
        values, solved = _of_spins(values, skeleton, s_blocks, sample, solved[0])
        phases = np.repeat(phases, 2, axis=1)
    orbitals, weights = zip(*solved)
    return LabelledGraph(
        graph=graph,
        onsite=_single(values[:n_onsite]),
        offsite=_single(values[n_onsite:]),
        phases=_single(phases if kpoints.any() else phases.real),
        orbitals=_single(np.stack(orbitals)[None]),
        orbital_weights=_single(np.stack(weights)[None]),
        gauge_onsite=_single(gauge[:n_onsite]),
        gauge_offsite=_single(gauge[n_onsite:]),
    )


def _of_spins(
    values: Array, skeleton: BlockMatrix, s: BlockMatrix, sample: HamiltonianSample, closed: tuple[NDArray, Array]
) -> tuple[Array, list[tuple[NDArray, Array]]]:
    """Elements of ΔH of α and β [n_values, 2], and the orbitals of both."""
    if sample.spin_splitting is None:
        return np.stack([values, values], axis=1), [closed, closed]
    split = sample.spin_splitting.on_pairs_of(skeleton).values
    h, difference = sample.hamiltonian, sample.spin_splitting.on_pairs_of(sample.hamiltonian)
    both = (h.plus(difference), h.minus(difference))
    solved = [_damped_orbitals(f, s, np.zeros(3), n, sample.atoms) for f, n in zip(both, sample.n_of_spins)]
    return np.stack([values + split, values - split], axis=1), solved


def _single(array: NDArray) -> Tensor:
    """A tensor of single precision, complex where the array is."""
    return torch.from_numpy(array.astype(np.complex64 if np.iscomplexobj(array) else np.float32))


def _kpoints(atoms: Atoms) -> Array:
    """k-points [n_k, 3] in units of the reciprocal vectors, the same in every run; Γ alone of a molecule."""
    if not atoms.pbc.any():
        return np.zeros((1, 3))
    generator = np.random.default_rng(zlib.crc32(np.round(atoms.positions, 6).tobytes()))
    return np.concatenate([np.zeros((1, 3)), generator.uniform(-0.5, 0.5, (N_KPOINTS - 1, 3)) * atoms.pbc])


def _damped_orbitals(h: BlockMatrix, s: BlockMatrix, k: Array, n_occupied: int, atoms: Atoms) -> tuple[NDArray, Array]:
    """Orbitals at one k (columns), times weights that fall by 1/e for every `DAMPING` above the LUMO; the weights."""
    matrices = (matrix.bloch(k) if k.any() else matrix.to_dense() for matrix in (h, s))
    energies, orbitals = eigh(*matrices)
    lumo = energies[min(n_occupied, len(energies) - 1)]
    weights = np.exp(-np.maximum(energies - lumo, 0) / DAMPING)
    return (orbitals if not atoms.pbc.any() else orbitals.astype(complex)) * weights, weights


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

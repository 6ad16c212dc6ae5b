"""Predictor: model file and geometry in, Hamiltonian and orbitals out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.sample import LevelOfTheory
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, mean_field, overlap
from hampred.model_file import Model, load_model

Array = NDArray[np.float64]

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}

PAIRS_PER_BATCH = 2000
"""Blocks that go through the network at once; keeps memory flat however many structures there are."""


@dataclass(frozen=True, eq=False)
class Prediction(ElectronicState):
    """A predicted Hamiltonian H = H0 + ΔH and all that follows from it; PySCF's AO order, energies in Hartree.

    Attributes:
        level: Level of theory that the model imitates.
        baseline_hamiltonian: H0 [n, n].
    """

    level: LevelOfTheory = field(kw_only=True)
    baseline_hamiltonian: Array = field(kw_only=True)

    def to_pyscf(self) -> Any:
        """A PySCF mean-field object (RKS) with mo_coeff, mo_energy and mo_occ set."""
        mole = build_mole(self.atoms, self.level.basis, self.charge)
        return mean_field(mole, self.level, self.orbital_energies, self.orbital_coefficients, self.occupations)

    def __repr__(self) -> str:
        name, n = self.atoms.get_chemical_formula(), self.layout.n_orbitals
        return f"Prediction({name}, homo={self.homo:.5f} Ha, lumo={self.lumo:.5f} Ha, n_orbitals={n})"


class Predictor:
    """Predicts Hamiltonians of any molecule made of the elements that the model knows, in any orientation.

    Attributes:
        model: Network, baseline and level of theory.
        header: Everything in the model file but the weights.
        dtype: Precision of the network; assembly and eigenvalues are always float64.
    """

    def __init__(self, model: Model, dtype: torch.dtype = torch.float64, device: str = "cpu") -> None:
        """Takes a model; see `load`."""
        self.model, self.dtype, self.device = model, dtype, torch.device(device)
        self.header = model.header()
        self._net = model.net.to(device=self.device, dtype=dtype).eval()

    @property
    def basis(self) -> OrbitalBasis:
        """Orbitals of the elements that the model knows."""
        return self._net.basis

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory that the model imitates."""
        return self.model.level

    @property
    def baseline_name(self) -> str:
        """Name of the baseline H0."""
        return self.model.baseline.name

    @overload
    def predict(self, atoms: Atoms, charge: int = 0) -> Prediction: ...
    @overload
    def predict(self, atoms: Sequence[Atoms], charge: int = 0) -> list[Prediction]: ...
    def predict(self, atoms: Atoms | Sequence[Atoms], charge: int = 0) -> Prediction | list[Prediction]:
        """Predicts one structure or a list of them, batched.

        Args:
            atoms: Structures, positions in Å.
            charge: Total charge of each (e).

        Raises:
            HampredError: An element is unknown to the model, or the electrons do not fill closed shells.
        """
        if isinstance(atoms, Atoms):
            return next(self.predict_stream([atoms], charge))
        return list(self.predict_stream(atoms, charge))

    def predict_stream(self, structures: Iterable[Atoms], charge: int = 0) -> Iterator[Prediction]:
        """Predicts structures one after the other while computing them in batches; see `predict`."""
        iterator = iter(structures)
        waiting: list[tuple[Atoms, HamiltonianGraph, BlockMatrix]] = []
        n_pairs = 0
        for atoms in iterator:
            graph, skeleton = self._graph(atoms)
            waiting.append((atoms, graph, skeleton))
            n_pairs += len(graph.pairs) + len(graph.numbers)
            if n_pairs >= PAIRS_PER_BATCH:
                yield from self._predict_batch(waiting, charge)
                waiting, n_pairs = [], 0
        if waiting:
            yield from self._predict_batch(waiting, charge)

    def _graph(self, atoms: Atoms) -> tuple[HamiltonianGraph, BlockMatrix]:
        if not len(atoms):
            raise HampredError("The structure holds no atoms: give a file with at least one.")
        if not np.isfinite(atoms.positions).all():
            raise HampredError("The structure has coordinates that are not finite: check the file.")
        return build_graph(atoms, self._net.decomposer, self._net.cutoff, self._net.pair_cutoff)

    def _predict_batch(
        self, batch: Sequence[tuple[Atoms, HamiltonianGraph, BlockMatrix]], charge: int
    ) -> Iterator[Prediction]:
        graphs = [graph for _, graph, _ in batch]
        joined = HamiltonianGraph.batch(graphs, self._net.decomposer.n_slots).to(self.device)
        with torch.inference_mode():
            elements = self._net.matrix_elements(joined, self._net(joined))
        onsite, offsite = (part.double().cpu() for part in elements)
        counts = joined.counts.cpu()
        values = zip(onsite.split(counts[:, 2].tolist()), offsite.split(counts[:, 3].tolist()))
        for (atoms, _, skeleton), parts in zip(batch, values):
            yield self._prediction(atoms, charge, replace(skeleton, values=torch.cat(parts).numpy()))

    def _prediction(self, atoms: Atoms, charge: int, correction: BlockMatrix) -> Prediction:
        mole = build_mole(atoms, self.level.basis, charge)
        layout = correction.layout
        layout.basis.require_compatible(OrbitalBasis.from_mole(mole, self.level.basis), "the model", "PySCF here")
        baseline = self.model.baseline.hamiltonian(mole)
        return Prediction(
            atoms=atoms,
            layout=layout,
            hamiltonian=baseline + correction.to_dense(),
            overlap=overlap(mole),
            n_occupied=mole.nelectron // 2,
            charge=charge,
            level=self.level,
            baseline_hamiltonian=baseline,
        )


def load(path: Path | str, dtype: str = "float64", device: str = "cpu") -> Predictor:
    """Loads a model for prediction.

    Args:
        path: Model file, training checkpoint, or folder of a training run.
        dtype: Precision of the network, ``float32`` or ``float64``.
        device: Where the network runs, as torch names it.

    Raises:
        HampredError: No model there, or it cannot be read.
    """
    if dtype not in PRECISIONS:
        raise HampredError(f"There is no precision {dtype!r}: choose one of {', '.join(PRECISIONS)}.")
    return Predictor(load_model(path), PRECISIONS[dtype], device)

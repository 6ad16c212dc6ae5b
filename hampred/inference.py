"""Predictor: model file and geometry in, Hamiltonian and orbitals out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.inputs import input_values
from hampred.data.sample import LevelOfTheory
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, mean_field, overlap, threads_for
from hampred.interop.structures import check_structure, read_charge
from hampred.model_file import Model, load_model

Array = NDArray[np.float64]

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}

PAIRS_PER_BATCH = 2000
"""Blocks that go through the network at once; keeps memory flat however many structures there are."""

ELEMENTS_PER_BATCH = 16_000_000
"""Elements of the padded matrices of a batch."""


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


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A structure that waits for its batch: its graph, the blocks that its prediction will fill, H0 and S."""

    atoms: Atoms
    charge: int
    graph: HamiltonianGraph
    skeleton: BlockMatrix
    baseline: Array
    overlap: Array
    n_occupied: int


class Predictor:
    """Predicts Hamiltonians of any molecule made of the elements that the model knows, in any orientation.

    Attributes:
        model: Network, baseline and level of theory.
        header: Everything in the model file but the weights.
        dtype: Precision of the network; assembly and eigenvalues are always float64.
    """

    def __init__(self, model: Model, dtype: torch.dtype = torch.float64, device: str = "cpu") -> None:
        """Takes a model; see `load`.

        Raises:
            HampredError: PySCF has another definition of the basis here.
        """
        self.model, self.dtype, self.device = model, dtype, torch.device(device)
        self.header = model.header()
        self._net = model.net.to(device=self.device, dtype=dtype).eval()
        here = OrbitalBasis.from_name(self.level.basis, list(self.basis.elements))
        self.basis.require_compatible(here, "the model", "PySCF here")

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
    def predict(self, atoms: Atoms, charge: int | None = None) -> Prediction: ...
    @overload
    def predict(self, atoms: Sequence[Atoms], charge: int | None = None) -> list[Prediction]: ...
    def predict(self, atoms: Atoms | Sequence[Atoms], charge: int | None = None) -> Prediction | list[Prediction]:
        """Predicts one structure or a list of them, batched.

        Args:
            atoms: Structures, positions in Å.
            charge: Total charge of each (e); without it what each one's ``info["charge"]`` says, else 0.

        Raises:
            HampredError: What `check` refuses.
        """
        if isinstance(atoms, Atoms):
            return next(self.predict_stream([atoms], charge))
        return list(self.predict_stream(atoms, charge))

    def check(self, atoms: Atoms, charge: int | None = None, name: str = "The structure") -> int:
        """Refuses what the model cannot predict, before any work; gives the charge (e).

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e); without it what ``atoms.info["charge"]`` says, else 0.
            name: How messages call the structure.

        Raises:
            HampredError: No sensible molecule (see `check_structure`), a crystal, an element that the model does not
                know, or electrons that do not fill closed shells.
        """
        check_structure(atoms, name)
        if atoms.pbc.any():
            raise HampredError(f"{name} is periodic: this version predicts molecules; remove the cell (pbc=F F F).")
        known = ", ".join(chemical_symbols[z] for z in self.basis.elements)
        for z in sorted(set(atoms.numbers) - set(self.basis.elements)):
            raise HampredError(f"{name}: the model does not know the element {chemical_symbols[z]}, only {known}.")
        charge = read_charge(atoms, name) if charge is None else charge
        n_electrons = sum(int(z) - self.basis.elements[int(z)].n_core for z in atoms.numbers) - charge
        n_orbitals = sum(self.basis.n_orbitals(int(z)) for z in atoms.numbers)
        if not 0 < n_electrons <= 2 * n_orbitals or n_electrons % 2:
            raise HampredError(
                f"{name} has {n_electrons} electrons in {n_orbitals} orbitals with charge {charge}, which is no "
                "closed shell: give a charge that leaves an even number."
            )
        return charge

    def predict_stream(self, structures: Iterable[Atoms], charge: int | None = None) -> Iterator[Prediction]:
        """Predicts structures one after the other while computing them in batches; see `predict`."""
        iterator = iter(structures)
        waiting: list[_Waiting] = []
        n_pairs, largest = 0, 0
        for atoms in iterator:
            waiting.append(self._prepared(atoms, self.check(atoms, charge)))
            n_pairs += len(waiting[-1].graph.pairs) + len(atoms)
            largest = max(largest, waiting[-1].skeleton.layout.n_orbitals)
            if n_pairs >= PAIRS_PER_BATCH or len(waiting) * largest**2 >= ELEMENTS_PER_BATCH:
                yield from self._predict_batch(waiting)
                waiting, n_pairs, largest = [], 0, 0
        if waiting:
            yield from self._predict_batch(waiting)

    def _predict_batch(self, batch: Sequence["_Waiting"]) -> Iterator[Prediction]:
        graphs = [waiting.graph for waiting in batch]
        joined = HamiltonianGraph.batch(graphs, self._net.decomposer.n_slots).to(self.device)
        with torch.inference_mode():
            elements = self._net.matrix_elements(joined, self._net(joined))
        onsite, offsite = (part.double().cpu() for part in elements)
        counts = joined.counts.cpu()
        values = zip(onsite.split(counts[:, 2].tolist()), offsite.split(counts[:, 3].tolist()))
        for w, parts in zip(batch, values):
            correction = replace(w.skeleton, values=torch.cat(parts).numpy())
            yield Prediction(
                atoms=w.atoms,
                layout=correction.layout,
                hamiltonian=w.baseline + correction.to_dense(),
                overlap=w.overlap,
                n_occupied=w.n_occupied,
                charge=w.charge,
                level=self.level,
                baseline_hamiltonian=w.baseline,
            )

    def _prepared(self, atoms: Atoms, charge: int) -> _Waiting:
        net = self._net
        graph, skeleton = build_graph(atoms, net.decomposer, net.cutoff, net.pair_cutoff)
        mole = build_mole(atoms, self.level.basis, charge)
        with threads_for(mole):
            h0, s = self.model.baseline.hamiltonian(mole), overlap(mole)
        if net.inputs:
            graph = graph.with_inputs(input_values(net.inputs, skeleton, h0, s, mole.nelectron))
        return _Waiting(atoms, charge, graph, skeleton, h0, s, mole.nelectron // 2)


def load(path: Path | str, dtype: str = "float64", device: str = "cpu") -> Predictor:
    """Loads a model for prediction.

    Args:
        path: Model file, training checkpoint, or folder of a training run.
        dtype: Precision of the network, ``float32`` or ``float64``.
        device: Where the network runs, as torch names it.

    Raises:
        HampredError: No model there, it cannot be read, or there is no such precision or device.
    """
    if dtype not in PRECISIONS:
        raise HampredError(f"There is no precision {dtype!r}: choose one of {', '.join(PRECISIONS)}.")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise HampredError(f"There is no device {device!r} on this machine: use cpu.") from error
    return Predictor(load_model(path), PRECISIONS[dtype], device)

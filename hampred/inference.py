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

from hampred.baseline.minao import Minao
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph
from hampred.data.sample import LevelOfTheory
from hampred.data.system import System
from hampred.electronic.crystal import CrystalState
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.interop.crystal_level import heights
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole, mean_field
from hampred.interop.pyscf_cell import check_cell, check_vacuum
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
class CrystalPrediction(CrystalState):
    """A predicted Hamiltonian H(R) = H0(R) + ΔH(R) of a crystal; its zero of energy has no meaning.

    Attributes:
        level: Level of theory that the model imitates.
        baseline_hamiltonian: H0(R), on the pairs of H(R).
    """

    level: LevelOfTheory = field(kw_only=True)
    baseline_hamiltonian: BlockMatrix = field(kw_only=True)

    def __repr__(self) -> str:
        name, n = self.atoms.get_chemical_formula(), self.layout.n_orbitals
        return f"CrystalPrediction({name}, n_orbitals={n}, n_blocks={len(self.hamiltonian.pairs)})"


class Predictor:
    """Predicts Hamiltonians of any molecule or crystal made of the elements that the model knows, in any orientation.

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
    def predict(self, atoms: Atoms, charge: int | None = None) -> Any: ...
    @overload
    def predict(self, atoms: Sequence[Atoms], charge: int | None = None) -> list[Any]: ...
    def predict(self, atoms: Atoms | Sequence[Atoms], charge: int | None = None) -> Any:
        """Predicts one structure or a list of them, batched.

        Args:
            atoms: Structures, positions in Å.
            charge: Total charge of each (e); without it what each one's ``info["charge"]`` says, else 0.

        Returns:
            A `Prediction` of a molecule, a `CrystalPrediction` of a crystal; a list of them for a list.

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
            HampredError: No sensible structure (see `check_structure`), a crystal where the model knows molecules or
                the other way round, an unknown element, or electrons that do not fill closed shells.
        """
        check_structure(atoms, name)
        self._check_periodicity(atoms, name)
        known = ", ".join(chemical_symbols[z] for z in self.basis.elements)
        for z in sorted(set(atoms.numbers) - set(self.basis.elements)):
            raise HampredError(f"{name}: the model does not know the element {chemical_symbols[z]}, only {known}.")
        charge = read_charge(atoms, name) if charge is None else charge
        if charge and atoms.pbc.any():
            raise HampredError(f"{name} is a crystal with charge {charge}, which repeats without end: set it to 0.")
        layout = self.basis.layout(atoms.numbers)
        n_electrons, n_orbitals = layout.n_electrons(charge), layout.n_orbitals
        if not 0 < n_electrons <= 2 * n_orbitals or (n_electrons % 2 and not atoms.pbc.any()):
            raise HampredError(
                f"{name} has {n_electrons} electrons in {n_orbitals} orbitals with charge {charge}, which is no "
                "closed shell: give a charge that leaves an even number."
            )
        return charge

    def _check_periodicity(self, atoms: Atoms, name: str) -> None:
        """Refuses a crystal where the model knows molecules, or the other way round.

        Raises:
            HampredError: That, or a cell that makes no crystal.
        """
        if not atoms.pbc.any():
            if self.level.crystal is not None:
                raise HampredError(
                    f"{name} is a molecule, and the model knows crystals: give it a cell with vacuum and pbc."
                )
        elif self.level.crystal is None:
            raise HampredError(f"{name} is periodic, and the model knows molecules: remove the cell (pbc=F F F).")
        else:
            try:
                heights(atoms.cell.array)  # refuses a cell without volume
                check_vacuum(atoms, self.level.basis)
                if isinstance(self.model.baseline, Minao):  # the one H0 that a cell of PySCF gives
                    check_cell(atoms)
            except HampredError as error:
                raise HampredError(f"{name}: {error}") from error

    def predict_stream(
        self, structures: Iterable[Atoms], charge: int | None = None
    ) -> Iterator[Prediction | CrystalPrediction]:
        """Predicts structures one after the other while computing them in batches; see `predict`."""
        waiting: list[System] = []
        n_pairs, largest = 0, 0
        for atoms in structures:
            waiting.append(self._prepared(atoms, self.check(atoms, charge)))
            n_pairs += len(waiting[-1].graph.pairs) + len(atoms)
            largest = max(largest, waiting[-1].skeleton.layout.n_orbitals)
            if n_pairs >= PAIRS_PER_BATCH or len(waiting) * largest**2 >= ELEMENTS_PER_BATCH:
                yield from self._predict_batch(waiting)
                waiting, n_pairs, largest = [], 0, 0
        if waiting:
            yield from self._predict_batch(waiting)

    def _predict_batch(self, batch: Sequence[System]) -> Iterator[Prediction | CrystalPrediction]:
        joined = HamiltonianGraph.batch([system.graph for system in batch], self._net.decomposer.n_slots)
        joined = joined.to(self.device)
        with torch.inference_mode():
            elements = self._net.matrix_elements(joined, self._net(joined))
        onsite, offsite = (part.double().cpu() for part in elements)
        counts = joined.counts.cpu()
        values = zip(onsite.split(counts[:, 2].tolist()), offsite.split(counts[:, 3].tolist()))
        for system, parts in zip(batch, values):
            yield self._prediction(system, replace(system.skeleton, values=torch.cat(parts).numpy()))

    def _prediction(self, system: System, correction: BlockMatrix) -> Prediction | CrystalPrediction:
        """H0 and ΔH together."""
        integrals, h0 = system.integrals, system.baseline
        if integrals.atoms.pbc.any():
            return CrystalPrediction(
                atoms=integrals.atoms,
                hamiltonian=h0.plus(correction.on_pairs_of(h0)),
                overlap=integrals.overlap,
                n_electrons=integrals.n_electrons,
                level=self.level,
                baseline_hamiltonian=h0,
            )
        dense = h0.to_dense()
        return Prediction(
            atoms=integrals.atoms,
            layout=correction.layout,
            hamiltonian=dense + correction.to_dense(),
            overlap=integrals.overlap.to_dense(),
            n_occupied=integrals.n_electrons // 2,
            charge=integrals.charge,
            level=self.level,
            baseline_hamiltonian=dense,
        )

    def _prepared(self, atoms: Atoms, charge: int) -> System:
        net, integrals = self._net, Integrals(atoms, self.level.basis, charge)
        return System.of(integrals, self.model.baseline, net.decomposer, net.cutoff, net.pair_cutoff, net.inputs)


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

"""Predictor: model file and geometry in, Hamiltonian and orbitals out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
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
from hampred.confidence import Confidence
from hampred.confidence.calibration import LEVELS
from hampred.data.graph import HamiltonianGraph
from hampred.data.sample import LevelOfTheory
from hampred.data.system import System
from hampred.electronic.dependence import independent_part
from hampred.errors import HampredError
from hampred.interop.crystal_level import heights
from hampred.interop.electric_field import electric_field
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf_cell import check_cell, check_vacuum
from hampred.interop.structures import check_structure, read_charge, read_spin
from hampred.model_file import Model, load_model
from hampred.pages.provenance import of_model
from hampred.prediction import CrystalPrediction, OpenShellPrediction, Prediction

Array = NDArray[np.float64]

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}

PAIRS_PER_BATCH = 2000
"""Blocks that go through the network at once; keeps memory flat however many structures there are."""

FIELD_REACH = 1.5
"""Electric fields up to this many times the strongest of the labels count as known."""

ELEMENTS_PER_BATCH = 16_000_000
"""Elements of the padded matrices of a batch."""


class Predictor:
    """Predicts Hamiltonians of any molecule or crystal made of the elements that the model knows, in any orientation.

    Attributes:
        model: Network, baseline and level of theory.
        header: Everything in the model file but the weights.
        dtype: Precision of the network; assembly and eigenvalues are always float64.
        made_by: The model in words: what → text.
    """

    def __init__(
        self, model: Model, dtype: torch.dtype = torch.float64, device: str = "cpu", name: str = "not named"
    ) -> None:
        """Takes a model; see `load`. What it predicts tells its name.

        Raises:
            HampredError: PySCF has another definition of the basis here.
        """
        self.model, self.dtype, self.device = model, dtype, torch.device(device)
        self.header = model.header()
        precision = str(dtype).removeprefix("torch.")
        self.made_by = {"Model": name, **of_model(self.header), "Precision of the network": precision}
        self._net = model.net.to(device=self.device, dtype=dtype).eval()
        here = OrbitalBasis.from_name(self.level.basis, list(self.basis.elements))
        self.basis.require_compatible(here, "the model", "PySCF here")

    def __repr__(self) -> str:
        what = "crystals" if self.level.crystal is not None else "molecules"
        elements = ", ".join(chemical_symbols[z] for z in self.basis.elements)
        level = f"{self.level.functional}/{self.level.basis}"
        return f"Predictor({self.made_by['Model']}, {what} of {elements}, {level}, device={self.device})"

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
            atoms: Structures, positions in Å; ``info["electric_field"]`` of a molecule is a uniform field in V/Å.
            charge: Total charge of each (e); without it what each one's ``info["charge"]`` says, else 0.

        Returns:
            A `Prediction` of a molecule, an `OpenShellPrediction` of one whose ``info["spin"]`` tells unpaired
            electrons, a `CrystalPrediction` of a crystal; a list of them for a list.

        Raises:
            HampredError: What `check` refuses.
        """
        if isinstance(atoms, (Atoms, str)) or not isinstance(atoms, Iterable):  # `check` refuses all but Atoms
            return next(self.predict_stream([atoms], charge))
        return list(self.predict_stream(atoms, charge))

    def check(self, atoms: Atoms, charge: int | None = None, name: str = "The structure") -> int:
        """Refuses what the model cannot predict, before any work; gives the charge (e).

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e); without it what ``atoms.info["charge"]`` says, else 0.
            name: How messages call the structure.

        Raises:
            HampredError: No Atoms, no sensible structure (see `check_structure`), a crystal where the model knows
                molecules or the other way round, an unknown element, an electric field where the model was trained
                without or of a crystal, or electrons that do not fill closed shells or, of models that know open
                shells, the spin.

        Charge, spin and strength of the field may differ from those of the labels: `beyond` tells.
        """
        if not isinstance(atoms, Atoms):
            raise HampredError(
                f"A {type(atoms).__name__} is no structure: give ase.Atoms, of a file hampred.read_structures(path)."
            )
        check_structure(atoms, name)
        if electric_field(atoms, name).any() and not self.trained_field:
            raise HampredError(
                f"{name} is in an electric field, and the model was trained without: remove electric_field, or train "
                "on labels in fields (sampling kind: field)."
            )
        self._check_periodicity(atoms, name)
        known = ", ".join(chemical_symbols[z] for z in self.basis.elements)
        for z in sorted(set(atoms.numbers) - set(self.basis.elements)):
            raise HampredError(f"{name}: the model does not know the element {chemical_symbols[z]}, only {known}.")
        charge = read_charge(atoms, name) if charge is None else charge
        if charge and atoms.pbc.any():
            raise HampredError(f"{name} is a crystal with charge {charge}, which repeats without end: set it to 0.")
        self._check_electrons(atoms, charge, name)
        return charge

    @property
    def trained_charges(self) -> list[int]:
        """Total charges (e) of the labels that the model was trained on; 0 where its file names none."""
        return [int(charge) for charge in self.header["provenance"].get("charges", [0])]

    @property
    def trained_spins(self) -> list[int]:
        """Numbers of unpaired electrons of the labels; 0 where the file of the model names none."""
        return [int(spin) for spin in self.header["provenance"].get("spins", [0])]

    @property
    def trained_field(self) -> float:
        """Strongest electric field of the labels, V/Å; 0 where the file of the model names none."""
        return float(self.header["provenance"].get("largest_field_V_A", 0.0))

    def beyond(self, atoms: Atoms, charge: int) -> list[str]:
        """In what a structure lies beyond the labels of the model, in words; no novelty of atoms tells it.

        Args:
            atoms: The structure; its ``info`` may hold ``spin`` and ``electric_field``.
            charge: Total charge (e).
        """
        spin, strength = read_spin(atoms, charge), float(np.linalg.norm(electric_field(atoms)))
        found = []
        for what, value, known in (
            ("charge", charge, self.trained_charges),
            ("unpaired electrons", spin, self.trained_spins),
        ):
            if value not in known:
                found.append(f"{what}: {value}, where the labels of the model have {', '.join(map(str, known))}")
        if strength > FIELD_REACH * self.trained_field:
            found.append(f"electric field: {strength:.3g} V/Å, where labels of the model have {self.trained_field:.3g}")
        return [f"{text}; nobody has measured the errors there" for text in found]

    def _check_electrons(self, atoms: Atoms, charge: int, name: str) -> None:
        """Refuses electrons that do not fit orbitals or spin, or are unpaired where the model knows closed shells.

        Raises:
            HampredError: That.
        """
        layout, spin = self.basis.layout(atoms.numbers), read_spin(atoms, charge, name)
        n_electrons, n_orbitals = layout.n_electrons(charge), layout.n_orbitals
        cores = int(atoms.numbers.sum()) - charge - n_electrons
        has = f"{name} has {n_electrons} electrons{' outside its cores' if cores else ''} with charge {charge}"
        if n_electrons <= 0:
            raise HampredError(f"{name} has no electrons left with charge {charge}: give a lower charge.")
        if spin and not self._net.has_spins:
            raise HampredError(
                f"{name} has {spin} unpaired electrons, and the model was trained on closed shells: remove the spin, "
                "or train on labels of open shells."
            )
        if spin > n_electrons:
            raise HampredError(f"{has}, of which {spin} cannot be unpaired: give fewer as spin.")
        if n_electrons > 2 * n_orbitals - spin:
            unpaired = f", {spin} of them unpaired," if spin else ""
            raise HampredError(f"{has}{unpaired} and {n_orbitals} orbitals, which is too few: give a higher charge.")
        if (n_electrons - spin) % 2 and not atoms.pbc.any():
            raise HampredError(
                f"{has}, which is no closed shell: give a charge that leaves an even number, or the unpaired electrons "
                "as spin."
            )

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
    ) -> Iterator[Prediction | OpenShellPrediction | CrystalPrediction]:
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

    def _predict_batch(self, batch: Sequence[System]) -> Iterator[Prediction | OpenShellPrediction | CrystalPrediction]:
        joined = HamiltonianGraph.batch([system.graph for system in batch], self._net.decomposer.n_slots)
        joined = joined.to(self.device)
        with torch.inference_mode():
            coefficients, invariants = self._net.with_invariants(joined)
            elements = self._net.matrix_elements(joined, coefficients)
        counts = joined.counts.cpu()
        parts = (
            part.double().cpu().split(counts[:, k].tolist()) for part, k in zip((*elements, invariants), (2, 3, 0))
        )
        for system, onsite, offsite, of_atoms in zip(batch, *parts):
            values = torch.cat([onsite, offsite]).numpy()
            beyond = self.beyond(system.integrals.atoms, system.integrals.charge)
            confidence = self._confidence(system, of_atoms.numpy())
            if beyond and confidence is not None:
                confidence = replace(confidence, level=len(LEVELS) - 1)
            yield self._prediction(system, values, confidence, beyond)

    def _confidence(self, system: System, invariants: Array) -> Confidence | None:
        familiarity, calibration = self.model.familiarity, self.model.calibration
        if familiarity is None or calibration is None:
            return None
        return calibration.confidence(familiarity.novelty(system.integrals.atoms.numbers, invariants))

    def invariants(self, atoms: Atoms, charge: int | None = None) -> Array:
        """What the last layer of the network knows of each atom [n_atoms, d]; no rotation changes it.

        Args:
            atoms: The structure, positions in Å.
            charge: Total charge (e); see `check`.

        Raises:
            HampredError: What `check` refuses.
        """
        system = self._prepared(atoms, self.check(atoms, charge))
        joined = HamiltonianGraph.batch([system.graph], self._net.decomposer.n_slots).to(self.device)
        with torch.inference_mode():
            *_, last = self._net.hidden_layers(joined)
            return last.invariants().double().cpu().numpy()

    def _prediction(
        self, system: System, values: Array, confidence: Confidence | None, beyond: Sequence[str]
    ) -> Prediction | OpenShellPrediction | CrystalPrediction:
        """H0 and the elements of ΔH [n_values], or of ΔH_α and ΔH_β [n_values, 2], together."""
        integrals, h0 = system.integrals, system.baseline
        mean = values if values.ndim == 1 else values.mean(axis=1)
        correction = system.skeleton.with_values(mean)
        if integrals.atoms.pbc.any():
            return CrystalPrediction(
                atoms=integrals.atoms,
                hamiltonian=h0.plus(correction),
                overlap=integrals.overlap,
                n_electrons=integrals.n_electrons,
                level=self.level,
                baseline_hamiltonian=h0,
                confidence=confidence,
            )
        dense, overlap = h0.to_dense(), integrals.overlap.to_dense()
        shared: dict[str, Any] = {
            "atoms": integrals.atoms,
            "layout": correction.layout,
            "hamiltonian": dense + self._kept(correction, overlap),
            "overlap": overlap,
            "charge": integrals.charge,
            "level": self.level,
            "baseline_hamiltonian": dense,
            "confidence": confidence,
            "beyond": beyond,
            "made_by": self.made_by,
        }
        if not integrals.spin:
            return Prediction(n_occupied=integrals.n_electrons // 2, **shared)
        splitting = self._kept(system.skeleton.with_values(0.5 * (values[:, 0] - values[:, 1])), overlap)
        n_beta = (integrals.n_electrons - integrals.spin) // 2
        shared |= {"spin_splitting": splitting, "level": self.level.of_spins([integrals.spin])}
        return OpenShellPrediction(n_occupied=(n_beta + integrals.spin, n_beta), **shared)

    def _kept(self, correction: BlockMatrix, overlap: Array) -> Array:
        """What counts of a correction to H0, dense; all of it where H0 cannot stand alone."""
        dense = correction.to_dense()
        return independent_part(dense, overlap) if self.model.baseline.screened else dense

    def _prepared(self, atoms: Atoms, charge: int) -> System:
        net, integrals = self._net, Integrals(atoms, self.level.basis, charge, read_spin(atoms, charge))
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
    return Predictor(load_model(path), PRECISIONS[dtype], device, str(path))

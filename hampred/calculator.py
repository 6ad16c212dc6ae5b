"""HampredCalculator: energies and forces of predicted densities for ASE's optimisers, dynamics and vibrations."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.outputs import Properties, all_outputs

from hampred.errors import HampredError
from hampred.inference import Predictor, load
from hampred.interop.electric_field import has_same_field
from hampred.prediction import OpenShellPrediction, Prediction
from hampred.units import BOHR, HARTREE

FRONTIER = ("homo", "lumo", "gap")


class HampredCalculator(Calculator):
    """A calculator of ASE for molecules.

        atoms.calc = hampred.HampredCalculator("model.safetensors")
        atoms.get_potential_energy(), atoms.get_forces(), atoms.calc.results["gap"]

    Results, each computed when it is first asked for: ``energy`` (eV; one Fock build), ``forces`` [n_atoms, 3] (eV/Å;
    one gradient), ``dipole`` [3] about the origin of the coordinates (e·Å) and Mulliken ``charges`` [n_atoms] (e).
    ``homo``, ``lumo`` and ``gap`` (eV) are there after any of them, or by ``get_property``.

    ``atoms.info`` may hold ``charge`` (e), ``spin`` (unpaired electrons) and ``electric_field`` (V/Å), a uniform field
    in which forces leave out what drives an ion as a whole. Energy and forces are those of the predicted density at the
    level of theory of the model, or of the density after some SCF steps. Short of self-consistency the forces are not
    exactly the derivative of the energy, so that dynamics drifts (`benchmarks/dynamics.py` measures it).
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "dipole", "charges", *FRONTIER]
    default_parameters: ClassVar[dict[str, Any]] = {}
    ignored_changes: ClassVar[set[str]] = {"cell", "initial_charges", "initial_magmoms"}

    def __init__(
        self,
        model: Path | str | Predictor,
        n_scf_steps: int = 0,
        precision: str = "float64",
        device: str = "cpu",
    ) -> None:
        """Loads a model.

        Args:
            model: Model file, training checkpoint, folder of a training run, or a `Predictor`.
            n_scf_steps: Fock builds that refine each prediction.
            precision: Of the network, ``float32`` or ``float64``; a `Predictor` has its own.
            device: Where the network runs, as torch names it; a `Predictor` has its own.

        Raises:
            HampredError: What `hampred.load` refuses, a model of crystals, or a negative number of steps.
        """
        super().__init__()
        self.predictor = model if isinstance(model, Predictor) else load(model, precision, device)
        if self.predictor.level.crystal is not None:
            raise HampredError("The model knows crystals, which have no energies here: give a model of molecules.")
        if n_scf_steps < 0:
            raise HampredError(f"n_scf_steps is {n_scf_steps}: give 0 or more.")
        self.n_scf_steps = n_scf_steps
        self.prediction: Prediction | OpenShellPrediction | None = None

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation; charge, spin and electric field count too."""
        changes = super().check_state(atoms, tol)
        for key in ("charge", "spin", "multiplicity"):
            if self.atoms is not None and self.atoms.info.get(key) != atoms.info.get(key):
                changes.append(key)
        if self.atoms is not None and not has_same_field(self.atoms, atoms):
            changes.append("electric_field")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Computes what is asked of a molecule, and keeps its state for what is asked next.

        A charge, spin or electric field beyond those of the labels of the model is a warning.

        Args:
            atoms: The molecule, positions in Å; that of the last calculation without.
            properties: Of `implemented_properties`.
            system_changes: What changed since the last calculation; nothing predicted is kept then.

        Raises:
            HampredError: What `Predictor.check` refuses.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        if system_changes:
            self.prediction = None  # also where the new one is refused
        state = self.prediction
        if state is None:
            predicted = self.predictor.predict(self.atoms)
            for text in predicted.beyond:
                warnings.warn(text, stacklevel=2)
            state = self.prediction = predicted.refined(self.n_scf_steps)
        self.results |= {name: HARTREE * getattr(state, name) for name in FRONTIER}
        for name in properties:
            if name == "energy":
                self.results[name] = HARTREE * state.energy
            elif name == "forces":
                self.results[name] = HARTREE * state.forces
            elif name == "dipole":
                self.results[name] = BOHR * state.dipole
            elif name == "charges":
                self.results[name] = state.properties["mulliken_charges"]

    def export_properties(self) -> Properties:
        """Results that have a name in ASE; it has none for HOMO, LUMO and gap."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})

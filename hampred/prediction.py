"""Prediction: a predicted Hamiltonian of a molecule or crystal, and all that follows from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import LevelOfTheory
from hampred.electronic.crystal import CrystalState
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.orbitals import SMALLEST_GAP
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError, UnknownNameError
from hampred.interop.electric_field import electric_field, in_electric_field
from hampred.interop.energy import EnergyFunctional, harris_energy
from hampred.interop.pyscf import build_mole, mean_field
from hampred.pages.molecule import MoleculePage
from hampred.pages.provenance import of_level

if TYPE_CHECKING:
    from hampred.confidence import Confidence  # whose package imports torch

Array = NDArray[np.float64]


class _OfState:
    """What the class of a state, which stands before `AtLevel`, brings; spin and temperature where it has none."""

    atoms: Atoms
    charge: int
    overlap: Array
    n_occupied: Any
    orbital_energies: Array
    orbital_coefficients: Array
    occupations: Array
    gap: float
    occupation_notes: Sequence[str]
    density: Array
    with_fock: Callable[[Array], Any]
    temperature = 0.0
    spin = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class AtLevel(_OfState):
    """What a predicted density is worth at the level of theory that its model imitates; see `Prediction`."""

    level: LevelOfTheory
    baseline_hamiltonian: Array
    confidence: "Confidence | None" = None
    made_by: Mapping[str, str] = field(default_factory=dict)
    beyond: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        """What the user should know: in what it lies beyond the labels, of its state, and how new its atoms are."""
        told = [*self.beyond, *self.occupation_notes]
        if self.gap < SMALLEST_GAP and not self.temperature:
            told.append("HOMO and LUMO are not apart: the charge and spin that are assumed are doubtful")
        return told + (self.confidence.notes(self.atoms) if self.confidence is not None else [])

    def to_pyscf(self) -> Any:
        """A PySCF mean-field object (RKS or UKS, in the electric field if there is one) with its orbitals set."""
        mole = build_mole(self.atoms, self.level.basis, self.charge, self.spin)
        solved = self.orbital_energies, self.orbital_coefficients, self.occupations
        return in_electric_field(mean_field(mole, self.level, *solved), electric_field(self.atoms))

    @cached_property
    def _functional(self) -> EnergyFunctional:
        return EnergyFunctional(self.atoms, self.level, self.charge, self.spin)

    @cached_property
    def _energy_and_fock(self) -> tuple[float, Array]:
        return self._functional.energy_and_fock(self.density)

    @property
    def energy(self) -> float:
        """Total energy E[D] of the predicted density at the level of theory, Hartree; its error is of order δH².

        One Fock build, at first access; it lies above that of an SCF. The entropy of a temperature is not in it.
        """
        return self._energy_and_fock[0]

    @cached_property
    def harris_energy(self) -> float:
        """Total energy by the functional of Harris and Foulkes, Hartree: no dearer, and mostly nearer to an SCF."""
        energy, fock = self._energy_and_fock
        return harris_energy(energy, fock, self.density, self.with_fock(fock).density)

    @cached_property
    def forces(self) -> Array:
        """Forces of the predicted density [n_atoms, 3], Hartree/Å; their error is of order δH.

        One gradient, at first access.

        Raises:
            HampredError: Orbitals are partly filled.
        """
        if self.temperature:
            raise HampredError("Forces are for filled and empty orbitals: set the temperature to 0.")
        return self._functional.forces(self.orbital_coefficients, self.n_occupied, self._energy_and_fock[1])

    def refined(self, n_steps: int) -> Any:
        """The state after some SCF steps at the level of theory: F[D] built, extrapolated by DIIS, diagonalised.

        Args:
            n_steps: Fock builds; 0 gives the prediction itself.

        Returns:
            A prediction whose Hamiltonian is the last F; the first step has nothing to extrapolate from.

        Raises:
            HampredError: A number below 0.
        """
        if n_steps < 0:
            raise HampredError(f"{n_steps} SCF steps: give 0 or more.")
        state, extrapolation = self, self._functional.extrapolation()
        for step in range(1, n_steps + 1):
            fock = extrapolation.update(self.overlap, state.density, state._energy_and_fock[1])
            about = {**self.made_by, "SCF steps since": str(step)}
            state = replace(state.with_fock(np.asarray(fock)), confidence=None, beyond=(), made_by=about)
            state.__dict__["_functional"] = self._functional  # with its grid
        return state

    def page(self, name: str = "", energy: float | None = None, notes: Sequence[str] = ()) -> MoleculePage:
        """The prediction as a page of HTML that needs nothing else, with its orbitals in 3D.

        Args:
            name: Of the molecule, the formula without one.
            energy: Total energy (Hartree), where it is known.
            notes: What the reader should know beside `notes`.
        """
        state: Any = self
        about = {**of_level(self.level), **self.made_by}
        if (vector := electric_field(self.atoms)).any():
            about["Electric field"] = ", ".join(f"{x:g}" for x in vector) + " V/Å"
        told = [*notes, *self.notes]
        return MoleculePage(state, name, about, self.baseline_hamiltonian, energy, told, self.confidence)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.page().frame()


@dataclass(frozen=True, eq=False)
class Prediction(ElectronicState, AtLevel):
    """A predicted Hamiltonian H = H0 + ΔH and all that follows from it; PySCF's AO order, energies in Hartree.

    Attributes:
        level: Level of theory that the model imitates.
        baseline_hamiltonian: H0 [n, n].
        made_by: The model in words: what → text.
        confidence: How sure it is; None of a model that was not calibrated.
        beyond: In what it lies beyond the labels of the model, in words; see `hampred.inference.Predictor.beyond`.
    """

    def __repr__(self) -> str:
        name, n = self.atoms.get_chemical_formula(), self.layout.n_orbitals
        return f"Prediction({name}, homo={self.homo:.5f} Ha, lumo={self.lumo:.5f} Ha, n_orbitals={n})"


@dataclass(frozen=True, eq=False)
class OpenShellPrediction(OpenShellState, AtLevel):
    """Predicted Hamiltonians of both spins, H_σ = H0 + ΔH_σ, and all that follows from them; see `Prediction`."""

    def __repr__(self) -> str:
        name, levels = self.atoms.get_chemical_formula(), f"homo={self.homo:.5f} Ha, lumo={self.lumo:.5f} Ha"
        return f"OpenShellPrediction({name}, spin={self.spin}, {levels}, n_orbitals={self.layout.n_orbitals})"


@dataclass(frozen=True, eq=False)
class CrystalPrediction(CrystalState):
    """A predicted Hamiltonian H(R) = H0(R) + ΔH(R) of a crystal; its zero of energy has no meaning.

    Attributes:
        level: Level of theory that the model imitates.
        baseline_hamiltonian: H0(R), on the pairs of H(R).
        confidence: How sure it is; None of a model that was not calibrated.
    """

    level: LevelOfTheory = field(kw_only=True)
    baseline_hamiltonian: BlockMatrix = field(kw_only=True)
    confidence: "Confidence | None" = field(default=None, kw_only=True)

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        return [] if self.confidence is None else self.confidence.notes(self.atoms)

    def __getattr__(self, name: str) -> NoReturn:
        """Says of what molecules alone have that a crystal has not.

        Raises:
            UnknownNameError: Always, since Python asks here only for what is not there.
        """
        if not name.startswith("_") and hasattr(Prediction, name):
            has = "bands(), mesh(size), solve(k), hamiltonian and overlap"
            raise UnknownNameError(f"A crystal has no {name}, which is of molecules: it has {has}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        name, n = self.atoms.get_chemical_formula(), self.layout.n_orbitals
        return f"CrystalPrediction({name}, n_orbitals={n}, n_blocks={len(self.hamiltonian.pairs)})"

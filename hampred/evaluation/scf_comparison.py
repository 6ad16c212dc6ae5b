"""One SCF from PySCF's default guess and one from a prediction, side by side."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ase import Atoms

from hampred.inference import Predictor
from hampred.interop.electric_field import electric_field, in_electric_field
from hampred.interop.initial_guess import Verdict
from hampred.interop.periodic_fock import PeriodicFock
from hampred.interop.pyscf import build_mole, threads_for, unsolved_field
from hampred.interop.structures import read_spin
from hampred.scf import warm_start

DEFINITIONS = {
    "cycles": "SCF cycles as PySCF counts them, at the convergence of the labels",
    "wall_s": "wall seconds from a built mean field to its converged energy; of the warm start with checks, prediction "
    "and guard, without reading the model file, which happens once",
    "cpu_s": "the same in CPU seconds of all threads",
    "ratio": "warm start / default guess",
    "energy_difference_Eh": "total energy from the warm start less that from the default guess, Hartree",
}
"""What the numbers of a comparison mean."""

SAME_ENERGY = 1e-6
"""Hartree; two SCFs whose energies differ by more have found different solutions."""


@dataclass(frozen=True)
class ScfRun:
    """One SCF.

    Attributes:
        cycles: SCF cycles.
        converged: Whether it converged.
        energy_Eh: Total energy, Hartree; of a crystal that of one cell.
        wall_s: Seconds that it took.
        cpu_s: CPU seconds of all threads.
    """

    cycles: int
    converged: bool
    energy_Eh: float
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class ScfComparison:
    """Two SCFs of one structure.

    Attributes:
        formula: Of the structure.
        n_atoms: Atoms of the molecule or of one cell.
        n_orbitals: Atomic orbitals of it.
        default: From PySCF's default guess.
        warm: From the prediction, or from what the guard took instead.
        verdict: What the guard took.
    """

    formula: str
    n_atoms: int
    n_orbitals: int
    default: ScfRun
    warm: ScfRun
    verdict: Verdict

    @property
    def guess(self) -> str:
        """Where the warm start began."""
        return "prediction" if self.verdict.taken else "default"

    @property
    def energy_difference(self) -> float:
        """Of the total energies, Hartree."""
        return self.warm.energy_Eh - self.default.energy_Eh

    @property
    def agrees(self) -> bool:
        """Whether the warm start converged, and to no higher energy than the default guess."""
        return self.warm.converged and (not self.default.converged or self.energy_difference < SAME_ENERGY)

    def ratio(self, quantity: str) -> float:
        """Warm start / default guess in ``cycles``, ``wall_s`` or ``cpu_s``."""
        return getattr(self.warm, quantity) / getattr(self.default, quantity)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "formula": self.formula,
            "n_atoms": self.n_atoms,
            "n_orbitals": self.n_orbitals,
            "guess": self.guess,
            "guard": asdict(self.verdict),
            "default": asdict(self.default),
            "warm": asdict(self.warm),
            "ratio": {quantity: self.ratio(quantity) for quantity in ("cycles", "wall_s", "cpu_s")},
            "energy_difference_Eh": self.energy_difference,
            "agrees": self.agrees,
        }


def scf_field(predictor: Predictor, atoms: Atoms, charge: int) -> Any:
    """PySCF's mean field of a molecule or crystal at the level of a model, not yet run; UKS of unpaired electrons.

    Raises:
        HampredError: The structure cannot be built.
    """
    level = predictor.level
    if level.crystal is None:
        mole = build_mole(atoms, level.basis, charge, read_spin(atoms, charge))
        return in_electric_field(unsolved_field(mole, level), electric_field(atoms))
    field = PeriodicFock(atoms, level.functional, level.basis, level.crystal).field
    field.conv_tol = level.conv_tol
    return field


def default_scf(predictor: Predictor, atoms: Atoms, charge: int) -> ScfRun:
    """An SCF from PySCF's default guess; arguments and errors as `compare_scf`."""
    return _timed(scf_field(predictor, atoms, charge), lambda field: field)[0]


def warm_scf(predictor: Predictor, atoms: Atoms, charge: int) -> tuple[ScfRun, Verdict]:
    """An SCF from the prediction, and what the guard took; arguments and errors as `compare_scf`."""
    run, field = _timed(scf_field(predictor, atoms, charge), lambda field: warm_start(field, predictor))
    return run, field.verdict


def compare_scf(predictor: Predictor, atoms: Atoms, charge: int) -> ScfComparison:
    """Both SCFs of one structure.

    Args:
        predictor: The model, at whose level of theory PySCF runs.
        atoms: Molecule or crystal, positions in Å; ``info`` may tell unpaired electrons and an electric field.
        charge: Total charge (e).

    Raises:
        HampredError: The model does not know the structure.
    """
    default = default_scf(predictor, atoms, charge)
    n_orbitals = predictor.basis.layout(atoms.numbers).n_orbitals
    warm, verdict = warm_scf(predictor, atoms, charge)
    return ScfComparison(atoms.get_chemical_formula(), len(atoms), n_orbitals, default, warm, verdict)


def load_tables(predictor: Predictor, atoms: Atoms, charge: int) -> None:
    """Reads the tables that PySCF and the model read once in a process, so that no comparison pays for them."""
    warm_start(scf_field(predictor, atoms, charge), predictor).get_init_guess()


def _timed(field: Any, prepare: Callable[[Any], Any]) -> tuple[ScfRun, Any]:
    """Runs an SCF and takes the time of it, preparations included."""
    with threads_for(field.mol):
        cpu, wall = time.process_time(), time.perf_counter()
        field = prepare(field)
        field.kernel()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return ScfRun(int(field.cycles), bool(field.converged), float(field.e_tot), wall, cpu), field

"""Structures about a given one: rattling, strain, defects, fields, normal modes, molecular dynamics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from data_gen.geometries.defects import substitutions, vacancies
from hampred.config import (
    FieldConfig,
    MolecularDynamicsConfig,
    NormalModesConfig,
    RattleConfig,
    StrainConfig,
    SubstitutionConfig,
    VacancyConfig,
)
from hampred.errors import HampredError
from hampred.interop.electric_field import with_field
from hampred.interop.structures import read_charge, read_spin

Array = NDArray[np.float64]
Seed = tuple[int, ...]

SOFTEST_MODE = 100.0
"""cm⁻¹: softer modes are sampled as if they were as stiff as this; linear displacements along them would be absurd."""

GOLDEN_RATIO = (1 + 5**0.5) / 2

FIELD_DECIMALS = 8
"""Fields are rounded to 1e-8 V/Å, as positions are."""

HESSIAN_STEP = 0.005
"""Å, of the central differences of GFN2-xTB forces."""


def sample(atoms: Atoms, how: Any, seed: Seed) -> Iterator[Atoms]:
    """Makes structures from one, with its ``info`` and the name of the sampling in ``source``.

    Raises:
        HampredError: The sampling does not fit the structure, or lacks an extra that is not installed.
    """
    source = f"{atoms.info.get('source', '')} {how.kind}".strip()
    for new in _made(atoms, how, seed):
        new.info = {**atoms.info, **new.info, "source": source}
        yield new


def _made(atoms: Atoms, how: Any, seed: Seed) -> Iterator[Atoms]:
    """The new structures, with no more ``info`` than the electric field that they were put into."""
    if isinstance(how, (StrainConfig, VacancyConfig, SubstitutionConfig)) and not atoms.pbc.any():
        raise HampredError(
            f"The sampling {how.kind} is for crystals: sample molecules with rattle, normal_modes or md."
        )
    if isinstance(how, VacancyConfig):
        return vacancies(atoms, how, seed)
    if isinstance(how, SubstitutionConfig):
        return substitutions(atoms, how, seed)
    if isinstance(how, FieldConfig):
        return in_fields(atoms, how, seed)
    if isinstance(how, StrainConfig):
        made = strained(atoms, how, seed)
    else:
        made = ((positions, atoms.cell.array) for positions in _displaced(atoms, how, seed))
    return (Atoms(atoms.numbers, positions, cell=cell, pbc=atoms.pbc) for positions, cell in made)


def _displaced(atoms: Atoms, how: Any, seed: Seed) -> Iterator[Array]:
    """New positions [n_atoms, 3], Å."""
    if isinstance(how, RattleConfig):
        return rattled(atoms, how, seed)
    if atoms.pbc.any():
        raise HampredError(f"The sampling {how.kind} is for molecules: sample crystals with strain and rattle.")
    if isinstance(how, NormalModesConfig):
        return normal_modes(atoms, how, seed)
    if isinstance(how, MolecularDynamicsConfig):
        return molecular_dynamics(atoms, how, seed)
    raise TypeError(type(how))


def rattled(atoms: Atoms, how: RattleConfig, seed: Seed) -> Iterator[Array]:
    """Positions [n_atoms, 3] (Å) with Gaussian displacements of every coordinate."""
    for number in range(how.count):
        rng = np.random.default_rng((*seed, number))
        yield atoms.positions + how.stdev * rng.standard_normal(atoms.positions.shape)


def in_fields(atoms: Atoms, how: FieldConfig, seed: Seed) -> Iterator[Atoms]:
    """The molecule in uniform electric fields: random directions, strengths spread evenly up to the largest.

    Raises:
        HampredError: A crystal.
    """
    if atoms.pbc.any():
        raise HampredError("The sampling field is for molecules: sample crystals with strain and rattle.")
    for number in range(how.count):
        rng = np.random.default_rng((*seed, number))
        direction = rng.standard_normal(3)
        field = how.strength * rng.random() * direction / np.linalg.norm(direction)
        yield with_field(Atoms(atoms.numbers, atoms.positions), np.round(field, FIELD_DECIMALS))


def strained(atoms: Atoms, how: StrainConfig, seed: Seed) -> Iterator[tuple[Array, Array]]:
    """Positions [n_atoms, 3] and cell vectors [3, 3] (Å) under random symmetric strains, r → (1 + ε) r.

    ε is a sum of a part alike in all directions, spread evenly over ±``isotropic`` however many are drawn (an additive
    recurrence with the golden ratio), and a part with independent Gaussian components. Slabs and chains are strained
    along their periodic directions alone.
    """
    periodic = atoms.cell.array[atoms.pbc]
    projector = np.linalg.pinv(periodic) @ periodic
    start = np.random.default_rng((*seed, 0, 1)).random()
    for number in range(how.count):
        draws = how.stdev * np.random.default_rng((*seed, number)).standard_normal((3, 3))
        even = how.isotropic * (2 * ((start + number * GOLDEN_RATIO) % 1) - 1) * np.eye(3)
        strain = projector @ (even + np.triu(draws) + np.triu(draws, 1).T) @ projector
        yield atoms.positions @ (np.eye(3) + strain), atoms.cell.array @ (np.eye(3) + strain)


def normal_modes(atoms: Atoms, how: NormalModesConfig, seed: Seed) -> Iterator[Array]:
    """Positions [n_atoms, 3] (Å) drawn from the quantum-harmonic distribution at a temperature.

    The variance of a normal coordinate of frequency ω is ħ/(2ω) coth(ħω / 2kT), zero-point motion included.

    Raises:
        HampredError: tblite is not installed or GFN2-xTB fails on the molecule.
    """
    relaxed = with_xtb(atoms)
    with _naming(atoms):
        _relax(relaxed)
        displacements = _mode_displacements(relaxed, how.temperature)
    for number in range(how.count):
        rng = np.random.default_rng((*seed, number))
        yield relaxed.positions + np.tensordot(rng.standard_normal(len(displacements)), displacements, axes=1)


def molecular_dynamics(atoms: Atoms, how: MolecularDynamicsConfig, seed: Seed) -> Iterator[Array]:
    """Positions [n_atoms, 3] (Å) of frames of a Langevin trajectory on the GFN2-xTB surface.

    Raises:
        HampredError: tblite is not installed or GFN2-xTB fails on the molecule.
    """
    from ase.md.langevin import Langevin

    moving = with_xtb(atoms)
    rng = np.random.default_rng(seed)
    masses = moving.get_masses()[:, None]
    moving.set_momenta(np.sqrt(masses * units.kB * how.temperature) * rng.standard_normal(moving.positions.shape))
    dynamics = Langevin(
        moving,
        how.timestep * units.fs,
        temperature_K=how.temperature,
        friction=how.friction / units.fs,
        fixcm=False,
        rng=rng,
    )
    for _ in range(how.count):
        with _naming(atoms):
            dynamics.run(how.interval)
        yield moving.positions - moving.get_center_of_mass()


def with_xtb(atoms: Atoms) -> Atoms:
    """A copy with a GFN2-xTB calculator of its charge and spin.

    Raises:
        HampredError: tblite is not installed, or charge or spin do not fit the electrons.
    """
    try:
        from tblite.ase import TBLite
    except ImportError:
        raise HampredError("Normal modes and dynamics need tblite: pip install 'hampred[sample]'.") from None
    copy, name = atoms.copy(), atoms.info.get("molecule", atoms.get_chemical_formula())
    charge = read_charge(atoms, name)
    multiplicity = read_spin(atoms, charge, name) + 1
    copy.calc = TBLite(method="GFN2-xTB", charge=charge, multiplicity=multiplicity, verbosity=0)
    return copy


class _naming:
    """Turns a failure of GFN2-xTB into one line that names the molecule."""

    def __init__(self, atoms: Atoms) -> None:
        self.molecule = atoms.info.get("molecule", atoms.get_chemical_formula())

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        from ase.calculators.calculator import CalculatorError

        if isinstance(error, (RuntimeError, CalculatorError)):
            told = " ".join(str(error).split())
            raise HampredError(f"GFN2-xTB fails on {self.molecule} ({told}): check the geometry.") from error


def _relax(atoms: Atoms) -> None:
    from ase.optimize import BFGS

    if len(atoms) > 1:
        BFGS(atoms, logfile=None).run(fmax=0.005, steps=500)


def _mode_displacements(atoms: Atoms, temperature: float) -> Array:
    """One standard deviation along every vibration [n_modes, n_atoms, 3], Å."""
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    hessian = _hessian(atoms) / np.outer(roots, roots)  # eV/Å²/u
    values, vectors = np.linalg.eigh(hessian)
    linear = len(atoms) == 2 or np.linalg.matrix_rank(atoms.positions - atoms.positions.mean(axis=0), tol=1e-2) < 2
    keep = np.argsort(np.abs(values))[5 if linear else 6 :]
    quantum = units._hbar * 1e10 / np.sqrt(units._e * units._amu)  # ħω in eV for ω² in eV/Å²/u
    softest = (SOFTEST_MODE * units.invcm / quantum) ** 2
    squares = np.maximum(values[keep], softest)
    energies = quantum * np.sqrt(squares)
    variances = 0.5 * energies / np.tanh(energies / (2 * units.kB * temperature)) / squares  # Å² u
    modes = vectors[:, keep] * np.sqrt(variances) / roots[:, None]
    return modes.T.reshape(len(keep), len(atoms), 3)


def _hessian(atoms: Atoms) -> Array:
    """Second derivatives of the energy [3 n_atoms, 3 n_atoms], eV/Å², by central differences of forces."""
    start = atoms.positions.copy()
    rows = []
    for coordinate in range(start.size):
        sides = []
        for sign in (1, -1):
            moved = start.ravel().copy()
            moved[coordinate] += sign * HESSIAN_STEP
            atoms.positions = moved.reshape(-1, 3)
            sides.append(atoms.get_forces().ravel())
        rows.append((sides[1] - sides[0]) / (2 * HESSIAN_STEP))
    atoms.positions = start
    hessian = np.array(rows)
    return 0.5 * (hessian + hessian.T)

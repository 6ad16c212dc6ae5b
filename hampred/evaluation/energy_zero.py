"""What figures and tables of bands call zero, for H(R) has no zero of energy of its own."""

from dataclasses import replace
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.special import expit

from hampred.data.sample import LevelOfTheory
from hampred.electronic.crystal import CrystalState
from hampred.electronic.orbitals import fermi_level
from hampred.errors import HampredError
from hampred.evaluation.band_reference import reference_fock
from hampred.evaluation.band_structure import BandStructure, EnergyZero
from hampred.interop.vacuum_level import STEP, vacuum_level
from hampred.units import MILLI_EV

Array = NDArray[np.float64]

COLD = 1e-6
"""Hartree: width of the occupations of an insulator."""

FLAT = 10.0
"""meV per `STEP`; a potential that changes more is not that of a vacuum."""


Choice = Literal["edge", "midgap", "vacuum"]
"""Zeros that a user can choose."""


def check_zero(choice: Choice, atoms: Atoms) -> None:
    """Refuses a zero that a structure does not have.

    Raises:
        HampredError: A vacuum level of a crystal that fills all space.
    """
    if choice == "vacuum" and atoms.pbc.all():
        raise HampredError(
            "--zero vacuum: a structure that is periodic along all cell vectors has no vacuum; set its pbc to False "
            "across the vacuum of a slab or chain, or choose edge or midgap."
        )


def with_zero(found: BandStructure, choice: Choice, level: LevelOfTheory) -> BandStructure:
    """Bands about another zero of energy.

    Args:
        found: Bands about their edge: the VBM, or the Fermi level of a metal.
        choice: The zero; the middle of the gap of a metal is its Fermi level.
        level: Of the model.

    Raises:
        HampredError: As `check_zero` and `reference_fock`.
    """
    if choice == "edge":
        return found
    if choice == "midgap":
        name = "Fermi level" if found.is_metal else "middle of the gap"
        return replace(found, chosen_zero=EnergyZero(name, found.fermi_level))
    check_zero(choice, found.state.atoms)
    energy, slope = predicted_vacuum_level(found.state, level)
    notes = list(found.notes)
    if slope > FLAT:
        notes.append(
            f"The potential is not flat in the vacuum ({slope:.0f} meV over {STEP:g} Å): widen the vacuum; two sides "
            "of a slab with a dipole have two vacuum levels."
        )
    return replace(found, chosen_zero=EnergyZero("vacuum level", energy), notes=notes)


def predicted_vacuum_level(state: CrystalState, level: LevelOfTheory) -> tuple[float, float]:
    """Vacuum level of the predicted density about the zero of energy of the predicted H(R).

    The density, which a shift H + μS does not change, gives F by one step without self-consistency, and the potential
    in the vacuum on F's own scale. H and F then have one energy per electron, tr(D F) = tr(D H), which fixes μ.

    Args:
        state: H(R) and S(R) of a slab or chain.
        level: Of the model.

    Returns:
        Hartree, and the largest change of the potential over `STEP`, meV.

    Raises:
        HampredError: As `vacuum_level` and `reference_fock`.
    """
    fock = reference_fock(state.atoms, level)
    kpoints = fock.cell.get_scaled_kpts(fock.field.kpts)
    density = _density(state, kpoints, level.crystal.smearing if level.crystal else 0.0)
    h, f = state.hamiltonian.bloch(kpoints), fock.at(density, kpoints)
    shift = float(np.einsum("kij,kji->", density, f - h).real) / (len(kpoints) * state.n_electrons)
    found = vacuum_level(fock, density)
    return found.energy - shift, MILLI_EV * found.slope


def _density(state: CrystalState, kpoints: Array, smearing: float) -> NDArray[np.complex128]:
    """Density matrices at k-points of equal weight [n_k, n_orbitals, n_orbitals]."""
    solved = [state.solve(k) for k in kpoints]
    m = min(len(energies) for energies, _ in solved)
    energies = np.array([each[:m] for each, _ in solved])
    width = smearing or COLD
    top = fermi_level(energies, state.n_electrons, width, np.full(len(kpoints), 1 / len(kpoints)))
    filled = 2 * expit((top - energies) / width)
    return np.array([(c[:, :m] * f) @ c[:, :m].conj().T for f, (_, c) in zip(filled, solved)])

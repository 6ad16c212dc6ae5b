"""How far the energy, forces, multipoles and charges of a predicted density are from those of the label."""

import numpy as np
from numpy.typing import NDArray

from hampred.data.sample import HamiltonianSample
from hampred.electronic.state import ElectronicState
from hampred.interop.energy import EnergyFunctional, harris_energy
from hampred.units import BOHR, DEBYE, KCAL_PER_MOL, MILLI_EV

Array = NDArray[np.float64]

FORCE_METRICS: dict[str, str] = {
    "forces_mae_meV_A": "forces, mean absolute error / meV/Å",
    "forces_max_meV_A": "forces, largest error / meV/Å",
}
"""Metrics of labels with forces."""

PROPERTY_METRICS: dict[str, str] = {
    "energy_mae_kcal_mol": "energy, absolute error / kcal/mol",
    "harris_energy_mae_kcal_mol": "energy by Harris and Foulkes, absolute error / kcal/mol",
    **FORCE_METRICS,
    "quadrupole_mae_DA": "quadrupole, norm of the error / D·Å",
    "mulliken_mae_e": "Mulliken charges, mean absolute error / e",
    "lowdin_mae_e": "Löwdin charges, mean absolute error / e",
}
"""Metric → what it says, with its unit, in the order of every table; see `hampred.electronic.properties`."""


def property_errors(
    states: list[ElectronicState], label: ElectronicState, sample: HamiltonianSample
) -> list[dict[str, float]]:
    """Every metric of `PROPERTY_METRICS` of some states of one molecule, at the cost of a Fock build for each.

    Energy and forces are compared with those that the SCF of the label found, all else with the label's own H.

    Args:
        states: Prediction, and baseline where there is one; open shells as well.
        label: The reference, for the same atoms in the same places.
        sample: Of the label, with its level of theory, total energy and, if the store has them, forces.

    Returns:
        For each state metric → value in the unit that its name carries; forces cost a gradient, and are left out where
        the label has none.
    """
    functional = EnergyFunctional(label.atoms, sample.level, label.charge, sample.spin)
    return [_errors(state, label, sample, functional) for state in states]


def _errors(
    state: ElectronicState, label: ElectronicState, sample: HamiltonianSample, functional: EnergyFunctional
) -> dict[str, float]:
    found, true = state.properties, label.properties
    energy, fock = functional.energy_and_fock(state.density)
    harris = harris_energy(energy, fock, state.density, state.with_fock(fock).density)
    energies = {"energy": energy, "harris_energy": harris}
    errors = {f"{name}_mae_kcal_mol": KCAL_PER_MOL * abs(e - sample.total_energy) for name, e in energies.items()}
    if sample.forces is not None:
        forces = functional.forces(state.orbital_coefficients, state.n_occupied, fock)
        error = MILLI_EV * np.abs(forces - sample.forces)
        errors |= {"forces_mae_meV_A": float(error.mean()), "forces_max_meV_A": float(error.max())}
    quadrupole = DEBYE * BOHR * float(np.linalg.norm(found["quadrupole"] - true["quadrupole"]))
    charges = {
        f"{kind}_mae_e": float(np.abs(found[f"{kind}_charges"] - true[f"{kind}_charges"]).mean())
        for kind in ("mulliken", "lowdin")
    }
    return errors | {"quadrupole_mae_DA": quadrupole, **charges}

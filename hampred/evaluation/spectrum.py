"""How far a Hamiltonian and its spectrum are from the label, for one molecule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import LETTERS, BasisLayout
from hampred.blocks.matrix import BlockMatrix
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.orbitals import orbital_similarities
from hampred.electronic.state import ElectronicState
from hampred.units import DEBYE, MICRO_HARTREE, MILLI_EV

Array = NDArray[np.float64]
Molecule = ElectronicState | OpenShellState

METRICS: dict[str, str] = {
    "H_mae_uEh": "H, mean absolute error / µE_h",
    "H_onsite_mae_uEh": "H onsite, mean absolute error / µE_h",
    "H_offsite_mae_uEh": "H offsite, mean absolute error / µE_h",
    "H_rms_uEh": "H, root mean square error / µE_h",
    "H_max_uEh": "H, largest error / µE_h",
    "occupied_mae_meV": "occupied orbital energies, mean absolute error / meV",
    "homo_mae_meV": "HOMO, absolute error / meV",
    "lumo_mae_meV": "LUMO, absolute error / meV",
    "gap_mae_meV": "gap, absolute error / meV",
    "orbital_similarity": "orbital similarity (1 is perfect)",
    "density_mae": "density matrix, mean absolute error / e",
    "dipole_mae_D": "dipole, length of the error / D",
}
"""Metric → what it says, with its unit, in the order of every table."""

ORIENTATION_DEPENDENT = (
    *(f"H{error}_{unit}" for error in ("_mae", "_onsite_mae", "_offsite_mae", "_max") for unit in ("uEh", "meV")),
    "density_mae",
    "spin_splitting_mae_uEh",
)
"""Sums of absolute values change when an error matrix E turns into D E Dᵀ; all other metrics are invariant."""


def compare(found: ElectronicState, label: ElectronicState) -> dict[str, float]:
    """Every metric of `METRICS` for one molecule.

    Args:
        found: Prediction, or the baseline.
        label: The reference, for the same atoms in the same places.

    Returns:
        Metric → value in the unit that its name carries; NaN where a molecule has none (one atom, no LUMO).
    """
    energies, occupied = found.orbital_energies, slice(0, label.n_occupied)
    similarity = orbital_similarities(
        found.orbital_coefficients,
        label.orbital_coefficients,
        label.overlap,
        energies,
        label.orbital_energies,
        label.n_occupied,
    )
    return {
        **matrix_errors(found.hamiltonian - label.hamiltonian, label.layout),
        "occupied_mae_meV": MILLI_EV * _mean_difference(energies[occupied], label.orbital_energies[occupied]),
        **frontier_errors(found, label),
        "orbital_similarity": float(similarity.mean()),
        **density_errors(found, label),
    }


def matrix_errors(error: Array, layout: BasisLayout) -> dict[str, float]:
    """Metrics of the error of one Hamiltonian [n, n], or of those of both spins [2, n, n], Hartree."""
    onsite, error = onsite_mask(layout), np.abs(error)
    return {
        "H_mae_uEh": MICRO_HARTREE * float(error.mean()),
        "H_onsite_mae_uEh": MICRO_HARTREE * float(error[..., onsite].mean()),
        "H_offsite_mae_uEh": MICRO_HARTREE * float(error[..., ~onsite].mean()) if (~onsite).any() else float("nan"),
        "H_rms_uEh": MICRO_HARTREE * float(np.sqrt((error**2).mean())),
        "H_max_uEh": MICRO_HARTREE * float(error.max()),
    }


def frontier_errors(found: Molecule, label: Molecule) -> dict[str, float]:
    """Metrics of the orbitals around the gap of two states of one molecule."""
    return {
        "homo_mae_meV": MILLI_EV * abs(found.homo - label.homo),
        "lumo_mae_meV": MILLI_EV * abs(found.lumo - label.lumo),
        "gap_mae_meV": MILLI_EV * abs(found.gap - label.gap),
    }


def density_errors(found: Molecule, label: Molecule) -> dict[str, float]:
    """Metrics of the total densities of two states of one molecule."""
    return {
        "density_mae": _mean_difference(found.density_matrix, label.density_matrix),
        "dipole_mae_D": DEBYE * float(np.linalg.norm(found.dipole - label.dipole)),
    }


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values for JSON, which has no NaN: None takes its place."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _mean_difference(a: Array, b: Array) -> float:
    return float(np.abs(a - b).mean())


def onsite_mask(layout: BasisLayout) -> NDArray[np.bool_]:
    """Which elements of a matrix belong to one atom [n, n]."""
    owner = np.repeat(np.arange(layout.n_atoms), layout.sizes)
    return owner[:, None] == owner[None, :]


CORES = {2: (1,), 10: (2, 1), 18: (3, 2), 28: (3, 2, 1), 36: (4, 3, 1), 46: (4, 3, 2), 54: (5, 4, 2)}
CORES |= {60: (4, 3, 2, 1), 68: (5, 4, 2, 1), 78: (5, 4, 3, 1)}
"""Electrons of a core → its filled shells of each l."""


def shell_names(shells: tuple[int, ...], n_core: int = 0) -> list[str]:
    """Names of the shells of an element as chemists count them: ``1s 2s 3s 2p 3p 3d``.

    Args:
        shells: l of each shell.
        n_core: Electrons that a pseudopotential replaces; the shells are counted on from theirs.
    """
    count = dict(enumerate(CORES.get(n_core, ())))
    names = []
    for l in shells:
        count[l] = count.get(l, 0) + 1
        names.append(f"{count[l] + l}{LETTERS[l]}")
    return names


@dataclass
class ErrorMap:
    """Sums of absolute errors of H by place: onsite or offsite, and the element and shell of row and column.

    Attributes:
        sums: (onsite, element, shell, element, shell) → sum of absolute errors (Hartree), number of elements.
    """

    sums: dict[tuple[bool, int, int, int, int], tuple[float, int]] = field(default_factory=dict)

    def add(self, error: BlockMatrix) -> None:
        """Adds one structure: the difference of two Hamiltonians, Hartree."""
        for z_i, z_j, pairs, index in error.groups():
            shells = [error.layout.basis.shells(z) for z in (z_i, z_j)]
            first = [np.cumsum([0, *(2 * l + 1 for l in some)])[:-1] for some in shells]
            sizes = np.abs(error.values[index])
            sums = np.add.reduceat(np.add.reduceat(sizes, first[0], axis=1), first[1], axis=2)
            for onsite in (True, False):
                chosen = error.onsite[pairs] == onsite
                if not chosen.any():
                    continue
                for (a, l_a), (b, l_b) in product(enumerate(shells[0]), enumerate(shells[1])):
                    key, n = (onsite, z_i, a, z_j, b), int(chosen.sum()) * (2 * l_a + 1) * (2 * l_b + 1)
                    total, count = self.sums.get(key, (0.0, 0))
                    self.sums[key] = (total + float(sums[chosen, a, b].sum()), count + n)

    def element_pairs(self, unit: float = MICRO_HARTREE) -> dict[str, float]:
        """Mean absolute error of H: ``O`` for blocks of one atom, ``H–O`` for blocks of two.

        Args:
            unit: Of the errors, 1/Hartree.
        """
        grouped: dict[tuple[bool, int, int], list[tuple[float, int]]] = {}
        for (onsite, z_i, _, z_j, _), entry in self.sums.items():
            grouped.setdefault((not onsite, min(z_i, z_j), max(z_i, z_j)), []).append(entry)
        return {
            _pair_name(*key): unit * sum(total for total, _ in entries) / sum(count for _, count in entries)
            for key, entries in sorted(grouped.items())
        }

    def matrix(self, onsite: bool, unit: float = MICRO_HARTREE) -> tuple[list[tuple[int, int]], Array]:
        """Mean absolute error by element and shell.

        Args:
            onsite: Whether of blocks of one atom, or of two.
            unit: Of the errors, 1/Hartree.

        Returns:
            (element, shell) of each row, and the errors [rows, rows], NaN where no block stands.
        """
        rows = sorted({key[1:3] for key in self.sums})
        place = {row: k for k, row in enumerate(rows)}
        image = np.full((len(rows), len(rows)), np.nan)
        for (kind, z_i, k_i, z_j, k_j), (total, count) in self.sums.items():
            if kind == onsite:
                image[place[z_i, k_i], place[z_j, k_j]] = unit * total / count
        return rows, image


def _pair_name(offsite: bool, z_i: int, z_j: int) -> str:
    return f"{chemical_symbols[z_i]}–{chemical_symbols[z_j]}" if offsite else chemical_symbols[z_i]

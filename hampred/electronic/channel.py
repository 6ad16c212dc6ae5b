"""The orbitals of a state, spin by spin: what drawings and files of orbitals are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]

AROUND_GAP = {"HOMO−2": -3, "HOMO−1": -2, "HOMO": -1, "LUMO": 0, "LUMO+1": 1, "LUMO+2": 2}
"""Names of orbitals, and where they stand, counted from the LUMO."""


@dataclass(frozen=True, eq=False)
class Channel:
    """Orbitals that electrons of one spin fill, or pairs of electrons.

    Attributes:
        spin: ``α`` or ``β``; empty for orbitals that hold both.
        energies: Ascending [m], Hartree.
        coefficients: Orbitals as columns [n, m].
        occupations: Electrons in each [m].
        n_occupied: Orbitals below the gap.
    """

    spin: str
    energies: Array
    coefficients: Array
    occupations: Array
    n_occupied: int

    def around_gap(self) -> dict[str, int]:
        """HOMO−2 to LUMO+2, as far as there are such orbitals: name → index."""
        places = {name: self.n_occupied + place for name, place in AROUND_GAP.items()}
        return {name: k for name, k in places.items() if 0 <= k < len(self.energies)}

    def named(self, orbital: str) -> str:
        """The name of an orbital with its spin."""
        return f"{self.spin} {orbital}".strip()


def channels(state: ElectronicState | OpenShellState) -> list[Channel]:
    """The one channel of a closed shell, or those of α and β."""
    solved = state.orbital_energies, state.orbital_coefficients, state.occupations
    if isinstance(state, OpenShellState):
        return [Channel(*parts) for parts in zip("αβ", *solved, state.n_occupied)]
    return [Channel("", *solved, state.n_occupied)]

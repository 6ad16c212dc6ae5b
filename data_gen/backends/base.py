"""What every source of labels offers."""

from typing import Protocol

from ase import Atoms

from hampred.data.sample import HamiltonianSample, LevelOfTheory


class Backend(Protocol):
    """Labels structures at one level of theory.

    Attributes:
        level: What defines the labels.
    """

    level: LevelOfTheory

    def check(self, atoms: Atoms, charge: int) -> int:
        """Refuses a structure before any work.

        Returns:
            Number of orbitals.

        Raises:
            HampredError: The structure cannot be labelled.
        """
        ...

    def cpu_seconds(self, n_orbitals: int) -> float:
        """Rough CPU seconds of the label of a structure with so many orbitals."""
        ...

    def label(self, atoms: Atoms, charge: int) -> HamiltonianSample:
        """Labels one structure.

        Args:
            atoms: Positions in Å; ``info`` goes into the provenance.
            charge: Total charge (e).

        Raises:
            HampredError: The structure cannot be labelled.
            FailedError: The calculation did not converge or gave a label that must not be learned from.
        """
        ...

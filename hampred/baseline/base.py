"""What a baseline H0 is, and the list of those that are installed."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.baseline.core import Core
from hampred.baseline.minao import Minao
from hampred.baseline.none import Zero
from hampred.baseline.projectors import Projectors
from hampred.baseline.sap import Sap
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.integrals import Integrals

Array = NDArray[np.float64]


class Level(Protocol):
    """What a baseline may know of the level of theory; `hampred.data.sample.LevelOfTheory` is one."""

    @property
    def functional(self) -> str:
        """PySCF's name of the functional."""
        ...

    @property
    def basis(self) -> str:
        """PySCF's name of the basis set."""
        ...

    @property
    def grid_level(self) -> int:
        """Level of PySCF's integration grid."""
        ...

    @property
    def density_fit(self) -> bool:
        """Whether Coulomb integrals are density-fitted."""
        ...

    @property
    def auxbasis(self) -> str | None:
        """Fitting basis, None for PySCF's default."""
        ...


class Labelled(Protocol):
    """What a fit needs of a label; `hampred.data.sample.HamiltonianSample` is one."""

    @property
    def atoms(self) -> Atoms:
        """Numbers and positions (Å)."""
        ...

    @property
    def basis(self) -> OrbitalBasis:
        """Orbitals of the elements."""
        ...

    @property
    def level(self) -> Level:
        """What defines the label."""
        ...

    @property
    def hamiltonian(self) -> BlockMatrix:
        """The label, Hartree."""
        ...

    @property
    def charge(self) -> int:
        """Total charge (e)."""
        ...

    @property
    def spin(self) -> int:
        """Unpaired electrons."""
        ...


class Baseline(Protocol):
    """A cheap Hamiltonian H0 without an SCF.

    Attributes:
        name: The word that names it in configurations and model files.
        grid_free: Whether H0 is analytic, hence equivariant to rounding; otherwise to the noise of a grid.
        local: Whether H0 is of short range, hence of linear cost, and the same whatever cell a crystal is given in.
        screened: Whether electrons in H0 feel one another, so that H0 can stand alone where nothing else is known.
    """

    name: ClassVar[str]
    grid_free: ClassVar[bool]
    local: ClassVar[bool]
    screened: ClassVar[bool]

    @classmethod
    def from_level(cls, level: Level) -> Self:
        """The baseline for labels of this level of theory."""
        ...

    def blocks(self, integrals: Integrals) -> BlockMatrix:
        """H0 of a structure.

        Args:
            integrals: Of a molecule or crystal.

        Returns:
            Hermitian, Hartree; where `local`, on the pairs of the overlap.

        Raises:
            HampredError: The structure is not of the kind that this H0 is for.
        """
        ...

    def fit(self, samples: Iterable[Labelled]) -> None:
        """Adjusts free coefficients to labels; does nothing where there are none."""
        ...

    def state(self) -> dict[str, Any]:
        """All that defines the baseline, as plain JSON types with the key ``name``."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state`."""
        ...


class LocalBaseline(Baseline, Protocol):
    """A baseline with `local`, of which large molecules need one half alone."""

    def half_blocks(self, integrals: Integrals) -> BlockMatrix:
        """Half of H0, on the pairs of `Integrals.half_overlap`, Hartree.

        Raises:
            HampredError: As `blocks`.
        """
        ...


BASELINES: dict[str, type[Baseline]] = {kind.name: kind for kind in (Zero, Core, Minao, Sap, Projectors)}
"""The installed baselines by name."""


def make_baseline(name: str, level: Level) -> Baseline:
    """A new baseline, not yet fitted.

    Args:
        name: One of `BASELINES`.
        level: Level of theory of the labels.

    Raises:
        HampredError: There is no baseline of this name.
    """
    return _kind(name).from_level(level)


def baseline_from_state(state: Mapping[str, Any]) -> Baseline:
    """The baseline that `Baseline.state` described.

    Raises:
        HampredError: There is no baseline of this name, or its description is malformed.
    """
    kind = _kind(state.get("name"))
    try:
        return kind.from_state(state)
    except (KeyError, TypeError, ValueError) as error:
        raise HampredError(f"The state of the baseline {kind.name} is malformed ({error}): train again.") from error


def _kind(name: object) -> type[Baseline]:
    if name not in BASELINES:
        raise HampredError(f"There is no baseline {name!r}: choose one of {', '.join(BASELINES)}.")
    return BASELINES[str(name)]

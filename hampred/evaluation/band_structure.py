"""BandStructure: all that a band calculation tells of a crystal, from H(R) and S(R) alone."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.electronic.bands import TEMPERATURE, Bands
from hampred.electronic.crystal import CrystalState
from hampred.electronic.dos import DensityOfStates, density_of_states
from hampred.electronic.eigen import NearDependentBasis
from hampred.electronic.kpath import KPath
from hampred.electronic.masses import EffectiveMasses, edge_masses
from hampred.electronic.orbitals import fermi_level
from hampred.errors import HampredError

if TYPE_CHECKING:
    from hampred.confidence import Confidence

Array = NDArray[np.float64]
Show = Callable[[str, int, int], None]
"""Called with what is being done, the k-points done and all of them."""

TIE = 4e-6
"""Hartree (0.1 meV); energies closer than this are one band edge."""

MOST_ORBITALS = 600
"""Orbitals beyond which effective masses, some hundred more k-points, are left out."""

OFF_PATH = "off the path"
"""Where an edge is that the mesh holds and the path does not."""


@dataclass(frozen=True)
class BandEdge:
    """Top of the occupied or bottom of the empty bands on the k-points of path and mesh.

    Attributes:
        energy: Hartree.
        kpoint: In units of the reciprocal vectors [3].
        place: ``G``, or ``0.85 G–X`` for 85 % of the way from Γ to X, or `OFF_PATH`.
    """

    energy: float
    kpoint: Array
    place: str


@dataclass(frozen=True)
class EnergyZero:
    """An energy that figures and tables call zero.

    Attributes:
        name: What it is.
        energy: Hartree.
    """

    name: str
    energy: float


@dataclass(frozen=True, eq=False)
class BandStructure:
    """Bands of one crystal on a path and on a mesh, and what follows from them.

    Attributes:
        state: H(R) and S(R).
        path: Bands along the path.
        mesh: Bands on the mesh.
        mesh_size: Points along each reciprocal vector [3].
        dos: From the mesh.
        masses: ``vbm`` and ``cbm`` → effective masses, where there are any.
        notes: What the user should know.
        seconds: Time of each part.
        chosen_zero: Zero of energy; None for the VBM, or the Fermi level of a metal.
    """

    state: CrystalState
    path: Bands
    mesh: Bands
    mesh_size: tuple[int, int, int]
    dos: DensityOfStates
    masses: Mapping[str, EffectiveMasses]
    notes: list[str]
    seconds: Mapping[str, float]
    chosen_zero: EnergyZero | None = None

    @property
    def confidence(self) -> "Confidence | None":
        """How sure the prediction of H(R) is; None where nothing is known of that."""
        return getattr(self.state, "confidence", None)

    @cached_property
    def sampled(self) -> Bands:
        """Bands at the k-points of path and mesh together."""
        return _joined(self.path, self.mesh)

    @property
    def is_metal(self) -> bool:
        """Whether bands are partly filled."""
        return self.sampled.is_metal

    @cached_property
    def vbm(self) -> BandEdge | None:
        """Top of the occupied bands; None for a metal."""
        return None if self.is_metal else self._edge(self.sampled.n_occupied - 1, -1)

    @cached_property
    def cbm(self) -> BandEdge | None:
        """Bottom of the empty bands; None for a metal, and where the basis has no empty bands."""
        empty = self.sampled.n_occupied < self.sampled.n_bands
        return self._edge(self.sampled.n_occupied, 1) if empty and not self.is_metal else None

    @cached_property
    def direct(self) -> BandEdge | None:
        """Smallest gap at one k, and where it is; None without a gap."""
        if self.vbm is None or self.cbm is None:
            return None
        n = self.sampled.n_occupied
        return self._lowest(self.sampled.energies[:, n] - self.sampled.energies[:, n - 1])

    @property
    def gap(self) -> float | None:
        """CBM − VBM, Hartree; None without a gap."""
        return None if self.vbm is None or self.cbm is None else self.cbm.energy - self.vbm.energy

    @property
    def gap_is_direct(self) -> bool:
        """Whether an electron crosses the gap without a change of k."""
        return self.gap is not None and self.direct is not None and self.direct.energy - self.gap < TIE

    @cached_property
    def fermi_level(self) -> float:
        """Of Fermi–Dirac occupations on the mesh of a metal; the middle of the gap of an insulator. Hartree."""
        if self.vbm is not None and self.cbm is not None:
            return 0.5 * (self.vbm.energy + self.cbm.energy)
        if self.vbm is not None:
            return self.vbm.energy
        return fermi_level(self.mesh.energies, self.mesh.n_electrons, TEMPERATURE, self.mesh.weights)

    @property
    def zero(self) -> EnergyZero:
        """What figures and tables call zero."""
        return self.edge if self.chosen_zero is None else self.chosen_zero

    @property
    def edge(self) -> EnergyZero:
        """The VBM, or the Fermi level of a metal."""
        if self.vbm is None:
            return EnergyZero("Fermi level", self.fermi_level)
        return EnergyZero("VBM", self.vbm.energy)

    def _edge(self, band: int, sign: int) -> BandEdge:
        lowest = self._lowest(sign * self.sampled.energies[:, band])
        return BandEdge(sign * lowest.energy, lowest.kpoint, lowest.place)

    def _lowest(self, values: Array) -> BandEdge:
        """The lowest of the values at the k-points of path and mesh; among equal ones a corner of the path."""
        equal = np.flatnonzero(values <= values.min() + TIE)
        corners = dict(self.path.labels)
        index = int(next((k for k in equal if int(k) in corners), equal[0]))
        return BandEdge(float(values[index]), self.sampled.kpoints[index], _place(self.path, index))


def band_structure(
    state: CrystalState,
    path: KPath,
    mesh: ArrayLike,
    projected: bool = False,
    notes: Sequence[str] = (),
    show: Show | None = None,
) -> BandStructure:
    """Computes bands, density of states, gap and effective masses.

    Args:
        state: H(R) and S(R); notes of a prediction are told too.
        path: From `choose_path`.
        mesh: Points along each reciprocal vector [3], from `choose_mesh`.
        projected: Whether to compute Mulliken weights.
        notes: What is known already that the user should know.
        show: Called as the work goes on.

    Raises:
        HampredError: As `CrystalState.solve`.
    """
    told, seconds = [*notes, *getattr(state, "notes", ())], {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with timed(seconds, "path"):
            on_path = state.bands(path, projected, show and _labelled(show, "bands along the path"))
        with timed(seconds, "mesh"):
            on_mesh = state.mesh(mesh, projected, show and _labelled(show, "bands on the mesh"))
            dos = density_of_states(on_mesh)
    told += [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    with timed(seconds, "masses"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NearDependentBasis)  # told already
        masses = _masses(state, _joined(on_path, on_mesh), told, show)
    size = tuple(map(int, np.asarray(mesh)))
    found = BandStructure(state, on_path, on_mesh, size, dos, masses, list(dict.fromkeys(told)), seconds)
    off = [name for name, edge in (("VBM", found.vbm), ("CBM", found.cbm)) if edge and edge.place == OFF_PATH]
    if off:
        found.notes.append(
            f"{' and '.join(off)} on the k-mesh, off the path: the gap is smaller than the figure shows."
        )
    return found


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Notes how long something takes."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _masses(state: CrystalState, bands: Bands, notes: list[str], show: Show | None) -> dict[str, EffectiveMasses]:
    """Masses at both edges of an insulator; what has none is noted."""
    if bands.is_metal or not bands.n_occupied < bands.n_bands:
        return {}
    if state.layout.n_orbitals > MOST_ORBITALS:
        notes.append(f"Effective masses are left out for cells of more than {MOST_ORBITALS} orbitals.")
        return {}
    edges: tuple[Literal["vbm", "cbm"], ...] = ("vbm", "cbm")
    found = {}
    for done, edge in enumerate(edges):
        if show:
            show("effective masses", done, len(edges))
        try:
            found[edge] = edge_masses(state, bands, edge)
        except HampredError:
            notes.append(f"No effective mass at the {edge.upper()}: no smooth extremum is there, as at a Dirac point.")
    return found


def _joined(path: Bands, mesh: Bands) -> Bands:
    """Bands of two sets of k-points; the lowest that both have."""
    n = min(path.n_bands, mesh.n_bands)
    kpoints = np.concatenate([path.kpoints, mesh.kpoints])
    return Bands(kpoints, np.concatenate([path.energies[:, :n], mesh.energies[:, :n]]), path.n_electrons)


def _place(path: Bands, index: int) -> str:
    """Name of a k-point of path and mesh by the corners of the path around it."""
    if index >= len(path.kpoints) or path.distances is None:
        return OFF_PATH
    before = [(k, name) for k, name in path.labels if k <= index][-1]
    if before[0] == index:
        return before[1]
    after = next((k, name) for k, name in path.labels if k > index)
    first, last = path.distances[[before[0], after[0]]]
    return f"{(path.distances[index] - first) / (last - first):.2f} {before[1]}–{after[1]}"


def _labelled(show: Show, label: str) -> Callable[[int, int], None]:
    return lambda done, total: show(label, done, total)

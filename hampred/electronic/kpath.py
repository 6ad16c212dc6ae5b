"""KPath: a way through the Brillouin zone, in coordinates of the cell that the user gave."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.cell import Cell
from numpy.typing import ArrayLike, NDArray

from hampred.errors import HampredError

Array = NDArray[np.float64]
Segment = Sequence[tuple[str, Array]]

SPACING = 0.03
"""Largest distance of neighbouring k-points on a path, 1/Å."""

VACUUM = 8.0
"""Å; a cell whose atoms leave a flat gap wider than this has no bonds across it."""

TOLERANCE = 1e-3
"""Å; atoms that stand this close to a symmetric place count as symmetric."""


@dataclass(frozen=True, eq=False)
class KPath:
    """Straight lines through the Brillouin zone.

    Attributes:
        kpoints: In units of the reciprocal vectors of the given cell [n, 3].
        distances: Length of the path up to each point, with the factor 2π, 1/Å [n]; it does not grow across a jump.
        labels: (index of the point, name) of each corner, in order; two corners on either side of a jump.
    """

    kpoints: Array
    distances: Array
    labels: tuple[tuple[int, str], ...]

    @classmethod
    def through(cls, segments: Sequence[Segment], cell: ArrayLike, spacing: float = SPACING) -> "KPath":
        """Joins corners by straight lines.

        Args:
            segments: Runs of (name, k), k in units of the reciprocal vectors [3]; the path jumps between two runs.
            cell: Cell vectors as rows [3, 3], Å.
            spacing: Largest distance of neighbouring points, 1/Å.
        """
        reciprocal = 2 * np.pi * Cell(np.asarray(cell, dtype=float)).complete().reciprocal().array
        points: list[Array] = []
        distances: list[Array] = []
        labels: list[tuple[int, str]] = []
        count, length = 0, 0.0
        for segment in segments:
            for (name, start), (_, stop) in pairwise(segment):
                size = float(np.linalg.norm((stop - start) @ reciprocal))
                n = max(int(np.ceil(size / spacing - 1e-9)), 1)
                fraction = np.arange(n) / n
                labels.append((count, name))
                points.append(start + fraction[:, None] * (stop - start))
                distances.append(length + fraction * size)
                count, length = count + n, length + size
            labels.append((count, segment[-1][0]))
            points.append(segment[-1][1][None])
            distances.append(np.array([length]))
            count += 1
        return cls(np.concatenate(points), np.concatenate(distances), tuple(labels))

    @cached_property
    def ticks(self) -> list[tuple[float, str]]:
        """Distance (1/Å) and name of each corner; one ``U|K`` for the two sides of a jump."""
        ticks: list[tuple[float, str]] = []
        previous = -1
        for index, name in self.labels:
            at = float(self.distances[index])
            if ticks and index == previous + 1 and at == ticks[-1][0]:
                before = ticks.pop()[1]
                name = before if before == name else f"{before}|{name}"
            ticks.append((at, name))
            previous = index
        return ticks


def band_path(atoms: Atoms, path: str | ArrayLike | None = None, spacing: float = SPACING) -> KPath:
    """The path of a band structure, for the cell as it is given (primitive or not, in any orientation).

    Names and the default path are those of the primitive cell; the bands of a larger cell stay folded on it.

    Args:
        atoms: Crystal, slab or chain. Directions without periodicity, or with more than `VACUUM` of empty space, have
            no k.
        path: Names of special points such as ``GXWKGL`` or ``GX,KG`` (a comma is a jump), corners in units of the
            reciprocal vectors [n, 3], or None for the path of Hinuma, Pizzi, Kumagai, Oba and Tanaka (Comput. Mater.
            Sci. 128, 140 (2017), seekpath) for the space group; of slabs and chains ASE's path.
        spacing: Largest distance of neighbouring points, 1/Å.

    Raises:
        HampredError: No periodic direction, a cell without volume, unknown names, or a missing package.
    """
    if not np.isfinite(spacing) or spacing <= 0:
        raise HampredError(f"A spacing of {spacing} 1/Å between k-points: give a positive number.")
    if path is not None and not isinstance(path, str):
        return KPath.through([_corners(path)], _require_cell(atoms), spacing)
    points, default = _special(atoms)
    if path is None:
        return KPath.through(default, atoms.cell.array, spacing)
    segments = []
    for run in path.split(","):
        names = _names(run, points)
        if len(names) < 2:
            raise HampredError(f"{path!r} is no path: give at least two points between commas, of {' '.join(points)}.")
        segments.append([(name, points[name]) for name in names])
    return KPath.through(segments, atoms.cell.array, spacing)


def special_points(atoms: Atoms) -> dict[str, Array]:
    """Special points by ASE's names (Setyawan and Curtarolo) → k in units of the reciprocal vectors of this cell [3].

    A crystal's are those of its primitive cell: L of silicon is the same point for two and for eight atoms.

    Raises:
        HampredError: No periodic direction, a cell without volume, or a missing package.
    """
    return _special(atoms)[0]


def periodic_directions(atoms: Atoms) -> NDArray[np.bool_]:
    """Cell vectors along which the structure repeats and leaves no vacuum [3].

    Raises:
        HampredError: None of them, or a cell without volume.
    """
    cell = _require_cell(atoms)
    complete = Cell(cell).complete()
    heights = 1 / np.linalg.norm(complete.reciprocal().array, axis=1)
    fractions = np.sort(complete.scaled_positions(atoms.positions) % 1.0, axis=0)
    gaps = np.diff(np.concatenate([fractions, fractions[:1] + 1.0]), axis=0).max(axis=0) * heights
    periodic = atoms.pbc & (gaps <= VACUUM)
    if not periodic.any():
        raise HampredError("A molecule has no bands: give a structure that repeats in at least one direction.")
    return periodic


def _require_cell(atoms: Atoms) -> Array:
    """Cell vectors [3, 3] that span the periodic directions."""
    if not len(atoms) or not atoms.pbc.any():
        raise HampredError("A molecule has no bands: give a structure with a cell and periodic directions (pbc).")
    cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)
    lengths = np.linalg.norm(cell, axis=1)[atoms.pbc]
    volume = np.sqrt(abs(np.linalg.det(cell[atoms.pbc] @ cell[atoms.pbc].T)))
    if lengths.min() < 1e-6 or volume < 1e-6 * lengths.prod():
        raise HampredError("The cell has no volume: give independent cell vectors in the periodic directions.")
    return cell if abs(np.linalg.det(atoms.cell.array)) < 1e-9 else atoms.cell.array


def _corners(path: ArrayLike) -> Segment:
    try:
        corners: Array = np.asarray(path, dtype=float)
    except ValueError:
        corners = np.empty(0)
    if corners.shape != (len(corners), 3) or len(corners) < 2 or not np.isfinite(corners).all():
        raise HampredError("A path of explicit k-points needs at least two rows of three numbers.")
    return [(" ".join(f"{x:.3g}" for x in corners[k]), corners[k]) for k in range(len(corners))]


def _names(run: str, points: Mapping[str, Array]) -> list[str]:
    """Splits ``GXW1`` into names, each of which must be known."""
    run = run.replace(" ", "").replace("Γ", "G")
    names = re.findall(r"[^\W\d_]\d*", run)
    unknown = [name for name in names if name not in points]
    if unknown or "".join(names) != run:
        wrong = ", ".join(unknown) or run
        raise HampredError(f"Unknown special point {wrong}: this lattice has {' '.join(points)}; 'GX,KG' jumps at ','.")
    return names


def _special(atoms: Atoms) -> tuple[dict[str, Array], Sequence[Segment]]:
    """Special points and the default path, in units of the reciprocal vectors of the given cell."""
    periodic = periodic_directions(atoms)
    return _special_of_crystal(atoms) if periodic.all() else _special_of_layer(atoms, periodic)


def _special_of_layer(atoms: Atoms, periodic: NDArray[np.bool_]) -> tuple[dict[str, Array], Sequence[Segment]]:
    """Those of a slab or a chain, from ASE."""
    cell = Cell(np.where(periodic[:, None], atoms.cell.array, 0.0))
    found = cell.bandpath(npoints=0, pbc=periodic)
    points = {name: np.where(periodic, k, 0.0) for name, k in found.special_points.items()}
    return points, [[(name, points[name]) for name in _names(run, points)] for run in found.path.split(",")]


def _special_of_crystal(atoms: Atoms) -> tuple[dict[str, Array], Sequence[Segment]]:
    """Those of the primitive cell of a crystal: the path from seekpath, points and names from ASE."""
    try:
        import seekpath
        from seekpath.hpkot import SymmetryDetectionError
    except ImportError as error:
        raise HampredError(
            "Paths of crystals need seekpath: pip install 'hampred[crystal]', or give the corners as numbers."
        ) from error
    structure = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that two special cases of a lattice coincide
        try:
            found = seekpath.get_path(structure, with_time_reversal=True, symprec=TOLERANCE)
            primitive = np.array(found["primitive_lattice"])
            special = Cell(primitive).bandpath(npoints=0).special_points
        except (SymmetryDetectionError, ValueError, RuntimeError) as error:
            raise HampredError(
                "spglib finds no symmetry in this crystal: do atoms coincide? If not, give the corners as numbers."
            ) from error
        points = {name: np.asarray(k) for name, k in special.items()}
        names = _ase_names(found, points)
    # P in cell = P · primitive cell; rounding keeps special points special where the given cell is not ideal
    matrix = np.rint(atoms.cell.array @ np.linalg.inv(primitive @ found["rotation_matrix"]))
    segments: list[list[tuple[str, Array]]] = []
    for start, stop in found["path"]:
        first, last = ((names[name], matrix @ found["point_coords"][name]) for name in (start, stop))
        if segments and np.array_equal(segments[-1][-1][1], first[1]):
            segments[-1].append(last)
        else:
            segments.append([first, last])
    return {name: matrix @ k for name, k in points.items()}, segments


def _ase_names(found: Mapping, points: Mapping[str, Array]) -> dict[str, str]:
    """seekpath's name → ASE's, where both are one point under the symmetry of the crystal and time reversal.

    Others keep their own, with a prime where ASE gives that name to a different point.
    """
    from spglib import get_symmetry_dataset

    cell = (found["primitive_lattice"], found["primitive_positions"], found["primitive_types"])
    symmetry = get_symmetry_dataset(cell, symprec=TOLERANCE)
    rotations = np.eye(3)[None] if symmetry is None else np.asarray(symmetry.rotations)
    names = {}
    for name, k in found["point_coords"].items():
        images = np.concatenate([np.asarray(k) @ rotations, -np.asarray(k) @ rotations])
        own = _short(name)
        same = [other for other, point in points.items() if _any_equal(images, point)]
        names[name] = own if own in same else same[0] if same else own + "'" * (own in points)
    return names


def _any_equal(images: Array, point: Array) -> bool:
    """Whether one of the k-points [n, 3] differs from another one by a reciprocal lattice vector."""
    difference = images - point
    return bool((np.abs(difference - np.rint(difference)).max(axis=1) < 1e-5).any())


def _short(name: str) -> str:
    """``X_1`` → ``X1``, ``GAMMA`` → ``G``, ``SIGMA_0`` → ``Σ0``."""
    greek = {"GAMMA": "G", "SIGMA": "Σ", "DELTA": "Δ", "LAMBDA": "Λ"}
    letter, _, digit = name.partition("_")
    return greek.get(letter, letter) + digit

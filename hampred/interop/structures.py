"""Structures from files of users: whatever ASE reads, behind a guard."""

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from hampred.errors import HampredError
from hampred.interop.crystal_level import plane_distances

MIN_DISTANCE = 0.4
"""Å; the shortest bond of any molecule, H–H in H2, is 0.74 Å."""

MAX_COORDINATE = 1e5
"""Å; beyond it neighbour lists overflow, and no structure is meant."""

FULL = 0.99
"""Share of an atom in its site from which on the site counts as occupied."""

XYZ_SUFFIXES = (".xyz", ".extxyz")


def read_structures(path: Path | str) -> list[Atoms]:
    """Reads every structure of a file in any format that ASE knows.

    Args:
        path: File with one or more structures, coordinates in the unit of its format (xyz: Å).

    Returns:
        Structures with positions in Å, each checked by `check_structure`.

    Raises:
        HampredError: No such file, an unknown or malformed format, or a structure that cannot be meant.
    """
    path = Path(path)
    if not path.is_file():
        raise HampredError(f"There is no file {path}: give the path of a structure, such as molecule.xyz.")
    images = _read(path)
    if not images:
        raise HampredError(f"{path} holds no structure: give a file with at least one atom.")
    for index, atoms in enumerate(images):
        check_structure(atoms, f"{path}, structure {index + 1}" if len(images) > 1 else str(path))
    return images


def read_named(paths: Sequence[Path], taken: Collection[str] = ()) -> dict[str, Atoms]:
    """All structures of all files, as `read_structures`, under names that are unique: of the file, with a number.

    Names that differ in their case alone would be one file where the filesystem ignores it, and count as the same.

    Args:
        paths: Files.
        taken: Names that none may have.

    Raises:
        HampredError: As `read_structures`.
    """
    named: dict[str, Atoms] = {}
    used = {name.casefold() for name in taken}
    for path in paths:
        images = read_structures(path)
        width = len(str(len(images)))
        for k, atoms in enumerate(images):
            stem = path.stem if len(images) == 1 else f"{path.stem}-{k + 1:0{width}d}"
            name, copy = stem, 1
            while name.casefold() in used:
                copy += 1
                name = f"{stem}.{copy}"
            used.add(name.casefold())
            named[name] = atoms
    return named


def read_charge(atoms: Atoms, name: str = "The structure") -> int:
    """Total charge (e) that a file tells of a structure (``charge=1`` in the comment of an extxyz file), 0 without.

    Args:
        atoms: The structure; its ``info`` may hold ``charge``.
        name: How messages call the structure.

    Raises:
        HampredError: The charge is not a whole number.
    """
    return _whole(atoms, "charge", 0, name)


def read_spin(atoms: Atoms, charge: int = 0, name: str = "The structure") -> int:
    """Unpaired electrons that a file tells of a structure (``spin`` or ``multiplicity``), 0 without.

    Some programs mean unpaired electrons by spin, others the multiplicity, which is one more: only one of them fits
    the number of electrons.

    Args:
        atoms: The structure; its ``info`` may hold ``spin`` or ``multiplicity``.
        charge: Total charge (e).
        name: How messages call the structure.

    Raises:
        HampredError: Not a whole number, or one that does not fit the number of electrons.
    """
    keys = [key for key in ("multiplicity", "spin") if atoms.info.get(key) is not None]
    if not keys:
        return 0
    n_electrons, told = int(atoms.numbers.sum()) - charge, _whole(atoms, keys[0], 0, name)
    unpaired = told - 1 if keys[0] == "multiplicity" else told
    spin = unpaired - 1 if keys[0] == "spin" and (n_electrons - told) % 2 else unpaired
    if spin and atoms.pbc.any():
        raise HampredError(f"{name} is periodic, and open shells are for molecules: remove its spin.")
    if not 0 <= spin <= n_electrons or (n_electrons - spin) % 2:
        raise HampredError(
            f"{name} has {n_electrons} electrons with charge {charge}, of which {unpaired} cannot be unpaired: "
            "give a charge and unpaired electrons (spin) that fit."
        )
    return spin


def _whole(atoms: Atoms, key: str, default: int, name: str) -> int:
    """A whole number among the ``info`` of a structure."""
    told = atoms.info.get(key)
    if told is None:
        return default
    try:
        value = float(str(told))
    except ValueError:
        value = float("nan")
    if not (value.is_integer() and abs(value) < 1e6):
        raise HampredError(f"{name}: {key} {told!r} is not a whole number: correct it.")
    return int(value)


def check_structure(atoms: Atoms, name: str = "The structure") -> None:
    """Refuses a structure that no calculation could be meant for.

    Args:
        atoms: Positions in Å.
        name: How messages call the structure.

    Raises:
        HampredError: No atoms, coordinates or cell that are not finite or beyond `MAX_COORDINATE`, an atom without an
            element, partly occupied sites, two atoms closer than `MIN_DISTANCE`, or a cell thinner than that.
    """
    if len(atoms) == 0:
        raise HampredError(f"{name} has no atoms: give at least one.")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise HampredError(f"{name} has coordinates that are not finite numbers (NaN or infinite): correct them.")
    if max(np.abs(atoms.positions).max(), np.abs(atoms.cell.array).max()) > MAX_COORDINATE:
        raise HampredError(f"{name} has coordinates beyond {MAX_COORDINATE:.0e} Å: give them in Å, near the origin.")
    if not ((atoms.numbers > 0) & (atoms.numbers < len(chemical_symbols))).all():
        raise HampredError(f"{name} has an atom without a known element (X): replace it.")
    _check_occupancies(atoms, name)
    if (plane_distances(atoms.cell.array)[atoms.pbc] < MIN_DISTANCE).any():
        raise HampredError(
            f"{name} has a cell thinner than {MIN_DISTANCE} Å: correct it, give a slab vacuum "
            "(ASE: atoms.center(vacuum=8, axis=2)), or remove the cell of a molecule."
        )
    close = _closest_pair(atoms)
    if close is not None:
        i, j, distance = close
        raise HampredError(
            f"{name}: atoms {i + 1} ({atoms.symbols[i]}) and {j + 1} ({atoms.symbols[j]}) are {distance:.3f} Å apart, "
            f"less than {MIN_DISTANCE} Å: remove the duplicate, or give the coordinates in Å."
        )


def _check_occupancies(atoms: Atoms, name: str) -> None:
    """Refuses a disordered crystal, of which ASE's reader of CIF keeps one element a site and notes the shares."""
    told = atoms.info.get("occupancy")
    for shares in told.values() if isinstance(told, Mapping) else ():
        if isinstance(shares, Mapping) and (len(shares) > 1 or any(share < FULL for share in shares.values())):
            site = ", ".join(f"{symbol} {share:g}" for symbol, share in shares.items())
            raise HampredError(
                f"{name} has partly occupied sites ({site}): give an ordered supercell (in Python without "
                "atoms.info['occupancy'])."
            )


def _closest_pair(atoms: Atoms) -> tuple[int, int, float] | None:
    """Closest two atoms i, j and their distance (Å) if it is below `MIN_DISTANCE`, images of the cell included."""
    if atoms.pbc.any():
        from ase.neighborlist import neighbor_list

        first, second, distances = neighbor_list("ijd", atoms, MIN_DISTANCE)
    else:
        from scipy.spatial import cKDTree

        pairs = cKDTree(atoms.positions).query_pairs(MIN_DISTANCE, output_type="ndarray")
        first, second = pairs[:, 0], pairs[:, 1]
        distances = np.linalg.norm(atoms.positions[first] - atoms.positions[second], axis=1)
    if len(distances) == 0:
        return None
    k = int(np.argmin(distances))
    return int(first[k]), int(second[k]), float(distances[k])


def _read(path: Path) -> list[Atoms]:
    import ase.io
    from ase.io.formats import filetype

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if path.suffix.lower() in XYZ_SUFFIXES or filetype(str(path.resolve())) in ("xyz", "extxyz"):
                _check_xyz(path)
            # the absolute path keeps ASE from taking a name such as "mysql…" for a database or "-" for the terminal
            images = ase.io.read(path.resolve(), index=":", do_not_split_by_at_sign=True)
        except HampredError:
            raise
        except Exception as error:  # the readers of ASE raise whatever their format led them into
            raise HampredError(f"ASE cannot read {path} ({_reason(error)}): check the file and its suffix.") from error
    return [images] if isinstance(images, Atoms) else list(images)


def _reason(error: Exception) -> str:
    """First line of an exception, or its type where it says nothing."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        return f"unknown element or key {error.args[0]!r}; isotopes go by the symbol of their element"[:120]
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]


def _check_xyz(path: Path) -> None:
    """Walks through the frames of an xyz file: ASE hangs on counts that the file does not hold."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = enumerate(file, start=1)
            found = False
            for number, line in lines:
                if not line.strip() or line.split()[0].startswith("VEC"):
                    continue
                found = True
                count = line.strip()
                if not (count.isascii() and count.isdigit() and len(count) < 10 and int(count) > 0):
                    raise HampredError(
                        f"{path} line {number}: expected the number of atoms, found {count[:40]!r}: "
                        "an xyz file has that number, a comment line, then one line for each atom."
                    )
                rows = [row for _, row in zip(range(int(count) + 1), lines)]
                if len(rows) < int(count) + 1:
                    held = max(len(rows) - 1, 0)
                    raise HampredError(
                        f"{path} line {number} promises {count} atoms, but the file ends after {held}: "
                        "correct the count or add the missing atoms."
                    )
                if re.search(r"properties\S*:\d{5}", rows[0][1], re.IGNORECASE):  # ASE would count them one by one
                    raise HampredError(f"{path} line {number + 1}: Properties asks for too many columns: correct it.")
    except (UnicodeDecodeError, OSError) as error:
        raise HampredError(f"{path} is no readable UTF-8 text ({type(error).__name__}): give an xyz file.") from error
    if not found:
        raise HampredError(f"{path} is empty: give a file with at least one atom.")

"""Crystals by name, in the structures that ASE builds, and structures that a configuration writes out."""

from collections.abc import Iterator

from ase import Atoms
from ase.data import atomic_numbers

from hampred.config import AtomsConfig, BulkConfig
from hampred.errors import HampredError


def bulk_structures(source: BulkConfig) -> Iterator[Atoms]:
    """A crystal at its lattice constant, repeated as asked for.

    Raises:
        HampredError: ASE cannot build it.
    """
    from ase.build import bulk

    try:
        crystal = bulk(source.name, source.structure, a=source.a, c=source.c, cubic=source.cubic)
    except Exception as error:  # ASE raises KeyError, ValueError, RuntimeError, … for names and structures
        told = " ".join(str(error).split())
        raise HampredError(
            f"ASE cannot build the crystal {source.name!r} ({told}): give name (Si, MgO), structure (diamond, fcc, "
            "rocksalt, zincblende, …) and lattice constant a in Å."
        ) from error
    repeated = crystal.repeat(source.repeat)
    atoms = Atoms(repeated.numbers, repeated.positions, cell=repeated.cell, pbc=True)
    atoms.info = {"source": "bulk", "molecule": source.name, "charge": 0}
    yield atoms


def written_structures(source: AtomsConfig) -> Iterator[Atoms]:
    """A structure that the configuration writes out, repeated as asked for.

    Raises:
        HampredError: Not one position for each symbol, no such element, or periodic or repeated without a cell.
    """
    told = f"The structure {source.name or '-'.join(source.symbols[:8])}"
    if len(source.positions) != len(source.symbols):
        raise HampredError(f"{told} has {len(source.symbols)} symbols and {len(source.positions)} positions.")
    if unknown := [symbol for symbol in source.symbols if atomic_numbers.get(symbol, 0) == 0]:
        raise HampredError(f"{told}: {unknown[0]!r} is no element; write symbols such as C.")
    if source.cell is None and (any(source.pbc) or source.repeat != (1, 1, 1)):
        raise HampredError(f"{told} is periodic or repeated without a cell: give its three cell vectors.")
    atoms = Atoms(source.symbols, source.positions, cell=source.cell, pbc=source.pbc).repeat(source.repeat)
    atoms.info = {"source": "atoms", "molecule": source.name or atoms.get_chemical_formula(), "charge": 0}
    yield atoms

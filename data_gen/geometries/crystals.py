"""Crystals by name, in the structures that ASE builds."""

from collections.abc import Iterator

from ase import Atoms

from hampred.config import BulkConfig
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

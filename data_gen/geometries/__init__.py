"""Geometries of a generation: sources, the sampling of each, and random orientations.

Every structure is an `ase.Atoms` in Å whose ``info`` carries ``source``, ``molecule`` (by which data are split) and
``charge`` (e), perhaps ``spin`` (unpaired electrons) and ``electric_field`` (V/Å). The random numbers of structure i
depend on the seed and on i alone, so that asking for more structures later keeps those that are already labelled.
"""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from data_gen.geometries.crystals import bulk_structures, written_structures
from data_gen.geometries.files import file_structures
from data_gen.geometries.molecules import g2_structures, smiles_structures
from data_gen.geometries.sampling import sample
from hampred.config import AtomsConfig, BulkConfig, FileConfig, G2Config, GenerateConfig, SmilesConfig, SourceConfig
from hampred.interop.electric_field import KEY, rotated

DECIMALS = 8
"""Positions are rounded to 1e-8 Å: the same on every machine, and the same after a text file."""


def geometries(config: GenerateConfig) -> Iterator[Atoms]:
    """All structures of a configuration, in a fixed order.

    Raises:
        HampredError: A source cannot be read, names an unknown molecule, or needs an extra that is not installed.
    """
    for place, source in enumerate(config.geometries):
        for number, base in enumerate(_base(source, config.seed)):
            if source.charge is not None:
                base.info["charge"] = source.charge
            if source.spin is not None:
                base.info["multiplicity"] = source.spin + 1  # which has but one meaning
            for count, atoms in enumerate(_sampled(base, source, (config.seed, place, number))):
                rng = np.random.default_rng((config.seed, place, number, 99, count))
                yield turned(atoms, Rotation.random(random_state=rng).as_matrix() if source.rotate else np.eye(3))


def turned(atoms: Atoms, rotation: NDArray[np.float64]) -> Atoms:
    """A copy with positions r, cell vectors and electric field turned to Q r, rounded to `DECIMALS`.

    Args:
        atoms: The structure.
        rotation: Orthogonal matrix Q [3, 3].
    """
    new = rotated(atoms, rotation)
    new.positions = np.round(new.positions, DECIMALS)
    new.cell = np.round(new.cell.array, DECIMALS)
    if KEY in new.info:
        new.info[KEY] = np.round(new.info[KEY], DECIMALS).tolist()
    return new


def _base(source: SourceConfig, seed: int) -> Iterator[Atoms]:
    """The structures of a source before sampling."""
    if isinstance(source, FileConfig):
        return file_structures(source.path, source.count, source.every)
    if isinstance(source, G2Config):
        return g2_structures(source.names)
    if isinstance(source, SmilesConfig):
        return smiles_structures(source.smiles, source.conformers, seed)
    if isinstance(source, BulkConfig):
        return bulk_structures(source)
    if isinstance(source, AtomsConfig):
        return written_structures(source)
    raise TypeError(type(source))


def _sampled(base: Atoms, source: SourceConfig, seed: tuple[int, ...]) -> Iterator[Atoms]:
    """Applies the steps of the sampling one after the other."""
    structures: Iterator[Atoms] = iter([base])
    for step, how in enumerate(source.sampling):
        structures = _step(structures, how, (*seed, step))
    return structures


def _step(structures: Iterator[Atoms], how: object, seed: tuple[int, ...]) -> Iterator[Atoms]:
    for number, atoms in enumerate(structures):
        yield from sample(atoms, how, (*seed, number))

"""The output folder of a generation: geometries, one file per label, one per failure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from data_gen.summary import Failure
from hampred.errors import HampredError
from hampred.files import replacing


def to_row(atoms: Atoms) -> dict[str, Any]:
    """A structure as plain JSON types: ``numbers``, ``positions`` (Å) and, of a crystal, ``cell`` (Å) and ``pbc``."""
    row = {"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist()}
    return {**row, "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist()} if atoms.pbc.any() else row


def from_row(row: Mapping[str, Any]) -> Atoms:
    """Inverse of `to_row`."""
    positions = np.array(row["positions"], dtype=float).reshape(-1, 3)
    return Atoms(row["numbers"], positions, cell=row.get("cell"), pbc=row.get("pbc"))


class OutputFolder:
    """Where a generation keeps its work. Every file appears complete or not at all."""

    def __init__(self, path: Path) -> None:
        """Names the folder; nothing is created."""
        self.path = Path(path)

    @property
    def store(self) -> Path:
        """The packed labels."""
        return self.path / "labels.h5"

    def shard(self, key: str) -> Path:
        """File of one label."""
        return self.path / "shards" / key[:2] / f"{key}.h5"

    def noise_shard(self, key: str) -> Path:
        """File of the label that measures the noise; it never enters the pack."""
        return self.path / "noise" / f"{key}.h5"

    def record(self, failure: Failure, atoms: Atoms) -> None:
        """Writes why a structure has no label, with its geometry."""
        self._write_json(self._failure(failure.key), {**failure.to_dict(), **to_row(atoms)})

    def forget(self, key: str) -> None:
        """Removes the failure of a structure that now has a label, or shall be tried again."""
        self._failure(key).unlink(missing_ok=True)

    def failure(self, key: str) -> Failure | None:
        """The recorded failure of a structure."""
        try:
            data = json.loads(self._failure(key).read_text())
        except FileNotFoundError:
            return None
        return Failure(**{name: data[name] for name in ("key", "kind", "reason", "molecule", "source")})

    def save_geometries(self, origin: Mapping[str, Any], structures: Sequence[Atoms]) -> None:
        """Keeps the geometries with the settings they were made by, so that a resumed run labels the very same."""
        rows = [{**to_row(atoms), "info": atoms.info} for atoms in structures]
        self._write_json(self.path / "geometries.json", {"origin": dict(origin), "structures": rows})

    def load_geometries(self, origin: Mapping[str, Any]) -> list[Atoms] | None:
        """The kept geometries, or None where there are none of these settings."""
        try:
            data = json.loads((self.path / "geometries.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise HampredError(f"{self.path / 'geometries.json'} cannot be read ({error}): remove it.") from error
        if data.get("origin") != dict(origin):
            return None
        structures = []
        for row in data["structures"]:
            atoms = from_row(row)
            atoms.info = row["info"]
            structures.append(atoms)
        return structures

    def _failure(self, key: str) -> Path:
        return self.path / "failures" / f"{key}.json"

    def _write_json(self, path: Path, data: Mapping[str, Any]) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(data))

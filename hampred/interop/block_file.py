"""H(R) and S(R) of a crystal as one npz file that any program with numpy reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import BasisLayout, OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.files import replacing

LAYOUT = "hampred blocks 1"
"""Name of the layout, first word of every file."""


@dataclass(frozen=True, eq=False)
class BlockFile:
    """What a file holds.

    Attributes:
        atoms: One cell, positions in Å.
        hamiltonian: H(R), Hartree.
        overlap: S(R), on the same list of pairs or another one.
        n_electrons: In one cell.
    """

    atoms: Atoms
    hamiltonian: BlockMatrix
    overlap: BlockMatrix
    n_electrons: float

    def arrays(self) -> dict[str, Any]:
        """Everything in the file by name, in PySCF's AO order.

        ``layout``, ``basis``: text; name of this layout, and shells of each element as JSON.
        ``numbers`` [n_atoms], ``positions_A`` [n_atoms, 3], ``cell_A`` (rows) [3, 3], ``pbc`` [3], ``n_electrons``.
        ``orbital_offsets`` [n_atoms + 1]: first orbital of each atom.

        Then of each matrix, ``hamiltonian`` (Hartree) and ``overlap``, the blocks ⟨φ_i(0)| M |φ_j(R)⟩:

        ``hamiltonian_pairs`` [n, 2], ``hamiltonian_cell_shifts`` [n, 3]: atoms i, j and lattice vector R of each block,
        every (i, j, R) beside its reverse (j, i, −R).
        ``hamiltonian_values`` and ``hamiltonian_offsets`` [n + 1]: block p is ``values[offsets[p]:offsets[p + 1]]``,
        row-major [orbitals of i, orbitals of j].

        M(k) = Σ_R e^{2πi k·R} M(R), k in units of the reciprocal vectors.
        """
        layout = self.hamiltonian.layout
        arrays = {
            "layout": LAYOUT,
            "basis": json.dumps(layout.basis.to_dict()),
            "numbers": self.atoms.numbers,
            "positions_A": self.atoms.positions,
            "cell_A": self.atoms.cell.array,
            "pbc": self.atoms.pbc,
            "n_electrons": self.n_electrons,
            "orbital_offsets": layout.offsets,
        }
        for name, matrix in (("hamiltonian", self.hamiltonian), ("overlap", self.overlap)):
            arrays |= {f"{name}_pairs": matrix.pairs, f"{name}_cell_shifts": matrix.cell_shifts}
            arrays |= {f"{name}_offsets": matrix.starts, f"{name}_values": matrix.values}
        return arrays

    def write(self, path: Path) -> None:
        """Writes the file; see `arrays`.

        Raises:
            HampredError: The path cannot be written.
        """
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.arrays())

    @classmethod
    def read(cls, path: Path) -> "BlockFile":
        """Inverse of `write`.

        Raises:
            HampredError: No file of this layout, or one whose arrays do not fit together.
        """
        try:
            with np.load(path) as file:  # refuses pickles
                data = {name: file[name] for name in file.files}
            known = str(data["layout"]) == LAYOUT
            layout = OrbitalBasis.from_dict(json.loads(str(data["basis"]))).layout(data["numbers"])
            atoms = Atoms(data["numbers"], data["positions_A"], cell=data["cell_A"], pbc=data["pbc"])
            h, s = (_blocks(data, name, layout) for name in ("hamiltonian", "overlap"))
            found = cls(atoms, h, s, float(data["n_electrons"]))
        except (OSError, BadZipFile, KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError) as error:
            raise HampredError(f"{path} is no file of H(R) and S(R): {' '.join(str(error).split())[:80]}.") from error
        if not known:
            raise HampredError(f"{path} is no file of H(R) and S(R) of layout {LAYOUT!r}: write it anew.")
        return found


def _blocks(data: Mapping[str, NDArray], name: str, layout: BasisLayout) -> BlockMatrix:
    """One matrix of a file.

    Raises:
        ValueError: Its arrays do not fit together.
    """
    pairs, shifts = (np.asarray(data[f"{name}_{part}"], dtype=np.int64) for part in ("pairs", "cell_shifts"))
    matrix = BlockMatrix(layout, pairs, shifts, np.asarray(data[f"{name}_values"], dtype=np.float64))
    atoms_exist = pairs.min(initial=0) >= 0
    fits = np.array_equal(matrix.starts, data[f"{name}_offsets"]) and matrix.values.shape == (matrix.starts[-1],)
    if not (atoms_exist and fits and np.isfinite(matrix.values).all()):
        raise ValueError(f"the arrays of {name} do not fit together")
    _ = matrix.reverse
    return matrix

"""`hampred predict`: Hamiltonians and orbitals of structures."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ase import Atoms

    from hampred.electronic.sparse_state import SparseState
    from hampred.inference import Prediction, Predictor


SHOWN = 40
"""Structures in the table that is printed."""

FRONTIER = 10
"""Orbitals on each side of the gap that are written of a large molecule."""


class Format(StrEnum):
    """Files that are written for each structure."""

    NPZ = "npz"
    MOLDEN = "molden"
    BOTH = "both"


class Precision(StrEnum):
    """Precision of the network."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(predict)


def predict(
    structures: Annotated[list[Path], typer.Argument(help="Files with one or more structures, in any format of ASE.")],
    model: Annotated[Path, typer.Option(help="Model file, checkpoint or run folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("predictions"),
    charge: Annotated[
        int | None, typer.Option(help="Total charge of each structure, e; by default what its file says, else 0.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="Files to write for each structure.")] = Format.NPZ,
    precision: Annotated[Precision, typer.Option(help="Of the network.")] = Precision.FLOAT64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict Hamiltonian, orbital energies and density matrix of structures."""
    from hampred.cli.output import print_json, print_table, write_json
    from hampred.cli.progress import ProgressLine
    from hampred.files import require_writable

    named = _read(structures)
    import hampred.inference as inference
    from hampred.large import require_affordable

    predictor = inference.load(model, dtype=precision.value)
    for name, atoms in named.items():
        predictor.check(atoms, charge, name)
        require_affordable(predictor, atoms, name)
    require_writable(out)
    results = []
    with ProgressLine() as line:
        for name, prediction in _predictions(predictor, named, charge):
            results.append(_write(out, name, prediction, format_))
            line.show("predicting", len(results), len(named))
    summary = {
        "model": str(model),
        "level": predictor.level.to_dict(),
        "precision": precision.value,
        "structures": results,
    }
    write_json(out / "summary.json", summary)
    if as_json:
        print_json(summary)
        return
    columns = ("name", "formula", "homo_eV", "lumo_eV", "gap_eV", "dipole_D")
    head = ("structure", "formula", "HOMO / eV", "LUMO / eV", "gap / eV", "dipole / D")
    print_table("", head, [[result[column] for column in columns] for result in results[:SHOWN]])
    more = f"… and {len(results) - SHOWN} more, all of them in summary.json\n" if len(results) > SHOWN else ""
    typer.echo(f"{more}{len(results)} structures: matrices and summary.json in {out}")


def _predictions(
    predictor: "Predictor", named: "dict[str, Atoms]", charge: int | None
) -> "Iterator[tuple[str, Prediction | SparseState]]":
    """Runs of small structures in batches; large ones one by one, with sparse matrices where the model is local."""
    from hampred.large import is_large, predict_large

    for large, group in groupby(named, key=lambda name: is_large(predictor, named[name])):
        names = list(group)
        if large:
            yield from ((name, predict_large(predictor, named[name], charge)) for name in names)
        else:
            yield from zip(names, predictor.predict_stream((named[name] for name in names), charge))


def _read(paths: Sequence[Path]) -> "dict[str, Atoms]":
    """All structures of all files under names that are unique, read before anything is computed."""
    from hampred.interop.structures import read_structures

    named: dict[str, Atoms] = {}
    for path in paths:
        images = read_structures(path)
        width = len(str(len(images)))
        for k, atoms in enumerate(images):
            stem = path.stem if len(images) == 1 else f"{path.stem}-{k + 1:0{width}d}"
            name, copy = stem, 1
            while name in named:
                copy += 1
                name = f"{stem}.{copy}"
            named[name] = atoms
    return named


def _write(out: Path, name: str, prediction: "Prediction | SparseState", format_: Format) -> dict[str, Any]:
    """Writes the files of one structure; gives its line of the summary."""
    from hampred.electronic.sparse_state import SparseState

    write = _write_large if isinstance(prediction, SparseState) else _write_small
    return {
        "name": name,
        "formula": prediction.atoms.get_chemical_formula(),
        "n_atoms": len(prediction.atoms),
        "n_orbitals": prediction.layout.n_orbitals,
        "charge": prediction.charge,
        **write(out, name, prediction, format_),
    }


def _write_large(out: Path, name: str, state: "SparseState", format_: Format) -> dict[str, Any]:
    """Writes sparse matrices (CSR) and the orbitals around the gap of a large molecule."""
    import numpy as np

    from hampred.files import replacing
    from hampred.units import HARTREE

    frontier = state.frontier(FRONTIER)
    arrays = {
        "numbers": state.atoms.numbers,
        "positions_A": state.atoms.positions,
        "charge": state.charge,
        "orbital_energies_Eh": frontier.energies,
        "orbital_coefficients": frontier.coefficients,
        "first_orbital": frontier.first,
        "n_occupied": state.n_occupied,
    }
    for matrix, of in ((state.hamiltonian, "hamiltonian"), (state.overlap, "overlap")):
        arrays |= {f"{of}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
    with replacing(out / f"{name}.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    notes = [f"large: sparse matrices (CSR) and the {2 * FRONTIER} orbitals around the gap"]
    return {
        "files": [f"{name}.npz"],
        "homo_eV": HARTREE * frontier.homo,
        "lumo_eV": HARTREE * frontier.lumo,
        "gap_eV": HARTREE * frontier.gap,
        "dipole_D": None,
        "notes": notes + ["no molden file, which needs all orbitals"] * (format_ is not Format.NPZ),
    }


def _write_small(out: Path, name: str, prediction: "Prediction", format_: Format) -> dict[str, Any]:
    """Writes the files of one structure with dense matrices."""
    import numpy as np

    from hampred.electronic.eigen import DEPENDENCE
    from hampred.files import replacing
    from hampred.units import DEBYE, HARTREE

    files = []
    if format_ in (Format.NPZ, Format.BOTH):
        files.append(f"{name}.npz")
        with replacing(out / files[-1]) as temporary, temporary.open("wb") as file:
            np.savez(file, **_arrays(prediction))
    if format_ in (Format.MOLDEN, Format.BOTH):
        files.append(f"{name}.molden")
        with replacing(out / files[-1]) as temporary:
            _molden(temporary, prediction)
    lost = prediction.layout.n_orbitals - len(prediction.orbital_energies)
    notes = [f"{lost} orbitals with an overlap eigenvalue below {DEPENDENCE} were projected out"] if lost else []
    energies = {"homo_eV": prediction.homo, "lumo_eV": prediction.lumo, "gap_eV": prediction.gap}
    return {
        "files": files,
        **{key: HARTREE * value if np.isfinite(value) else None for key, value in energies.items()},
        "dipole_D": DEBYE * float(np.linalg.norm(prediction.dipole)),
        "notes": notes,
    }


def _arrays(prediction: "Prediction") -> dict[str, Any]:
    """What an npz file holds; matrices in PySCF's AO order."""
    return {
        "numbers": prediction.atoms.numbers,
        "positions_A": prediction.atoms.positions,
        "charge": prediction.charge,
        "hamiltonian": prediction.hamiltonian,
        "overlap": prediction.overlap,
        "orbital_energies_Eh": prediction.orbital_energies,
        "orbital_coefficients": prediction.orbital_coefficients,
        "occupations": prediction.occupations,
        "density_matrix": prediction.density_matrix,
    }


def _molden(path: Path, prediction: "Prediction") -> None:
    from hampred.interop.molden import write_molden
    from hampred.interop.pyscf import build_mole

    mole = build_mole(prediction.atoms, prediction.layout.basis.name, prediction.charge)
    energies, orbitals = prediction.orbital_energies, prediction.orbital_coefficients
    write_molden(path, mole, energies, orbitals, prediction.occupations)

"""`hampred bands`: band structure and density of states of a crystal."""

import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hampred.errors import HampredError

if TYPE_CHECKING:
    from ase import Atoms

    from hampred.cli.progress import ProgressLine
    from hampred.evaluation.band_reference import BandReference
    from hampred.evaluation.band_structure import BandStructure, Show
    from hampred.inference import Predictor

PATIENCE = 2.0
"""Seconds before progress is shown."""


class Export(StrEnum):
    """Formats of H(R) and S(R)."""

    NONE = "none"
    NPZ = "npz"
    SISL = "sisl"
    DEEPH = "deeph"


class Zero(StrEnum):
    """Zeros of energy."""

    EDGE = "edge"
    MIDGAP = "midgap"
    VACUUM = "vacuum"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(bands)


def bands(
    structure: Annotated[Path, typer.Argument(help="File with one crystal, slab or chain, in any format of ASE.")],
    model: Annotated[Path, typer.Option(help="Model file, checkpoint or run folder.")],
    path: Annotated[
        str | None, typer.Option(help="Special points, such as GXWKGL or GX,KG (a comma jumps); by default seekpath's.")
    ] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Run PySCF too, and compare.")] = False,
    projected: Annotated[bool, typer.Option("--projected", help="Mulliken weights of elements and shells.")] = False,
    spacing: Annotated[
        float | None, typer.Option(min=1e-3, max=1.0, help="Of k-points on the path, 1/Å.", show_default="0.03")
    ] = None,
    mesh: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="N N N", help="k-points of the density of states.", show_default="by the size of the cell"
        ),
    ] = None,
    zero: Annotated[
        Zero, typer.Option(help="Of energy: VBM or Fermi level, middle of the gap, or vacuum level of a slab or chain.")
    ] = Zero.EDGE,
    export: Annotated[Export, typer.Option(help="Write H(R) and S(R) too.")] = Export.NONE,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("bands"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict bands, gap, effective masses and density of states of a crystal."""
    from hampred.cli.output import print_json
    from hampred.cli.progress import ProgressLine
    from hampred.files import require_writable

    atoms = _read(structure)
    _check_export(export)
    import hampred.inference as inference
    from hampred.evaluation.band_reference import reference_bands
    from hampred.evaluation.band_sampling import choose_mesh, choose_path
    from hampred.evaluation.band_structure import band_structure, timed
    from hampred.evaluation.energy_zero import check_zero, with_zero

    check_zero(zero.value, atoms)
    seconds: dict[str, float] = {}
    with timed(seconds, "model"):
        predictor = inference.load(model)
    _check(predictor, atoms, structure, reference)
    n_orbitals = predictor.basis.layout(atoms.numbers).n_orbitals
    with timed(seconds, "k_points"):
        kpath, notes = choose_path(atoms, n_orbitals, path, spacing)
        size = choose_mesh(atoms, n_orbitals, mesh)
    require_writable(out)
    with ProgressLine() as line:
        show = _patient(line)
        with timed(seconds, "prediction"):
            state = predictor.predict(atoms)
        found = band_structure(state, kpath, size, projected, notes, show)
        seconds |= found.seconds
        with timed(seconds, "zero"):
            found = with_zero(found, zero.value, predictor.level)
        compared = reference_bands(atoms, predictor.level, found.path, show) if reference else None
    about = {"structure": str(structure), "model": str(model), "level": predictor.level.to_dict()}
    about = _write(out, found, compared, export, about, seconds)
    if as_json:
        print_json(about)
    else:
        _print(found, about, out)


def _read(path: Path) -> "Atoms":
    """The one structure of a file, which must be periodic."""
    from hampred.interop.structures import read_structures

    structures = read_structures(path)
    if len(structures) > 1:
        raise HampredError(
            f"{path} holds {len(structures)} structures, and bands are drawn of one: write it to a file of its own, "
            f"such as the last one with: ase convert -n -1 {shlex.quote(str(path))} last.xyz"
        )
    if not structures[0].pbc.any():
        raise HampredError(
            f"{path} is not periodic: bands are those of a crystal, slab or chain; give a file with a cell "
            "(hampred predict takes molecules)."
        )
    return structures[0]


def _check(predictor: "Predictor", atoms: "Atoms", path: Path, reference: bool) -> None:
    """Refuses what the model, or for a reference PySCF at its level of theory, does not know."""
    from hampred.evaluation.band_reference import reference_fock

    if predictor.level.crystal is None:
        raise HampredError(
            "This model was trained on molecules: bands need one that was trained on crystals, such as those of "
            "hampred generate generate/silicon."
        )
    predictor.check(atoms, None, str(path))
    if reference:
        reference_fock(atoms, predictor.level)


def _check_export(export: Export) -> None:
    from importlib.util import find_spec

    if export is Export.SISL and find_spec("sisl") is None:
        raise HampredError("--export sisl needs sisl: pip install 'hampred[sisl]', or choose npz.")


def _patient(line: "ProgressLine") -> "Show":
    """Shows progress once the work has taken `PATIENCE`."""
    start = time.monotonic()

    def show(label: str, done: int, total: int) -> None:
        if time.monotonic() - start > PATIENCE:
            line.show(label, done, total)

    return show


def _write(
    out: Path,
    found: "BandStructure",
    compared: "BandReference | None",
    export: Export,
    about: dict[str, Any],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Writes all files, bands.json last; gives what it holds."""
    from datetime import UTC, datetime

    import hampred
    from hampred.cli.output import write_json
    from hampred.evaluation.band_numbers import reference_to_dict, to_dict
    from hampred.evaluation.band_report import write_figures, write_report
    from hampred.evaluation.band_structure import timed

    with timed(seconds, "export"):
        exported = _export(out, found, export)
    with timed(seconds, "figures"):
        figures = write_figures(out, found, compared)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    about = {**about, "hampred": hampred.__version__, "made": made, **to_dict(found), "seconds": seconds}
    if compared is not None:
        own = seconds["k_points"] + seconds["prediction"] + seconds["path"]
        about["reference"] = reference_to_dict(found, compared, own)
    about["files"] = [*figures, "bands.json", "report.html", *exported]
    write_report(out, found, about)
    write_json(out / "bands.json", about)
    return about


def _export(out: Path, found: "BandStructure", export: Export) -> list[str]:
    """Writes H(R) and S(R); gives the name of the file or folder."""
    state = found.state
    if export is Export.NPZ:
        from hampred.interop.block_file import BlockFile

        name = "hamiltonian.npz"
        BlockFile(state.atoms, state.hamiltonian, state.overlap, state.n_electrons).write(out / name)
        return [name]
    if export is Export.SISL:
        from hampred.files import replacing
        from hampred.interop.sisl import to_sisl

        name = "hamiltonian.TSHS"
        given = to_sisl(state.atoms, state.hamiltonian, state.overlap)
        with replacing(out / name) as temporary:
            given.write(f"{temporary}{{TSHS}}")
        return [name]
    if export is Export.DEEPH:
        from hampred.interop.deeph import write_deeph

        write_deeph(out / "deeph", state.atoms, state.hamiltonian, state.overlap, found.fermi_level)
        return ["deeph"]
    return []


def _print(found: "BandStructure", about: dict[str, Any], out: Path) -> None:
    """Prints gap, masses, and the comparison with PySCF where there is one."""
    from hampred.cli.output import print_table
    from hampred.evaluation.band_numbers import MASS_HEAD, edge_rows, mass_rows, reference_rows
    from hampred.pages.html import GAP_BOUND

    print_table("", (about["formula"], about["structure"]), edge_rows(found))
    if found.masses:
        print_table("", MASS_HEAD, mass_rows(found))
    if "reference" in about:
        print_table("", ("against PySCF, bands aligned", ""), reference_rows(about["reference"]))
    if found.gap is not None and found.confidence is not None:
        typer.echo(GAP_BOUND)
    for text in found.notes:
        typer.echo(f"note: {text}", err=True)
    typer.echo(f"{', '.join(about['files'])} in {out}")

"""`hampred import`: a store from matrices that were computed elsewhere."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hampred.errors import HampredError


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("import")(import_)


def import_(
    matrices: Annotated[list[Path], typer.Argument(help="npz files (numbers, positions, fock), or a flat HDF5 file.")],
    out: Annotated[Path, typer.Option(help="Store to write.")] = Path("labels.h5"),
    functional: Annotated[str | None, typer.Option(help="PySCF's name of the functional.")] = None,
    basis: Annotated[str | None, typer.Option(help="PySCF's name of the basis set.")] = None,
    grid_level: Annotated[int, typer.Option(min=0, max=9, help="Integration grid of the matrices.")] = 3,
    conv_tol: Annotated[float, typer.Option(help="Convergence of the energy, Hartree.")] = 1e-9,
    density_fit: Annotated[bool, typer.Option("--density-fit", help="Coulomb integrals were fitted.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compute one random sample with PySCF and compare.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which sample that is.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a store from Fock matrices in PySCF's order of orbitals."""
    from data_gen.import_matrices import import_matrices
    from hampred.config import LevelConfig, load_config

    level = None
    if (functional is None) != (basis is None):
        raise HampredError("Give both --functional and --basis, or neither where the file tells its level.")
    if functional is not None:
        told = {"functional": functional, "basis": basis, "grid_level": grid_level, "conv_tol": conv_tol}
        level = load_config(LevelConfig, {**told, "density_fit": density_fit})
    count = import_matrices(matrices, out, level, verify=verify, seed=seed)
    if as_json:
        typer.echo(json.dumps({"store": str(out), "n_labels": count, "verified": verify}))
    else:
        typer.echo(f"{out}: {count} labels" + (", one compared with PySCF" if verify else ""))

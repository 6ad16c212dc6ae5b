"""`hampred check-basis`: proves the orbital conventions on PySCF's integrals."""

import re
from typing import Annotated

import typer
from typer.core import TyperCommand

from hampred.errors import FailedError, HampredError

TOLERANCE = 1e-10
"""Largest error that passes, relative to the largest element of the matrix."""

SYMBOLS = re.compile(r"[A-Za-z]{1,2}(,[A-Za-z]{1,2})*")


class ElementsCommand(TyperCommand):
    """Lets ``--elements`` take all the symbols that follow it: C H O, C,H,O, or one a flag."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Repeats the flag for every symbol before the parser sees it."""
        spread: list[str] = []
        following = False
        for word in args:
            if following and SYMBOLS.fullmatch(word):
                spread += ["--elements", word]
            elif word != "--elements":
                spread.append(word)
            following = word == "--elements" or (following and bool(SYMBOLS.fullmatch(word)))
        if args[-1:] == ["--elements"]:
            spread.append("--elements")
        return super().parse_args(ctx, spread)


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("check-basis", cls=ElementsCommand)(check_basis)


def check_basis(
    basis: Annotated[str, typer.Argument(help="PySCF's name of a basis set, such as cc-pvtz.")],
    elements: Annotated[list[str] | None, typer.Option(help="Symbols: C H O; H C N O by default.")] = None,
    rotations: Annotated[int, typer.Option(min=1, help="Random elements of O(3), every second improper.")] = 4,
    fock: Annotated[bool, typer.Option("--fock", help="Also a Hartree–Fock matrix (slower).")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of geometry and rotations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Rotate a molecule and compare its integrals with D M Dᵀ; exit code 1 above 1e-10."""
    from hampred.cli.output import print_json, print_table
    from hampred.interop.rotation_check import check_rotations

    found = check_rotations(basis, _numbers(elements or ["H", "C", "N", "O"]), rotations, fock, seed)
    if as_json:
        print_json(
            {
                "basis": basis,
                "formula": found.formula,
                "n_orbitals": found.n_orbitals,
                "n_rotations": rotations,
                "largest_relative_error": found.worst,
                "by_matrix": found.matrices,
                "by_shell_pair": found.shell_pairs,
                "passed": found.worst <= TOLERANCE,
            }
        )
    else:
        title = f"{basis}, {found.formula}, {found.n_orbitals} orbitals, {rotations} rotations"
        print_table(title, ("shells", "largest error / max|M|"), found.shell_pairs.items())
        print_table("", ("matrix", "largest error / max|M|"), found.matrices.items())
    if found.worst > TOLERANCE:
        raise FailedError(
            f"{basis}: a rotated matrix differs from D M Dᵀ by {found.worst:.1e}, more than {TOLERANCE:.0e}."
        )


def _numbers(words: list[str]) -> list[int]:
    """Atomic numbers of symbols, each once.

    Raises:
        HampredError: A symbol is unknown.
    """
    from ase.data import atomic_numbers

    numbers = []
    for symbol in (part.capitalize() for word in words for part in word.replace(",", " ").split()):
        if atomic_numbers.get(symbol, 0) == 0:
            raise HampredError(f"There is no element {symbol!r}: give symbols such as --elements C H O.")
        numbers.append(atomic_numbers[symbol])
    return list(dict.fromkeys(numbers))

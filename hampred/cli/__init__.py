"""The command line: one file a verb, which parses, calls and prints. Heavy imports stand inside the verbs."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from hampred.cli import (
    bands,
    calibrate,
    check_basis,
    doctor,
    evaluate,
    generate,
    import_,
    info,
    predict,
    quickstart,
    scf,
    select,
    train,
)
from hampred.errors import FailedError, HampredError

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="hampred",
    help="Electronic Hamiltonians and orbital energies from geometries, without an SCF.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import hampred

        typer.echo(f"hampred {hampred.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; so does HAMPRED_DEBUG=1.")] = False,
) -> None:
    """Electronic Hamiltonians and orbital energies from geometries, without an SCF."""


VERBS = (
    quickstart,
    generate,
    import_,
    train,
    predict,
    evaluate,
    calibrate,
    select,
    bands,
    scf,
    info,
    check_basis,
    doctor,
)

for verb in VERBS:
    verb.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after ``hampred``; those of this process without it.

    Returns:
        Exit code: 0, 1 failed, 2 bad input, 130 interrupted.
    """
    os.environ["MPLBACKEND"] = "agg"  # that of a notebook's kernel, which is inherited, may not be installed here
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or os.environ.get("HAMPRED_DEBUG", "") not in ("", "0")
    words = [word for word in words if word != "--debug"]
    if debug:
        return _run(words)
    try:
        with warnings.catch_warnings():
            _quieten()
            return _run(words)
    except BrokenPipeError:  # the reader of the output has gone, as in `hampred info x.h5 | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error)
        if message:
            typer.echo(f"error: {' '.join(message.split())}", err=True)
        return code


def _quieten() -> None:
    """Shows warnings of hampred itself as one line, and none of the packages under it."""
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module=r"hampred|data_gen")
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {' '.join(str(message).split())}", err=True)


def _run(words: list[str]) -> int:
    """Parses and runs a verb; gives the exit code that it asked for."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("hampred", words) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return OK


def _explain(error: BaseException) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, HampredError):
        return str(error), BAD_INPUT
    if isinstance(error, FailedError):
        return str(error), FAILED
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # of the command-line parser
        return _explain_usage(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return str(error) or "interrupted.", INTERRUPTED
    if isinstance(error, MemoryError):
        return "out of memory: use fewer workers, smaller batches or smaller structures.", FAILED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk ({error.filename or 'output'}): free some or choose another folder.", FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; choose another path.", BAD_INPUT
    return f"unexpected {type(error).__name__}: {error} (--debug shows where; please report it).", FAILED


def _explain_usage(error: BaseException) -> tuple[str, int]:
    """One line for a misspelt command; none where its help was asked for, and printed."""
    message = error.format_message().replace("Value error, ", "")  # which pydantic writes
    if not message or message.endswith("?"):  # … Did you mean 'predict'?
        return message, int(error.exit_code)
    context = getattr(error, "ctx", None)
    help_of = context.command_path if context is not None else "hampred"
    return f"{message.rstrip('.')}: see `{help_of} --help`.", int(error.exit_code)

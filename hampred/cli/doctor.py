"""`hampred doctor`: what this machine offers, and what is missing."""

import os
import platform
import shlex
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from hampred.errors import FailedError

REQUIRED = (
    "hampred",
    "torch",
    "pyscf",
    "numpy",
    "scipy",
    "h5py",
    "pytorch-lightning",
    "e3nn",
    "ase",
    "vesin",
    "pydantic",
    "matplotlib",
    "safetensors",
    "tensorboard",
)
EXTRAS = {
    "smiles": ("rdkit", "structures from SMILES"),
    "sample": ("tblite", "normal modes and molecular dynamics"),
    "dask": ("distributed", "labels on a cluster"),
    "crystal": ("seekpath", "paths through the Brillouin zone"),
    "sisl": ("sisl", "crystals as sisl Hamiltonians"),
}
MALICIOUS = {("pytorch-lightning", "2.6.2"), ("pytorch-lightning", "2.6.3")}


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Show versions, threads, GPU and disk, and how to install what is missing."""
    from hampred.cli.output import print_json, print_table

    found = examine()
    if as_json:
        print_json(found)
    else:
        facts = [(name, str(value)) for name, value in found["machine"].items()]
        packages = [(name, got or "missing") for name, got in found["packages"].items()]
        extras = [
            (f"{name} ({extra['for']})", extra["version"] or extra["install"])
            for name, extra in found["extras"].items()
        ]
        print_table("", ("this machine", ""), facts)
        print_table("", ("package", "version"), packages)
        print_table("", ("extra", "version, or how to install it"), extras)
    if found["problems"]:
        raise FailedError("; ".join(found["problems"]))


def examine() -> dict[str, Any]:
    """Everything that `hampred doctor` shows, as plain JSON types; ``problems`` is empty on a sound installation."""
    packages = {name: _version(name) for name in REQUIRED}
    extras = {
        name: {
            "package": package,
            "for": purpose,
            "version": _version(package),
            "install": _install(name),
        }
        for name, (package, purpose) in EXTRAS.items()
    }
    missing = [name for name, got in packages.items() if got is None and name != "hampred"]
    problems = [f"missing packages: pip install {' '.join(missing)}"] if missing else []
    for name, got in packages.items():
        if (name, got) in MALICIOUS:
            problems.append(
                f"{name} {got} was a malicious upload: pip install '{name}>=2.6.4' and change your passwords"
            )
    return {"machine": _machine(), "packages": packages, "extras": extras, "problems": problems}


def _install(extra: str) -> str:
    """How to install an extra: of the checkout that hampred runs from, or else from the package index."""
    checkout = Path(__file__).parents[2]
    if not (checkout / "pyproject.toml").is_file():
        return f"pip install 'hampred[{extra}]'"
    place = "" if checkout == Path.cwd() else f"cd {shlex.quote(str(checkout))} && "
    return f"{place}pip install -c constraints.txt -e '.[{extra}]'"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "memory_GB": _memory(),
        "gpu": _gpu(),
        "free_disk_here_GB": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
    }


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):  # not told on every system
        return None


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown without torch"
    if not torch.cuda.is_available():
        return "none: the processor will be used"
    return ", ".join(torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count()))

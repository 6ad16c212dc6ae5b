"""What every notebook of the documentation begins with: one folder for all, and commands whose output is plain text."""

import os
import subprocess

from IPython.core.magic import register_cell_magic

TOLD = ("error:", "exit code", "no label:", "note:", "refused:", "warning:")
"""How lines of the standard error begin that belong on a page; the others are progress."""

os.chdir(os.environ["HAMPRED_DOCS"])


@register_cell_magic
def bash(_: str, cell: str) -> None:
    """The magic %%bash, with its output in one piece."""
    plain = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "MPLBACKEND")}
    done = subprocess.run(["bash", "-e", "-c", cell], capture_output=True, text=True, env=plain)
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    lines += [line for line in done.stderr.splitlines() if line.startswith(TOLD)]
    print("\n".join(lines).strip("\n"))

"""The process that labels: reads tasks as JSON lines on its input and answers each with a JSON line.

Tasks are plain JSON, so that nothing is pickled and the program of the user is never imported a second time. A finished
label stands in its own file before the answer is given.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_gen.backends.base import Backend
from data_gen.folder import from_row
from data_gen.guard import BadLabelError
from hampred.errors import FailedError, HampredError

Task = Mapping[str, Any]
Answer = dict[str, Any]

READY = {"ready": True}


def label_one(task: Task) -> Answer:
    """Labels one structure and writes its shard.

    Args:
        task: ``key``, ``shard`` (path), the structure as by `folder.to_row`, ``charge``, ``info``, ``backend``.

    Returns:
        ``key``, ``kind`` (``done``, ``storage`` where the label cannot be written, or a kind of `Failure`), ``reason``
        and ``cpu_s``.
    """
    from hampred.data.store import write_store

    answer: Answer = {"key": task["key"], "kind": "done", "reason": "", "cpu_s": 0.0}
    try:
        atoms = from_row(task)
        atoms.info = dict(task["info"])
        sample = make_backend(json.dumps(task["backend"], sort_keys=True)).label(atoms, int(task["charge"]))
        answer["cpu_s"] = float(sample.provenance["cpu_s"])
    except HampredError as error:
        answer |= {"kind": "refused", "reason": str(error)}
    except BadLabelError as error:
        answer |= {"kind": "bad label", "reason": str(error)}
    except FailedError as error:
        answer |= {"kind": "not converged", "reason": str(error)}
    except MemoryError:
        answer |= {"kind": "out of memory", "reason": "allow more with memory_limit or run fewer workers"}
    except Exception as error:  # the boundary of the process: whatever a molecule breaks is recorded, never passed on
        answer |= {"kind": "error", "reason": f"{type(error).__name__}: {error}"}
    else:
        try:
            write_store(Path(task["shard"]), [sample])
        except (OSError, HampredError) as error:
            answer |= {"kind": "storage", "reason": str(error)}
    return answer


@lru_cache(maxsize=4)
def make_backend(settings: str) -> Backend:
    """The backend of JSON settings ``level``, ``scf``, ``guard`` and ``forces``."""
    from data_gen.backends import backend_of_level
    from hampred.config import GuardConfig, LevelConfig, ScfConfig

    data = json.loads(settings)
    return backend_of_level(
        LevelConfig(**data["level"]), ScfConfig(**data["scf"]), GuardConfig(**data["guard"]), data["forces"]
    )


def serve(label: Callable[[Task], Answer] = label_one) -> None:
    """Answers tasks until the input ends, as it does when the supervisor dies.

    What libraries print goes to the standard error, so that it cannot mix with the answers.
    """
    limit = float(os.environ.get("HAMPRED_MEMORY_LIMIT", "0"))
    if limit > 0:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(limit * 2**30),) * 2)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _tell(answers, READY)
    for line in sys.stdin:
        _tell(answers, label(json.loads(line)))


def _tell(stream: Any, answer: Answer) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


if __name__ == "__main__":
    import data_gen.backends.pyscf_molecule  # noqa: F401  imported before the clock of the first task runs

    serve()

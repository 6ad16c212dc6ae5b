"""Output folders, and files that appear under their name only when they are complete."""

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hampred.errors import HampredError


def require_writable(folder: Path) -> None:
    """Tries, before any work is done, whether an output folder can be written; nothing is created.

    Raises:
        HampredError: It cannot.
    """
    try:
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise HampredError(f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the folder of `path`, and moves the finished file there; an error leaves no trace.

    Raises:
        HampredError: The path cannot be written, or there is no room.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)  # a name may already be the longest
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        hint = "Make room, or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "Choose"
        raise HampredError(f"Cannot write {path}: {error.strerror or error}. {hint} another output folder.") from error
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Creates a folder and holds it for this process; the kernel lets go when the process ends, however it ends.

    Raises:
        HampredError: The folder cannot be written, or another process works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise HampredError(f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no POSIX locks: two processes then repeat work, and lose nothing
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
        raise HampredError(f"Another run works in {folder} ({owner}): wait for it, or choose another --out.") from None
    except OSError:  # a file system without locks
        return
    with suppress(OSError):  # on a full disk the owner stays unknown
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)

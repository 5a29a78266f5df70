"""Files: written so that they appear whole or not at all, read without waiting or filling memory, and locks on them."""

import contextlib
import errno
import functools
import glob
import json
import os
import platform
import re
import stat
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_NOTES = 2**22  # bytes of a file of entries: flags, a reason
LARGEST_TABLE = 2**26  # bytes of a table: millions of rows
_locks: weakref.WeakSet[BinaryIO] = weakref.WeakSet()  # all that `open_for_lock` opened


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write(file)` on a temporary file beside `path`, fsynced, then puts it in the place of `path`."""
    with put_in_place(path) as temporary, open(temporary, "wb") as file:
        write(file)


@contextlib.contextmanager
def put_in_place(path: str | Path) -> Iterator[Path]:
    """Within `with`, the path of a temporary file to be written; at the end it replaces `path`, on an error it goes."""
    path, own = Path(path), _machine()
    for left in path.parent.glob(f".{glob.escape(path.name)}.{own}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not _is_alive(int(pid)):  # its writer was killed
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{own}.{os.getpid()}.tmp")
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within `with`, an `OSError` that names no file, such as a full disk's, names this one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_for_lock(path: Path) -> BinaryIO:
    """Opens a file, made if need be, to hold a lock of it; raises `OSError` at once where a pipe lies in its place.

    Processes that are forked off do not keep the lock: it would outlive the one that took it.
    """
    file = open(path, "ab", opener=_without_waiting)  # noqa: SIM115 (its caller closes it)
    _locks.add(file)
    return file


def _close_locks() -> None:
    for file in list(_locks):
        file.close()


os.register_at_fork(after_in_child=_close_locks)


def open_to_read(path: str | Path) -> BinaryIO:
    """Opens a file; raises `OSError` at once where no regular file lies, or a link leads to none: pipes wait for ever."""
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (its caller closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _unfit(path, "it is no regular file")
    return file


def read_whole(path: str | Path, largest: int) -> bytes:
    """All bytes of a file; raises `OSError` if it cannot be read, is no regular file, or has more than `largest` bytes."""
    with open_to_read(path) as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise _unfit(path, f"it is larger than {largest / 2**20:.0f} MiB")
        return file.read()


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def _unfit(path: str | Path, reason: str) -> OSError:
    """What stops a script in one line that names the file (`common.cli.run`)."""
    return OSError(errno.EPERM, reason, str(path))


def read_entries(path: Path) -> dict[str, Any]:
    """The entries of a JSON file that holds an object.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than any such.
        ValueError: it is no JSON, no object, or nested too deeply.
    """
    try:
        found = json.loads(read_whole(path, LARGEST_NOTES))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not an object")  # noqa: TRY004 (as what is no JSON)
    return found


def sync_folder(path: str | Path) -> None:
    """Makes sure that the names in a folder are on the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@functools.cache
def _machine() -> str:
    """Where this process has its number: the machine, and on Linux the container. Others may share the folder, and numbers."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node()) or "unnamed"
    try:
        return f"{name}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return name


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the latter of a number that no process can have
        return False
    except PermissionError:
        pass
    return True

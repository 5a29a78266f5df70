"""Files that appear whole or not at all: a temporary file in the same folder, fsynced, then renamed."""

import contextlib
import glob
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write(file)` on a temporary file beside `path`, then puts it in the place of `path`."""
    with put_in_place(path) as temporary, open(temporary, "wb") as file:
        write(file)


@contextlib.contextmanager
def put_in_place(path: str | Path) -> Iterator[Path]:
    """Within `with`, the path of a temporary file to be written; at the end it replaces `path`, on an error it goes."""
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not _is_alive(int(pid)):  # its writer was killed
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def open_for_lock(path: Path) -> BinaryIO:
    """Opens a file, made if need be, to hold a lock of it; raises `OSError` at once where a pipe lies in its place."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0), 0o666))


def read_entries(path: Path) -> dict[str, Any]:
    """The entries of a JSON file that holds an object.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, no object, or nested too deeply.
    """
    try:
        found = json.loads(path.read_text())
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


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the latter of a number that no process can have
        return False
    except PermissionError:
        pass
    return True

"""How a file was made: the text that lies beside everything that is published."""

import contextlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from common.cli import check_out
from common.errors import UsageError
from common.files import LARGEST_NOTES, open_to_read, put_in_place, read_whole
from common.machine import BLAS_KERNELS, processor
from common.paths import REPOSITORY

PACKAGES = ("torch", "mujoco", "gymnasium", "numpy")  # whose versions numbers depend on


def notes(
    lines: Mapping[str, str], commit: str | None = None, device: str = "cpu", packages: Sequence[str] = PACKAGES
) -> str:
    """The text: a line for each entry of `lines`, then commit, machine and versions.

    Args:
        lines: {what is told: the text; its further lines stand below the first}.
        commit: that the file was made with; None: the repository's.
        device: the --device flag it was made with.
        packages: whose versions are told.
    """
    told = {
        **lines,
        "commit": commit or repository_commit(),
        "machine": machine(device),
        "versions": ", ".join(
            [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages), *_arithmetic()]
        ),
    }
    texts = {name: value.replace("\n", "\n" + " " * 13) for name, value in told.items()}
    text = "".join(f"{name + ':':13}{text}\n" for name, text in texts.items())
    return text.encode(errors="backslashreplace").decode()  # names of files may hold bytes that are no text


def _arithmetic() -> list[str]:
    """The kernels that numpy's BLAS was told to take, on whose rounding rewards depend; nothing where it chose by itself."""
    return [f"{BLAS_KERNELS}={os.environ[BLAS_KERNELS]}"] if BLAS_KERNELS in os.environ else []


def check_table(out: str | Path, columns: Sequence[str], overwrite: bool = False) -> Path:
    """The path of a table that `write_table` is to write; what others wrote is never replaced without a word.

    Args:
        out: a csv file in a folder that exists.
        columns: of the table.
        overwrite: whether the user has agreed to replace a table, whoever wrote it.
    Raises:
        UsageError: it is no such file; or a table of other columns; or a table, or a text in the place of its text, that
            `write_table` did not write.
    """
    out = check_out(out, ".csv")
    text = out.with_suffix(".txt")
    if os.path.lexists(text) and not is_notes(text):
        raise UsageError(f"--out {out}: {text} would be replaced by the text that belongs to it: choose another")
    if os.path.lexists(out) and not (overwrite or text.exists()):
        raise UsageError(f"--out {out}: it exists, and no such table was written there: choose another")
    if out.exists() and not overwrite and (first := first_line(out)) != ",".join(columns):
        told = f"another table is there, of {first[:60]}" if first else "what is there is empty, no such table"
        raise UsageError(f"--out {out}: {told}: choose another, or remove it")
    return out


def first_line(path: Path) -> str:
    """How a file begins, at most 200 characters of its first line; raises `UsageError` if it cannot be read."""
    try:
        with open_to_read(path) as file:
            return file.read(200).partition(b"\n")[0].rstrip(b"\r").decode(errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--out {path}: what is there cannot be read ({error.strerror}): choose another") from error


def is_notes(path: Path) -> bool:
    """Whether a file is a text that `notes` made."""
    try:
        lines = read_whole(path, LARGEST_NOTES).decode(errors="replace").splitlines()
    except OSError:
        return False
    return all(any(line.startswith(f"{name}:") for line in lines) for name in ("commit", "machine", "versions"))


def write_table(table: pd.DataFrame, out: Path, text: str, float_format: str | None = "%.6g") -> None:
    """Writes a frame as the csv file `--out`, and `text`, which `notes` has made, beside it: both, or neither.

    Args:
        float_format: of its numbers; None: so that they are read again to the last bit.
    Raises:
        UsageError: it cannot be written.
    """
    data = table.to_csv(index=False, float_format=float_format, lineterminator="\n").encode()
    # Both are on the disk before one of them takes the place of what was there.
    with writing(out), put_in_place(out) as new_table, put_in_place(out.with_suffix(".txt")) as new_text:
        for path, content in ((new_table, data), (new_text, text.encode())):
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Within `with`, what keeps files from being written is told as a `UsageError` of `--out`."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"--out {out}: it cannot be written ({error.strerror}): choose another") from error


def typed_command() -> str:
    """The command line of this process, its paths from the repository where they lie in it."""
    words = [Path(sys.argv[0]).resolve(), *sys.argv[1:]]
    return shlex.join(["python", *(str(word).removeprefix(f"{REPOSITORY}{os.sep}") for word in words)])


def repository_commit() -> str:
    """The commit that the repository is at, and whether tracked files differ from it, results apart; of a repository around it, nothing."""
    git = ["git", "-C", str(REPOSITORY)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    run_git = partial(subprocess.run, capture_output=True, text=True, env=environment)
    try:
        told = run_git([*git, "rev-parse", "--show-toplevel", "HEAD"], check=True).stdout
        top, _, commit = told.strip().rpartition("\n")
        if not os.path.samefile(top, REPOSITORY):
            return "unknown, the project is not a git repository of its own"
        changed = run_git([*git, "diff", "--quiet", "HEAD", "--", ":/", ":/!results"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown, there is no git repository"
    return f"{commit}, with uncommitted changes" if changed else commit


def machine(device: str) -> str:
    """This machine's processor, and its GPU if `device`, a --device flag, uses it."""
    gpu = f", {torch.cuda.get_device_name()}" if device != "cpu" and torch.cuda.is_available() else ""
    return processor() + gpu

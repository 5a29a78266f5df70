"""The command line that all scripts share: a parser with one-line errors, types of flags, exit codes.

Whatever is wrong with a flag becomes a `UsageError`: one line that names the flag, the value and the way out. `run`
turns it into exit code 2. Every check of a flag happens before anything is written.
"""

import argparse
import difflib
import math
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

from common.errors import (
    DISK_FULL,
    NOT_A_PATH,
    NOT_WRITTEN,
    NOT_WRITTEN_CODE,
    STOPPED_CODE,
    Diverged,
    RunBroken,
    UsageError,
    one_line,
)
from common.files import open_to_read
from common.output import never_stop_at_output
from common.paths import RESULTS

DEBUG = "--debug"
MOST_SEEDS = 10_000  # in a range
LONGEST_FOLDER = 100  # characters of a name of a run or an embedding
LONGEST_NAME, LONGEST_PATH = 255, 3500  # of Linux, bytes; 4096 in all, with the folders and files that results add
LARGEST_WHOLE = 2**53 - 1  # up to it whole numbers are exact as floats too

Number = TypeVar("Number", int, float)


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors, and `-` and `_` interchangeable in flag names.

    Args:
        description: a script's docstring, whose first line is shown; None, as `python -OO` has it: none is.
    Attributes:
        flags: names of the flags of this process's script, once they were read.
    """

    flags: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=(description or "").partition("\n")[0],
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        self.add_argument(DEBUG, action="store_true", help="show the traceback of what ends in one line")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        parsed = super().parse_args([_underscored(arg) for arg in given], namespace)
        del parsed.debug  # it is no setting of a run: `run` looks for it
        if args is None:
            Parser.flags = frozenset(vars(parsed))
        return parsed

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--\w+)", message)
        if unknown and (like := difflib.get_close_matches(unknown[1], self._option_string_actions, 1)):
            message += f": did you mean {like[0]}?"
        self.exit(2, f"{self.prog}: error: {one_line(message)} (--help lists the flags)\n")


def _underscored(arg: str) -> str:
    if not re.match(r"--[A-Za-z]", arg):
        return arg
    flag, equals, value = arg.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def run(main: Callable[[], object]) -> None:
    """Calls `main()` as a script; what stops it becomes one line and an exit code.

    2: bad input; 3: training diverged; 4: an environment raised something in mid-training; 1: something could not be
    written (a full disk); 130: a second SIGINT, or one before the run began (`common.errors`). A run that SIGINT,
    SIGTERM or SIGHUP stopped exits with 130, 143 or 129 by itself. Output that cannot be written changes none of this (`common.output`).
    """
    never_stop_at_output()
    script = Path(sys.argv[0]).name
    if getattr(signal.getsignal(signal.SIGINT), "__name__", "") == "stop_while_importing":  # of common/installed.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except (UsageError, Diverged, RunBroken) as error:
        _leave(script, f"error: {one_line(error)}", error.exit_code)
    except KeyboardInterrupt:
        _leave(script, "stopped", STOPPED_CODE)
    except OSError as error:
        where = one_line(error.filename) if error.filename else ""
        if error.errno in NOT_A_PATH and where:
            _leave(script, f"error: {where}: {error.strerror}: name another", UsageError.exit_code)
        what = f"{where}: {error.strerror}" if where else error.strerror
        if error.errno in NOT_WRITTEN:
            _leave(script, f"error: {what}: it cannot be written any more", NOT_WRITTEN_CODE)
        if error.errno not in DISK_FULL:
            raise
        _leave(script, f"error: {what}: make room, then call it again{_again()}", NOT_WRITTEN_CODE)


def _again() -> str:
    """How a script that could not write is to be called again, by the flags that it has."""
    if "resume" in Parser.flags:
        return " (training goes on with --resume)"
    return " with --overwrite: it begins anew" if "overwrite" in Parser.flags else ""


def _leave(script: str, message: str, code: int) -> NoReturn:
    if DEBUG in sys.argv:
        traceback.print_exc()
    print(f"{script}: {message}", file=sys.stderr)
    sys.exit(code)


# ---- types of flags ----


def _number(text: str, convert: Callable[[str], Number], accept: Callable[[Number], bool], wanted: str) -> Number:
    value: Number | None
    try:
        value = convert(text)
    except (ValueError, OverflowError):
        value = None
    if value is None or not accept(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _whole(text: str) -> int:
    value = float(text)  # so that 1e6 is accepted
    if not value.is_integer():
        raise ValueError
    return int(value) if abs(value) >= 2**53 or "e" in text.lower() or "." in text else int(text)


def positive_int(text: str) -> int:
    """A whole number of at least 1; `1e6` is one, too. Of an argument that is none argparse tells what it must be."""
    return _number(text, _whole, lambda v: 1 <= v <= LARGEST_WHOLE, "a whole number of at least 1")


def non_negative_int(text: str) -> int:
    """A whole number of at least 0, else like `positive_int`."""
    return _number(text, _whole, lambda v: 0 <= v <= LARGEST_WHOLE, "a whole number of at least 0")


def positive_float(text: str) -> float:
    """A finite number above 0."""
    return _number(text, float, lambda v: 0 < v < math.inf, "a positive number")


def non_negative_float(text: str) -> float:
    """A finite number of at least 0."""
    return _number(text, float, lambda v: 0 <= v < math.inf, "a number of at least 0")


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, float, lambda v: 0 <= v <= 1, "a number from 0 to 1")


def noise(text: str) -> float:
    """A standard deviation or bound of noise, from 0 to 1e6."""
    return _number(text, float, lambda v: 0 <= v <= 1e6, "a number from 0 to 1e6")


def share(text: str) -> float:
    """A share, from 1e-6 to 1."""
    return _number(text, float, lambda v: 1e-6 <= v <= 1, "a number from 1e-6 to 1")


def folder_name(text: str) -> str:
    """A name that is one folder: letters, digits and . _ + = -, not starting with a dot or a dash, `LONGEST_FOLDER` at most."""
    if not re.fullmatch(r"[A-Za-z0-9_+=][A-Za-z0-9._+=-]*", text) or len(text) > LONGEST_FOLDER:
        if len(text) > LONGEST_FOLDER:
            raise argparse.ArgumentTypeError(
                f"'{text[:40]}...' is too long: use a name of {LONGEST_FOLDER} characters at most"
            )
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder's name: use letters, digits and . _ + = -")
    return text


def folder_path(text: str) -> str:
    """The path of a folder; an empty one, as a variable that is not set gives it, would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no folder: name one, or leave the flag out")
    if len(os.fsencode(text)) > LONGEST_PATH or any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(text).parts):
        raise argparse.ArgumentTypeError(f"'{text[:40]}...' is too long for a path: name another folder")
    return text


def seed_list(text: str) -> tuple[int, ...]:
    """The seeds of "0-3" or "0,2,5-7", in order."""
    if not re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} are not seeds: write them as 0-3 or 0,2,5-7")
    ends = [(int(first), int(last or first)) for first, _, last in (part.partition("-") for part in text.split(","))]
    if not all(0 <= last - first < MOST_SEEDS for first, last in ends):
        raise argparse.ArgumentTypeError(
            f"{text!r} are not seeds: each range ends behind its beginning, within {MOST_SEEDS}"
        )
    return tuple(sorted({seed for first, last in ends for seed in range(first, last + 1)}))


def add_env_flag(
    parser: argparse.ArgumentParser,
    default: str | None = "ReacherVertical-v2",
    told: str = "gymnasium id, or module:id",
) -> None:
    """Adds the flag that names an environment, and its short form; `told` is its line of help."""
    parser.add_argument("--env", "--env_name", dest="env_name", metavar="ID", default=default, help=told)


# What files of these suffixes have at an offset: what a script writes replaces its like alone.
BEGINNINGS = {".png": (0, b"\x89PNG"), ".svg": (0, b"<"), ".gif": (0, b"GIF8"), ".mp4": (4, b"ftyp")}


def check_out(out: str | Path, *suffixes: str, flag: str = "--out") -> Path:
    """Raises `UsageError` unless `flag` is a file of one of these suffixes in a folder that exists; returns its path.

    A picture or a film that exists may be replaced, another file of such a name not.
    """
    out = Path(out)
    if out.suffix not in suffixes or out.is_dir():
        raise UsageError(f"{flag} {out}: name a {' or '.join(suffixes)} file")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{flag} {out}: there is no folder {out.absolute().parent}: make it first")
    if out.suffix in BEGINNINGS and out.is_file():
        offset, wanted = BEGINNINGS[out.suffix]
        with open_to_read(out) as file:
            begins = file.read(offset + len(wanted))
        if begins and begins[offset:] != wanted:
            raise UsageError(f"{flag} {out}: it exists and is no {out.suffix} file: choose another")
    return out


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that every training script has."""
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed; of several the first")
    parser.add_argument(
        "--results_dir", type=folder_path, default=str(RESULTS), help="folder that results are written to"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace an existing run of the same name")
    existing.add_argument("--resume", action="store_true", help="continue the run of this name, if there is one")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads; more pay only on idle cores")

"""The last line of a script: where its results are, and the command that comes next, as it can be typed."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from common.paths import IS_INSTALLED, REPOSITORY, RESULTS


def tell_next(results: str | Path | None, script: str, *words: object) -> None:
    """Prints where results are, and the command that comes next.

    Args:
        results: the file or folder; None: nothing was written.
        script: of the next command, as rl/evaluate.py.
        words: its arguments.
    """
    print(f"{f'{shown(results)} is written; ' if results else ''}next: {command(script, *words)}")


def command(script: str, *words: object) -> str:
    """The command of a script with these arguments, for the working folder and the Python of this process."""
    python = next((name for name in ("python", "python3") if shutil.which(name) == sys.executable), sys.executable)
    module = ["-m", script.removesuffix(".py").replace("/", ".")]
    called = module if IS_INSTALLED else [shown(REPOSITORY / script)]
    return shlex.join([shown(python) if "/" in python else python, *called, *map(str, words)])


def shown(path: str | Path) -> str:
    """A path as it is told: from the working folder, if it lies there or is shorter so."""
    absolute = os.path.abspath(path)
    try:
        relative = os.path.relpath(absolute)
    except OSError:  # the working folder is gone
        return absolute
    return relative if len(relative) < len(absolute) else absolute


def own_env_flag(env_name: str) -> tuple[str, ...]:
    """The flag that agrees to the module of an environment of one's own; of others nothing is needed."""
    return ("--env", env_name) if ":" in env_name else ()


def results_flag(results_dir: str | Path) -> tuple[str, ...]:
    """The flag that names a folder of results, where it is not the default."""
    return () if os.path.abspath(results_dir) == str(RESULTS) else ("--results_dir", shown(results_dir))

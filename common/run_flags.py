"""The flags that a run noted, held against others: which may differ, and how a difference is told."""

import re
from collections.abc import Collection
from typing import Any

from common.errors import UsageError

MAY_DIFFER = {  # flags that a resumed run may be given anew
    *("max_timesteps", "device", "eval_freq", "render_freq", "checkpoint_freq", "tensorboard"),
    *("results_dir", "resume", "overwrite"),
}


def check_flags(saved: dict[str, Any], flags: dict[str, Any]) -> None:
    """Raises `UsageError` naming the first flag that differs from those a run began with, but may not."""
    if differing := first_difference(saved, flags):
        ours, theirs = differing
        raise UsageError(
            f"{ours}: the run that --resume continues has {theirs}: give that, or start over with --overwrite"
        )


def first_difference(
    saved: dict[str, Any], flags: dict[str, Any], compared: Collection[str] = ()
) -> tuple[str, str] | None:
    """The first flag that differs but may not, nor may `compared` here, as it is given in `flags` and in `saved`; None: none."""
    for name in sorted(saved.keys() & flags.keys() - (MAY_DIFFER - {*compared})):
        if saved[name] != flags[name] and not (name == "env_name" and _names_a_version_of(saved[name], flags[name])):
            return _told(name, flags[name]), _told(name, saved[name])
    return None


def _names_a_version_of(saved: Any, given: Any) -> bool:
    """Whether an id is the other one with a version, which runs of earlier versions of this project may have left out."""
    return re.fullmatch(re.escape(f"{saved}") + r"-v\d+", f"{given}") is not None


def _told(name: str, value: Any) -> str:
    """A flag and its value as they are given."""
    name = "env" if name == "env_name" else name
    if isinstance(value, bool) or value is None:
        return f"--{name}" if value else f"no --{name}"
    return f"--{name} {value}"

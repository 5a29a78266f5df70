"""What runs write into their folders, and nothing else that is ever deleted there."""

import re
from collections.abc import Iterable
from pathlib import Path

FAILURE = "failed.json"
# As regular expressions; in folders of their own, and beside them.
UNFINISHED = r"\..+\.\d+\.tmp"  # of `common.files.write_atomically`
FILES = (
    *("opt.json", FAILURE, "eval.csv", "eval.npy", "train.csv", "speed.csv", "log.csv", "encoder.pt", "decoder.pt"),
    *("model.zip", "vecnormalize.pkl", "policies.pt", "probe.csv", "probe.png", ".checkpoint.new"),
)
WRITTEN = (*map(re.escape, FILES), UNFINISHED)
WRITTEN_BELOW = {
    "replay": (r"\d+\.f32",),
    "videos": (r"\d+\.mp4", UNFINISHED),
    "tensorboard": (r"events\.out\.tfevents\.\d+\..+",),
    "render": (r"(epoch|samples)_\d+\.png", r"(observations|latest)\.png", UNFINISHED),
}


def delete(folder: Path, patterns: Iterable[str]) -> None:
    """Deletes the files, and the links themselves, that match one of the patterns, in a folder but not below it."""
    for path in matching(folder, patterns):
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)


def matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """What is in a folder, but not below it, and matches one of the patterns; links that lead nowhere too, unlike `glob`."""
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if any(re.fullmatch(pattern, path.name) for pattern in patterns)]

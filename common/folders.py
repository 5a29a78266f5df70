"""Making folders, and taking those away again that nothing came into."""

from collections.abc import Iterable
from pathlib import Path


def make_folder(path: Path) -> list[Path]:
    """Makes a folder and those that it lies in; returns those that were not there, the innermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return missing


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders, the innermost first, up to the first that holds something or is gone."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return

"""Memory is counted before it is taken: what is free, and a refusal that names the flags when it is not enough."""

import contextlib
import ctypes
import math
import os
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from common.errors import UsageError

FILES_OF_A_PROCESS = 64  # at most, open at once, without those of seeds
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def available_memory() -> int:
    """Bytes of memory that are free for this process, as far as the system says."""
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        try:
            for line in Path("/proc/meminfo").read_text().splitlines():
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize


def keep_freed_memory() -> None:
    """Asks glibc to keep freed memory in this process, where it is the allocator.

    Updates free and take the same memory at every step, networks of images tens of megabytes; having the system map and
    clear these pages each time takes about as long as the arithmetic.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(parameter, 2**30)


def require_memory(parts: Mapping[str, float], device: torch.device) -> None:
    """Makes sure that `device` has room for all of `parts`.

    Args:
        parts: {flags and what they take, as text: bytes}.
        device: torch device.
    Raises:
        UsageError: it has not; the line names the largest part.
    """
    free = available_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
    if sum(parts.values()) > free:
        largest = max(parts, key=parts.__getitem__)
        rest = f" of {_gigabytes(sum(parts.values()))} in all" if len(parts) > 1 else ""
        raise UsageError(
            f"{largest} take {_gigabytes(parts[largest])}{rest}, and {_gigabytes(free)} are free on {device}: use less"
        )


def require_disk(what: str, wanted: float, folder: str | Path, pattern: str) -> None:
    """Makes sure that the disk has room for files before they are written.

    Args:
        what: flags and what they take, as text.
        wanted: bytes.
        folder: where they will be; it need not be there yet.
        pattern: of those files below the folder that are there already: they count.
    Raises:
        UsageError: there is no room.
    """
    parent = Path(folder).absolute()
    while not parent.exists():
        parent = parent.parent
    there = sum(file.lstat().st_blocks * 512 for file in Path(folder).glob(pattern))
    usage = shutil.disk_usage(parent)
    free = usage.free if usage.total else math.inf  # a file system that is no disk says nothing
    if wanted - there > free:
        raise UsageError(
            f"{what} take {_gigabytes(wanted - there)} on the disk, and {_gigabytes(free)} are free in {parent}: use fewer, "
            "or another --results_dir"
        )


def require_open_files(seeds: int, tensorboard: bool) -> None:
    """Makes sure that a process may open the files of a run's seeds, raising its limit if the system lets it.

    Args:
        seeds: how many.
        tensorboard: whether events are written, too.
    Raises:
        UsageError: it may not.
    """
    wanted = FILES_OF_A_PROCESS + (1 + tensorboard) * seeds  # a seed's lock, and its events
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:
        raise UsageError(
            f"--num_seeds {seeds}: the run opens up to {wanted} files, and this system lets a process open {soft}: use fewer, or "
            "raise ulimit -n"
        ) from error


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"

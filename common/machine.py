"""This machine: its cores and processor, and the BLAS kernels that make numbers portable."""

import os
import platform
from pathlib import Path

BLAS_KERNELS = "OPENBLAS_CORETYPE"  # the environment variable that OpenBLAS reads them from


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name and the number of its cores that this process may use."""
    model, info = platform.processor() or platform.machine() or "unknown", Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {usable_cores()} cores"


def use_portable_blas() -> None:
    """Makes numpy's OpenBLAS compute alike on all processors with AVX2, where this is one; before numpy is imported.

    By itself it chooses among its kernels by the processor, and a reward's norm then differs in its last digit. Kernels
    that the user chose are kept.
    """
    info = Path("/proc/cpuinfo")
    if info.is_file() and " avx2 " in info.read_text():
        os.environ.setdefault(BLAS_KERNELS, "Haswell")

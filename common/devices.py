"""Torch devices, and the precision that they compute in."""

import argparse
import os

import torch

from common.errors import UsageError


def choose_device(name: str, threads: int) -> torch.device:
    """Sets the number of torch threads and returns the torch device called `name` (`auto`: cuda where there is one)."""
    cores = os.cpu_count() or 1
    if threads > cores:
        raise UsageError(f"--threads {threads}: this machine has {cores} cores: use at most as many")
    torch.set_num_threads(threads)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device | None
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: there is no such device: use cpu, cuda or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(f"--device {name}: torch sees {found} CUDA devices here: use --device cpu")
    return device


def add_precision_flag(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that `choose_precision` resolves."""
    parser.add_argument(
        "--precision", choices=["auto", "fp32", "bf16"], default="auto", help="of convolutions; auto: bf16 where fast"
    )


def choose_precision(name: str, device: torch.device) -> str:
    """`bf16` or `fp32`: what `auto` means on `device`, or what was asked for.

    On a CPU with bfloat16 instructions a step takes 0.6 of its time in fp32, on others it takes longer.

    Raises:
        UsageError: bf16 was asked for, and the device has no such type.
    """
    if device.type == "cuda":
        fast = supported = torch.cuda.is_bf16_supported()
    else:
        supported = True
        fast = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
    if name == "bf16" and not supported:
        raise UsageError(f"--precision bf16: {device} cannot: use fp32")
    return name if name != "auto" else "bf16" if fast else "fp32"

"""Random streams, each with an owner and a name.

A stream is determined by a seed and a name and by nothing else, so the numbers that one part of a run sees do not
depend on what the other parts, or the seeds beside it, have drawn.
"""

import zlib

import numpy as np
import torch


def stream(seed: int, name: str, *index: int) -> np.random.Generator:
    """A numpy generator for `name` under `seed`; `index` tells apart members of a family of streams."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *index])


def torch_stream(seed: int, name: str, *index: int) -> torch.Generator:
    """The same for torch: a CPU generator."""
    return torch.Generator().manual_seed(int(stream(seed, name, *index).integers(2**63)))


def reset_seed(seed: int, name: str, *index: int) -> int:
    """An integer below 2^31 for `env.reset(seed=...)`."""
    return int(stream(seed, name, *index).integers(2**31))

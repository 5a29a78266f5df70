"""The random streams of the process, which environments may seed or draw from beside their own."""

import contextlib
import random
from collections.abc import Iterator

import gymnasium
import numpy as np
import torch

from common.environments import attribute


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """Puts the random streams of the process, which an environment may seed, back to where they were."""
    streams = np.random.get_state(), random.getstate(), torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(streams[0])
        random.setstate(streams[1])
        torch.set_rng_state(streams[2])


def seed_streams(seed: int) -> None:
    """Seeds the random streams of the process, that of torch on the CPU."""
    np.random.seed(seed % 2**32)
    random.seed(seed)
    torch.default_generator.manual_seed(seed)


def random_bits(env: gymnasium.Env) -> np.random.BitGenerator | None:
    """What an environment's own random stream is made of, if it has one such as gymnasium gives it."""
    generator = attribute(env, "np_random")
    return generator.bit_generator if isinstance(generator, np.random.Generator) else None

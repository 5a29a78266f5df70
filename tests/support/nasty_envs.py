"""Environments that misbehave, each in one way: `nasty_envs:<class>-v0`.

A class says what must follow in training by `must`: the exit code, and words of the line on stderr.
"""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import nasty_returns  # noqa: F401  (registers its environments)
import numpy as np
import torch
from nasty_base import NASTY, Nasty

__all__ = ["LATE", "NASTY", "Nasty"]

LATE = 27  # the step, of all of an environment, in which faults of mid-training show


# ---- raising ----


class Unspeakable(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no")


class RaisesWhenMade(Nasty):
    must = 2, "RaisesWhenMade-v0: making it raised KeyError: 'a'"

    def __init__(self, **_: Any) -> None:
        raise KeyError("a")


class FileMissingWhenMade(Nasty):
    must = 2, "making it raised FileNotFoundError: [Errno 2] No such file or directory: '/no/model.xml'"

    def __init__(self, **_: Any) -> None:
        Path("/no/model.xml").read_text()


class ExitsWhenMade(Nasty):
    must = 2, "making it raised SystemExit: 0"

    def __init__(self, **_: Any) -> None:
        sys.exit(0)


class HasNoSpaces(Nasty):
    must = 2, "making it raised AttributeError: no spaces"

    @property
    def action_space(self) -> Any:
        raise AttributeError("no spaces")


class RaisesInReset(Nasty):
    must = 2, "its reset() raised OSError: [Errno 28] No space left on device"

    def reset(self, **_: Any) -> Any:
        raise OSError(28, "No space left on device")


class ResetsWithoutSeed(Nasty):
    must = 2, "its reset() raised TypeError: ResetsWithoutSeed.reset() got an unexpected keyword argument 'seed'"

    def reset(self) -> Any:
        return np.zeros(2), {}


class RaisesInStep(Nasty):
    must = 2, "its step() raised Unspeakable: mend it"

    def step(self, action: Any) -> Any:
        raise Unspeakable


class RaisesLines(Nasty):
    must = 2, "its step() raised ValueError: one two"

    def step(self, action: Any) -> Any:
        raise ValueError("one\ntwo\n" + "x" * 10_000)


class Late(Nasty):
    """Raises `error` in mid-training."""

    error: ClassVar[BaseException] = KeyError("a")
    must = 4, "its step() raised KeyError: 'a': mend it (--debug shows where); the checkpoint of step 20, "

    def step(self, action: Any) -> Any:
        if self.steps >= LATE:
            raise self.error
        return super().step(action)


class LateExit(Late):
    error = SystemExit(0)
    must = 4, "its step() raised SystemExit: 0"


class LateMissingFile(Late):
    error = FileNotFoundError(2, "No such file or directory", "mine.txt")
    must = 4, "its step() raised FileNotFoundError: [Errno 2] No such file or directory: 'mine.txt'"


class LateBrokenPipe(Late):
    error = BrokenPipeError(32, "Broken pipe")
    must = 4, "its step() raised BrokenPipeError: [Errno 32] Broken pipe"


class LateFullDisk(Late):
    error = OSError(28, "No space left on device")
    must = 4, "its step() raised OSError: [Errno 28]"


class LateOwnBase(Late):
    error = BaseException("own")
    must = 4, "its step() raised BaseException: own"


class RaisesInAReset(Nasty):
    must = 4, "its reset() raised RuntimeError: broken: mend it (--debug shows where); the checkpoint of step 20"

    def reset(self, **keywords: Any) -> Any:
        if self.steps >= LATE:
            raise RuntimeError("broken")
        return super().reset(**keywords)


class RaisesInClose(Nasty):
    must = 0, "its close() raised ValueError: open: nothing is lost"

    def close(self) -> None:
        raise ValueError("open")


# ---- side effects ----


class WritesToItsObservations(Nasty):
    """Returns one array for ever, and writes to it."""

    def reset(self, **keywords: Any) -> Any:
        super().reset(**keywords)
        self.shown = self.position
        return self.shown, {}

    def step(self, action: Any) -> Any:
        self.position = self.shown
        result = super().step(action)
        self.shown[:] = result[0]
        return self.shown, *result[1:]


class Behaves(Nasty):
    """What the two classes around it must equal."""


class SeedsAllRandomNumbers(Nasty):
    def step(self, action: Any) -> Any:
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        return super().step(action)


class SetsNumpysErrors(Nasty):
    """Its own arithmetic is to raise at underflow, and no other; it observes numbers that float32 has not."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        np.seterr(all="raise")

    def reset(self, **keywords: Any) -> Any:
        observation, info = super().reset(**keywords)
        return np.full_like(observation, 1e-42), info

    def step(self, action: Any) -> Any:
        assert np.geterr()["under"] == "raise"
        return np.full(2, 1e-42), 1e-300, *super().step(action)[2:]


class RemembersRewards(Nasty):
    """Rewards depend on episodes before, as those of gymnasium's NormalizeReward do."""

    seen = 0.0

    def step(self, action: Any) -> Any:
        observation, reward, *ends = super().step(action)
        self.seen += abs(reward)
        return observation, reward / self.seen, *ends


class IsRandom(Nasty):
    def step(self, action: Any) -> Any:
        return np.random.default_rng().normal(size=2), *super().step(action)[1:]


class Chatters(Nasty):
    def step(self, action: Any) -> Any:
        print("x" * 10_000)
        return super().step(action)


class MovesAwayWhenMade(Nasty):
    must = 2, "making it left another working folder behind"

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        os.chdir("/")


class MovesAwayInReset(Nasty):
    must = 2, "its reset() left another working folder behind"

    def reset(self, **keywords: Any) -> Any:
        os.chdir("/")
        return super().reset(**keywords)


class MovesAwayInStep(Nasty):
    must = 2, "its step() left another working folder behind"

    def step(self, action: Any) -> Any:
        os.chdir("/")
        return super().step(action)


class LeavesADefaultDevice(Nasty):
    must = 2, "its reset() left torch's default device at meta"

    def reset(self, **keywords: Any) -> Any:
        torch.set_default_device("meta")
        return super().reset(**keywords)


class Sleeps(Nasty):
    def step(self, action: Any) -> Any:
        time.sleep(0.002)
        return super().step(action)


# ---- drawing ----


class DrawsNothing(Nasty):
    def render(self) -> Any:
        raise KeyError("image")


class DrawsLate(Nasty):
    """Raises in a process that draws, after some images."""

    images = 0

    def render(self) -> Any:
        self.images += 1
        if self.images > 4:
            sys.exit(0)
        return super().render()

"""The environment that a baseline is trained in: nothing in it can hide what is not finite, and its episode can be had again."""

from typing import Any

import gymnasium
import numpy as np
import torch

from common.errors import Diverged, UsageError
from common.finite import is_finite
from common.process_streams import random_bits, seed_streams, streams_kept
from common.streams import reset_seed
from rl.protocols import Content


class BaselineEnv(gymnasium.Wrapper):
    """An environment that stops at what is not finite, and knows how its episode under way came about.

    Its `info` holds nothing of the environment's own, whose keys may be those of stable-baselines3 or of
    `envs.dyne_actions`: only `ended`, the return and the length of an episode that has just ended. Its `reset` and `step`
    raise `Diverged`.

    The episode under way follows from the seed of the newest `reset` that had one, the state that the environment's random
    stream had before a later `reset` without, and the actions taken since. That is what `snapshot` holds.

    stable-baselines3 draws from the random streams of the process, which an environment may seed as it is reset. So these are the
    environment's own within `reset`, seeded anew for every episode, and the learner's again behind it.

    Attributes:
        steps: taken since it was made.
        observation: the newest, as the environment gave it.
        total: the sum of the rewards of the episode under way.
        taken: its actions, (A,) each.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.steps, self.total = 0, 0.0
        self.taken: list[np.ndarray] = []
        self._seed, self._stream = 0, None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Starts an episode: its first observation."""
        self._stream = None
        if seed is not None:
            self._seed = seed
        elif (bits := random_bits(self.env)) is not None:
            self._stream = plain(bits.state)
        with streams_kept():
            seed_streams(reset_seed(self._seed, "streams of the process", self.steps))
            self.observation, _ = self.env.reset(seed=seed, options=options)
        self.total, self.taken = 0.0, []
        if not is_finite(self.observation):
            raise Diverged(f"step {self.steps}: the first observation of an episode is not finite: {self.observation}")
        return self.observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Takes a step: observation, reward, terminated, truncated."""
        self.taken.append(np.array(action))
        self.observation, reward, terminated, truncated, _ = self.env.step(action)
        self.steps += 1
        if not is_finite(self.observation, reward):
            raise Diverged(f"step {self.steps}: observation {self.observation} or reward {reward} not finite")
        self.total += float(reward)
        ended = {"ended": (self.total, len(self.taken))} if terminated or truncated else {}
        return self.observation, float(reward), terminated, truncated, ended

    def snapshot(self) -> Content:
        """How the episode under way came about, as plain values and tensors."""
        taken = np.stack(self.taken) if self.taken else np.zeros((0, *self.env.action_space.shape), np.float32)  # type: ignore[misc]
        return {
            "steps": self.steps,
            "seed": self._seed,
            "stream": self._stream,
            "taken": torch.from_numpy(taken),
            "observation": torch.from_numpy(np.array(self.observation)),
            "total": self.total,
        }

    def rewind(self, state: Content) -> None:
        """Goes back to a `snapshot`, by playing its episode again.

        Raises:
            UsageError: the environment does not come to the same observation again.
        """
        self.steps = state["steps"] - len(state["taken"])  # where its episode began
        self.reset(seed=state["seed"])
        if state["stream"] is not None:
            bits = random_bits(self.env)
            if bits is not None:
                bits.state = state["stream"]
            self.reset()
            self._stream = state["stream"]
        over = False
        for action in state["taken"].numpy():
            if over:
                break
            _, _, terminated, truncated, _ = self.step(action)
            over = terminated or truncated
        same = not over and np.array_equal(self.observation, state["observation"].numpy())
        if not same or self.total != state.get("total", self.total):  # earlier versions did not note it
            raise UsageError(
                f"--resume: the same actions led the environment to {'other rewards' if same else 'another state'} than "
                "before: it is not deterministic, it does not draw from its own np_random, or its version has changed: start "
                "over with --overwrite"
            )


def plain(state: Any) -> Any:
    """The state of one of numpy's bit generators as plain values: some have arrays in it, which become lists.

    Such a state is taken back as it is.
    """
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray | np.generic):
        return state.tolist()
    return state

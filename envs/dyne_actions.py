"""DynE actions for any algorithm: an environment whose action is an embedding of k raw actions."""

import os
from collections.abc import Iterator
from typing import Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs

_is_forked = False


def _note_fork() -> None:
    """A forked process, as those of gymnasium's AsyncVectorEnv are, has none of torch's threads and would wait for them for ever."""
    global _is_forked
    _is_forked = True


os.register_at_fork(after_in_child=_note_fork)


class Decoder(Protocol):
    """What is needed of an `embedding.decoder.ActionDecoder`."""

    action_dim: int
    max_embedding: float

    def misfit(self, env: gymnasium.Env) -> str | None:
        """Why it cannot act in an environment, or None."""
        ...

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Embeddings `(B, A)` to raw actions `(B, k, A)`."""
        ...


def _layers(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """An environment, what it wraps, and so on."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


class DynEActionSpace(gymnasium.ActionWrapper, RecordConstructorArgs):
    """Act in the embedding space of a decoder: a step of it is k steps of the environment.

    It serves any algorithm, which sees every k-th state and learns from these alone. (DynE-TD3, `rl/dyne_td3.py`, learns
    from every state: section 3.2 of the paper.) docs/own-algorithm.md has an example.

    The action `(A,)` float32 is in [-1, 1]; times `max_embedding` it is z, which is decoded as
    `rl.action_spaces.DynEActions` does. The reward of a step is the sum of those of its raw steps, discounted by `discount`
    a raw step, so that an algorithm whose raw steps are to be discounted by gamma takes `discount=gamma` here and
    gamma**k for itself. An episode's end drops the rest of a sequence. `info["steps"]` counts the raw steps. (Behind a sequence
    that a time limit cuts to h steps, gamma**h would be right.)
    """

    def __init__(self, env: gymnasium.Env, decoder: Decoder, discount: float = 1.0, normalised: bool = True):
        """Wrap an environment.

        Args:
            env: with a time limit of its own, in raw steps.
            decoder: an `embedding.decoder.ActionDecoder`.
            discount: of rewards, a raw step; 1 for returns that are those of the environment.
            normalised: whether actions are in [-1, 1]; else they are z itself, within `max_embedding` of zero.

        Raises:
            TypeError: `decoder` is no decoder.
            ValueError: the decoder makes actions of another size, or plans longer than an episode; or the environment's
                actions are no one-dimensional Box of floats, or embeddings already, or it has no `spec`; or `discount` is not
                in [0, 1].
        """
        if not hasattr(decoder, "misfit"):
            raise TypeError(f"decoder {decoder!r}: it is no decoder: ActionDecoder.load(path) returns one")
        if not 0 <= discount <= 1:
            raise ValueError(f"discount {discount}: it must be between 0 and 1")
        if any(isinstance(layer, DynEActionSpace) for layer in _layers(env)):
            raise ValueError(f"{env}: its actions are embeddings already: wrap the environment of raw actions")
        if not isinstance(env.action_space, Box) or len(env.action_space.shape) != 1:
            raise ValueError(f"its actions are {env.action_space}: embeddings decode to those of a one-dimensional Box")
        if not np.issubdtype(env.action_space.dtype, np.floating):
            raise ValueError(
                f"its actions are {env.action_space}: decoded ones are no whole numbers: use a Box of floats"
            )
        if env.spec is None:
            raise ValueError(f"{env} has no spec, which tells its id and time limit: make it with gymnasium.make")
        if _is_forked:
            torch.set_num_threads(1)
        arguments = {"decoder": decoder, "discount": discount, "normalised": normalised}
        RecordConstructorArgs.__init__(self, **arguments, _disable_deepcopy=True)
        gymnasium.ActionWrapper.__init__(self, env)
        if misfit := decoder.misfit(env):
            raise ValueError(misfit)
        self.decoder, self.discount = decoder, discount
        bound, one = np.float32(decoder.max_embedding), np.float32(1)
        largest, self._scale = (one, bound) if normalised else (bound, one)
        self.action_space = Box(-largest, largest, (decoder.action_dim,), np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        """The raw actions `(k, A)` of an action `(A,)`, of the environment's type and within its bounds.

        Raises:
            ValueError: the action has another shape, or is NaN.
        """
        space, own = self.env.action_space, self.action_space
        assert isinstance(space, Box) and isinstance(own, Box)
        if np.shape(action) != own.shape or np.isnan(action).any():
            raise ValueError(f"the action {action} is not {own.shape[0]} numbers")
        with torch.no_grad():
            z = torch.as_tensor(np.clip(action, own.low, own.high) * self._scale).float()
            plan = self.decoder(z.unsqueeze(0))[0].numpy()
        return np.clip(plan, space.low, space.high).astype(space.dtype, copy=False)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Run a whole sequence, or what is left of the episode."""
        total, steps = 0.0, 0
        for raw in self.action(action):
            observation, reward, terminated, truncated, info = self.env.step(raw)
            total += self.discount**steps * float(reward)
            steps += 1
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info | {"steps": steps}

"""The policies of SAC, PPO and SAC-LSP from what their checkpoints hold, without what trained them."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from common import entries
from common.checkpoint import CheckpointError
from rl.latent_space_policies import MOST_LEVELS, LatentPolicy, PolicyStack
from rl.protocols import ActionSpace, Content, SelectAction

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
EPSILON, NORMALISED_CLIP = 1e-8, 10.0  # of VecNormalize: added to variances, bound of what it returns


def policy_of(content: Any, actions: ActionSpace, seed: int) -> SelectAction:
    """The policy without noise that a baseline's `policy_content` described: a state (1, S) to an action (D,).

    The content may be another's (`common.entries`).
    """
    kind = entries.choice(content, "kind", "mlp", "stack")
    return _mlp(content, actions) if kind == "mlp" else _stack(content, actions)


def _mlp(content: Content, actions: ActionSpace) -> SelectAction:
    """A policy of stable-baselines3: linear layers; actions squashed by tanh (SAC, TD3) or cut off at the bounds (PPO)."""
    widths = entries.widths(content, "widths", outputs=actions.dim)
    layers = entries.network(content, "weights", lambda: nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths)))
    assert isinstance(layers, nn.ModuleList)
    activate = ACTIVATIONS[entries.choice(content, "activation", *ACTIVATIONS)]
    squash = entries.choice(content, "squash", False, True)
    low, high = (bound.numpy() for bound in entries.bounds(content, (torch.float32,)))
    if len(low) != actions.dim:
        raise CheckpointError(f"low has {len(low)} numbers, not {actions.dim}")
    normalise = _normalisation(entries.entry(content, "statistics"), widths[0])

    @torch.no_grad()
    def act(states: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(normalise(states))
        for layer in layers[:-1]:
            x = activate(layer(x))
        x = layers[-1](x)
        if squash:
            return (low + 0.5 * (torch.tanh(x).numpy() + 1.0) * (high - low))[0]
        return np.clip(x.numpy(), low, high)[0]

    return act


def _normalisation(statistics: Any, width: int) -> Callable[[np.ndarray], np.ndarray]:
    """What PPO does to observations (N, S); the identity if there are no statistics."""
    if statistics is None:
        return lambda states: states
    mean, variance = (
        entries.tensor(statistics, name, (width,), (torch.float64,)).numpy() for name in ("mean", "variance")
    )
    if (variance < 0).any():
        raise CheckpointError("variance is negative")
    scale = np.sqrt(variance + EPSILON)
    return lambda states: np.clip((states - mean) / scale, -NORMALISED_CLIP, NORMALISED_CLIP).astype(np.float32)


def _stack(content: Content, actions: ActionSpace) -> SelectAction:
    """Latent space policies, the lowest first."""
    state_dim, found = entries.whole(content, "state_dim", 1), entries.entry(content, "policies")
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_LEVELS:
        raise CheckpointError(f"policies is no list of 1 to {MOST_LEVELS}")
    stack = PolicyStack(state_dim, actions.low, actions.high, torch.device("cpu"))
    for level, weights in enumerate(found):
        make = partial(LatentPolicy, state_dim, actions.dim, level == 0)
        stack.policies.append(entries.network({"weights": weights}, "weights", make))
    zeros = np.zeros((1, actions.dim), np.float32)
    return lambda states: stack.act(states, zeros)[1][0]

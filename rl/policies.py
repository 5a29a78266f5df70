"""Policies: those of a running experiment for all its seeds, and one that was loaded from a run's folder.

policy = load_policy("results/rl/ReacherVertical-v2/DynE-TD3/default/seed_0")
policy.reset()                                # at the start of every episode
action = policy.select_action(observation)    # (A,) in the environment's units
"""

from pathlib import Path

import numpy as np
import torch

from embedding import checkpoint
from embedding.streams import stream
from rl import action_spaces
from rl.networks import Actor


class ActorPolicies:
    """The greedy policies of an agent's N seeds."""

    def __init__(self, agent):
        self.agent, self.actions = agent, agent.actions

    def act(self, states, due):
        """States (N, S) to actions (N, D)."""
        return self.agent.act(states)


class RandomPolicies:
    """Uniformly random actions, of an own stream for each of N seeds.

    Args:
        actions: the action space of the policy.
        streams: N numpy generators.
    """

    def __init__(self, actions, streams):
        self.actions, self.streams = actions, streams

    def act(self, states, due):
        """Actions (N, D); only the streams of `due` (N,) seeds are drawn from."""
        chosen = np.zeros((len(self.streams), self.actions.dim), np.float32)
        for n in np.flatnonzero(due):
            chosen[n] = self.actions.sample(self.streams[n])
        return chosen


class Policy:
    """A policy for one environment, which decodes and runs its plans itself.

    Attributes:
        env_id: the environment it was trained on.
        method: TD3, DynE-TD3, random or random-DynE.
        seed: the seed it was trained with.
        sizes: (S, A), the widths of its observations and of its raw actions; S is None for a random policy.
    """

    def __init__(self, env_id, method, seed, actions, act, state_dim=None):
        self.env_id, self.method, self.seed = env_id, method, seed
        self.sizes = state_dim, len(actions.low)
        self._actions, self._act = actions, act
        self.reset()

    def reset(self):
        """Forgets the plan under way: call it at the start of every episode."""
        self._plans = action_spaces.Plans(self._actions, 1)

    def select_action(self, observation):
        """The next raw action (A,) float32 for an observation (S,); a new plan begins every k-th call."""
        if self._plans.due()[0]:
            self._plans.start(0, self._act(np.asarray(observation, np.float32).reshape(1, -1)))
        return self._plans.next(0).copy()


def policy_content(agent, n):
    """What `load_policy` needs of seed index `n`; of a random policy (no agent) nothing."""
    if agent is None:
        return None
    return {
        "state_dim": agent.state_dim,
        "actor": {name: _slice(agent, tensor, n) for name, tensor in agent.actor.state_dict().items()},
    }


def _slice(agent, tensor, n):
    stacked = tensor.dim() == 3  # weights and biases; the action's center and scale are shared
    return (tensor[n : n + 1] if stacked else tensor).cpu().clone()


def seed_folders(run):
    """The folders of a run's seeds, or the folder itself if it is a seed's.

    Raises:
        CheckpointError: there is no finished run in the folder.
    """
    run = Path(run)
    if (run / "checkpoint.pt").is_file():
        return [run]
    folders = sorted(run.glob("seed_*"), key=lambda folder: (len(folder.name), folder.name))
    folders = [folder for folder in folders if (folder / "checkpoint.pt").is_file()]
    if not folders:
        raise checkpoint.CheckpointError(f"{run} holds no run: there is no checkpoint.pt in it nor in a seed_<n> of it")
    return folders


def load_policy(run):
    """Loads the policy of a run's folder (of its first seed, if it holds several).

    Raises:
        embedding.checkpoint.CheckpointError: no run there, or a damaged one.
    """
    path = seed_folders(run)[0] / "checkpoint.pt"
    content = checkpoint.load(path, "run")
    try:
        return _policy_of(content)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise checkpoint.CheckpointError(f"{path} was written by another version ({error!r})") from error


def _policy_of(content):
    actions = action_spaces.from_content(content["actions"])
    names = content["env_id"], content["method"], content["seed"]
    if content["policy"] is None:
        rng = stream(content["seed"], "random policy")
        return Policy(*names, actions, lambda observation: actions.sample(rng))
    saved = content["policy"]
    actor = Actor(saved["state_dim"], actions.dim, actions.center, actions.scale, seeds=[0])
    actor.load_state_dict(saved["actor"])
    actor.requires_grad_(False)
    return Policy(
        *names,
        actions,
        lambda observation: actor(torch.from_numpy(observation)[None])[0, 0].numpy(),
        saved["state_dim"],
    )

"""Policies: those of a running experiment for all its seeds, and one that was loaded from a run's folder.

policy = load_policy("results/rl/ReacherVertical-v2/DynE-TD3/default/seed_0")
policy.reset()                                # at the start of every episode
action = policy.select_action(observation)    # (A,) in the environment's units
"""

from pathlib import Path

import numpy as np
import torch

from common import checkpoint
from common.mlp import MLP
from common.streams import stream
from rl import action_spaces, state_spaces
from rl.networks import Actor
from rl.pixel_networks import PixelActor, Trunk
from rl.plans import Plans


class ActorPolicies:
    """The greedy policies of an agent's N seeds, which sees the states of `state_space`."""

    def __init__(self, agent, state_space):
        self.agent, self.state_space, self.actions = agent, state_space, agent.actions

    def act(self, states, due):
        """States (N, *S) to actions (N, D)."""
        return self.agent.act(states)


class RandomPolicies:
    """Uniformly random actions, of an own stream for each of N seeds.

    Args:
        state_space, actions: those of the run.
        streams: N numpy generators.
    """

    def __init__(self, state_space, actions, streams):
        self.state_space, self.actions, self.streams = state_space, actions, streams

    def act(self, states, due):
        """Actions (N, D); only the streams of `due` (N,) seeds are drawn from."""
        chosen = np.zeros((len(self.streams), self.actions.dim), np.float32)
        for n in np.flatnonzero(due):
            chosen[n] = self.actions.sample(self.streams[n])
        return chosen


class Policy:
    """A policy for one environment, which sees its observations and runs its plans as it did in training.

    Attributes:
        env_id: the environment it was trained on.
        method: TD3, DynE-TD3, S-DynE-TD3, ..., random or random-DynE.
        seed: the seed it was trained with.
        state_space: what it sees of observations (`rl.state_spaces`), which makes environments that it can act in; None
            for a random policy.
        actions: its action space (`rl.action_spaces`).
    """

    def __init__(self, env_id, method, seed, state_space, actions, act):
        self.env_id, self.method, self.seed = env_id, method, seed
        self.state_space, self.actions = state_space, actions
        self._act = act
        self.reset()

    def reset(self):
        """Forgets what was seen and the plan under way: call it at the start of every episode."""
        self._plans, self._state = Plans(self.actions, 1), None

    def select_action(self, observation):
        """The next raw action (A,) float32 for an observation; a new plan begins every k-th call."""
        if self.state_space:
            self._state = self.state_space.encode([observation], self._state)
        if self._plans.due()[0]:
            self._plans.start(0, self._act(self._state))
        return self._plans.next(0).copy()


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
        common.checkpoint.CheckpointError: no run there, or a damaged one.
    """
    path = seed_folders(run)[0] / "checkpoint.pt"
    content = checkpoint.load(path, "run")
    try:
        return _policy_of(content)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise checkpoint.CheckpointError(f"{path} was written by another version ({error!r})") from error


def _policy_of(content):
    actions = action_spaces.from_content(content["actions"])
    names, saved = (content["env_id"], content["method"], content["seed"]), content["policy"]
    if saved is None:
        rng = stream(content["seed"], "random policy")
        return Policy(*names, None, actions, lambda _: actions.sample(rng))
    states = state_spaces.from_content(content["states"], torch.device("cpu"))
    if "trunk" not in saved:
        actor = Actor(MLP(saved["actor"], saved["widths"]), actions.center, actions.scale)
        return Policy(*names, states, actions, lambda state: actor(torch.from_numpy(state)[None])[0, 0].numpy())
    trunk = Trunk(seeds=[0])
    actor = PixelActor(trunk.width, actions.dim, actions.center, actions.scale, seeds=[0])
    for network, weights in ((trunk, saved["trunk"]), (actor, saved["actor"])):
        network.load_state_dict(weights)
        network.eval().requires_grad_(False)
    return Policy(*names, states, actions, lambda state: actor(trunk(torch.from_numpy(state)[None]))[0, 0].numpy())

"""Experiments of rl/ at default settings, for benchmarks to time."""

import contextlib

import torch

from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions, RawActions
from rl.dyne_td3 import DynETD3
from rl.flags import training_parser
from rl.td3 import TD3
from rl.training import Experiment

AGENTS = {"TD3": TD3, "DynE-TD3": DynETD3}
K = 4


def make_experiment(policy_name, env_name, num_seeds, results_dir, **flags):
    """An `Experiment` that has not begun, as rl/main_td3.py and rl/main_dyne.py make it.

    Args:
        policy_name: TD3, or DynE-TD3 with a decoder of random weights for k = 4.
        results_dir: folder that its results go to.
        flags: others of its flags, `max_timesteps=5000`; defaults hold for the rest.
    """
    flags |= {"env_name": env_name, "num_seeds": num_seeds, "results_dir": results_dir, "name": f"{num_seeds}_seeds"}
    line = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    args = training_parser(__doc__, [policy_name]).parse_args(line)

    def actions(env):
        low, high = env.action_space.low, env.action_space.high
        if policy_name == "TD3":
            return RawActions(low, high)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return DynEActions(ActionDecoder(low, high, K, env_id=env.spec.id).requires_grad_(False), low, high)

    with contextlib.redirect_stdout(None):
        return Experiment(args, actions, AGENTS[policy_name])

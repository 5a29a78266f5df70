"""Experiments of rl/ at default settings, for benchmarks to time."""

import contextlib

import torch

from common.devices import choose_device, choose_precision
from embedding.decoder import ActionDecoder
from embedding.pixel_models import STATE_DIM, VAE_DIM, ImageEncoder
from envs.pixels import SOURCE_WIDTH
from rl.action_spaces import DynEActions, RawActions
from rl.dyne_td3 import DynETD3
from rl.flags import training_parser
from rl.frame_replay import FrameReplay
from rl.pixel_td3 import PixelTD3
from rl.state_spaces import DynEStates, FrameStates, VAEStates
from rl.td3 import TD3
from rl.training import Experiment

AGENTS = {"TD3": TD3, "DynE-TD3": DynETD3}
FROM_PIXELS = {"S-DynE-TD3": TD3, "SA-DynE-TD3": DynETD3, "VAE-TD3": TD3, "Pixel-TD3": PixelTD3}
K = 4


def make_experiment(policy_name, env_name, num_seeds, results_dir, **flags):
    """An `Experiment` that has not begun, as the scripts of rl/ make it.

    Args:
        policy_name: a method; its decoder (k = 4) and its encoder of images have random weights.
        env_name: environment.
        num_seeds: N.
        results_dir: folder that its results go to.
        flags: others of its flags, `max_timesteps=5000`; defaults hold for the rest.
    """
    flags |= {"env_name": env_name, "num_seeds": num_seeds, "results_dir": results_dir, "name": f"{num_seeds}_seeds"}
    line = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    args = training_parser(__doc__, [policy_name]).parse_args(line)

    def actions(env):
        low, high = env.action_space.low, env.action_space.high
        if policy_name not in ("DynE-TD3", "SA-DynE-TD3"):
            return RawActions(low, high)
        with _fixed_weights():
            return DynEActions(ActionDecoder(low, high, K, env_id=env.spec.id).requires_grad_(False), low, high)

    def states(env, device):
        if policy_name == "Pixel-TD3":
            return FrameStates(SOURCE_WIDTH)
        space, channels, width = (VAEStates, 3, VAE_DIM) if policy_name == "VAE-TD3" else (DynEStates, 12, STATE_DIM)
        with _fixed_weights():
            return space(ImageEncoder(channels, width).eval().requires_grad_(False), SOURCE_WIDTH, device)

    more = {}
    if policy_name == "Pixel-TD3":
        precision = choose_precision("auto", choose_device(args.device, args.threads))
        more = {"replay_class": FrameReplay, "precision": precision}
    with contextlib.redirect_stdout(None):
        if policy_name in AGENTS:
            return Experiment(args, actions, AGENTS[policy_name])
        return Experiment(args, actions, FROM_PIXELS[policy_name], states, **more)


@contextlib.contextmanager
def _fixed_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield

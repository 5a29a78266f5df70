"""Experiments of rl/ at default settings, for benchmarks to time."""

import contextlib

import torch

from common.devices import choose_device, choose_precision
from embedding.decoder import ActionDecoder
from embedding.pixel_models import STATE_DIM, VAE_DIM, ImageEncoder
from envs.pixels import SOURCE_WIDTH
from rl.action_spaces import DynEActions
from rl.flags import training_parser
from rl.methods import METHODS
from rl.setup import set_up
from rl.state_spaces import DynEStates, VAEStates
from rl.training import TrainingRun

FROM_PIXELS = [name for name, method in METHODS.items() if method.from_pixels]
K = 4


def make_experiment(policy_name, env_name, num_seeds, results_dir, **flags):
    """An `TrainingRun` that has not begun, as the scripts of rl/ make it.

    Args:
        policy_name: a method; its decoder (k = 4) and its encoder of images have random weights.
        env_name: environment.
        num_seeds: N.
        results_dir: folder that its results go to.
        flags: others of its flags, `max_timesteps=5000`; defaults hold for the rest.
    """
    flags |= {"env_name": env_name, "num_seeds": num_seeds, "results_dir": results_dir, "name": f"{num_seeds}_seeds"}
    line = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    args = training_parser(__doc__, policy_name, [policy_name]).parse_args(line)

    method = METHODS[policy_name]
    args.source_img_width = SOURCE_WIDTH
    args.precision = choose_precision("auto", choose_device(args.device, args.threads))

    def actions(env):
        low, high = env.action_space.low, env.action_space.high
        with _fixed_weights():
            return DynEActions(ActionDecoder(low, high, K, env_name=env.spec.id).requires_grad_(False), low, high)

    def states(env, device):
        space, channels, width = (VAEStates, 3, VAE_DIM) if method.sees == "vae" else (DynEStates, 12, STATE_DIM)
        with _fixed_weights():
            return space(ImageEncoder(channels, width).eval().requires_grad_(False), SOURCE_WIDTH, device)

    with contextlib.redirect_stdout(None):
        untrained = {"make_actions": actions} if method.acts_in == "decoder" else {}
        untrained |= {"make_states": states} if method.pretrained else {}
        return TrainingRun(set_up(args, method, **untrained))


@contextlib.contextmanager
def _fixed_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield

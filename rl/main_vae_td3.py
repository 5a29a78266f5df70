"""Trains VAE-TD3: TD3 whose states are a VAE's encodings of the four newest frames, a baseline of section 5.3.

    python embedding/main_vae.py --env ReacherVertical-v2
    python rl/main_vae_td3.py --env_name ReacherVertical-v2 --max_timesteps 150000 --num_seeds 2

writes results/rl/<env>/<policy>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
"""

from common.cli import run
from rl.action_spaces import RawActions
from rl.flags import PIXELS_EVAL_FREQ, add_encoder_flag, load_encoder, training_parser
from rl.state_spaces import VAEStates
from rl.td3 import TD3
from rl.training import Experiment


def parse(args=None):
    """Returns the flags of this script."""
    parser = training_parser(__doc__.splitlines()[0], ["VAE-TD3"], PIXELS_EVAL_FREQ, 10_000)
    add_encoder_flag(parser, "main_vae.py")
    return parser.parse_args(args)


def main():
    args = parse()

    def actions(env):
        return RawActions(env.action_space.low, env.action_space.high)

    def states(env, device):
        return VAEStates(*load_encoder(args, env.spec.id, "vae"), device)

    Experiment(args, actions, TD3, states).run()


if __name__ == "__main__":
    run(main)

"""Trains TD3 from states on raw actions, the baseline.

    python rl/main_td3.py --env_name ReacherVertical-v2 --max_timesteps 50000 --num_seeds 8

writes results/rl/<env>/<policy>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
"""

from common.cli import run
from rl.action_spaces import RawActions
from rl.flags import training_parser
from rl.td3 import TD3
from rl.training import Experiment


def parse(args=None):
    """Returns the flags of this script."""
    return training_parser(__doc__.splitlines()[0], ["TD3", "random"]).parse_args(args)


def main():
    args = parse()

    def actions(env):
        return RawActions(env.action_space.low, env.action_space.high)

    Experiment(args, actions, TD3 if args.policy_name == "TD3" else None).run()


if __name__ == "__main__":
    run(main)

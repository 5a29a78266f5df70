"""Trains DynE-TD3 from states: TD3 in the action space of a trained DynE decoder (paper, section 3.2).

    python embedding/main.py --env ReacherVertical-v2
    python rl/main_dyne.py --env_name ReacherVertical-v2 --max_timesteps 50000 --num_seeds 8

writes results/rl/<env>/<policy>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
A decoder may come from another environment with the same actions: --source_env.
"""

from embedding.flags import run
from rl.action_spaces import DynEActions, RawActions
from rl.dyne_td3 import DynETD3
from rl.flags import load_decoder, training_parser
from rl.td3 import TD3
from rl.training import Experiment

AGENTS = {"DynE-TD3": DynETD3, "TD3": TD3, "random-DynE": None, "random": None}


def main():
    parser = training_parser(__doc__.splitlines()[0], list(AGENTS))
    parser.add_argument(
        "--decoder", default="default", help="name of an embedding, published-k4, published-k8, or a decoder.pt"
    )
    parser.add_argument("--source_env", default=None, help="environment the decoder was trained on; none: --env_name")
    args = parser.parse_args()

    def actions(env):
        low, high = env.action_space.low, env.action_space.high
        if args.policy_name in ("DynE-TD3", "random-DynE"):
            return DynEActions(load_decoder(args, env), low, high)
        return RawActions(low, high)

    Experiment(args, actions, AGENTS[args.policy_name]).run()


if __name__ == "__main__":
    run(main)

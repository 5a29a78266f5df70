"""Trains SAC-LSP on states: latent space policies (Haarnoja et al., 2018a), the hierarchical baseline of figure 4.

    python rl/main_sac_lsp.py --env_name ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2

The first policy is trained by SAC for the first `--max_timesteps / --levels` steps, then it is frozen and the next one
is trained on top of it, from an empty replay. The temperature of every level is tuned (arXiv:1812.05905) to an entropy
of minus the number of actions; the entropy of an upper level is taken relative to its normal prior. Each level starts with the
temperature of the level below. The authors' scripts have a fixed scale of rewards instead. Writes results/rl/<env>/SAC-LSP/<name>/seed_<n>/ as
rl/main_baselines.py does; such a run cannot be resumed. --levels 1 is SAC with an invertible policy.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import cast

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.cli import positive_int, run
from common.errors import UsageError
from common.files import write_atomically
from common.progress import Progress
from common.run_folder import RunFolder
from common.streams import reset_seed, stream, torch_stream
from rl.action_spaces import RawActions
from rl.baselines import baseline_parser, mean_return, replay_rows, require_finite, train_all
from rl.latent_space_policies import PolicyStack, SoftActorCritic
from rl.policies import Policies
from rl.results import NOT_MEASURED, SeedResults
from rl.state_spaces import ObservedStates

BATCH = 256
LEARNING_STARTS = 1000  # steps of a level before its updates begin


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = baseline_parser(__doc__)
    parser.add_argument("--levels", type=positive_int, default=2, help="policies on top of each other")
    args = parser.parse_args(argv)
    if args.levels > args.max_timesteps:
        raise UsageError(f"--levels {args.levels}: there are {args.max_timesteps} steps to train them: use fewer")
    return args


def greedy(stack: PolicyStack) -> Policies:
    """The `Policies` of one seed: the stack without noise."""

    def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
        """States (N, S) to actions (N, A)."""
        return stack.act(states, np.zeros((len(states), len(stack.low)), np.float32))[1]

    return Policies(ObservedStates(stack.state_dim), RawActions(stack.low, stack.high), act)


def train_seed(
    args: argparse.Namespace,
    env: gymnasium.Env,
    eval_env: gymnasium.Env,
    seed: int,
    folder: RunFolder,
    device: torch.device,
) -> None:
    """Trains one seed into its locked folder."""
    space = cast(Box, env.action_space)
    low, high, state_dim = space.low, space.high, cast(Box, env.observation_space).shape[0]
    assert env.spec is not None
    results, stack = SeedResults(folder.path), PolicyStack(state_dim, low, high, device)
    results.begin()
    rng, generator = stream(seed, "SAC-LSP: exploration, batches"), torch_stream(seed, "SAC-LSP: noise")
    torch.manual_seed(torch_stream(seed, "SAC-LSP: initial weights").initial_seed())
    policies, number, episodes = greedy(stack), 0, 0
    level_steps = args.max_timesteps // args.levels  # the last has what is left over
    rows = np.zeros((replay_rows(args), 2 * state_dim + len(low) + 2), np.float32)

    def look(steps: int) -> None:
        nonlocal number
        mean = mean_return(policies, eval_env, seed, number, args.eval_episodes)
        results.add_evaluation(episodes, steps, mean)
        number += 1
        shown.note(f"return {mean:.1f}")

    state = env.reset(seed=reset_seed(seed, "resets", 0))[0].astype(np.float32)
    total, length, agent = 0.0, 0, None
    with Progress(args.max_timesteps, f"SAC-LSP {env.spec.id} seed {seed}", "step") as shown:
        for step in range(args.max_timesteps):
            level = min(step // level_steps, args.levels - 1)
            place = step - level * level_steps
            if place == 0:
                alpha = agent.log_alpha.exp().item() if agent else 1.0
                agent = SoftActorCritic(stack.add(), state_dim, device, generator, alpha=alpha)
            if step == 0:
                look(0)
            h = rng.standard_normal((1, len(low)), dtype=np.float32)
            chosen, raw = stack.act(state[None], h)
            following, reward, terminated, truncated, _ = env.step(raw[0])
            following = following.astype(np.float32)
            rows[place % len(rows)] = [*state, *chosen[0], reward, *following, terminated]
            state, total, length = following, total + float(reward), length + 1
            if terminated or truncated:
                episodes += 1
                results.add_episodes(episodes, [(step + 1, total, length)], NOT_MEASURED)
                state = env.reset(seed=reset_seed(seed, "resets", episodes))[0].astype(np.float32)
                total, length = 0.0, 0
            if place + 1 >= min(LEARNING_STARTS, level_steps):
                batch = torch.from_numpy(rows[rng.integers(0, min(place + 1, len(rows)), BATCH)]).to(device)
                s, a, r, following, done = batch.split([state_dim, len(low), 1, state_dim, 1], dim=1)
                assert agent is not None
                agent.update(s, a, r.squeeze(1), following, done.squeeze(1))
            shown.update()
            if (step + 1) % args.eval_freq == 0:
                look(step + 1)
    require_finite((weight for policy in stack.policies for weight in policy.parameters()), seed, args.max_timesteps)
    whole = io.BytesIO()
    torch.save([policy.state_dict() for policy in stack.policies], whole)
    write_atomically(folder.path / "policies.pt", lambda file: file.write(whole.getbuffer()))
    results.close()


def main() -> None:
    train_all(parse(), "SAC-LSP", train_seed)


if __name__ == "__main__":
    run(main)

"""Trains SAC-LSP on states: latent space policies (Haarnoja et al., 2018a), the hierarchical baseline of figure 4.

    python rl/main_sac_lsp.py --env ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2

The first policy is trained by SAC for the first `--max_timesteps / --levels` steps, then it is frozen and the next one
is trained on top of it, from an empty replay. The temperature of every level is tuned (arXiv:1812.05905) to an entropy
of minus the number of actions; the entropy of an upper level is taken relative to its normal prior. Each level starts with the
temperature of the level below. The authors' scripts have a fixed scale of rewards instead. Writes results/rl/<env>/SAC-LSP/<name>/seed_<n>/ as
rl/main_baselines.py does; a run goes on with the --max_timesteps that it began with. --levels 1 is SAC with an invertible
policy.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from runpy import run_path
from typing import Any, cast

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.cli import positive_int, run
from common.errors import UsageError
from common.streams import reset_seed, stream, torch_stream
from rl.action_spaces import RawActions
from rl.baseline_env import BaselineEnv
from rl.baseline_run import Baseline, SeedRun, on_cpu
from rl.baselines import baseline_parser, replay_rows, train_all
from rl.latent_space_policies import MOST_LEVELS, PolicyStack, SoftActorCritic
from rl.policies import Policies
from rl.protocols import Content
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
    if args.levels > MOST_LEVELS:
        raise UsageError(f"--levels {args.levels}: use at most {MOST_LEVELS}")
    return args


def greedy(stack: PolicyStack) -> Policies:
    """The `Policies` of one seed: the stack without noise."""

    def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
        """States (N, S) to actions (N, A)."""
        return stack.act(states, np.zeros((len(states), len(stack.low)), np.float32))[1]

    return Policies(ObservedStates(stack.state_dim), RawActions(stack.low, stack.high), act)


class LSPLearner:
    """A `Learner` of `rl.baseline_run`: a stack of policies, the last of which is being trained.

    Args:
        baseline: what the seeds have in common.
        env: the environment to train in.
        seed: the seed.
    """

    def __init__(self, baseline: Baseline, env: BaselineEnv, seed: int) -> None:
        self.args, self.env, self.seed, self.device = baseline.args, env, seed, baseline.device
        space = cast(Box, env.action_space)
        self.state_dim, self.action_dim = cast(Box, env.observation_space).shape[0], len(space.low)
        self.rng = stream(seed, "SAC-LSP: exploration, batches")
        self.generator = torch_stream(seed, "SAC-LSP: noise")
        torch.manual_seed(torch_stream(seed, "SAC-LSP: initial weights").initial_seed())
        self.stack = PolicyStack(self.state_dim, space.low, space.high, self.device)
        self.policies = greedy(self.stack)
        self.level_steps = self.args.max_timesteps // self.args.levels  # the last has what is left over
        self.rows = np.zeros((replay_rows(self.args), self.row_width(self.state_dim, self.action_dim)), np.float32)
        self.place = self._saved = 0  # steps of the level, and how many of their rows are on the disk
        self.agent = self._next_agent(1.0)

    @staticmethod
    def row_width(state_dim: int, action_dim: int) -> int:
        """Numbers a row of replay: both observations, what the policy chose, reward, terminated."""
        return 2 * state_dim + action_dim + 2

    def _next_agent(self, alpha: float) -> SoftActorCritic:
        """Puts a new policy on the stack; returns what trains it, of temperature `alpha` at first."""
        return SoftActorCritic(self.stack.add(), self.state_dim, self.device, self.generator, alpha=alpha)

    def weights(self) -> Iterable[torch.Tensor]:
        """All weights of the stack."""
        return (weight for policy in self.stack.policies for weight in policy.parameters())

    def learn(self, run: SeedRun) -> None:
        """Trains until the run is over."""
        if run.saved_steps < 0:
            self.env.reset(seed=reset_seed(self.seed, "resets", 0))
        run.start()
        while not run.pause():
            level = min(run.steps // self.level_steps, self.args.levels - 1)
            if level == len(self.stack.policies):
                self.agent = self._next_agent(self.agent.log_alpha.exp().item())
                self.place = self._saved = 0
            ended = self._step()
            run.count(1, ended)
            if ended:
                self.env.reset(seed=reset_seed(self.seed, "resets", run.episodes))
            if self.place >= min(LEARNING_STARTS, self.level_steps):
                self._update()
            run.evaluate_if_due()

    def _step(self) -> tuple[float, int] | None:
        """One step into the replay; return and length of the episode if it ended with it."""
        state = self.env.observation.astype(np.float32)
        chosen, raw = self.stack.act(state[None], self.rng.standard_normal((1, self.action_dim), dtype=np.float32))
        following, reward, terminated, _, info = self.env.step(raw[0])
        row = [*state, *chosen[0], reward, *following.astype(np.float32), terminated]
        self.rows[self.place % len(self.rows)] = row
        self.place += 1
        return info.get("ended")

    def _update(self) -> None:
        """One update from the steps of this level."""
        indices = self.rng.integers(0, min(self.place, len(self.rows)), BATCH)
        batch = torch.from_numpy(self.rows[indices]).to(self.device)
        s, a, r, following, done = batch.split([self.state_dim, self.action_dim, 1, self.state_dim, 1], dim=1)
        self.agent.update(s, a, r.squeeze(1), following, done.squeeze(1))

    # ---- what is kept ----

    def take_unsaved(self) -> list[np.ndarray]:
        """The level's rows of replay since this was last called, a list of (M, width) float32."""
        size = len(self.rows)
        places = np.arange(max(self._saved, self.place - size), self.place) % size
        self._saved = self.place
        return [self.rows[places]] if len(places) else []

    def policy_content(self) -> Content:
        """What `rl.baseline_policies` makes the policy without noise from again."""
        policies = [on_cpu(policy.state_dict()) for policy in self.stack.policies]
        return {"kind": "stack", "state_dim": self.state_dim, "policies": policies}

    def snapshot(self) -> Content:
        """Everything that the next steps and updates depend on besides the replay, the policies and the episode."""
        return {
            "policies": [on_cpu(policy.state_dict()) for policy in self.stack.policies],
            **{name: on_cpu(part) for name, part in self.agent.snapshot().items()},
            "place": self.place,
            "streams": {
                "exploration, batches": self.rng.bit_generator.state,
                "noise": self.generator.get_state(),
                "initial weights": torch.get_rng_state(),
            },
        }

    def rewind(self, state: Any, rows: Iterable[np.ndarray]) -> None:
        """Goes back to a `snapshot`; `rows`: the replay's newest, in parts (M, width)."""
        while len(self.stack.policies) < len(state["policies"]):
            self.agent = self._next_agent(1.0)
        for policy, weights in zip(self.stack.policies, state["policies"], strict=True):
            policy.load_state_dict(weights)
        self.agent.rewind(state)
        self.place = self._saved = state["place"]
        newest = np.concatenate(list(rows) or [self.rows[:0]])
        count = min(self.place, len(newest), len(self.rows))
        self.rows[np.arange(self.place - count, self.place) % len(self.rows)] = newest[len(newest) - count :]
        self.rng.bit_generator.state = state["streams"]["exploration, batches"]
        self.generator.set_state(state["streams"]["noise"])
        torch.set_rng_state(state["streams"]["initial weights"])


def raw_actions(env: gymnasium.Env) -> RawActions:
    """The environment's own actions."""
    space = cast(Box, env.action_space)
    return RawActions(space.low, space.high)


def main() -> None:
    train_all(parse(), "SAC-LSP", LSPLearner, LSPLearner.row_width, raw_actions)


if __name__ == "__main__":
    run(main)

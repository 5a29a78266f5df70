"""One seed of a baseline: what trains it, what it counts, evaluates and keeps."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch

from common import entries
from common.cli import LARGEST_WHOLE
from common.errors import Diverged, EnvironmentFault, RunBroken
from common.interruption import Interruption
from common.process_streams import streams_kept
from common.progress import Progress
from rl.baseline_env import BaselineEnv
from rl.evaluation import evaluate
from rl.fingerprint import Fingerprint
from rl.policies import Policies
from rl.protocols import ActionSpace, Content
from rl.results import NOT_MEASURED
from rl.seed_store import SeedStore, run_entries


class Learner(Protocol):
    """What trains one seed of a baseline (`rl.sb3_learner`, `rl.main_sac_lsp`).

    Attributes:
        policies: its policy without noise.
    """

    policies: Policies

    @staticmethod
    def row_width(state_dim: int, action_dim: int) -> int:
        """Floats a row of replay."""
        ...

    def weights(self) -> Iterable[torch.Tensor]:
        """All weights that are trained."""
        ...

    def learn(self, run: "SeedRun") -> None:
        """Trains: calls `run.start`, `run.count` for every step, and `run.pause` wherever it can go on exactly."""
        ...

    def take_unsaved(self) -> list[np.ndarray]:
        """The rows of replay since this was last called, in parts (M, width) float32."""
        ...

    def policy_content(self) -> Content:
        """What `rl.baseline_policies` makes the policy from again."""
        ...

    def snapshot(self) -> Content:
        """Everything that training depends on besides the replay and the episode under way."""
        ...

    def rewind(self, state: Any, rows: Iterable[np.ndarray]) -> None:
        """Goes back to a `snapshot`, once the environment was rewound; `rows`: the replay's newest, in parts (M, width)."""
        ...


@dataclass
class Baseline:
    """What the seeds of a run have in common.

    Attributes:
        args: the script's flags.
        method: what it is called in results.
        env_name, fingerprint: the environment, as files call it, what it is and does.
        env, eval_env: the environments to train and to evaluate in, for one seed after the other.
        actions: what the policy acts in.
        device: torch device.
        make: an environment, a seed and this to a `Learner`.
    """

    args: argparse.Namespace
    method: str
    env_name: str
    fingerprint: Fingerprint
    env: gymnasium.Env
    eval_env: gymnasium.Env
    actions: ActionSpace
    device: torch.device
    make: Callable[["Baseline", BaselineEnv, int], Learner]


class SeedRun:
    """One seed: what it has counted, and what it writes.

    Args:
        baseline: what the seeds have in common.
        seed: the seed.
        store: its files; the folder is locked.
        interruption: ends the run at the next pause.
        content: the checkpoint that it goes on from, or None.
    Attributes:
        steps, episodes, evaluations: how many there were.
        max_steps: how many steps there will be.
        saved_steps: those of the newest checkpoint; -1: there is none.
    """

    def __init__(
        self, baseline: Baseline, seed: int, store: SeedStore, interruption: Interruption, content: Content | None
    ) -> None:
        self.baseline, self.seed, self.store, self.interruption = baseline, seed, store, interruption
        self.args, self.max_steps = baseline.args, baseline.args.max_timesteps
        self.steps = self.episodes = self.evaluations = self._before = 0
        self.saved_steps, self._is_due = -1, False
        self.env = BaselineEnv(baseline.env)
        self.learner = baseline.make(baseline, self.env, seed)
        if content is None:
            store.results.begin()
        else:
            self._resume(content)

    def _resume(self, content: Content) -> None:
        """Takes everything from a checkpoint, and brings the files back to it."""
        with self.store.reading():
            rows = self.store.verify(content)
            self.env.rewind(content["collector"])
            self.learner.rewind(content["agent"], rows)
            self.steps, self.episodes, self.evaluations = (
                entries.whole(content, name, 0, LARGEST_WHOLE) for name in ("steps", "episodes", "evaluations")
            )
        self.saved_steps = self.steps
        self.store.rewind(content)

    def train(self) -> None:
        """Trains to `--max_timesteps`, or until it is interrupted; the newest checkpoint is of its last step.

        Raises:
            Diverged: something is not finite.
            RunBroken: the environment raised something.
        """
        label = f"{self.baseline.method} {self.baseline.env_name.rpartition(':')[2]} seed {self.seed}"
        with Progress(self.max_steps, label, "step", self.steps) as self._shown:
            try:
                self.learner.learn(self)
            except ValueError:  # torch's distributions refuse what is not finite
                self._require_finite()
                raise
            except EnvironmentFault as error:
                raise RunBroken(f"{error}; {self.store.kept(self.saved_steps)}") from error
            self.save()
        self.store.results.close()

    def is_over(self) -> bool:
        """Whether it has all of its steps."""
        return self.steps >= self.max_steps

    # ---- what a learner calls ----

    def start(self) -> None:
        """Evaluates the policy that a new run begins with, which is saved at the first pause."""
        if self.saved_steps < 0:
            self.evaluate()
            self._is_due = True

    def count(self, steps: int, ended: tuple[float, int] | None) -> None:
        """Notes steps that were just taken; `ended`: return and length of the episode that ended with them."""
        self._before, self.steps = self.steps, self.steps + steps
        self._shown.update(steps)
        self._is_due |= bool(self.args.checkpoint_freq) and self._crossed(self.args.checkpoint_freq)
        if ended is not None:
            self.episodes += 1
            self.store.results.add_episodes(self.episodes, [(self.steps, *ended)], NOT_MEASURED)

    def evaluate_if_due(self) -> None:
        """Evaluates if a multiple of --eval_freq lies in the steps that were counted last."""
        if self._crossed(self.args.eval_freq):
            self.evaluate()

    def evaluate(self) -> None:
        """Evaluates; raises `Diverged` if the return is not finite."""
        with streams_kept():  # which the environment may seed, and the learner draws from
            returns = evaluate(
                self.learner.policies,
                [self.baseline.eval_env],
                [self.seed],
                [self.evaluations],
                self.args.eval_episodes,
                alive=self._shown.alive,
            )
        mean = float(np.mean(returns))
        if not np.isfinite(mean):
            raise Diverged(f"evaluation {self.evaluations}: return not finite")
        self.store.results.add_evaluation(self.episodes, self.steps, mean)
        self.evaluations += 1
        self._is_due |= not self.args.checkpoint_freq
        self._shown.note(f"last evaluation {mean:.1f}")

    def pause(self) -> bool:
        """Saves if it is time; returns whether training ends here."""
        ends = self.is_over() or self.interruption.received is not None
        if self._is_due or ends:
            self.save()
        return ends

    # ---- files ----

    def _crossed(self, freq: int) -> bool:
        return self.steps // freq > self._before // freq

    def save(self) -> None:
        """Writes a checkpoint, unless the newest is of this step; raises `Diverged` if weights are not finite."""
        if self.saved_steps == self.steps:
            return
        self._require_finite()
        baseline, learner = self.baseline, self.learner
        content = {
            **run_entries(
                baseline.env_name,
                baseline.fingerprint,
                baseline.method,
                self.seed,
                learner.policies.state_space,
                baseline.actions,
            ),
            "policy": learner.policy_content(),
            "agent": learner.snapshot(),
            "collector": self.env.snapshot(),
            "steps": self.steps,
            "episodes": self.episodes,
            "evaluations": self.evaluations,
        }
        self.store.save(content, learner.take_unsaved())
        self.saved_steps, self._is_due = self.steps, False

    def _require_finite(self) -> None:
        if not all(torch.isfinite(weight).all() for weight in self.learner.weights()):
            raise Diverged(f"seed {self.seed}, step {self.steps}: weights not finite")


def on_cpu(value: Any) -> Any:
    """The same with its tensors detached and on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: on_cpu(item) for key, item in value.items()}
    return [on_cpu(item) for item in value] if isinstance(value, list) else value

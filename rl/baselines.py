"""What the scripts of baselines share: flags, what a seed counts and keeps, and training one seed after the other."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common import entries
from common.cli import Parser, add_common_flags, add_env_flag, folder_name, non_negative_int, positive_int
from common.devices import choose_device
from common.environments import fingerprint, make_env, name_of, require_time_limit, try_a_step
from common.errors import Diverged, EnvironmentFault, RunBroken, UsageError, one_line
from common.interruption import Interruption
from common.memory import require_disk, require_memory
from common.next_step import own_env_flag, shown, tell_next
from common.paths import policy_run
from common.progress import Progress
from rl.baseline_env import Guarded
from rl.evaluation import evaluate
from rl.policies import Policies
from rl.protocols import ActionSpace, Content
from rl.results import NOT_MEASURED
from rl.run_store import RunStore, check_fingerprint
from rl.seed_store import SeedStore
from rl.state_spaces import ObservedStates

REPLAY_SIZE = 1_000_000
OF_ONE_LENGTH = {  # baselines whose numbers depend on --max_timesteps, and why
    "PPO": "its step size falls to 0 at the last step",
    "SAC-LSP": "its levels share the steps",
}


def baseline_parser(description: str | None) -> Parser:
    """A parser with the flags that the scripts of baselines share."""
    parser = Parser(description)
    add_env_flag(parser)
    parser.add_argument("--name", type=folder_name, default="default", help="name of this run")
    parser.add_argument("--num_seeds", type=positive_int, default=1, help="seeds trained one after the other")
    parser.add_argument("--max_timesteps", type=positive_int, default=1_000_000, help="steps a seed")
    parser.add_argument("--eval_freq", type=positive_int, default=1000, help="steps between evaluations")
    parser.add_argument("--eval_episodes", type=positive_int, default=10, help="episodes an evaluation")
    parser.add_argument(
        "--checkpoint_freq", type=non_negative_int, default=0, help="steps between checkpoints; 0: at evaluations"
    )
    add_common_flags(parser)
    return parser


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
        env_name, fingerprint: the environment, as files call it, and what it does (`common.environments`).
        env, eval_env: the environments to train and to evaluate in, for one seed after the other.
        actions: what the policy acts in.
        device: torch device.
        make: an environment, a seed and this to a `Learner`.
    """

    args: argparse.Namespace
    method: str
    env_name: str
    fingerprint: str
    env: gymnasium.Env
    eval_env: gymnasium.Env
    actions: ActionSpace
    device: torch.device
    make: Callable[["Baseline", Guarded, int], Learner]


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
        self.env = Guarded(baseline.env)
        self.learner = baseline.make(baseline, self.env, seed)
        if content is None:
            store.results.begin()
        else:
            self._resume(content)

    def _resume(self, content: Content) -> None:
        """Takes everything from a checkpoint, and brings the files back to it."""
        try:
            rows = self.store.verify(content)
            self.env.rewind(content["collector"])
            self.learner.rewind(content["agent"], rows)
            self.steps, self.episodes, self.evaluations = (
                content[name] for name in ("steps", "episodes", "evaluations")
            )
        except entries.UNFIT as error:
            raise UsageError(
                f"--resume: {self.store.folder.path} was written by another version ({error!r}): start over with --overwrite"
            ) from error
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
                raise RunBroken(f"{error}; {self._kept()}") from error
            self.save()
        self.store.results.close()

    def is_over(self) -> bool:
        """Whether it has all of its steps."""
        return self.steps >= self.max_steps

    # ---- what a learner calls ----

    def start(self) -> None:
        """Evaluates the policy that a new run begins with, which is saved at the first pause."""
        if self.saved_steps < 0:
            self.look()
            self._is_due = True

    def count(self, steps: int, ended: tuple[float, int] | None) -> None:
        """Notes steps that were just taken; `ended`: return and length of the episode that ended with them."""
        self._before, self.steps = self.steps, self.steps + steps
        self._shown.update(steps)
        self._is_due |= bool(self.args.checkpoint_freq) and self._crossed(self.args.checkpoint_freq)
        if ended is not None:
            self.episodes += 1
            self.store.results.add_episodes(self.episodes, [(self.steps, *ended)], NOT_MEASURED)

    def look_if_due(self) -> None:
        """Evaluates if a multiple of --eval_freq lies in the steps that were counted last."""
        if self._crossed(self.args.eval_freq):
            self.look()

    def look(self) -> None:
        """Evaluates; raises `Diverged` if the return is not finite."""
        episodes = self.args.eval_episodes
        returns = evaluate(self.learner.policies, [self.baseline.eval_env], [self.seed], [self.evaluations], episodes)
        mean = float(np.mean(returns))
        if not np.isfinite(mean):
            raise Diverged(f"evaluation {self.evaluations}: return not finite")
        self.store.results.add_evaluation(self.episodes, self.steps, mean)
        self.evaluations += 1
        self._is_due |= not self.args.checkpoint_freq
        self._shown.note(f"return {mean:.1f}")

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
            **entries.environment_entries(baseline.env_name),
            "fingerprint": baseline.fingerprint,
            "method": baseline.method,
            "seed": self.seed,
            "states": learner.policies.state_space.content(),
            "actions": baseline.actions.content(),
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

    def _kept(self) -> str:
        """What a run that breaks off leaves, and how it goes on."""
        if self.saved_steps < 0:
            return "there is no checkpoint yet: start over with --overwrite"
        return (
            f"the checkpoint of step {self.saved_steps}, {self.store.folder.newest}, is kept: go on with it by --resume"
        )


def replay_rows(args: argparse.Namespace) -> int:
    """How many steps a replay can come to hold."""
    return min(args.max_timesteps, REPLAY_SIZE)


def on_cpu(value: Any) -> Any:
    """The same with its tensors detached and on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: on_cpu(item) for key, item in value.items()}
    return [on_cpu(item) for item in value] if isinstance(value, list) else value


def train_all(
    args: argparse.Namespace,
    method: str,
    make: Callable[[Baseline, Guarded, int], Learner],
    row_width: Callable[[int, int], int],
    make_actions: Callable[[gymnasium.Env], ActionSpace],
) -> None:
    """Trains the seeds of a baseline one after the other.

    Args:
        args: the script's flags.
        method: what it is called in results.
        make: see `Baseline`.
        row_width: that of its `Learner`.
        make_actions: the environment to what the policy acts in.
    Raises:
        UsageError: the environment has no time limit, memory is short, or a folder cannot be used; nothing was written.
        Diverged: at the end, if seeds were given up on the way.
        RunBroken: the environment raised something; the newest checkpoint is kept.
    """
    device = choose_device(args.device, args.threads)
    env: gymnasium.Env = make_env(args.env_name)
    require_time_limit(env, f"--env_name {args.env_name}")
    actions = make_actions(env)
    try_a_step(args.env_name)
    assert env.spec is not None
    folder = policy_run(args.results_dir, env.spec.id, method, args.name)
    width = row_width(cast(Box, env.observation_space).shape[0], actions.dim)
    _check_room(args, method, env, width, folder)
    seeds = range(args.seed, args.seed + args.num_seeds)
    store = RunStore(folder, seeds, width, args, REPLAY_SIZE)
    store.check()
    for seed_store in store.stores:
        seed_store.folder.resolved = {"device": str(device), "seeds": list(seeds)}
    names = name_of(env, args.env_name), fingerprint(env)
    envs = make_env(args.env_name), make_env(args.env_name)
    baseline = Baseline(args, method, *names, *envs, actions, device, make)
    contents = _open(baseline, store)
    if all(content and content["steps"] >= args.max_timesteps for content in contents.values()):
        print(f"{folder} is finished: it has {args.max_timesteps} steps already, nothing is left to do")
    else:
        print(f"{env.spec.id}: {method}, {args.num_seeds} seeds, on {device}, into {folder}")
    faults = dict(store.failures())
    try:
        with Interruption("the steps under way") as interruption:
            for n, content in contents.items():
                if content and content["steps"] >= args.max_timesteps:
                    continue
                try:
                    SeedRun(baseline, seeds[n], store[n], interruption, content).train()
                except Diverged as error:
                    reason = (
                        one_line(error) if str(error).startswith("seed ") else f"seed {seeds[n]}, {one_line(error)}"
                    )
                    store[n].folder.fail(reason)
                    faults[n] = reason
                    print(f"seed {seeds[n]} is given up: {reason}")
                if interruption.received is not None:
                    break
    finally:
        store.close()
    if interruption.received is not None:
        interruption.leave()
    if faults:
        raise Diverged("; ".join(faults[n] for n in sorted(faults)))
    tell_next(folder, "rl/evaluate.py", shown(folder), *own_env_flag(baseline.env_name))


def _check_room(args: argparse.Namespace, method: str, env: gymnasium.Env, width: int, folder: Path) -> None:
    """Raises `UsageError` if memory or disk have no room for the replay and what grows with other flags."""
    rows, space = 0 if method == "PPO" else replay_rows(args), cast(Box, env.observation_space)
    bytes_a_row = 2 * space.dtype.itemsize * space.shape[0] + 4 * (cast(Box, env.action_space).shape[0] + 3)
    parts = {
        f"--max_timesteps {args.max_timesteps}: {rows} rows of replay": rows * bytes_a_row,
        f"--num_seeds {args.num_seeds}": 10_000 * args.num_seeds,  # their folders
        f"--eval_episodes {args.eval_episodes}": 16 * args.eval_episodes,
    }
    require_memory(parts, torch.device("cpu"))
    kept = f"--max_timesteps {args.max_timesteps}: {rows} rows of replay of {args.num_seeds} seeds, kept for --resume,"
    require_disk(kept, args.num_seeds * rows * width * 4, folder, "seed_*/replay/*.f32")


def _open(baseline: Baseline, store: RunStore) -> dict[int, Content | None]:
    """Takes the folders of all seeds, and begins those that have no checkpoint.

    Returns:
        {seed index: the content of the checkpoint that it goes on from, or None}, without those that were given up.
    Raises:
        UsageError: a folder cannot be used; nothing was changed.
    """
    args, contents = baseline.args, dict[int, Content | None]()
    with store.start_alone():
        try:
            store.lock()
            given_up = store.failures() if args.resume else {}
            for n in (n for n in range(len(store.seeds)) if n not in given_up):
                contents[n] = _newest(baseline, store, n) if args.resume else None
        except UsageError:
            store.release()
            raise
        for n, content in contents.items():
            if content is None:
                store[n].folder.begin(store[n].flags)  # its tables begin when it is its turn
    return contents


def _newest(baseline: Baseline, store: RunStore, n: int) -> Content | None:
    """The content of the newest checkpoint of a seed, which flags, files and the environment agree with; None: none."""
    args, method = baseline.args, baseline.method
    states = cast(Box, baseline.env.observation_space).shape[0]
    found = store.newest([n], ObservedStates(states), baseline.actions)
    if found is None:
        return None
    (content,) = found
    planned = content["flags"].get("max_timesteps")
    if method in OF_ONE_LENGTH and planned != args.max_timesteps:
        raise UsageError(
            f"--max_timesteps {args.max_timesteps}: the run that --resume continues has --max_timesteps {planned}, and the "
            f"numbers of {method} depend on it, for {OF_ONE_LENGTH[method]}: give that, or start over with --overwrite"
        )
    check_fingerprint(content, args.env_name, baseline.fingerprint)
    for _ in store[n].verify(content):
        pass  # the replay is read again when it is this seed's turn
    return content

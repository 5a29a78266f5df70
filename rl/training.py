"""The training loop that all agents share.

One clock for all seeds: collect `--update_every` steps in every seed's environment, then do as many batched updates,
wherever the seeds' episodes stand. Evaluations, videos and checkpoints fall between blocks.
"""

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import torch

from common import entries
from common.cli import LARGEST_WHOLE
from common.errors import Diverged, EnvironmentFault, RunBroken, UsageError, one_line
from common.interruption import Interruption
from common.next_step import own_env_flag, shown, tell_next
from common.progress import Progress, tell
from common.streams import reset_seed, stream
from rl.evaluation import evaluate, quietly, record_video
from rl.methods import Method
from rl.policies import Policies, Policy
from rl.protocols import Content
from rl.seed_store import run_entries
from rl.setup import Setup, set_up


def train(args: argparse.Namespace, method: Method) -> None:
    """Trains a method as the flags of its script say.

    Args:
        args: the flags.
        method: a row of `rl.methods.METHODS`.
    Raises:
        UsageError: a flag will not do; nothing was written.
        Diverged: at the end, if seeds were given up on the way.
    """
    TrainingRun(set_up(args, method)).run()


class TrainingRun:
    """A run of N seeds: the loop, and what it counts.

    Args:
        setup: its parts, a `rl.setup.Setup`.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup, self.args, self.seeds = setup, setup.args, setup.seeds
        self.store, self.agent, self.collector, self.replay = setup.store, setup.agent, setup.collector, setup.replay
        self.index_streams = [stream(seed, "replay indices") for seed in self.seeds]
        self.noise_streams = [stream(seed, "target noise") for seed in self.seeds]
        self.evaluations = [0] * len(self.seeds)
        self.saved_steps = -1

    # ---- starting ----

    def start(self) -> bool:
        """Takes the folders; with `--resume` goes back to the newest checkpoint that all seeds have.

        Returns:
            whether a run was resumed; if it has `--max_timesteps` steps already, nothing was written.
        Raises:
            UsageError: it cannot be resumed; nothing was changed.
        """
        with self.store.start_alone():
            return self._start()

    def _start(self) -> bool:
        """What `start` does once no other process starts seeds of this run."""
        contents = None
        try:
            self.store.lock()
            if self.args.resume:
                self.collector.faults.update(self.store.failures())
            going = self.collector.active()
            if self.args.resume:
                contents = self.store.newest(going, self.setup.states, self.setup.actions)
            if contents is None:
                self.setup.fingerprint.check_beginning(self.args.env_name)
                self.store.check_joined(self.setup.states, self.setup.actions, self.setup.fingerprint)
            else:
                self.setup.fingerprint.check_resumed(contents, self.args.env_name, self.args.max_timesteps)
            for n, content in zip(going, contents or [], strict=False):
                self._load(n, content)
        except UsageError:
            self.store.release()
            raise
        if contents is None:
            for n in going:
                self.store[n].begin()
            return False
        self.saved_steps = self.collector.steps
        if self.collector.steps < self.args.max_timesteps:
            for n, content in zip(going, contents, strict=True):
                self.store[n].rewind(content)
        return True

    def _load(self, n: int, content: Content) -> None:
        """Takes everything of seed index `n` from the content of a checkpoint; its files stay as they are."""
        with self.store[n].reading():
            rows = self.store[n].verify(content)
            self.replay.rewind(n, rows, content["replay"]["rows"])
            self.collector.rewind(n, content["collector"])
            self.agent.rewind(n, content["agent"])
            self.index_streams[n].bit_generator.state = content["streams"]["replay indices"]
            self.noise_streams[n].bit_generator.state = content["streams"]["target noise"]
            self.evaluations[n] = entries.whole(content, "evaluations", 0, LARGEST_WHOLE)

    # ---- the loop ----

    def run(self) -> None:
        """Trains to `--max_timesteps`, rounded up to whole blocks.

        Raises:
            Diverged: at the end, if seeds were given up on the way.
            RunBroken: an environment raised something; the newest checkpoint is kept.
        """
        args, setup, collector = self.args, self.setup, self.collector
        resumed = self.start()
        if resumed and collector.steps >= args.max_timesteps:
            self.close()
            print(f"{setup.folder} is finished: it has {collector.steps} steps already, nothing is left to do")
            self._raise_faults()
            self._tell_next()
            return
        method = setup.method.name
        print(
            f"{setup.env_id}: {method}, {args.num_seeds} seed{'s' * (args.num_seeds > 1)}, on {setup.device}, into {setup.folder}"
        )
        try:
            interruption = self._train(resumed)
        except EnvironmentFault as error:
            self.store.close()
            one_of_them = self.store[next(iter(collector.active()), 0)]
            raise RunBroken(f"{error}; {one_of_them.kept(self.saved_steps)}") from error
        self.close()
        if interruption.received:
            interruption.leave()
        self._raise_faults()
        self._tell_next()

    def _tell_next(self) -> None:
        folder = self.setup.folder
        tell_next(folder, "rl/evaluate.py", shown(folder), *own_env_flag(self.setup.env_name))

    def _train(self, resumed: bool) -> Interruption:
        """The loop itself; returns what may have interrupted it."""
        args, collector = self.args, self.collector
        total, label = args.max_timesteps, f"{self.setup.method.name} {self.setup.env_id}"
        progress = Progress(total, label, "step", min(collector.steps, total))
        with progress, Interruption("this block of steps") as interruption:
            if not resumed:
                self._between_blocks(progress)
            while collector.steps < args.max_timesteps and collector.active():
                self.block()
                progress.update(min(args.update_every, total - progress.done))
                self._between_blocks(progress)
                if interruption.received:
                    break
            self.save()
        return interruption

    def _raise_faults(self) -> None:
        faults = self.collector.faults
        if faults:
            lost = "; ".join(f"seed {self.seeds[n]}: {reason}" for n, reason in sorted(faults.items()))
            left = sorted({self.store[n].folder.after_failure() for n in faults})
            raise Diverged(f"{lost}: not finite; {'; '.join(left)}")

    def block(self) -> None:
        """Collects `--update_every` steps in every seed's environment, then does as many updates."""
        episodes, faults = self.collector.episodes.copy(), set(self.collector.faults)
        self.agent.sync_acting()
        ended = self.collector.collect(self.agent.act, self.args.update_every)
        self.update(self.args.update_every)
        diagnostics = self.agent.diagnostics()
        for n, name in enumerate(self.agent.first_not_finite()):
            if name and n not in self.collector.faults:
                self.collector.faults[n] = f"step {self.collector.steps}: {name}"
        self._give_up(set(self.collector.faults) - faults)
        for n in self.collector.active():
            self.store[n].results.add_episodes(int(episodes[n]) + 1, ended[n], diagnostics[n])

    def _give_up(self, lost: Iterable[int]) -> None:
        """Notes that the seeds of these indices, new in the collector's faults, are given up."""
        for n in sorted(lost):
            reason = one_line(self.collector.faults[n])
            self.store[n].folder.fail(reason)
            tell(f"seed {self.seeds[n]} is given up at {reason}: not finite")

    def update(self, updates: int) -> None:
        """Does so many updates of every seed, once there is something to learn from."""
        self.agent.clear_diagnostics()
        if not self.agent.learns or self.collector.steps < self.setup.actions.k + self.replay.lag:
            return  # a seed may still be within its first plan
        batch = self.args.batch_size
        # All randomness of the block is drawn here, each seed's from its own streams.
        sizes = np.maximum(self.replay.sizes, 1)  # a seed that was given up may have none: it samples zeros
        indices = [rng.integers(0, sizes[n], (updates, batch)) for n, rng in enumerate(self.index_streams)]
        shape = (updates, batch, self.setup.actions.dim)
        drawn = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in self.noise_streams], axis=1)
        noise = torch.from_numpy(drawn).to(self.setup.device)
        self.agent.update(self.replay, np.stack(indices, axis=1), noise)

    def _between_blocks(self, progress: Progress) -> None:
        args, steps = self.args, self.collector.steps
        if evaluated := self._crossed(args.eval_freq):
            progress.note(f"last evaluation {self.evaluate(progress.alive):.1f}")
        if args.render_freq and steps and self._crossed(args.render_freq):
            self._record_videos()
        if self._crossed(args.checkpoint_freq) if args.checkpoint_freq else evaluated:
            self.save()

    def _crossed(self, freq: int) -> bool:
        """Whether a multiple of `freq` lies in the last block; 0 does, before the first."""
        steps = self.collector.steps
        return steps // freq > (steps - self.args.update_every) // freq

    # ---- between blocks ----

    def evaluate(self, alive: Callable[[], None] = quietly) -> float:
        """Evaluates every seed's policy, notes what it returns, and gives the mean over seeds; calls `alive` at every step."""
        active, collector, setup = self.collector.active(), self.collector, self.setup
        self.agent.sync_acting()
        policies = Policies(setup.states, setup.actions, self.agent.evaluation_policy(self.evaluations))
        episodes = self.args.eval_episodes
        returns = evaluate(policies, setup.eval_envs, self.seeds, self.evaluations, episodes, active, alive)
        means = returns.mean(axis=1)
        for n in active:
            self.evaluations[n] += 1
            if np.isfinite(means[n]):
                self.store[n].results.add_evaluation(int(collector.episodes[n]), collector.steps, float(means[n]))
            else:
                collector.faults[n] = f"step {collector.steps}: return of an evaluation {means[n]}"
        self._give_up(set(active) & set(collector.faults))
        return np.nanmean(means[active]) if np.isfinite(means[active]).any() else float("nan")

    def _record_videos(self) -> None:
        self.agent.sync_acting()
        setup, steps = self.setup, self.collector.steps
        assert setup.video_env is not None
        for n in self.collector.active():
            folder = self.store[n].folder.path / "videos"
            folder.mkdir(exist_ok=True)
            policy = Policy(
                env_name=setup.env_name,
                method=setup.method.name,
                seed=self.seeds[n],
                state_space=setup.states,
                actions=setup.actions,
                act=self.agent.video_policy(n, steps),
            )
            record_video(policy, setup.video_env, folder / f"{steps}.mp4", [reset_seed(self.seeds[n], "video", steps)])

    def save(self) -> None:
        """Writes a checkpoint of every seed, unless the newest is of this step."""
        setup, steps = self.setup, self.collector.steps
        if self.saved_steps == steps:
            return
        for n in self.collector.active():
            self.store[n].save(
                {
                    **run_entries(
                        setup.env_name, setup.fingerprint, setup.method.name, self.seeds[n], setup.states, setup.actions
                    ),
                    "policy": self.agent.policy_content(n),
                    "agent": self.agent.snapshot(n),
                    "collector": self.collector.snapshot(n),
                    "streams": {
                        "replay indices": self.index_streams[n].bit_generator.state,
                        "target noise": self.noise_streams[n].bit_generator.state,
                    },
                    "steps": steps,
                    "evaluations": self.evaluations[n],
                },
                self.replay.take_unsaved(n),
            )
        self.saved_steps = steps

    def close(self) -> None:
        """Gives folders and environments back."""
        self.store.close()
        for env in (*self.setup.envs, *self.setup.eval_envs, self.setup.video_env):
            if env is not None:
                env.close()

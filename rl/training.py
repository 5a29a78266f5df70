"""The training loop that all agents share.

One clock for all seeds: collect `--update_every` steps in every seed's environment, then do as many batched updates,
wherever the seeds' episodes stand. Evaluations, videos and checkpoints fall between blocks.
"""

import numpy as np
import torch
from tqdm import tqdm

from common.devices import choose_device
from common.environments import make_env, time_limit
from common.errors import Diverged, UsageError, one_line
from common.interruption import Interruption
from common.memory import keep_freed_memory
from common.paths import policy_run
from common.streams import reset_seed, stream
from rl.agents import Agents
from rl.budget import check_memory
from rl.collection import Collector
from rl.evaluation import evaluate, make_video_env, record_video
from rl.policies import ActorPolicies, Policy, RandomPolicies
from rl.replay import Replay
from rl.seed_store import SeedStore, check_siblings, find_common
from rl.state_spaces import ObservedStates

NOT_MEASURED = {"critic_loss": float("nan"), "value": float("nan")}


class Experiment:
    """Everything of a run of N seeds: environments, agent, replay, random streams, counters, result files.

    Args:
        args: the script's flags.
        make_actions: environment to the action space that its policy acts in.
        agent_class: `TD3`, `DynETD3`, `PixelTD3`, or None for a random policy.
        make_states: environment and torch device to the state space that its policy sees; None: observations.
        method: what the policy is called in results; None: `--policy_name`.
        replay_class: what keeps its experience; None: `Replay`.
        agent_flags: what else `agent_class` takes.
    """

    def __init__(
        self, args, make_actions, agent_class, make_states=None, method=None, replay_class=None, **agent_flags
    ):
        self.args, self.method = args, method or args.policy_name
        self.device = choose_device(args.device, args.threads)
        keep_freed_memory()
        if args.update_every > args.max_timesteps:
            raise UsageError(
                f"--update_every {args.update_every}: a block is longer than --max_timesteps {args.max_timesteps}: use "
                "at most as many"
            )
        env = make_env(args.env_name)
        if time_limit(env) is None:
            raise UsageError(
                f"--env_name {args.env_name}: its episodes have no limit: register it with max_episode_steps"
            )
        self.env_id = env.spec.id
        self.states = make_states(env, self.device) if make_states else ObservedStates(env.observation_space.shape[0])
        self.actions = make_actions(env)
        self.video_env = make_video_env(self.states, args.env_name, "--render_freq") if args.render_freq else None
        self.folder = policy_run(args.results_dir, self.env_id, self.method, args.name)
        replay_class = replay_class or Replay
        check_least(args, agent_class, replay_class)
        row_width = replay_class.row_width(self.states.shape, self.actions.dim)
        bytes_a_row = agent_class.bytes_a_row if agent_class else 0
        check_memory(args, self.folder, replay_class, bytes_a_row, self.states, self.actions.dim, self.device)
        self.seeds = list(range(args.seed, args.seed + args.num_seeds))
        self.stores = [SeedStore(self.folder, seed, row_width, args) for seed in self.seeds]
        for store in self.stores:
            store.check()
        check_siblings(self.folder, self.stores)

        self.envs, self.eval_envs = ([self.states.make_env(args.env_name) for _ in self.seeds] for _ in range(2))
        capacity = replay_class.capacity_for(args.replay_size, args.max_timesteps + args.update_every)
        self.replay = replay_class(args.num_seeds, self.states.shape, self.actions.dim, capacity, self.device)
        self.agent = agent_class and Agents(
            agent_class,
            self.states.shape,
            self.actions,
            self.seeds,
            self.device,
            lr=args.lr,
            tau=args.tau,
            policy_noise=args.policy_noise * self.actions.target_noise_unit,
            noise_clip=args.noise_clip,
            policy_freq=args.policy_freq,
            **agent_flags,
        )
        self.collector = Collector(
            self.envs,
            self.states,
            self.actions,
            self.seeds,
            self.replay,
            discount=args.discount,
            noise=args.expl_noise * self.actions.noise_unit,
            random_steps=args.start_timesteps if self.agent else None,
        )
        self.index_streams = [stream(seed, "replay indices") for seed in self.seeds]
        self.noise_streams = [stream(seed, "target noise") for seed in self.seeds]
        self.evaluations = [0] * args.num_seeds
        self.saved_steps = -1

    # ---- starting ----

    def start(self):
        """Takes the folders; with `--resume` goes back to the newest checkpoint that all seeds have.

        Returns:
            whether a run was resumed; if it has `--max_timesteps` steps already, nothing was written.
        Raises:
            UsageError: it cannot be resumed; nothing was changed.
        """
        try:
            for store in self.stores:
                store.lock()
            for n, store in enumerate(self.stores):
                if self.args.resume and store.folder.failure:
                    self.collector.faults[n] = store.folder.failure
            going = self.collector.active()
            contents = (
                find_common([self.stores[n] for n in going], self.states, self.actions) if self.args.resume else None
            )
            for n, content in zip(going, contents or [], strict=False):
                self._load(n, content)
        except UsageError:
            for store in self.stores:
                store.folder.release()
            raise
        if contents is None:
            for n in going:
                self.stores[n].begin()
            return False
        self.saved_steps = self.collector.steps
        if self.collector.steps < self.args.max_timesteps:
            for n, content in zip(going, contents, strict=True):
                self.stores[n].go_back(content)
        return True

    def _load(self, n, content):
        """Takes everything of seed index `n` from the content of a checkpoint; its files stay as they are."""
        try:
            rows = self.stores[n].verify(content)
            self.replay.restore(n, rows, content["replay"]["rows"])
            self.collector.load_state_dict(n, content["collector"])
            if self.agent:
                self.agent.load_state_dict(n, content["agent"])
            self.index_streams[n].bit_generator.state = content["streams"]["replay indices"]
            self.noise_streams[n].bit_generator.state = content["streams"]["target noise"]
            self.evaluations[n] = content["evaluations"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            path = self.stores[n].folder.path
            raise UsageError(
                f"--resume: {path} was written by another version ({error!r}): start over with --overwrite"
            ) from error

    # ---- the loop ----

    def run(self):
        """Trains to `--max_timesteps`, rounded up to whole blocks.

        Raises:
            Diverged: at the end, if seeds were given up on the way.
        """
        args, collector = self.args, self.collector
        resumed = self.start()
        if resumed and collector.steps >= args.max_timesteps:
            self._close()
            print(f"{self.folder} is finished: it has {collector.steps} steps already, nothing is left to do")
            self._raise_faults()
            return
        print(f"{self.env_id}: {self.method}, {args.num_seeds} seeds, on {self.device}, into {self.folder}")
        label = f"{self.method} {self.env_id}"
        bar = tqdm(
            total=args.max_timesteps, initial=collector.steps, desc=label, unit="step", mininterval=1, smoothing=0.05
        )
        with bar, Interruption() as interruption:
            if not resumed:
                self._between_blocks(bar)
            while collector.steps < args.max_timesteps and collector.active():
                self._block()
                bar.update(min(args.update_every, args.max_timesteps - bar.n))
                self._between_blocks(bar)
                if interruption.received:
                    break
            self._save()
        self._close()
        if interruption.received:
            interruption.leave()
        self._raise_faults()

    def _raise_faults(self):
        faults = self.collector.faults
        if faults:
            lost = "; ".join(f"seed {self.seeds[n]}: {reason}" for n, reason in sorted(faults.items()))
            raise Diverged(f"{lost}: not finite; the last good checkpoint is kept")

    def _block(self):
        episodes, faults = self.collector.episodes.copy(), set(self.collector.faults)
        if self.agent:
            self.agent.sync_acting()
        ended = self.collector.collect(self.agent and self.agent.act, self.args.update_every)
        diagnostics = [NOT_MEASURED] * len(self.seeds)
        if self.agent:
            self._update(self.args.update_every)
            diagnostics = self.agent.diagnostics()
            for n, name in enumerate(self.agent.first_not_finite()):
                if name and n not in self.collector.faults:
                    self.collector.faults[n] = f"step {self.collector.steps}: {name}"
        self._give_up(set(self.collector.faults) - faults)
        for n in self.collector.active():
            self.stores[n].results.add_episodes(int(episodes[n]) + 1, ended[n], diagnostics[n])

    def _give_up(self, lost):
        """Notes that the seeds of these indices, new in the collector's faults, are given up."""
        for n in sorted(lost):
            reason = one_line(self.collector.faults[n])
            self.stores[n].folder.fail(reason)
            tqdm.write(f"seed {self.seeds[n]} is given up at {reason}: not finite; its last good checkpoint is kept")

    def _update(self, updates):
        self.agent.clear_diagnostics()
        if self.collector.steps < self.actions.k + self.replay.lag:
            return  # a seed may still be within its first plan
        batch = self.args.batch_size
        # All randomness of the block is drawn here, each seed's from its own streams.
        sizes = np.maximum(self.replay.sizes, 1)  # a seed that was given up may have none: it samples zeros
        indices = [rng.integers(0, sizes[n], (updates, batch)) for n, rng in enumerate(self.index_streams)]
        shape = (updates, batch, self.actions.dim)
        noise = [rng.standard_normal(shape, dtype=np.float32) for rng in self.noise_streams]
        noise = torch.from_numpy(np.stack(noise, axis=1)).to(self.device)
        self.agent.update(self.replay, np.stack(indices, axis=1), noise)

    def _between_blocks(self, bar):
        args, steps = self.args, self.collector.steps
        if evaluated := self._crossed(args.eval_freq):
            bar.set_postfix_str(f"return {self._evaluate():.1f}")
        if args.render_freq and steps and self._crossed(args.render_freq):
            self._record_videos()
        if self._crossed(args.checkpoint_freq) if args.checkpoint_freq else evaluated:
            self._save()

    def _crossed(self, freq):
        """Whether a multiple of `freq` lies in the last block; 0 does, before the first."""
        steps = self.collector.steps
        return steps // freq > (steps - self.args.update_every) // freq

    # ---- between blocks ----

    def _policies(self):
        if self.agent:
            self.agent.sync_acting()
            return ActorPolicies(self.agent, self.states)
        pairs = zip(self.seeds, self.evaluations, strict=True)
        streams = [stream(seed, "evaluation: actions", number) for seed, number in pairs]
        return RandomPolicies(self.states, self.actions, streams)

    def _evaluate(self):
        active, collector = self.collector.active(), self.collector
        means = evaluate(
            self._policies(), self.eval_envs, self.seeds, self.evaluations, self.args.eval_episodes, active
        ).mean(axis=1)
        for n in active:
            self.evaluations[n] += 1
            if np.isfinite(means[n]):
                self.stores[n].results.add_evaluation(int(collector.episodes[n]), collector.steps, float(means[n]))
            else:
                collector.faults[n] = f"step {collector.steps}: return of an evaluation {means[n]}"
        self._give_up(set(active) & set(collector.faults))
        return np.nanmean(means[active]) if np.isfinite(means[active]).any() else float("nan")

    def _record_videos(self):
        for n in self.collector.active():
            folder = self.stores[n].folder.path / "videos"
            folder.mkdir(exist_ok=True)
            seeds = [reset_seed(self.seeds[n], "video", self.collector.steps)]
            record_video(self._policy(n), self.video_env, folder / f"{self.collector.steps}.mp4", seeds)

    def _policy(self, n):
        """The policy of seed index `n` as it stands, for one environment."""
        names = self.env_id, self.method, self.seeds[n]
        if self.agent is None:
            rng = stream(self.seeds[n], "video: actions", self.collector.steps)
            return Policy(*names, None, self.actions, lambda _: self.actions.sample(rng))

        def act(state):
            return self.agent.act(np.repeat(state, len(self.seeds), axis=0))[n]

        return Policy(*names, self.states, self.actions, act)

    def _save(self):
        if self.saved_steps == self.collector.steps:
            return
        for n in self.collector.active():
            self.stores[n].save(
                {
                    "env_id": self.env_id,
                    "method": self.method,
                    "seed": self.seeds[n],
                    "states": self.states.content(),
                    "actions": self.actions.content(),
                    "policy": self.agent.policy_content(n) if self.agent else None,
                    "agent": self.agent.state_dict(n) if self.agent else None,
                    "collector": self.collector.state_dict(n),
                    "streams": {
                        "replay indices": self.index_streams[n].bit_generator.state,
                        "target noise": self.noise_streams[n].bit_generator.state,
                    },
                    "steps": self.collector.steps,
                    "evaluations": self.evaluations[n],
                },
                self.replay.take_unsaved(n),
            )
        self.saved_steps = self.collector.steps

    def _close(self):
        for store in self.stores:
            store.close()
        for env in (*self.envs, *self.eval_envs, self.video_env):
            if env is not None:
                env.close()


def check_least(args, agent_class, replay_class):
    """Raises `UsageError` if agent or replay cannot work with so little."""
    if args.replay_size < replay_class.least:
        raise UsageError(
            f"--replay_size {args.replay_size}: stacks of frames need more to be sampled: use at least {replay_class.least}"
        )
    if agent_class and args.batch_size < agent_class.least_batch:
        raise UsageError(
            f"--batch_size {args.batch_size}: batch norm needs more rows: use at least {agent_class.least_batch}"
        )

"""The training loop that all agents share.

One clock for all seeds: collect `--update_every` steps in every seed's environment, then do as many batched updates,
wherever the seeds' episodes stand. Evaluations, checkpoints and videos fall between blocks.
"""

from pathlib import Path

import gymnasium
import numpy as np
import torch
from tqdm import tqdm

from embedding import checkpoint
from embedding.flags import (
    UsageError,
    check_run_folders,
    choose_device,
    folder_of,
    make_env,
    make_run_folder,
    time_limit,
)
from embedding.streams import reset_seed, stream
from rl.collection import Collector
from rl.evaluation import evaluate, record_video, rendering_backend
from rl.policies import ActorPolicies, Policy, RandomPolicies, policy_content
from rl.replay import Replay, check_memory
from rl.results import SeedResults


class Experiment:
    """Everything of a run of N seeds: environments, agent, replay, random streams, counters, result files.

    Args:
        args: the script's flags.
        make_actions: environment to the action space that its policy acts in.
        agent_class: `TD3`, `DynETD3`, or None for a random policy.
    """

    def __init__(self, args, make_actions, agent_class):
        self.args = args
        self.video_env = _video_env(args.env_name) if args.render_freq else None
        self.device = choose_device(args.device, args.threads)
        self.seeds = list(range(args.seed, args.seed + args.num_seeds))
        env = make_env(args.env_name)
        if time_limit(env) is None:
            raise UsageError(
                f"--env_name {args.env_name}: its episodes have no limit: register it with max_episode_steps"
            )
        self.env_id = env.spec.id
        self.actions = make_actions(env)
        results = Path(args.results_dir).absolute()
        self.folder = results / "rl" / folder_of(self.env_id) / args.policy_name / args.name
        self.folders = [self.folder / f"seed_{seed}" for seed in self.seeds]
        check_run_folders(self.folders, args.overwrite)
        state_dim = env.observation_space.shape[0]
        rows = min(args.replay_size, args.max_timesteps)
        check_memory(args.num_seeds, state_dim, self.actions.dim, rows, self.device)

        self.envs = [make_env(args.env_name) for _ in self.seeds]
        self.eval_envs = [make_env(args.env_name) for _ in self.seeds]
        self.replay = Replay(args.num_seeds, state_dim, self.actions.dim, args.replay_size, self.device)
        self.agent = agent_class and agent_class(
            state_dim,
            self.actions,
            self.seeds,
            self.device,
            lr=args.lr,
            tau=args.tau,
            policy_noise=args.policy_noise * self.actions.target_noise_unit,
            noise_clip=args.noise_clip,
            policy_freq=args.policy_freq,
        )
        self.collector = Collector(
            self.envs,
            self.actions,
            self.seeds,
            self.replay,
            discount=args.discount,
            noise=args.expl_noise * self.actions.noise_unit,
            random_steps=args.start_timesteps if self.agent else args.max_timesteps + args.update_every,
        )
        self.index_streams = [stream(seed, "replay indices") for seed in self.seeds]
        self.noise_streams = [stream(seed, "target noise") for seed in self.seeds]
        self.evaluations = 0
        for folder, seed in zip(self.folders, self.seeds, strict=True):
            make_run_folder(folder, {**vars(args), "seed": seed, "num_seeds": 1})
        self.results = [SeedResults(folder, args.tensorboard) for folder in self.folders]

    def run(self):
        """Trains to `--max_timesteps`, rounded up to whole blocks."""
        args, collector = self.args, self.collector
        print(f"{self.env_id}: {args.policy_name}, {args.num_seeds} seeds, on {self.device}, into {self.folder}")
        label = f"{args.policy_name} {self.env_id}"
        with tqdm(total=args.max_timesteps, desc=label, unit="step", mininterval=1, smoothing=0.05) as bar:
            self._between_blocks(bar)
            while collector.steps < args.max_timesteps:
                self._block()
                bar.update(min(args.update_every, args.max_timesteps - bar.n))
                self._between_blocks(bar)
        self._save_checkpoints()
        for results in self.results:
            results.close()
        for env in (*self.envs, *self.eval_envs, self.video_env):
            if env is not None:
                env.close()

    def _block(self):
        episodes = self.collector.episodes.copy()
        if self.agent:
            self.agent.sync_acting()
        ended = self.collector.collect(self.agent and self.agent.act, self.args.update_every)
        diagnostics = [{"critic_loss": float("nan"), "value": float("nan")}] * len(self.seeds)
        if self.agent:
            self._update(self.args.update_every)
            diagnostics = self.agent.diagnostics()
        for n, results in enumerate(self.results):
            results.add_episodes(int(episodes[n]) + 1, ended[n], diagnostics[n])

    def _update(self, updates):
        self.agent.clear_diagnostics()
        if self.collector.steps < self.actions.k:
            return  # a seed may still be within its first plan
        batch = self.args.batch_size
        # All randomness of the block is drawn here, each seed's from its own streams.
        sizes = self.replay.sizes
        indices = [rng.integers(0, sizes[n], (updates, batch)) for n, rng in enumerate(self.index_streams)]
        shape = (updates, batch, self.actions.dim)
        noise = [rng.standard_normal(shape, dtype=np.float32) for rng in self.noise_streams]
        noise = torch.from_numpy(np.stack(noise, axis=1)).to(self.device)
        for rows, epsilon in zip(self.replay.sample(np.stack(indices, axis=1)), noise, strict=True):
            self.agent.update(rows, epsilon)

    def _between_blocks(self, bar):
        args, steps = self.args, self.collector.steps
        if self._crossed(args.eval_freq):
            means = self._evaluate()
            bar.set_postfix_str(f"return {means.mean():.1f}")
            self._save_checkpoints()
        if args.render_freq and steps and self._crossed(args.render_freq):
            self._record_videos()

    def _crossed(self, freq):
        """Whether a multiple of `freq` lies in the last block; 0 does, before the first."""
        steps = self.collector.steps
        return steps // freq > (steps - self.args.update_every) // freq

    def _policies(self):
        if self.agent:
            self.agent.sync_acting()
            return ActorPolicies(self.agent)
        return RandomPolicies(self.actions, [stream(s, "evaluation: actions", self.evaluations) for s in self.seeds])

    def _evaluate(self):
        args = self.args
        returns = evaluate(self._policies(), self.eval_envs, self.seeds, self.evaluations, args.eval_episodes)
        self.evaluations += 1
        for n, results in enumerate(self.results):
            results.add_evaluation(int(self.collector.episodes[n]), self.collector.steps, float(returns[n].mean()))
        return returns.mean(axis=1)

    def _record_videos(self):
        for n, seed in enumerate(self.seeds):
            (self.folders[n] / "videos").mkdir(exist_ok=True)
            path = self.folders[n] / "videos" / f"{self.collector.steps}.mp4"
            record_video(self._policy(n), self.video_env, path, [reset_seed(seed, "video", self.collector.steps)])

    def _policy(self, n):
        """The policy of seed index `n` as it stands, for one environment."""
        names = self.env_id, self.args.policy_name, self.seeds[n]
        if self.agent is None:
            rng = stream(self.seeds[n], "video: actions", self.collector.steps)
            return Policy(*names, self.actions, lambda observation: self.actions.sample(rng))

        def act(observation):
            return self.agent.act(np.repeat(observation, len(self.seeds), axis=0))[n]

        return Policy(*names, self.actions, act)

    def _save_checkpoints(self):
        for n, seed in enumerate(self.seeds):
            content = {
                "env_id": self.env_id,
                "method": self.args.policy_name,
                "seed": seed,
                "flags": vars(self.args),
                "actions": self.actions.content(),
                "policy": policy_content(self.agent, n),
                "agent": self.agent.state_dict(n) if self.agent else None,
                "collector": self.collector.state_dict(n),
                "streams": {
                    "replay indices": self.index_streams[n].bit_generator.state,
                    "target noise": self.noise_streams[n].bit_generator.state,
                },
                "evaluations": self.evaluations,
            }
            checkpoint.save(self.folders[n] / "checkpoint.pt", "run", content)


def _video_env(env_name):
    """An environment that can draw: a first image is drawn now, so that what is missing is missed before the run."""
    rendering_backend("--render_freq")
    try:
        env = make_env(env_name, render_mode="rgb_array")
        env.reset(seed=0)
        env.render()
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"--render_freq: {env_name} cannot be drawn here: {error}") from error
    return env

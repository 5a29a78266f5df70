"""From the flags of a training script to the checked parts of a run; nothing is written here."""

import argparse
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import gymnasium
import torch
from gymnasium.spaces import Box

from common import entries
from common.devices import choose_device
from common.environments import (
    make_env,
    name_of,
    require_alike,
    require_time_limit,
    time_limit,
    try_a_step,
)
from common.errors import UsageError
from common.memory import keep_freed_memory
from common.paths import policy_run
from common.progress import tell
from embedding.trained import load_decoder, load_image_encoder
from rl.action_spaces import ControlActions, DynEActions, RawActions, longest_plan
from rl.agents import Agents
from rl.collection import Collector
from rl.evaluation import make_video_env, require_ffmpeg
from rl.fingerprint import Fingerprint
from rl.flags import check_block, seeds_of
from rl.frame_replay import FrameReplay
from rl.memory_budget import check_memory
from rl.methods import Method
from rl.protocols import ActionSpace, Agent, ReplayBuffer, StateSpace
from rl.replay import Replay
from rl.run_store import RunStore
from rl.state_spaces import DynEStates, FrameStates, ObservedStates, VAEStates


@dataclass
class Setup:
    """The parts of a run of N seeds.

    Attributes:
        args: the script's flags.
        method: its row of `rl.methods.METHODS`.
        env_id, env_name: the environment's id, and what files call it: that, or module:id.
        fingerprint: what the environment is and does.
        device: torch device of networks and replay.
        folder: the run's.
        seeds: the N seeds.
        states, actions: what the policy sees and acts in.
        envs, eval_envs: an environment a seed, to collect in and to evaluate in.
        video_env: one to film in; None without `--render_freq`.
        store: the seeds' files.
        replay: their experience.
        agent: what acts and learns, for all seeds.
        collector: what steps `envs`.
    """

    args: argparse.Namespace
    method: Method
    env_id: str
    env_name: str
    fingerprint: Fingerprint
    device: torch.device
    folder: Path
    seeds: list[int]
    states: StateSpace
    actions: ActionSpace
    envs: list[gymnasium.Env]
    eval_envs: list[gymnasium.Env]
    video_env: gymnasium.Env | None
    store: RunStore
    replay: ReplayBuffer
    agent: Agents
    collector: Collector


def set_up(
    args: argparse.Namespace,
    method: Method,
    make_states: Callable[[gymnasium.Env, torch.device], StateSpace] | None = None,
    make_actions: Callable[[gymnasium.Env], ActionSpace] | None = None,
) -> Setup:
    """Builds the `Setup` of a run.

    Args:
        args: the script's flags.
        method: a row of `rl.methods.METHODS`.
        make_states: environment and torch device to the state space; None: `state_space`.
        make_actions: environment to the action space; None: `action_space`.
    Raises:
        UsageError: a flag, the environment, memory, disk or folder will not do; nothing was written.
    """
    device = choose_device(args.device, args.threads)
    keep_freed_memory()
    check_block(args.update_every, args.max_timesteps)
    env: gymnasium.Env = make_env(args.env_name)
    require_time_limit(env, f"--env {args.env_name}")
    entries.check_nameable(name_of(env, args.env_name))
    try_a_step(args.env_name)
    assert env.spec is not None
    states = make_states(env, device) if make_states else state_space(args, method, env, device)
    actions = make_actions(env) if make_actions else action_space(args, method, env)
    if args.render_freq:
        require_ffmpeg("--render_freq")
    video_env = make_video_env(states, args.env_name, "--render_freq") if args.render_freq else None
    folder = policy_run(args.results_dir, env.spec.id, method.name, args.name)
    agent_class: type[Agent] = pkgutil.resolve_name(method.agent)
    replay_class: type[ReplayBuffer] = FrameReplay if method.sees == "frames" else Replay
    _check_least(args, agent_class, replay_class)
    told = check_memory(args, folder, replay_class, agent_class, states, actions.dim, device)
    seeds = list(seeds_of(args))
    width = replay_class.row_width(states.shape, actions.dim)
    store = RunStore(folder, seeds, width, args, args.replay_size)
    store.check()
    print(told)

    envs, eval_envs = ([states.make_env(args.env_name) for _ in seeds] for _ in range(2))
    require_alike(envs[0], (*envs, *eval_envs), f"--env {args.env_name}")
    if method.sees == "observations":
        require_alike(env, envs, f"--env {args.env_name}")
    capacity = replay_class.capacity_for(args.replay_size, args.max_timesteps + args.update_every)
    replay = replay_class(args.num_seeds, states.shape, actions.dim, capacity, device)
    agent = Agents(
        agent_class,
        states.shape,
        actions,
        seeds,
        device,
        lr=args.lr,
        tau=args.tau,
        policy_noise=args.policy_noise * actions.target_noise_unit,
        noise_clip=args.noise_clip * actions.clip_unit,
        policy_freq=args.policy_freq,
        **{flag: getattr(args, flag) for flag in agent_class.own_flags},
    )
    collector = Collector(
        envs,
        states,
        actions,
        seeds,
        replay,
        discount=args.discount,
        noise=args.expl_noise * actions.noise_unit,
        random_steps=args.start_timesteps if agent.learns else math.inf,
    )
    for seed_store in store.stores:
        seed_store.folder.resolved = {"device": str(device), "seeds": seeds, "networks": agent.networks()}
    return Setup(
        args=args,
        method=method,
        env_id=env.spec.id,
        env_name=name_of(env, args.env_name),
        fingerprint=Fingerprint.of(env),
        device=device,
        folder=folder,
        seeds=seeds,
        states=states,
        actions=actions,
        envs=envs,
        eval_envs=eval_envs,
        video_env=video_env,
        store=store,
        replay=replay,
        agent=agent,
        collector=collector,
    )


def state_space(args: argparse.Namespace, method: Method, env: gymnasium.Env, device: torch.device) -> StateSpace:
    """What the policy of a method sees of an environment; raises `UsageError` if the encoder that it names will not do."""
    if method.sees == "frames":
        return FrameStates(args.source_img_width)
    if not method.pretrained:
        return ObservedStates(cast(Box, env.observation_space).shape[0])
    assert env.spec is not None
    space = {"pixels": DynEStates, "vae": VAEStates}[method.sees]
    named = args.encoder, args.env_name, env.spec.id, args.results_dir
    return space(*load_image_encoder(method.sees, *named), device)


def action_space(args: argparse.Namespace, method: Method, env: gymnasium.Env) -> ActionSpace:
    """What the policy of a method acts in; raises `UsageError` if the decoder that it names will not do."""
    space = cast(Box, env.action_space)
    low, high = space.low, space.high
    if method.acts_in == "decoder":
        return DynEActions(load_decoder(args, env), low, high)
    if method.acts_in == "raw":
        own_ranges, bound = args.action_range == "own", args.action_bound
        try:
            raw = RawActions(low, high, bound, args.noise_unit, own_ranges)
        except ValueError as error:
            raise UsageError(f"--action_bound {bound:g}: {error}: give a wider one") from error
        if not own_ranges and (low == -high).all() and (high != high[0]).any():
            span = f"span +-{high[0]:g} in every dimension, as in the authors' release"
            tell(f"the policy's actions {span}; --action_range own gives each its own")
        return raw
    if method.acts_in == "identity":
        return ControlActions("held", 1, low, high, args.plan_share)
    limit, longest = time_limit(env), longest_plan(len(low))
    if limit is not None and args.plan_length > limit:
        raise UsageError(
            f"--plan_length {args.plan_length}: an episode of {args.env_name} has {limit} steps: use at most as many"
        )
    if args.plan_length > longest:
        raise UsageError(
            f"--plan_length {args.plan_length}: a plan of actions of {len(low)} numbers has at most {longest}: use fewer"
        )
    return ControlActions(method.acts_in, args.plan_length, low, high, args.plan_share)


def _check_least(args: argparse.Namespace, agent_class: type[Agent], replay_class: type[ReplayBuffer]) -> None:
    """Raises `UsageError` if agent or replay cannot work with so little."""
    if args.replay_size < replay_class.least:
        raise UsageError(
            f"--replay_size {args.replay_size}: stacks of frames need more to be sampled: use at least {replay_class.least}"
        )
    if args.batch_size < agent_class.least_batch:
        raise UsageError(
            f"--batch_size {args.batch_size}: batch norm needs more rows: use at least {agent_class.least_batch}"
        )

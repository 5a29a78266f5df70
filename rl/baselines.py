"""What the scripts of baselines share: flags, checks, and training one seed after the other."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import cast

import gymnasium
import torch
from gymnasium.spaces import Box

from common import entries
from common.cli import Parser, add_common_flags
from common.devices import choose_device
from common.environments import make_env, name_of, require_alike, require_time_limit, try_a_step
from common.errors import Diverged, UsageError, one_line
from common.interruption import Interruption
from common.memory import require_disk, require_memory, require_open_files
from common.next_step import own_env_flag, shown, tell_next
from common.paths import policy_run
from rl.baseline_env import BaselineEnv
from rl.baseline_run import Baseline, Learner, SeedRun
from rl.fingerprint import Fingerprint
from rl.flags import add_run_flags, seeds_of
from rl.methods import OF_ONE_LENGTH
from rl.protocols import ActionSpace, Content
from rl.replay_files import rows_on_disk
from rl.run_store import RunStore
from rl.state_spaces import ObservedStates

REPLAY_SIZE = 1_000_000


def baseline_parser(description: str | None) -> Parser:
    """A parser with the flags that the scripts of baselines share."""
    parser = Parser(description)
    add_run_flags(parser, "seeds trained one after the other", "steps a seed")
    add_common_flags(parser)
    return parser


def replay_rows(args: argparse.Namespace) -> int:
    """How many steps a replay can come to hold."""
    return min(args.max_timesteps, REPLAY_SIZE)


def train_all(
    args: argparse.Namespace,
    method: str,
    make: Callable[[Baseline, BaselineEnv, int], Learner],
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
    require_time_limit(env, f"--env {args.env_name}")
    entries.check_nameable(name_of(env, args.env_name))
    actions = make_actions(env)
    try_a_step(args.env_name)
    assert env.spec is not None
    folder = policy_run(args.results_dir, env.spec.id, method, args.name)
    width = row_width(cast(Box, env.observation_space).shape[0], actions.dim)
    _check_room(args, method, env, width, folder)
    seeds = seeds_of(args)
    store = RunStore(folder, seeds, width, args, REPLAY_SIZE)
    store.check()
    for seed_store in store.stores:
        seed_store.folder.resolved = {"device": str(device), "seeds": list(seeds)}
    env_name, fingerprint = name_of(env, args.env_name), Fingerprint.of(env, by_its_stream=True)
    envs = make_env(args.env_name), make_env(args.env_name)
    require_alike(env, envs, f"--env {args.env_name}")
    baseline = Baseline(
        args=args,
        method=method,
        env_name=env_name,
        fingerprint=fingerprint,
        env=envs[0],
        eval_env=envs[1],
        actions=actions,
        device=device,
        make=make,
    )
    contents = _open(baseline, store)
    if all(content and content["steps"] >= args.max_timesteps for content in contents.values()):
        print(f"{folder} is finished: it has {args.max_timesteps} steps already, nothing is left to do")
    else:
        print(f"{env.spec.id}: {method}, {args.num_seeds} seed{'s' * (args.num_seeds > 1)}, on {device}, into {folder}")
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
        left = sorted({store[n].folder.after_failure() for n in faults})
        raise Diverged("; ".join([*(faults[n] for n in sorted(faults)), *left]))
    tell_next(folder, "rl/evaluate.py", shown(folder), *own_env_flag(baseline.env_name))


def _check_room(args: argparse.Namespace, method: str, env: gymnasium.Env, width: int, folder: Path) -> None:
    """Raises `UsageError` if memory or disk have no room for the replay and what grows with other flags."""
    rows, space = 0 if method == "PPO" else replay_rows(args), cast(Box, env.observation_space)
    bytes_a_row = 2 * space.dtype.itemsize * space.shape[0] + 4 * (cast(Box, env.action_space).shape[0] + 3)
    parts = {
        f"--max_timesteps {args.max_timesteps}: {rows} rows of replay": rows * bytes_a_row,
        f"--num_seeds {args.num_seeds}": 10_000 * args.num_seeds,  # their folders
    }
    require_memory(parts, torch.device("cpu"))
    require_open_files(args.num_seeds, tensorboard=False)
    kept = rows_on_disk(args.max_timesteps, rows, args.checkpoint_freq or args.eval_freq) if rows else 0
    on_disk = (
        f"--max_timesteps {args.max_timesteps}: {kept} rows of replay of {args.num_seeds} seeds, kept for --resume,"
    )
    require_disk(on_disk, args.num_seeds * kept * width * 4, folder, "seed_*/replay/*.f32")


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
            resumed = [content for content in contents.values() if content is not None]
            baseline.fingerprint.check_resumed(resumed, args.env_name, args.max_timesteps)
            if None in contents.values():
                baseline.fingerprint.check_beginning(args.env_name)
                states = ObservedStates(cast(Box, baseline.env.observation_space).shape[0])
                store.check_joined(states, baseline.actions, baseline.fingerprint)
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
    with store[n].reading():
        for _ in store[n].verify(content):
            pass  # the replay is read again when it is this seed's turn
    return content

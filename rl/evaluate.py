"""Evaluates the trained policies of a run, and records them.

    python rl/evaluate.py results/rl/ReacherVertical-v2/DynE-TD3/default --episodes 20 --video results/out.mp4

takes folders of runs (every seed in them) or of single seeds. Prints the mean and standard deviation of the returns;
--out writes the return of every episode, and beside it a text on how it was made. All policies start from the same states, whichever run they are of, so that
runs can be compared episode by episode. The video, an .mp4 or a .gif, shows the first seed of each folder side by side.
A run that was trained on an environment of one's own needs --env module:id again: the module that a file names is not
imported.
"""

import argparse
import copy
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from runpy import run_path
from typing import cast

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import pandas as pd
import torch
from gymnasium.spaces import Box

from common import checkpoint
from common.checkpoint import CheckpointError
from common.cli import Parser, add_env_flag, check_out, non_negative_int, run
from common.environments import draws_images, known_id, make_env, require_time_limit
from common.errors import Diverged, UsageError
from common.next_step import shown, tell_next
from common.paths import folders_of_seeds, is_seed_folder, not_of_seeds
from common.progress import Progress, tell
from common.provenance import check_table, notes, typed_command, write_table
from common.run_folder import RunFolder
from common.streams import reset_seed
from rl.evaluation import make_video_env, play, require_ffmpeg
from rl.film import SUFFIXES, Shown, film
from rl.fingerprint import Fingerprint
from rl.flags import episode_count
from rl.policies import Policy, load_policy, newest_checkpoint, seed_folders
from rl.protocols import ActionSpace, StateSpace

FEW = 5  # fewer seeds have no error: it would be too small, as in `analysis.curves`
MANY = 100  # episodes whose mean is worth quoting
RETURNS = ["env", "method", "seed", "episode", "return"]  # columns of --out


def parse() -> argparse.Namespace:
    """Returns the flags of this script, checked; `video_episodes` as they have come to."""
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs or of single seeds, of one environment")
    add_env_flag(parser, None, "environment to play; without it: the run's own")
    parser.add_argument("--episodes", type=episode_count, default=10, help="episodes a seed")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="seed of the start states")
    parser.add_argument("--out", default=None, help="csv file for the returns: env, method, seed, episode, return")
    parser.add_argument("--video", default=None, help="file for a video (.mp4 or .gif)")
    of_film = "episodes in the video, the first of those that are played (default: 3, or all if fewer are played)"
    parser.add_argument("--video_episodes", type=episode_count, default=None, help=of_film)
    parser.add_argument("--video_whole", action="store_true", help="whole pictures, not cropped to what moves in them")
    args = parser.parse_args()
    args.out = check_table(args.out, RETURNS) if args.out else None
    args.video_episodes = in_film = args.video_episodes or min(3, args.episodes)
    if in_film > args.episodes:
        raise UsageError(
            f"--video_episodes {in_film}: only --episodes {args.episodes} are played: give --episodes {in_film} or more"
        )
    if args.video:
        check_out(args.video, *SUFFIXES, flag="--video")
        if Path(args.video).suffix == ".mp4":
            require_ffmpeg("--video")
    return args


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    runs = {folder: load_run(folder) for folder in args.runs}
    check_different(args.runs)
    if args.out:
        check_told_apart(list(runs.values()), args.out)
    first = next(iter(runs.values()))[0]
    env_name = args.env_name or known_id(first.env_name, args.runs[0], "add --env {}")
    envs = [play_env(folder, policies, env_name, args.env_name) for folder, policies in runs.items()]
    filmed = []
    if args.video:
        # Copies from before they are played: the film is to show the same episodes, and a random policy goes on with its stream.
        filmed = [
            Shown(copy.deepcopy(of[0]), make_video_env(of[0].state_space, env_name, "--video")) for of in runs.values()
        ]
    seeds = [reset_seed(args.seed, "evaluate", episode) for episode in range(args.episodes)]
    for folder, policies in runs.items():
        tell_what_is_missing(Path(folder), seed_folders(folder))
        if policies[0].env_id == env_name.rpartition(":")[2]:
            tell_if_changed(folder, env_name)
    print(f"{env_name}: {args.episodes} episode{'s' * (args.episodes > 1)} a seed")
    table = play_runs(runs, envs, env_name.rpartition(":")[2], seeds)
    tell_how_sure(args.episodes, max(map(len, runs.values())))
    if args.out:
        methods = " and ".join(dict.fromkeys(table.method))
        told = f"{methods} on {env_name}, {args.episodes} episodes a seed"
        write_table(table, args.out, notes({"returns": told, "command": typed_command()}))
        print(f"{args.out}: {len(table)} returns")
    if filmed:
        record(filmed, args.video, seeds[: args.video_episodes], args.video_whole)
    folders = [seed_folders(folder)[0].absolute().parent for folder in args.runs]
    has_curves = all(any((seed / "eval.csv").exists() for seed in folders_of_seeds(folder)) for folder in folders)
    if not filmed and draws_images(envs[0]):
        env_flag = ("--env", args.env_name) if args.env_name else ()
        tell_next(None, "rl/evaluate.py", *map(shown, args.runs), *env_flag, "--video", f"{first.method}.mp4")
    elif has_curves:
        tell_next(args.video, "analysis/plot_runs.py", shown(os.path.commonpath(folders)))


def play_runs(
    runs: Mapping[str, Sequence[Policy]], envs: Sequence[gymnasium.Env], env_id: str, seeds: Sequence[int]
) -> pd.DataFrame:
    """Plays all policies, telling the returns of each.

    Args:
        runs: {folder: the policies in it}.
        envs: one a folder.
        env_id: what the table calls these.
        seeds: a reset seed an episode.
    Returns:
        a frame with the columns `RETURNS`.
    Raises:
        Diverged: a return is not finite.
    """
    rows: list[tuple[str, str, int, int, float]] = []
    with Progress(sum(map(len, runs.values())) * len(seeds), "playing", "episode") as progress:
        for (folder, policies), env in zip(runs.items(), envs, strict=True):
            means = []
            if len(runs) > 1:
                tell(f"{shown(folder)}:")
            for policy in policies:
                returns = play_episodes(policy, env, seeds, progress)
                told = f"mean return {with_error(returns)}" if len(returns) > 1 else f"return {returns[0]:.2f}"
                told += f", std {np.std(returns, ddof=1):.2f}" if len(returns) > 1 else ""
                tell(f"{policy.method} seed {policy.seed}: {told}")
                rows += [(env_id, policy.method, policy.seed, number, value) for number, value in enumerate(returns)]
                means.append(float(np.mean(returns)))
            if len(policies) > 1:
                told = with_error(means) if len(policies) >= FEW else f"{np.mean(means):.2f}"
                tell(f"{policies[0].method}, mean of {len(policies)} seeds: {told}")
    return pd.DataFrame(rows, columns=RETURNS)


def tell_how_sure(episodes: int, most_seeds: int) -> None:
    """Says what ± means, and how the returns may be compared with those of curves.

    Args:
        episodes: how many each policy played.
        most_seeds: the largest number of seeds of a run.
    """
    if episodes > 1 or most_seeds >= FEW:
        more = "" if episodes >= MANY else f"; --episodes {MANY} tells more of a policy"
        of_seeds = ", that of a mean of seeds over these" if most_seeds >= FEW else ""
        over = f"episodes, whose starts all policies share{of_seeds}" if episodes > 1 else "seeds, of one episode each"
        print(f"± is the standard error over {f'{episodes} ' * (episodes > 1)}{over}{more}.")
    print("Curves are of other starts" + (f"; compare with --episodes {MANY}." if episodes < MANY else "."))


def record(filmed: Sequence[Shown], path: str, seeds: Sequence[int], whole: bool) -> None:
    """Films policies side by side, closes their environments, and says what they returned; arguments and errors as for `film`."""
    if not whole:
        print(f"{path}: pictures are cropped to what moves in them; --video_whole shows all of them")
    for one, returns in zip(filmed, film(filmed, path, seeds, whole), strict=True):
        one.env.close()
        told = ", ".join(f"{value:.2f}" for value in returns)
        print(f"{path}: {one.policy.method} seed {one.policy.seed} returns {told}")


def play_episodes(policy: Policy, env: gymnasium.Env, seeds: Sequence[int], progress: Progress) -> list[float]:
    """The returns of one episode for every reset seed; raises `Diverged` if one is not finite."""
    returns = []
    for seed in seeds:
        returns.append(play(policy, env, seed, alive=progress.alive))
        progress.update()
    if not np.isfinite(returns).all():
        raise Diverged(f"{policy.method} seed {policy.seed}: an observation, an action or a reward is not finite")
    return returns


def with_error(values: Sequence[float]) -> str:
    """The mean of values (N,), and its standard error where there are several."""
    error = f" ± {np.std(values, ddof=1) / math.sqrt(len(values)):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{error}"


def load_run(folder: str) -> list[Policy]:
    """The policies of a run's folder, one a seed, or of the folder of one seed; raises `UsageError` if there are none."""
    try:
        folders = seed_folders(folder)
        policies = [load_policy(seed) for seed in folders]
    except CheckpointError as error:
        raise UsageError(f"{folder}: {error}: give the folder of a run") from error
    for seed, policy in zip(folders, policies, strict=True):
        if is_seed_folder(seed) and seed.name != f"seed_{policy.seed}":
            raise UsageError(f"{seed}: its checkpoint is of seed {policy.seed}: put back the run's own")
    for kinds in ({policy.method for policy in policies}, {policy.env_id for policy in policies}):
        if len(kinds) > 1:
            raise UsageError(
                f"{folder}: its seeds are of {' and '.join(sorted(kinds))}: put back the run's own checkpoints"
            )
    return policies


def check_different(folders: Sequence[str]) -> None:
    """Raises `UsageError` if a seed is in two of the folders of runs."""
    found: set[Path] = set()
    for folder in folders:
        for seed in (seed.resolve() for seed in seed_folders(folder)):
            if seed in found:
                raise UsageError(f"runs: {shown(seed)} is there twice: name it once")
            found.add(seed)


def check_told_apart(runs: Sequence[Sequence[Policy]], out: Path) -> None:
    """Raises `UsageError` if two policies have the same method and seed, by which the rows of --out are told apart."""
    kinds = [(policy.method, policy.seed) for policies in runs for policy in policies]
    if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
        method, seed = twice[0]
        raise UsageError(
            f"--out {out}: two of the runs have a {method} of seed {seed}, which its rows would not tell apart: write a "
            "table of each run"
        )


def play_env(folder: str, policies: Sequence[Policy], env_id: str, chosen: str | None) -> gymnasium.Env:
    """Makes the environment that the policies of a run's folder are played in, `--env` if it is `chosen`.

    Raises:
        UsageError: they cannot act in it, or were trained on another one and none was chosen.
    """
    states, own = policies[0].state_space, policies[0].env_id
    if not chosen and own != env_id.rpartition(":")[2]:
        raise UsageError(f"{folder}: it was trained on {own}, the first one on {env_id}: evaluate them one by one")
    env = states.make_env(env_id) if states else make_env(env_id)
    require_time_limit(env, f"--env {env_id}")
    for policy in policies:
        check_fits(env, env_id, policy.state_space, policy.actions)
    return env


def tell_what_is_missing(run: Path, folders: Sequence[Path]) -> None:
    """Says which seeds of a run, and folders beside them, are left out, which were given up or have fewer steps, and of which an
    older checkpoint is played.

    Args:
        run: the run's folder.
        folders: those of the seeds that are played.
    """
    steps = {}
    for folder in folders:
        newest = newest_checkpoint(folder)
        assert newest is not None
        if newest.name != "checkpoint.pt":
            print(f"{folder}: its checkpoint.pt is missing: the one before it, {newest.name}, is played")
        if reason := RunFolder(folder, "run").failure:
            print(f"{folder}: it was given up ({reason}): its last good checkpoint is played")
        steps[folder.name] = f"{checkpoint.load(newest, 'run').get('steps')!s:.16}"
    if run not in folders:
        for folder in folders_of_seeds(run):
            if folder not in folders:
                print(f"{folder}: it holds no checkpoint: this seed is left out")
        if others := [folder.name for folder in not_of_seeds(run) if newest_checkpoint(folder)]:
            print(f"{run}: left out, since the folder of a seed is called seed_<n>: {', '.join(others)}")
    if len({*steps.values()}) > 1:
        told = ", ".join(f"{name} {count}" for name, count in steps.items())
        print(f"{run}: its seeds have different numbers of steps: {told}")


def tell_if_changed(folder: str, env_name: str) -> None:
    """Says it where a run was trained while its environment was another than it is now, as far as checkpoints know."""
    now = Fingerprint.of(make_env(env_name))
    paths = [path for path in map(newest_checkpoint, seed_folders(folder)) if path]
    if not all(now.is_of(checkpoint.load(path, "run")) for path in paths):
        print(
            f"{folder}: {env_name} is not, to the last bit, what it was trained on: its code, its MuJoCo model, its arguments or "
            "bounds, the version of Python or MuJoCo, or the processor is another; it is played in what there is now"
        )


def check_fits(env: gymnasium.Env, env_id: str, states: StateSpace | None, actions: ActionSpace) -> None:
    """Raises `UsageError` if a policy of these spaces (`states` may be None: any) cannot act in `env`."""
    seen = math.prod(cast(Box, env.observation_space).shape)
    taken = cast(Box, env.action_space).shape[0]
    wanted, own = states and states.observed, len(actions.low)
    if taken != own or wanted not in (None, seen):
        raise UsageError(
            f"--env {env_id}: its observations and actions have {seen} and {taken} numbers, the policy's {wanted} "
            f"and {own}: use an environment like it"
        )


if __name__ == "__main__":
    run(main)

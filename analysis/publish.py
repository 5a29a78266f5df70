"""Turns a finished run into a published curve: one long-form csv file, and beside it a text on how it was made.

    python analysis/publish.py results/rl/ReacherVertical-v2/TD3/default --out results/published/ReacherVertical-v2_TD3.csv

Seeds that were trained in several runs, with the same flags, are named together: analysis/publish.py <run> <run> --out
<file>. A variant or an ablation goes to results/ablations/ with --variant <its name>. Commit, machine and versions are
those of this moment: publish where and when the run was made, or name its commit with --commit. A run that still goes on is published up to a
step with --until: what it has is what a run of so many steps would have.

What the checkpoints beside the tables know is compared: environment, method, flags, the tables themselves, encoders and
decoders. A command is rebuilt only of flags that make just these evaluations.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from runpy import run_path
from typing import Any, NamedTuple

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import pandas as pd

from analysis.commands import rebuild_commands
from analysis.curves import ABLATION, PUBLISHED, load_run, seed_files
from analysis.finished_seeds import (
    check_evaluations,
    check_finished,
    check_joined,
    check_seed,
    check_trained,
    load_seed,
    plan_length,
    stride,
)
from common.cli import Parser, folder_name, positive_int, run, seed_list
from common.errors import UsageError
from common.provenance import PACKAGES, check_table, first_line, notes, write_table
from common.run_flags import first_difference
from rl.methods import METHODS, OF_ONE_LENGTH, of_all_seeds
from rl.protocols import Content

# Flags that runs of one curve may have each their own.
OF_ONE_RUN = {"seed", "num_seeds", "name", "threads", "eval_episodes"}


class Made(NamedTuple):
    """What runs made.

    Attributes:
        curves: of all their seeds, a frame of analysis.curves.CURVES.
        files: {(folder of the run, seed): its eval.csv}.
        flags: {the same: the seed's flags}.
        contents: {the same: content of its newest checkpoint}, of those that have one.
        trained: {the same: the steps that it has}, of those that have a checkpoint.
    """

    curves: pd.DataFrame
    files: dict[tuple[str, int], Path]
    flags: dict[tuple[str, int], dict[str, Any]]
    contents: dict[tuple[str, int], Content]
    trained: dict[tuple[str, int], int]

    @property
    def method(self) -> str:
        """The method of all of these runs."""
        return str(self.curves.method.iloc[0])


def main() -> None:
    args = parse()
    out = check_out(args.out, args.overwrite)
    made = load(args.runs, args.seeds)
    if args.until:
        made = until(made, args.until)
    check_finished(made.curves, made.flags, made.trained)
    if not args.command:
        check_evaluations(made.curves, made.flags, made.contents)
        for key, content in made.contents.items():
            check_trained(made.method, made.flags[key], content, made.files[key].parent)
    of_seeds = list(made.flags.values())
    commands = args.command or rebuild_commands(made.method, of_seeds)
    text = describe(made.curves, of_seeds, args.variant, commands, args.commit)
    table = made.curves.assign(variant=args.variant)[ABLATION if args.variant else PUBLISHED]
    write_table(table, out, text, float_format=None)
    print(f"{out}: {len(table)} evaluations of {len(of_seeds)} seeds")


def parse() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, results/rl/<env>/<method>/<name>")
    parser.add_argument("--out", required=True, help="csv file to write; the text is written beside it")
    parser.add_argument(
        "--variant",
        type=folder_name,
        default=None,
        help="name of the variant or ablation; without it: default settings",
    )
    parser.add_argument(
        "--seeds", type=seed_list, default=None, help="publish these, as 0-3 or 0,2; without it: all there are"
    )
    parser.add_argument(
        "--until", type=positive_int, default=None, help="publish so many steps; without it: the whole run"
    )
    parser.add_argument(
        "--command", action="append", help="command that made the run; without it: rebuilt from its flags"
    )
    parser.add_argument("--commit", default=None, help="commit the run was made with; without it: the repository's")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser.parse_args()


def check_out(path: str, overwrite: bool) -> Path:
    """The file that --out names; raises `UsageError` if it cannot be written, or is something else than a published curve."""
    out = check_table(path, PUBLISHED, overwrite=True)
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out}: it exists: choose another, or replace it with --overwrite")
    if (out.parent / "opt.json").exists() or any(out.parent.glob("seed_*/eval.csv")):
        raise UsageError(f"--out {out}: its folder is that of a run, whose own tables lie there: choose another")
    if out.exists() and not is_curve(out):
        raise UsageError(f"--out {out}: it exists and is no published curve: choose another")
    return out


def load(runs: Sequence[str], seeds: Sequence[int] | None) -> Made:
    """What some runs made, of these seeds or of all; raises `UsageError` if it is not that of one curve."""
    curves = pd.concat([load_run(folder) for folder in runs], ignore_index=True)
    files = {(folder, seed): file for folder in runs for seed, file in seed_files(folder).items()}
    if seeds:
        if missing := set(seeds) - {seed for _, seed in files}:
            raise UsageError(f"--seeds {min(missing)}: the runs have no such seed: publish seeds that were trained")
        curves = curves[curves.seed.isin(seeds)]
        files = {(folder, seed): file for (folder, seed), file in files.items() if seed in seeds}
    made = Made(curves, files, {}, {}, {})
    for key, file in files.items():
        made.flags[key], content = load_seed(file)
        if content is not None:
            made.contents[key], made.trained[key] = content, content["steps"]
            check_seed(key[0], file.parent, content)
    check_kinds(made.curves)
    check_alike(made.method, made.flags)
    check_joined(made.contents)
    return made


def until(made: Made, steps: int) -> Made:
    """What runs of so many steps would have made; raises `UsageError` if their numbers would have been others."""
    planned = max(of_seed["max_timesteps"] for of_seed in made.flags.values())
    if steps >= planned:
        return made
    if steps < (block := max(of_seed.get("update_every") or 1 for of_seed in made.flags.values())):
        raise UsageError(f"--until {steps}: it is less than a block of --update_every {block}: give {block} or more")
    if made.method in OF_ONE_LENGTH or made.method not in METHODS:
        raise UsageError(
            f"--until {steps}: the numbers of {made.method} depend on --max_timesteps, which is {planned}: leave it out"
        )
    curves, flags, trained = made.curves, {}, dict(made.trained)
    for key, of_seed in made.flags.items():
        # A seed that goes on has what it was evaluated at since its newest checkpoint, too.
        if steps < of_seed["max_timesteps"] and key in trained:
            trained[key] = max([trained[key], *curves[curves.seed == key[1]].steps])
        flags[key] = of_seed | {"max_timesteps": min(steps, of_seed["max_timesteps"])}
        # The last block, or plan, is a whole one; there is no other behind it.
        k = plan_length(f"{key[0]}: seed {key[1]}", of_seed, made.contents.get(key)) or 1
        ends = flags[key]["max_timesteps"]
        behind = curves[(curves.seed == key[1]) & curves.steps.between(ends, ends + stride(of_seed, k) - 1)].steps
        curves = curves[(curves.seed != key[1]) | (curves.steps <= (behind.min() if len(behind) else ends))]
    return made._replace(curves=curves, flags=flags, trained=trained)


def is_curve(path: Path) -> bool:
    """Whether a file begins as a published curve does, or is empty."""
    return first_line(path) in {"", ",".join(PUBLISHED), ",".join(ABLATION)}


def check_kinds(curves: pd.DataFrame) -> None:
    """Raises `UsageError` unless curves, a frame of analysis.curves.CURVES, are of one method on one environment, and of different seeds."""
    kinds = curves[["env", "method"]].drop_duplicates()
    if len(kinds) > 1:
        raise UsageError(f"runs: they are {' and '.join(kinds.method + ' on ' + kinds.env)}: publish them one by one")
    twice = curves[curves.duplicated(["seed", "steps"])]
    if len(twice):
        raise UsageError(f"runs: seed {twice.seed.iloc[0]} is in two of them: publish runs of different seeds")


def check_alike(method: str, flags: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Raises `UsageError` unless runs were made with the same flags, but for their names and seeds; {(folder, seed): flags}."""
    (first, of_first), *others = (
        (folder, {name: value for name, value in of_seed.items() if name not in OF_ONE_RUN})
        for (folder, _), of_seed in flags.items()
    )
    for folder, of_other in others:
        if differing := first_difference(of_first, of_other, of_all_seeds(method) | {"eval_freq"}):
            raise UsageError(
                f"runs: {folder} has {differing[0]}, {first} {differing[1]}: publish them one by one, seeds of one run by --seeds"
            )


def describe(
    curves: pd.DataFrame,
    of_seeds: Sequence[dict[str, Any]],
    variant: str | None,
    commands: Sequence[str],
    commit: str | None,
) -> str:
    """The text beside a published curve: what it is, and what made it."""
    seeds, method = sorted(flags["seed"] for flags in of_seeds), METHODS.get(curves.method.iloc[0])
    lines = {
        "curve": f"{curves.method.iloc[0]} on {curves.env.iloc[0]}" + (f", variant {variant}" if variant else ""),
        "seeds": f"{len(seeds)}: {' '.join(map(str, seeds))}",
        "steps": f"{span(flags['max_timesteps'] for flags in of_seeds)} a seed",
        "evaluations": f"{span(curves.groupby('seed').size())} a seed, of "
        f"{span(flags['eval_episodes'] for flags in of_seeds)} episodes",
        "command": "\n".join(commands),
    }
    by_sb3 = method is not None and method.script == "main_baselines.py"
    packages = (*PACKAGES, "stable-baselines3") if by_sb3 else PACKAGES
    return notes(lines, commit, of_seeds[0].get("device", "auto"), packages)


def span(values: Iterable[int]) -> str:
    """The least and the largest of some numbers, or what all of them are."""
    low, *_, high = [*sorted(values)] * 2
    return f"{low}" if low == high else f"{low} to {high}"


if __name__ == "__main__":
    run(main)

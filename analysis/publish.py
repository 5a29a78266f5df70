"""Turns a finished run into a published curve: one long-form csv file, and beside it a text on how it was made.

    python analysis/publish.py results/rl/ReacherVertical-v2/TD3/default --out results/published/ReacherVertical-v2_TD3.csv

Seeds that were trained in several runs are named together: analysis/publish.py <run> <run> --out <file>. A variant or an
ablation goes to results/ablations/ with --variant <its name>. Commit, machine and versions are those of this moment:
publish where and when the run was made, or name its commit with --commit. A run that still goes on is published up to a
step with --until: what it has is what a run of so many steps would have.

What the checkpoints beside the tables know is compared: environment, method, flags, the tables themselves, encoders and
decoders. A command is rebuilt only of flags that make just these evaluations.
"""

import argparse
import importlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from runpy import run_path
from types import ModuleType
from typing import Any

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
import pandas as pd

import embedding.main
import embedding.main_pixels
import embedding.main_vae
from analysis.curves import ABLATION, PUBLISHED, load_run, names_of, seed_files
from common import checkpoint, entries
from common.checkpoint import CheckpointError, digest
from common.cli import LARGEST_WHOLE, Parser, folder_name, positive_int, run, seed_list
from common.errors import UsageError
from common.files import read_entries
from common.paths import folder_of
from common.provenance import PACKAGES, check_table, notes, write_table
from common.run_folder import first_difference
from embedding.decoder import ActionDecoder
from embedding.trained import decoder_path, image_encoder_path, load_image_encoder
from rl.baselines import OF_ONE_LENGTH
from rl.methods import METHODS
from rl.policies import newest_checkpoint
from rl.protocols import Content
from rl.results import SeedResults

COUNTS = ("max_timesteps", "eval_freq", "eval_episodes")  # flags that every run has


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, results/rl/<env>/<method>/<name>")
    parser.add_argument("--out", required=True, help="csv file to write; the text is written beside it")
    parser.add_argument(
        "--variant", type=folder_name, default=None, help="name of the variant or ablation; none: default settings"
    )
    parser.add_argument(
        "--seeds", type=seed_list, default=None, help="publish these, as 0-3 or 0,2; none: all there are"
    )
    parser.add_argument("--until", type=positive_int, default=None, help="publish so many steps; none: the whole run")
    parser.add_argument("--command", action="append", help="command that made the run; none: rebuilt from its flags")
    parser.add_argument("--commit", default=None, help="commit the run was made with; none: the repository's")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    args = parser.parse_args()
    out = check_table(args.out, overwrite=True)
    if out.exists() and not args.overwrite:
        raise UsageError(f"--out {out}: it exists: choose another, or replace it with --overwrite")

    curves = pd.concat([load_run(folder) for folder in args.runs], ignore_index=True)
    files = {(folder, seed): file for folder in args.runs for seed, file in seed_files(folder).items()}
    if args.seeds:
        if missing := set(args.seeds) - {seed for _, seed in files}:
            raise UsageError(f"--seeds {min(missing)}: the runs have no such seed: publish seeds that were trained")
        curves = curves[curves.seed.isin(args.seeds)]
        files = {(folder, seed): file for (folder, seed), file in files.items() if seed in args.seeds}
    flags, contents = {}, {}
    for (folder, seed), file in files.items():
        flags[folder, seed], content = load_seed(file)
        if content is not None:
            contents[folder, seed] = content
            check_seed(folder, file.parent, content)
    check_kinds(curves)
    planned = max(of_seed["max_timesteps"] for of_seed in flags.values())
    if args.until and args.until < planned:
        if (method := curves.method.iloc[0]) in OF_ONE_LENGTH or method not in METHODS:
            raise UsageError(
                f"--until {args.until}: the numbers of {method} depend on --max_timesteps, which is {planned}: leave it out"
            )
        for (_, seed), of_seed in flags.items():
            of_seed["max_timesteps"] = min(args.until, of_seed["max_timesteps"])
            curves = curves[(curves.seed != seed) | (curves.steps < last_evaluation(of_seed) + stride(of_seed))]
    check_finished(curves, flags)
    method, of_seeds = curves.method.iloc[0], list(flags.values())
    if not args.command:
        check_evaluations(curves, flags)
        for key, content in contents.items():
            check_trained(method, flags[key], content, files[key].parent)
    commands = args.command or rebuild_commands(method, of_seeds)
    text = describe(curves, of_seeds, args.variant, commands, args.commit)
    table = curves.assign(variant=args.variant)[ABLATION if args.variant else PUBLISHED]
    write_table(table, out, text, float_format=None)
    print(f"{out}: {len(curves)} evaluations of {len(of_seeds)} seeds")


def load_flags(file: Path) -> dict[str, Any]:
    """The flags of the seed whose eval.csv this is; `results_dir` is the folder of results that it lies in by now.

    Raises:
        UsageError: its opt.json does not tell them.
    """
    path = file.with_name("opt.json")
    try:
        flags = read_entries(path)
        flags.pop("resolved", None)  # what they had come to
        if missing := {"env_name", "seed", *COUNTS} - set(flags):
            raise ValueError(f"it has no {min(missing)}")
        for name in {*COUNTS, "update_every"} & set(flags):
            entries.whole(flags, name, 1, LARGEST_WHOLE)
    except (OSError, ValueError, TypeError, AttributeError, CheckpointError) as error:
        raise UsageError(f"{path}: it does not tell the flags of a run: {error}") from error
    *results, rl, _, _, _, _ = ("", "", "", "", *file.parent.resolve().parts)
    return flags | ({"results_dir": str(Path(*results))} if rl == "rl" else {})


def load_seed(file: Path) -> tuple[dict[str, Any], Content | None]:
    """The flags of the seed whose eval.csv this is, and the content of its newest checkpoint, None if there is none any more.

    Raises:
        UsageError: its opt.json does not tell the flags, its checkpoint cannot be read, or they contradict each other.
    """
    flags, newest = load_flags(file), newest_checkpoint(file.parent)
    if newest is None:
        return flags, None
    try:
        content = checkpoint.load(newest, "run")
        with entries.of(newest):
            saved = entries.table(content, "flags")
            entries.environment(content)
            if entries.entry(content, "method") in OF_ONE_LENGTH:
                flags["max_timesteps"] = entries.whole(saved, "max_timesteps", 1, LARGEST_WHOLE)
    except CheckpointError as error:
        raise UsageError(f"{file.parent}: {error}: put back a whole checkpoint, or take it away") from error
    if differing := first_difference(saved, flags):
        raise UsageError(
            f"{file.parent}: its opt.json has {differing[0]}, its checkpoint {differing[1]}: put back the run's own"
        )
    return flags, content


def check_kinds(curves: pd.DataFrame) -> None:
    """Raises `UsageError` unless curves, a frame of analysis.curves.CURVES, are of one method on one environment, and of different seeds."""
    kinds = curves[["env", "method"]].drop_duplicates()
    if len(kinds) > 1:
        raise UsageError(f"runs: they are {' and '.join(kinds.method + ' on ' + kinds.env)}: publish them one by one")
    twice = curves[curves.duplicated(["seed", "steps"])]
    if len(twice):
        raise UsageError(f"runs: seed {twice.seed.iloc[0]} is in two of them: publish runs of different seeds")


def check_seed(run: str, seed_folder: Path, content: Content) -> None:
    """Raises `UsageError` if a seed's eval.csv, or what its run is called, is not what the content of its checkpoint tells."""
    env, method, _ = names_of(run)
    if (own := (folder_of(content["env_id"]), content["method"])) != (env, method):
        raise UsageError(
            f"{seed_folder}: its checkpoint is of {own[1]} on {own[0]}, its folder of {method} on {env}: put it where it belongs"
        )
    try:
        SeedResults(seed_folder).eval.verify(content["results"]["eval"])
    except (UsageError, *entries.UNFIT) as error:
        raise UsageError(f"{seed_folder}: eval.csv was changed since its checkpoint: put back what it was") from error


def check_finished(curves: pd.DataFrame, flags: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Raises `UsageError` unless all seeds have their last evaluation.

    Args:
        curves: a frame of analysis.curves.CURVES.
        flags: {(folder of the run, seed): flags}.
    """
    reached = curves.groupby("seed").steps.max()
    for (folder, seed), of_seed in flags.items():
        if reached.get(seed, -1) < last_evaluation(of_seed):
            raise UsageError(
                f"{folder}: seed {seed} has not finished its {of_seed['max_timesteps']} steps: wait for it, or publish "
                "fewer with --until"
            )


def check_evaluations(curves: pd.DataFrame, flags: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Raises `UsageError` unless all seeds, which are finished, were evaluated where their flags say; arguments as above."""
    for (folder, seed), of_seed in flags.items():
        steps, freq, most = curves[curves.seed == seed].steps.to_numpy(), of_seed["eval_freq"], stride(of_seed)
        due = np.append(0, (steps[:-1] // freq + 1) * freq)  # at the earliest
        as_told = (due <= steps) & (steps < np.minimum(due, last_evaluation(of_seed)) + most)
        if not as_told.all():
            raise UsageError(
                f"{folder}: the evaluations of seed {seed} up to step {steps[as_told.argmin()]} are not those of a run with "
                f"--max_timesteps {of_seed['max_timesteps']} --eval_freq {freq}: give the commands that made it with --command"
            )


def last_evaluation(flags: dict[str, Any]) -> int:
    """The step of a run's last evaluation: the end of the last block that a multiple of --eval_freq lies in."""
    block, freq = flags.get("update_every", 1), flags["eval_freq"]
    end = -(-flags["max_timesteps"] // block) * block
    return -(-(end // freq * freq) // block) * block


def stride(flags: dict[str, Any]) -> int:
    """How many steps at most are taken until it is looked whether an evaluation is due: a block, of baselines one.

    Of those in plans it is a plan, which an episode's end cuts short: so long that the next one is not due.
    """
    return flags.get("update_every") or (flags["eval_freq"] if flags.get("decoder") else 1)


COMMANDS_GIVEN = "put that back, or give the commands that made the run with --command"


def check_trained(
    method: str, flags: dict[str, Any], content: Content, seed_folder: Path, way_out: str = COMMANDS_GIVEN
) -> None:
    """Raises `UsageError` if a seed, by its checkpoint, used another encoder or decoder than its flags name by now."""
    try:
        networks = list(used_networks(method, flags, content))
    except (UsageError, CheckpointError, *entries.UNFIT) as error:
        raise UsageError(f"{seed_folder}: what it was trained with is not there ({error}): {way_out}") from error
    for what, path, used, found in networks:
        if digest(used) != digest(found):
            raise UsageError(f"{seed_folder}: it was trained with another {what} than {path} holds by now: {way_out}")


def used_networks(method: str, flags: dict[str, Any], content: Content) -> Iterator[tuple[str, Path, Any, Any]]:
    """What a seed was trained with: (decoder or encoder, its file, its content in the seed's checkpoint, that of the file)."""
    if method not in METHODS:
        return
    named = flags["env_name"]
    if path := decoder_of(method, flags):
        yield "decoder", path, content["actions"]["decoder"], ActionDecoder.load(path).content()
    if path := encoder_of(method, flags):
        of = METHODS[method].sees, str(path), named, named.rpartition(":")[2], flags["results_dir"]
        encoder, _ = load_image_encoder(*of)
        yield "encoder", path, content["states"]["encoder"], {**encoder.state_dict()}


def decoder_of(method: str, flags: dict[str, Any]) -> Path | None:
    """The decoder that a run acts by, None if by none; raises `UsageError` if it is not there any more."""
    if METHODS[method].acts_in != "decoder":
        return None
    source_id = (flags["source_env"] or flags["env_name"]).rpartition(":")[2]
    return decoder_path(argparse.Namespace(**flags), source_id)


def encoder_of(method: str, flags: dict[str, Any]) -> Path | None:
    """The encoder of images that a run sees by, None if by none; raises `UsageError` if it is not there any more."""
    if not METHODS[method].pretrained:
        return None
    env_id = flags["env_name"].rpartition(":")[2]
    return image_encoder_path(METHODS[method].sees, flags["encoder"], flags["env_name"], env_id, flags["results_dir"])


# ---- how it was made ----


def rebuild_commands(method: str, of_seeds: Sequence[dict[str, Any]]) -> list[str]:
    """The commands that made a run, from the flags of its seeds: those of its decoders and encoders first.

    Seeds that agree in all other flags are told by one command for each row of consecutive seeds.

    Raises:
        UsageError: the flags of this method do not tell its script.
    """
    if method not in METHODS:
        raise UsageError(f"--command: the flags of {method} do not tell its script: give the command that made the run")
    script = script_of(method)
    if method in ("TD3", "random") and "decoder" in of_seeds[0]:
        script = script_of("DynE-TD3")  # which trains these too
    assert script.__file__ is not None
    name = f"rl/{Path(script.__file__).name}"
    defaults = vars(script.parse(["--pixels"] if of_seeds[0].get("pixels") else [])) | {"pixels": False}
    trainings: list[str] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for flags in of_seeds:
        try:
            trainings += training_commands(method, flags)
        except KeyError as error:
            raise UsageError(
                f"--command: no run of {method} has flags without {error}: give the command that made it"
            ) from error
        groups.setdefault(command(name, {**flags, "seed": 0, "num_seeds": 1}, defaults), []).append(flags)
    commands = list(dict.fromkeys(trainings))
    for group in groups.values():
        seeds = {flags["seed"] for flags in group}
        for first in sorted(seed for seed in seeds if seed - 1 not in seeds):
            count = next(count for count in range(1, len(seeds) + 1) if first + count not in seeds)
            commands.append(command(name, {**group[0], "seed": first, "num_seeds": count}, defaults))
    return commands


def script_of(method: str) -> ModuleType:
    """The module of the script that trains a method."""
    return importlib.import_module(f"rl.{Path(METHODS[method].script).stem}")


def training_commands(method: str, flags: dict[str, Any]) -> list[str]:
    """The commands that trained a run's encoder of images and its decoder, or remarks that what tells them is gone."""
    found = []
    for name, file_of in (("encoder", encoder_of), ("decoder", decoder_of)):
        try:
            if path := file_of(method, flags):
                found.append(training_command(path))
        except UsageError:
            if flags[name]:  # without a decoder of its own it is the encoder's, of which that is said already
                found.append(f"(the {name} {flags[name]} is not there any more)")
    return found


def training_command(path: Path) -> str:
    """The command that trained the encoder or decoder in the file `path`."""
    notes = path.with_suffix(".txt")
    try:
        if notes.is_file():
            told = dict(line.split(":", 1) for line in notes.read_text().splitlines() if line[:1] > " ")
            return f"{told['command'].strip()}  # at commit {told['commit'].strip()[:7]}"
        flags = read_entries(path.with_name("opt.json"))
        flags.pop("resolved", None)
        script: ModuleType = embedding.main
        if "likelihood" in flags:
            script = embedding.main_pixels if "traj_len" in flags else embedding.main_vae
        assert script.__file__ is not None
        return command(f"embedding/{Path(script.__file__).name}", flags, vars(script.parse([])))
    except (OSError, ValueError, KeyError):
        return f"(there is no opt.json any more beside {path})"


def command(script: str, flags: dict[str, Any], defaults: dict[str, Any]) -> str:
    """A script's command: its environment, and the flags that differ from their defaults or have no known one."""
    words = ["python", script, "--env", flags["env_name"]]
    for flag, value in sorted(flags.items()):
        told = flag in ("env_name", "results_dir", "overwrite", "resume") or value is None or value is False
        if not told and (flag not in defaults or value != defaults[flag]):
            words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return shlex.join(words)


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

"""What a finished seed notes of itself, held against the checkpoint beside it before anything is told of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.commands import decoder_of, encoder_of
from analysis.curves import names_of
from common import checkpoint, entries
from common.checkpoint import CheckpointError, digest
from common.cli import LARGEST_WHOLE
from common.environment_identity import PROBED_STEPS
from common.errors import UsageError
from common.files import read_entries
from common.paths import folder_of
from common.progress import tell
from common.run_flags import MAY_DIFFER, first_difference
from embedding.decoder import ActionDecoder
from embedding.trained import load_image_encoder
from rl.action_spaces import from_content
from rl.methods import METHODS, OF_ONE_LENGTH
from rl.policies import newest_checkpoint
from rl.protocols import Content
from rl.results import SeedResults

COUNTS = ("max_timesteps", "eval_freq", "eval_episodes")  # flags that every run has


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
        if not isinstance(flags["env_name"], str) or not flags["env_name"]:
            raise ValueError("its env_name is no name of an environment")
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
        with entries.naming(newest):
            saved = entries.table(content, "flags")
            entries.environment(content)
            entries.whole(content, "steps", 0, LARGEST_WHOLE)
            if entries.entry(content, "method") in OF_ONE_LENGTH:
                flags["max_timesteps"] = entries.whole(saved, "max_timesteps", 1, LARGEST_WHOLE)
    except CheckpointError as error:
        raise UsageError(f"{file.parent}: {error}: put back a whole checkpoint, or take it away") from error
    if differing := first_difference(saved, flags):
        raise UsageError(
            f"{file.parent}: its opt.json has {differing[0]}, its checkpoint {differing[1]}: put back the run's own"
        )
    if alone := sorted((saved.keys() ^ flags.keys()) - MAY_DIFFER):
        has, lacks = ("opt.json", "checkpoint") if alone[0] in flags else ("checkpoint", "opt.json")
        raise UsageError(
            f"{file.parent}: its {has} has --{alone[0]}, its {lacks} has not: put back the run's own, or go on with it by --resume"
        )
    return flags, content


def check_seed(run: str, seed_folder: Path, content: Content) -> None:
    """Raises `UsageError` if a seed's eval.csv or train.csv, or what its run is called, is not what its checkpoint's content tells."""
    env, method, _ = names_of(run)
    if (own := (folder_of(content["env_id"]), content["method"])) != (env, method):
        raise UsageError(
            f"{seed_folder}: its checkpoint is of {own[1]} on {own[0]}, its folder of {method} on {env}: put it where it belongs"
        )
    results = SeedResults(seed_folder)
    for name, table in (("eval", results.eval), ("train", results.train)):
        try:
            table.verify(content["results"][name])
        except (UsageError, *entries.UNFIT) as error:
            raise UsageError(
                f"{seed_folder}: {name}.csv was changed since its checkpoint: put back what it was"
            ) from error


def check_joined(contents: Mapping[tuple[str, int], Content]) -> None:
    """Raises `UsageError` if seeds, by their checkpoints, have different spaces; tells it if they were trained on different
    environments, as processors that round otherwise make them.

    Args:
        contents: {(folder of the run, seed): content of its checkpoint}; older ones do not tell all.
    """
    spaces = {
        "actions": "acts in another space, of another decoder or bounds,",
        "states": "sees by another encoder or space",
    }
    for entry, does in spaces.items():
        told = {key: digest(content[entry]) for key, content in contents.items() if entry in content}
        if pair := _unlike(told):
            raise UsageError(f"runs: {pair[1]} {does} than {pair[0]}: publish them one by one")
    for entry in ("fingerprint", "made_of"):
        if pair := _unlike({key: content[entry] for key, content in contents.items() if content.get(entry)}):
            tell(
                f"runs: {pair[1]} was trained where the environment, its code, its arguments or its first {PROBED_STEPS} steps were "
                f"others than for {pair[0]}: if more than rounding has changed, publish them one by one"
            )
            return


def _unlike(told: Mapping[tuple[str, int], str]) -> tuple[str, str] | None:
    """The first of some seeds, {(folder of the run, seed): what it tells}, and the first that tells another thing; None if none does."""
    first = next(iter(told), None)
    other = next((key for key in told if first and told[key] != told[first]), None)
    return (f"seed {first[1]} of {first[0]}", f"seed {other[1]} of {other[0]}") if first and other else None


def check_finished(
    curves: pd.DataFrame, flags: Mapping[tuple[str, int], dict[str, Any]], trained: Mapping[tuple[str, int], int]
) -> None:
    """Raises `UsageError` unless all seeds have their last evaluation and, as far as it is known, all of their steps.

    Args:
        curves: a frame of analysis.curves.CURVES.
        flags: {(folder of the run, seed): flags}.
        trained: {(folder of the run, seed): steps that it has}, of those with a checkpoint.
    """
    reached = curves.groupby("seed").steps.max()
    for (folder, seed), of_seed in flags.items():
        planned = of_seed["max_timesteps"]
        if reached.get(seed, -1) < last_evaluation(of_seed) or trained.get((folder, seed), planned) < planned:
            raise UsageError(
                f"{folder}: seed {seed} has not finished its {planned} steps: wait for it, go on with it by --resume, or "
                "publish fewer with --until"
            )
        if reached[seed] <= 0:
            raise UsageError(
                f"{folder}: seed {seed} was not evaluated after its training began, with --eval_freq {of_seed['eval_freq']} and "
                f"{planned} steps: publish more steps, or a run that is evaluated more often"
            )


def check_evaluations(
    curves: pd.DataFrame, flags: Mapping[tuple[str, int], dict[str, Any]], contents: Mapping[tuple[str, int], Content]
) -> None:
    """Raises `UsageError` unless all seeds, which are finished, were evaluated where their flags say.

    Args:
        curves, flags: as above.
        contents: {(folder of the run, seed): content of its checkpoint}.
    """
    for (folder, seed), of_seed in flags.items():
        steps, freq = curves[curves.seed == seed].steps.to_numpy(), of_seed["eval_freq"]
        k = plan_length(f"{folder}: seed {seed}", of_seed, contents.get((folder, seed))) or freq
        due = np.append(0, (steps[:-1] // freq + 1) * freq)  # at the earliest
        as_told = (due <= steps) & (steps < np.minimum(due, last_evaluation(of_seed, k - 1)) + stride(of_seed, k))
        if not as_told.all():
            raise UsageError(
                f"{folder}: the evaluations of seed {seed} up to step {steps[as_told.argmin()]} are not those of a run with "
                f"--max_timesteps {of_seed['max_timesteps']} --eval_freq {freq}: give the commands that made it with --command"
            )


def last_evaluation(flags: dict[str, Any], beyond: int = 0) -> int:
    """The step of a run's last evaluation: the end of the last block that a multiple of --eval_freq lies in.

    Args:
        beyond: how many steps at most a run may have more than its --max_timesteps, as plans that are not cut short make it.
    """
    block, freq = flags.get("update_every", 1), flags["eval_freq"]
    end = -(-(flags["max_timesteps"] + beyond) // block) * block
    return -(-(end // freq * freq) // block) * block


def stride(flags: dict[str, Any], k: int) -> int:
    """How many steps at most are taken until it is looked whether an evaluation is due: a block, of baselines a plan of k steps."""
    return flags.get("update_every") or k


def plan_length(seed: str, flags: dict[str, Any], content: Content | None) -> int | None:
    """How many steps a baseline takes at once, at most: those of its decoder's plans; 1 of what acts in raw actions, or in blocks.

    Args:
        seed: what an error calls it.
        flags: its flags.
        content: of its checkpoint.
    Returns:
        that; None: it is not known, without a checkpoint.
    Raises:
        UsageError: the checkpoint does not tell it.
    """
    if "update_every" in flags or not flags.get("decoder"):
        return 1
    try:
        return from_content(content["actions"]).k if content else None
    except (CheckpointError, *entries.UNFIT) as error:
        raise UsageError(
            f"{seed}: its checkpoint does not tell what it acts in: put back a whole one, or take it away"
        ) from error


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

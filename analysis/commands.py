"""The commands that made a run, and the networks that it was trained with, from the flags that it noted."""

import argparse
import importlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import embedding.main
import embedding.main_pixels
import embedding.main_vae
from common import entries
from common.errors import UsageError
from common.files import read_entries
from embedding.trained import decoder_path, image_encoder_path
from rl.methods import METHODS


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
        except entries.UNFIT as error:
            raise UsageError(
                f"--command: no run of {method} has such flags ({error}): give the command that made it"
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
    notes = path.with_name("embedding.txt")
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

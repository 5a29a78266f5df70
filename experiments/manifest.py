"""Reads a manifest such as published.toml: what is to be trained and published, checked before anything starts."""

import argparse
import contextlib
import difflib
import importlib
import io
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.cli import folder_name, seed_list
from common.errors import UsageError
from common.files import LARGEST_NOTES, read_whole
from common.paths import folder_of
from common.run_flags import first_difference
from experiments.trainings import IMAGE_KINDS, Curve, Embedding, id_of, longest_of, needs_embedding, parsed
from rl.flags import check_block
from rl.methods import METHODS, OF_ONE_LENGTH

KEYS = {
    "embeddings": {"script", "env", "flags", "published"},
    "curves": {"env", "method", "seeds", "steps", "embedding", "flags", "final_episodes", "policy_seed"},
    "ablations": {"env", "group", "method", "seeds", "steps", "variants", "flags"},
    "probes": {"env", "encoder", "vae"},
    "tables": {"name", "script", "embedding", "runs", "steps", "envs"},
}
NEEDED = {
    "embeddings": ("script", "env"),
    "curves": ("env", "method", "seeds", "steps"),
    "ablations": ("env", "group", "seeds", "steps", "variants"),
    "probes": ("env", "encoder", "vae"),
    "tables": ("name", "script"),
}
TABLES_BY = {  # {key of a table: the scripts of analysis/ that make a table of it}
    "embedding": ("figure3_reach.py", "figure8_effects.py", "figure10_trajectories.py"),
    "runs": ("critic_values.py",),
    "envs": ("doing_nothing.py",),
}
WORD = r"[A-Za-z0-9_+=][A-Za-z0-9._+=:-]{0,99}"  # what files and folders are called by
SET_BY_TASKS = {"env_name", "name", "results_dir", "resume", "overwrite"}  # flags that no entry may give
SET_BY_RUNS = SET_BY_TASKS | {
    *("seed", "num_seeds", "max_timesteps"),
    *("policy_name", "algo", "pixels", "encoder", "decoder", "source_env"),  # by method and embedding
}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(WORD, value) is not None


def _is_path(value: Any) -> bool:
    """Names parted by /, as the id of an environment in a namespace."""
    return isinstance(value, str) and all(map(_is_word, value.split("/")))


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < 2**53


# {key: (whether a value will do, what it must be)}
FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("script", "name", "group", "encoder", "vae"), (_is_word, "a name")),
    "embedding": (lambda value: value == "" or _is_word(value), "a name"),
    "one env": (_is_path, "a name"),
    "env": (lambda value: all(map(_is_path, _several(value))), "a name, or a list of names"),
    "method": (lambda value: all(map(_is_word, _several(value))), "a name, or a list of names"),
    "runs": (
        lambda value: isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value),
        "a list of runs, each <env> <method> <name>",
    ),
    "envs": (lambda value: isinstance(value, list) and bool(value) and all(map(_is_path, value)), "a list of names"),
    "published": (_is_path, "names parted by /"),
    "seeds": (lambda value: isinstance(value, str | int), "text as 0-3"),
    "steps": (lambda value: _is_whole(value, 1), "a whole number of at least 1"),
    **dict.fromkeys(("final_episodes", "policy_seed"), (lambda value: _is_whole(value, 0), "a whole number")),
    "variants": (
        lambda value: isinstance(value, dict) and all(_is_word(key) and type(one) is str for key, one in value.items()),
        "a table of names",
    ),
    "flags": (
        lambda value: isinstance(value, dict) and all(type(one) in (str, int, float, bool) for one in value.values()),
        "a table of flags",
    ),
}


@dataclass(frozen=True)
class Manifest:
    """What a manifest holds, checked.

    Attributes:
        embeddings: {name: `Embedding`}.
        curves: all `Curve`s, ablations among them.
        probes, tables: as they stand in the file.
    """

    embeddings: Mapping[str, Embedding]
    curves: Sequence[Curve]
    probes: Sequence[Mapping[str, str]]
    tables: Sequence[Mapping[str, Any]]


def read(path: str | Path) -> Manifest:
    """Reads a manifest.

    Raises:
        UsageError: no such file, not TOML, an unknown key, method, flag or embedding; the line names the entry.
    """
    try:
        content = tomllib.loads(read_whole(path, LARGEST_NOTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: it is not a manifest: {error}") from error
    for section, entries in content.items():
        _known(f"{path}", section, KEYS, "section")
        named = section == "embeddings"
        if not isinstance(entries, dict if named else list):
            form = f"[{section}.<name>]" if named else f"[[{section}]]"
            raise UsageError(f"{path}: {section}: it is no section of that kind: write {form}")
        for name in entries if named else ():
            _check_form(f"{path}: {section}", "name", name, "name")
        for name, entry in entries.items() if isinstance(entries, dict) else enumerate(entries, start=1):
            if not isinstance(entry, dict):
                raise UsageError(f"{path}: {section}: {entry!r} is no entry: write its keys below [{section}.<name>]")
            where = f"{path}: {section}: {name if named else entry.get('name', entry.get('env', f'entry {name}'))}"
            for key in entry:
                _known(where, key, KEYS[section], "key")
                one = key == "env" and section not in ("curves", "ablations")
                _check_form(where, key, entry[key], "one env" if one else key)
            if missing := [key for key in NEEDED[section] if key not in entry]:
                raise UsageError(f"{where}: it has no {missing[0]}: add it")
    embeddings = {name: Embedding(name, **entry) for name, entry in content.get("embeddings", {}).items()}
    for embedding in embeddings.values():
        _known(f"{path}: embeddings.{embedding.name}", embedding.script, IMAGE_KINDS, "script")
        _check_flags(f"{path}: embeddings.{embedding.name}", embedding.module, embedding.flags, SET_BY_TASKS)
        _check_values(f"{path}: embeddings.{embedding.name}", embedding.module, embedding.all_flags)
    curves = [*_curves(path, content), *_ablations(path, content)]
    for curve in curves:
        _check_curve(f"{path}: {curve.file}", curve, embeddings)
    files = [curve.file for curve in curves]
    if twice := sorted({file for file in files if files.count(file) > 1}):
        raise UsageError(f"{path}: {twice[0]} is made twice: leave one of its entries out")
    _check_shared(path, curves, embeddings)
    _check_policies(path, curves)
    _check_blocks(path, curves, embeddings)
    for entry in content.get("probes", []):
        for key, images in (("encoder", "pixels"), ("vae", "vae")):
            where = f"{path}: probes: {entry['env']}"
            _check_embedding(where, entry[key], images, embeddings)
            _check_images(where, entry["env"], embeddings[entry[key]])
    for entry in content.get("tables", []):
        where = f"{path}: tables: {entry['name']}"
        made_of = [key for key in TABLES_BY if key in entry]
        if len(made_of) != 1:
            there = " and ".join(made_of) or "no embedding, no runs and no envs"
            raise UsageError(f"{where}: it has {there}: give one of the three")
        _known(
            where, entry["script"], TABLES_BY[made_of[0]], f"script in analysis/ for tables with {made_of[0]} called"
        )
        if "steps" in entry and "runs" not in entry:
            raise UsageError(f"{where}: it has steps, which only tables of runs take: leave them out")
        if len({*entry.get("envs", [])}) < len(entry.get("envs", [])):
            raise UsageError(f"{where}: it has an environment twice in envs: leave one out")
        if "embedding" in entry:
            _check_embedding(where, entry["embedding"], None, embeddings)
    return Manifest(embeddings, curves, content.get("probes", []), content.get("tables", []))


def _seeds(path: str | Path, entry: Mapping[str, Any]) -> tuple[int, ...]:
    try:
        return seed_list(str(entry["seeds"]))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{path}: {entry['env']}: seeds {error}") from error


def _curves(path: str | Path, content: Mapping[str, Any]) -> Iterator[Curve]:
    for entry in content.get("curves", []):
        for env in _several(entry["env"]):
            for method in _several(entry["method"]):
                file = f"published/{folder_of(id_of(env))}_{method}.csv"
                numbers = _seeds(path, entry), entry["steps"]
                more = {key: entry[key] for key in ("final_episodes", "policy_seed") if key in entry}
                yield Curve(env, method, *numbers, entry.get("embedding", ""), entry.get("flags", {}), file, **more)


def _ablations(path: str | Path, content: Mapping[str, Any]) -> Iterator[Curve]:
    for entry in content.get("ablations", []):
        for env in _several(entry["env"]):
            for variant, embedding in entry["variants"].items():
                file = f"ablations/{folder_of(id_of(env))}_{entry['group']}_{variant}.csv"
                numbers = _seeds(path, entry), entry["steps"]
                method, flags = entry.get("method", "DynE-TD3"), entry.get("flags", {})
                yield Curve(env, method, *numbers, embedding, flags, file, variant)


def _check_embedding(where: str, name: str, images: str | None, embeddings: Mapping[str, Embedding]) -> None:
    """Raises `UsageError` if an embedding does not exist or is not one of these images (`embedding_run`)."""
    _known(where, name, embeddings, "embedding")
    if IMAGE_KINDS[embeddings[name].script] != images:
        wanted = next(script for script, kind in IMAGE_KINDS.items() if kind == images)
        raise UsageError(f"{where}: embedding {name}: it is of {embeddings[name].script}: name one of {wanted}")


def _check_images(where: str, env: str, embedding: Embedding) -> None:
    """Raises `UsageError` if an encoder of images is to see another environment than its own."""
    own, seen = id_of(embedding.env), id_of(env)
    versions = "-v" in own and "-v" in seen  # an id without one is of the newest
    if own != seen and (versions or own.partition("-v")[0] != seen.partition("-v")[0]):
        raise UsageError(
            f"{where}: embedding {embedding.name}: it is of images of {embedding.env}, not of {env}: name one of that"
        )


def _check_curve(where: str, curve: Curve, embeddings: Mapping[str, Embedding]) -> None:
    _known(where, curve.method, METHODS, "method")
    method = METHODS[curve.method]
    _check_flags(where, curve.module, curve.flags, SET_BY_RUNS)
    if needs_embedding(method) != bool(curve.embedding):
        does = "needs an embedding: name one" if needs_embedding(method) else "needs no embedding: leave it out"
        raise UsageError(f"{where}: {curve.method} {does}")
    if curve.embedding:
        _known(where, curve.embedding, embeddings, "embedding")
        found, wanted = IMAGE_KINDS[embeddings[curve.embedding].script], method.sees if method.pretrained else None
        if found != wanted:
            raise UsageError(
                f"{where}: embedding {curve.embedding}: {curve.method} cannot use what {found or 'main.py'} trains"
            )
        if method.pretrained:
            _check_images(where, curve.env, embeddings[curve.embedding])
    try:
        folder_name(curve.run)
    except argparse.ArgumentTypeError as error:
        raise UsageError(
            f"{where}: its flags make the name of its run too long for a folder, {curve.run:.40}...: give fewer, or shorter values"
        ) from error
    _check_values(where, curve.module, curve.all_flags(embeddings))


def _check_shared(path: str | Path, curves: Sequence[Curve], embeddings: Mapping[str, Embedding]) -> None:
    """Raises `UsageError` if two curves are of one run, but of different flags, or of different lengths where numbers depend on
    that; or of the same seeds of one run, but of evaluations at different steps."""
    runs: dict[tuple[str, str, str], tuple[Curve, dict[str, Any]]] = {}
    seeds: dict[tuple[tuple[str, str, str], int], tuple[Curve, int]] = {}
    for curve in curves:
        flags = parsed(curve.module, curve.all_flags(embeddings))
        first, noted = runs.setdefault(curve.place, (curve, flags))
        if differing := first_difference(noted, flags):
            raise UsageError(
                f"{path}: {first.file} and {curve.file}: they share the run {curve.run}, one with {differing[1]}, the other "
                f"with {differing[0]}: give both the same, or write one in another way, as 10 for 1e+1"
            )
        if curve.method in OF_ONE_LENGTH and first.steps != curve.steps:
            raise UsageError(
                f"{path}: {first.file} and {curve.file}: they share the run {curve.run}, one of {first.steps} steps, the other of "
                f"{curve.steps}, and the numbers of {curve.method} depend on that, for {OF_ONE_LENGTH[curve.method]}: give both the same"
            )
        for seed in curve.seeds:
            other, its = seeds.setdefault((curve.place, seed), (curve, flags["eval_freq"]))
            if its != flags["eval_freq"]:
                raise UsageError(
                    f"{path}: {other.file} and {curve.file}: they share seed {seed} of a run, one with --eval_freq {its}, the other with --eval_freq {flags['eval_freq']}: give both the same, or "
                    "other seeds"
                )


def _check_policies(path: str | Path, curves: Sequence[Curve]) -> None:
    """Raises `UsageError` if a policy that is played or published has other steps than its curve, by one that shares its run."""
    longest = longest_of(curves)
    for curve in curves:
        played = curve.seeds if curve.final_episodes else ()
        published = () if curve.policy_seed is None else (curve.policy_seed,)
        for key, seeds in (("final_episodes", played), ("policy_seed", published)):
            for seed in seeds:
                other = longest.get((curve.place, seed), curve)
                if other.steps != curve.steps:
                    raise UsageError(
                        f"{path}: {curve.file}: {key} {getattr(curve, key)}: it asks for policies of {curve.steps} steps, and "
                        f"{other.file}, which shares the run, trains seed {seed} for {other.steps}: give both the same steps, or "
                        f"other seeds, or leave {key} out"
                    )


def _check_blocks(path: str | Path, curves: Sequence[Curve], embeddings: Mapping[str, Embedding]) -> None:
    """Raises `UsageError` if a curve, which may be a part of a longer run, is shorter than a block of steps and updates."""
    for curve in curves:
        flags = parsed(curve.module, curve.all_flags(embeddings))
        try:
            check_block(flags.get("update_every", 1), curve.steps)
        except UsageError as error:
            raise UsageError(f"{path}: {curve.file}: {error}") from error


def _check_form(where: str, key: str, value: Any, form: str) -> None:
    """Raises `UsageError` for the value of a key that has not one of `FORMS`."""
    will_do, wanted = FORMS[form]
    if not will_do(value):
        raise UsageError(f"{where}: {key} {value!r:.60}: it must be {wanted}")


def _check_flags(where: str, module: str, flags: Mapping[str, Any], set_already: Collection[str]) -> None:
    """Raises `UsageError` for a flag that the script does not have, that is set already, or that is false and no switch."""
    defaults = vars(importlib.import_module(module).parse([]))
    for flag, value in flags.items():
        if flag in set_already:
            raise UsageError(f"{where}: --{flag} follows from the entry's other keys: leave it out")
        _known(where, flag, defaults, f"flag of {module.replace('.', '/')}.py")
        if value is False and type(defaults[flag]) is not bool:
            raise UsageError(f"{where}: {flag} = false: it is no switch: give it a value, or leave it out")


def _check_values(where: str, module: str, flags: Mapping[str, Any]) -> None:
    """Raises `UsageError` for flags that the script refuses, each by itself or together."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed(module, flags)
    except SystemExit as error:
        line = said.getvalue().strip().partition("error: ")[2].removesuffix(" (--help lists the flags)")
        raise UsageError(f"{where}: {line}") from error
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(where: str, name: str, names: Any, kind: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, list(names), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(map(str, names)))}"
        raise UsageError(f"{where}: there is no {kind} {name}: {hint}")

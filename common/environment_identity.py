"""What an environment is and does, as digests: its first steps, its arguments, its code and its MuJoCo model.

Its code is that of every class of the environment in its order of inheritance, and of whatever modules these import from the
same project. Comments, docstrings, annotations and layout do not count.
"""

import ast
import contextlib
import copy
import functools
import hashlib
import importlib.util
import json
import os
import random
import sys
import sysconfig
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.actions import OwnActions
from common.environments import attribute
from common.errors import EnvironmentFault
from common.guarded_environment import GuardedEnvironment
from common.process_streams import random_bits, streams_kept
from common.stable_repr import modules_of, stable_repr
from common.streams import reset_seed, stream

PROBED_STEPS = 100
BREAKS = "breaks: "  # begins the digest of an environment that raises something while it is probed


# ---- what it does ----


def what_it_does(env: gymnasium.Env, by_its_stream: bool = False) -> tuple[str, bool]:
    """What an environment of `make_env` is and does, as a digest, and whether it does that again.

    The digest is made of the time limit, the arguments, those of wrappers among them, the spaces, and the observations,
    rewards and ends of `PROBED_STEPS` drawn actions. It does that again if a second probe from the same seed gives the same
    digest although numpy's, torch's and Python's global random streams were drawn from in between. An environment that raises
    something while it is probed has `BREAKS` and the digest of what comes before its steps, and counts as one that does the same
    again.

    Args:
        env: one that is not in use.
        by_its_stream: whether it must also do the same after a reset without a seed, its own `np_random` being put back.
    """
    assert env.spec is not None  # `make_env` made it
    observed, acted = cast(Box, env.observation_space), cast(Box, env.action_space)
    told = _as_text(arguments(env))
    sha = hashlib.sha256(f"{env.spec.max_episode_steps} {told} {observed.dtype}".encode())
    for bound in (observed.low, observed.high, acted.low, acted.high):
        sha.update(np.ascontiguousarray(bound).tobytes())
    again = sha.copy()

    def seeded(episode: int) -> np.ndarray:
        return env.reset(seed=reset_seed(0, "probe: resets", episode))[0]

    with streams_kept():
        if not _probe(env, seeded, sha):
            return BREAKS + again.hexdigest(), True
        repeats = _probe(env, seeded, again, disturb=True) and sha.digest() == again.digest()
        if repeats and by_its_stream:
            repeats = _repeats_by_its_stream(env)
    return sha.hexdigest(), repeats


def _repeats_by_its_stream(env: gymnasium.Env) -> bool:
    """Whether it does the same after a reset without a seed, its own `np_random` being put back."""
    bits, found = random_bits(env), []
    before: Any = copy.deepcopy(bits.state) if bits is not None else None
    for disturb in (False, True):
        if bits is not None:
            bits.state = before
        sha = hashlib.sha256()
        _probe(env, lambda _: env.reset()[0], sha, disturb)
        found.append(sha.digest())
    return found[0] == found[1]


def _probe(env: gymnasium.Env, start: Callable[[int], np.ndarray], sha: Any, disturb: bool = False) -> bool:
    """Adds the observations, rewards and ends of `PROBED_STEPS` drawn actions to a checksum; False if it breaks on the way.

    Args:
        start: the number of an episode to its first observation.
        sha: of hashlib.
        disturb: whether to draw from the random streams of the process before each step.
    """
    acted = cast(Box, env.action_space)
    rng, episode, over = stream(0, "probe: actions"), 0, True
    try:
        for _ in range(PROBED_STEPS):
            action = rng.uniform(acted.low, acted.high).astype(np.float32).clip(acted.low, acted.high)
            if over:
                sha.update(np.asarray(start(episode)).tobytes())
                episode += 1
            if disturb:
                np.random.random(), random.random(), torch.rand(1)
            observation, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            sha.update(np.asarray(observation).tobytes())
            sha.update(f"{float(reward)!r} {bool(terminated)} {bool(truncated)}".encode())
    except EnvironmentFault:  # training will say so, if it comes so far
        return False
    return True


def arguments(env: gymnasium.Env) -> Any:
    """The arguments that an environment was made with; a list of them and its wrappers', where its id has some."""
    assert env.spec is not None
    registered = gymnasium.registry.get(env.spec.id)
    wrappers = [(one.name, one.entry_point, one.kwargs) for one in registered.additional_wrappers] if registered else []
    return [env.spec.kwargs, wrappers] if wrappers else env.spec.kwargs


def _as_text(value: Any) -> str:
    """A value as JSON if that tells all of it, else as `stable_repr`."""
    try:
        told = json.dumps(value, sort_keys=True)
        return told if json.loads(told) == value else stable_repr(value)
    except (TypeError, ValueError):
        return stable_repr(value)


# ---- what it is made of ----


def made_of(env: gymnasium.Env) -> str:
    """A checksum of an environment's code and of its MuJoCo model; of the code alone if the environment breaks on the way."""
    model = ""
    with streams_kept(), contextlib.suppress(EnvironmentFault):
        model = model_digest(env)
    return hashlib.sha256(f"{code_digest(env)} {model}".encode()).hexdigest()


def model_digest(env: gymnasium.Env) -> str:
    """A checksum of the MuJoCo model of an environment, as it is after a reset; "" if it has none."""
    mujoco = sys.modules.get("mujoco")
    if mujoco is None or not isinstance(attribute(env, "model"), mujoco.MjModel):
        return ""
    for _ in range(2):  # a start may be written into the model, what follows from it at the next: always the same here
        env.reset(seed=0)
    model = attribute(env, "model")
    saved = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, saved)
    return hashlib.sha256(saved.tobytes()).hexdigest()


def code_digest(env: gymnasium.Env) -> str:
    """A checksum of the code that `env` is made of: its wrappers, and what it was registered as, included."""
    assert env.spec is not None
    classes: list[type] = []
    layer = env
    while True:
        # our wrappers change no numbers, but for what RECIPE says
        classes += () if isinstance(layer, GuardedEnvironment | OwnActions) else type(layer).__mro__
        if not isinstance(layer, gymnasium.Wrapper):
            break
        layer = layer.env
    found: dict[str, ast.Module] = {}
    makers = [env.spec.entry_point, *(wrapper.entry_point for wrapper in env.spec.additional_wrappers)]
    modules = [*(cls.__module__ for cls in classes), *map(_module_of, makers), *sorted(modules_of(arguments(env)))]
    for name in dict.fromkeys(modules):
        if name.partition(".")[0] not in {"gymnasium", *sys.stdlib_module_names}:  # their versions say enough
            _collect(name, found)
    sha = hashlib.sha256()
    for name, tree in found.items():
        sha.update(f"{name}:{ast.dump(tree)};".encode())
    return sha.hexdigest()


def _module_of(maker: Any) -> str:
    """The module of what makes an environment, a callable or `module:name`; "" if it has none."""
    while isinstance(maker, functools.partial):
        maker = maker.func
    if callable(maker):
        return str(getattr(maker, "__module__", None) or type(maker).__module__)
    return str(maker or "").partition(":")[0]


def _file_of(module: str) -> str | None:
    """The file of a module, whether it was imported or is only imported later; None if it has none."""
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    parent = module.rpartition(".")[0]
    package = _file_of(parent) if parent else None
    if parent and (package is None or os.path.basename(package) != "__init__.py"):
        return None
    try:
        spec = PathFinder.find_spec(module, [os.path.dirname(package)] if package else None)
    except (ImportError, ValueError):  # no name of a module
        return None
    return spec.origin if spec else None


def _collect(module: str, found: dict[str, ast.Module]) -> None:
    """Adds to `found`, {module: its code}, a module and, unless it is installed, what it imports."""
    file = _file_of(module)
    if module in found or file is None or not file.endswith(".py"):
        return
    path = Path(file).resolve()
    source = _source(module, path)
    try:
        found[module] = tree = _code_alone(ast.parse(source))
    except (SyntaxError, ValueError):  # of another Python, or none: what imports it can do without
        found[module] = ast.parse(f"source = {source!r}")
        return
    for node in () if _is_installed(module) else ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            except ImportError:  # beyond its package: a module that may lie in one or not tries this first
                continue
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            names = [str(node.args[0].value)] if called in ("import_module", "__import__") else []
        else:
            continue
        for name in names:
            if not _is_installed(name):
                _collect(name, found)


def _source(module: str, path: Path) -> str | bytes:
    """The source of a module, which may lie in a zip file."""
    if path.is_file():
        return path.read_bytes()
    return getattr(getattr(sys.modules.get(module), "__loader__", None), "get_source", str)(module) or ""


def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to an installed package."""
    path = _file_of(module)
    folders = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))
    return path is None or any(Path(path).resolve().is_relative_to(folder) for folder in folders)


def _code_alone(tree: ast.Module) -> ast.Module:
    """A module without docstrings and without the annotations of its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree

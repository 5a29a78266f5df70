"""The key of stored random play: everything that determines its content, as plain values.

The code of an environment is part of its key: every class of the environment in its order of inheritance, and whatever
modules these import from the same project. Comments, docstrings, annotations and layout do not count. So is what the
environment does in its first steps, which may depend on more than its code. The code that plays and draws is represented by `RECIPE` alone, which whoever changes what is stored raises by hand: the wrapper of actions too.
"""

import argparse
import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import PIL

from common.actions import OwnActions
from common.environments import arguments, attribute, streams_kept, time_limit, what_it_does
from common.errors import EnvironmentFault
from common.guarded_environment import GuardedEnvironment, working_folder
from common.stable_repr import modules_of, stable_repr

# Raised by hand when common/actions.py, embedding/random_play.py, embedding/play_drawing.py or envs/pixels.py change what is
# stored for the same environment, steps and seed (tests/embedding/test_play_key.py holds the content to this number).
RECIPE = 4


def play_key(env: gymnasium.Env, steps: int, seed: int) -> dict[str, Any]:
    """The key of `random_play(env, steps, seed)`."""
    assert env.spec is not None
    does = _does(env)  # before its code is looked at: a step may import more of it
    key: dict[str, Any] = {
        "env": env.spec.id,
        "kwargs": stable_repr(arguments(env)),
        "limit": time_limit(env),
        "steps": steps,
        "seed": seed,
        "gymnasium": gymnasium.__version__,
        "numpy": np.__version__,
        "recipe": RECIPE,
        "code": code_digest(env),
        "does": does,
    }
    if model := model_digest(env):
        key |= {"mujoco": sys.modules["mujoco"].__version__, "model": model}
    return key


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


def _does(env: gymnasium.Env) -> str:
    """What the environment does, as a digest: it may depend on what is no code, such as a file of settings. One that does not
    do the same twice has none."""
    folder = working_folder()
    found, repeats = what_it_does(env)
    if folder is not None and working_folder() != folder:  # what plays next says which of its methods moved away
        os.chdir(folder)
    return found if repeats else ""


def sources(env: gymnasium.Env, args: argparse.Namespace) -> dict[str, str]:
    """{"code": a checksum of the environment's code, "asked": one of all else in the key of random play (`play_key`), without
    the environment's MuJoCo model and the versions of libraries}.

    They are known before anything is played. Whether other code or versions change what is played, `RandomPlay.digest` tells.
    """
    key = play_key(env, args.steps, args.seed)
    code = key.pop("code")
    parts = {name: value for name, value in key.items() if name not in ("gymnasium", "numpy", "mujoco", "model")}
    return {"code": code, "asked": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}


def pixel_key(env: gymnasium.Env, steps: int, seed: int, source_img_width: int) -> dict[str, Any]:
    """The key of the frames of random play; `source_img_width` is the width that was drawn."""
    return play_key(env, steps, seed) | {"source_img_width": source_img_width, "pillow": PIL.__version__}


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

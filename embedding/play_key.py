"""The key of stored random play: everything that determines its content, as plain values.

The code of an environment is part of its key, and so is what it does in its first steps, which may depend on more than its code
(`common.environment_identity`). The code that plays and draws is represented by `RECIPE` alone, which whoever changes what is stored raises by hand: the wrapper of actions too.
"""

import argparse
import hashlib
import json
import os
import sys
from typing import Any

import gymnasium
import numpy as np
import PIL

from common.environment_identity import BREAKS, arguments, code_digest, model_digest, what_it_does
from common.environments import time_limit
from common.guarded_environment import working_folder
from common.stable_repr import stable_repr

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


def _does(env: gymnasium.Env) -> str:
    """What the environment does, as a digest: it may depend on what is no code, such as a file of settings. One that does not
    do the same twice, or raises something on the way, has none."""
    folder = working_folder()
    found, repeats = what_it_does(env)
    if folder is not None and working_folder() != folder:  # what plays next says which of its methods moved away
        os.chdir(folder)
    return found if repeats and not found.startswith(BREAKS) else ""


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

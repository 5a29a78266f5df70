"""The scripts whose bad input is tried, shortest runs of them, and what that is compared by."""

from pathlib import Path

import pytest

import embedding.main
import rl.evaluate
import rl.main_dyne
import rl.main_td3
from envs.rendering import RenderingUnavailable, select_gl_backend

EMBED, TD3, DYNE, EVALUATE = embedding.main.main, rl.main_td3.main, rl.main_dyne.main, rl.evaluate.main
training = pytest.mark.parametrize("main", [EMBED, TD3, DYNE], ids=["embedding", "td3", "dyne"])
every = pytest.mark.parametrize("main", [EMBED, TD3, DYNE, EVALUATE], ids=["embedding", "td3", "dyne", "evaluate"])

SHORT = {
    EMBED: {"steps": 200, "epochs": 0, "decoder_epochs": 0},
    TD3: {"max_timesteps": 100, "eval_episodes": 1, "policy_name": "random"},
    DYNE: {"max_timesteps": 100, "eval_episodes": 1, "policy_name": "random-DynE"},
}
TINY_IMAGES = {"steps": 60, "source_img_width": 64, "epochs": 1, "epoch_size": 8, "batch_size": 4}


def listing(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


class Malicious:
    """Unpickled, it would make the file `proof`."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return Path.touch, (self.proof,)


def can_draw():
    """Whether there is an OpenGL to draw with."""
    try:
        select_gl_backend()
    except RenderingUnavailable:
        return False
    return True

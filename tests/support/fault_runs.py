"""Runs that faults befall: the scripts, their flags, and whether one holds its folder."""

import time

import mujoco  # noqa: F401  (as processes.py does: its version stands in what is written)
import toy_pixel_envs  # noqa: F401  (registers its environments)

import embedding.main
import embedding.main_pixels
import embedding.main_vae
import rl.evaluate
import rl.evaluation
import rl.main_baselines
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_sac_lsp
import rl.main_td3
from common.run_folder import RunFolder

MAINS = {
    "embedding/main.py": embedding.main.main,
    "embedding/main_pixels.py": embedding.main_pixels.main,
    "embedding/main_vae.py": embedding.main_vae.main,
    "rl/main_td3.py": rl.main_td3.main,
    "rl/main_dyne.py": rl.main_dyne.main,
    "rl/main_pixel_td3.py": rl.main_pixel_td3.main,
    "rl/main_baselines.py": rl.main_baselines.main,
    "rl/main_sac_lsp.py": rl.main_sac_lsp.main,
}
BASELINES = ("rl/main_baselines.py", "rl/main_sac_lsp.py")
POLICY = {"max_timesteps": 2000, "num_seeds": 2, "eval_freq": 500, "eval_episodes": 1, "batch_size": 20}
DOT = {"env": "toy_pixel_envs:Dot-v0", "source_img_width": 64}
IMAGES = {**DOT, "steps": 200, "epochs": 12, "epoch_size": 64, "batch_size": 8, "checkpoint_freq": 1}
FLAGS = {
    "embedding/main.py": {"steps": 3000, "epochs": 20, "epoch_size": 10_000, "decoder_batches": 100},
    "rl/main_td3.py": {**POLICY, "env": "Hopper-v5", "checkpoint_freq": 100},
    "rl/main_dyne.py": {**POLICY, "checkpoint_freq": 100, "update_every": 50},
    "rl/main_pixel_td3.py": {**POLICY, **DOT, "batch_size": 4},
    "embedding/main_pixels.py": {**IMAGES, "decoder_epochs": 2, "decoder_batches": 20},
    "embedding/main_vae.py": IMAGES,
}
for script in BASELINES:  # updates begin after 1000 steps
    FLAGS[script] = {"max_timesteps": 3000, "eval_freq": 500, "eval_episodes": 1, "checkpoint_freq": 100}
FLAGS["rl/main_baselines.py"] |= {"algo": "SAC", "env": "Hopper-v5"}
FLAGS["rl/main_pixel_td3.py"] |= {
    "max_timesteps": 400,
    "checkpoint_freq": 20,
    "update_every": 10,
    "start_timesteps": 50,
}
FLAGS["embedding/main.py"] |= {"decoder_epochs": 10, "checkpoint_freq": 1}
FEWER = {
    "embedding/main.py": {"epochs": 4, "decoder_epochs": 3},
    "embedding/main_pixels.py": {"epochs": 4},
    "embedding/main_vae.py": {"epochs": 4},
    "rl/main_td3.py": {"max_timesteps": 800},
    "rl/main_dyne.py": {"max_timesteps": 800},
    "rl/main_pixel_td3.py": {"max_timesteps": 100},
    **{script: {"max_timesteps": 1300} for script in BASELINES},
}
FOLDERS = {
    "embedding/main_pixels.py": "Dot-v0-pixels",
    "embedding/main_vae.py": "Dot-v0-vae",
    "embedding/main.py": "ReacherVertical-v2",
    "rl/main_td3.py": "rl/Hopper-v5/TD3",
    "rl/main_dyne.py": "rl/ReacherVertical-v2/DynE-TD3",
    "rl/main_pixel_td3.py": "rl/Dot-v0/Pixel-TD3",
    "rl/main_baselines.py": "rl/Hopper-v5/SAC",
    "rl/main_sac_lsp.py": "rl/ReacherVertical-v2/SAC-LSP",
}


def is_held(folder):
    return any(RunFolder(path.parent, "run").in_use() for path in folder.rglob(".lock"))


def wait_until_held(folder, process, seconds=120):
    """Waits until the process holds the folder; returns False if it ended before."""
    end = time.monotonic() + seconds
    while not is_held(folder):
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "the run does not begin"
        time.sleep(0.02)
    return True

"""A training of stage one goes on with the random play that it began with, or not at all."""

import io
import shutil

import gymnasium
import pytest
import torch
import toy_envs
import toy_pixel_envs
from scripts import EMBED, TINY_IMAGES, listing

import embedding.main_pixels
import embedding.main_vae
from common import checkpoint
from common.environment_identity import BREAKS
from embedding import play_key

PIXELS, VAE = embedding.main_pixels.main, embedding.main_vae.main
DECODER = {"decoder_epochs": 2, "decoder_batches": 4, "traj_len": 2}
FLAGS = {
    EMBED: {"env": "toy_envs:Walk-v0", "steps": 100, "epochs": 2, "epoch_size": 32, "batch_size": 8, **DECODER},
    PIXELS: {"env": "toy_pixel_envs:Dot-v0", **TINY_IMAGES, **DECODER},
    VAE: {"env": "toy_pixel_envs:Dot-v0", **TINY_IMAGES},
}
SOURCES = {
    EMBED: (toy_envs.Walk, "Walk-v0"),
    PIXELS: (toy_pixel_envs.Dot, "Dot-v0"),
    VAE: (toy_pixel_envs.Dot, "Dot-v0"),
}
scripts = pytest.mark.parametrize("main", FLAGS, ids=["states", "pixels", "vae"])


def arguments(main, patch):
    """The environment is registered with other arguments, here such that they change nothing."""
    _, env_id = SOURCES[main]
    patch.setitem(gymnasium.registry[env_id].kwargs, "low" if main is EMBED else "shown", (-1, -1))


def surroundings(main, patch):
    """What it does depends on something that is neither, as a file of settings."""
    env_class, _ = SOURCES[main]
    original = env_class.step

    def step(env, action):
        return original(env, 0.5 * action)

    patch.setattr(env_class, "step", step)


def late(main, patch):
    """Likewise, but only where its first steps do not show it, and stored play is gone."""
    surroundings(main, patch)


@scripts
@pytest.mark.parametrize("change", [arguments, surroundings, late])
def test_other_play_is_refused(call, tmp_path, monkeypatch, main, change):
    flags = {**FLAGS[main], "results_dir": tmp_path}
    if change is late:
        monkeypatch.setattr(play_key, "what_it_does", lambda _: (BREAKS, True))
    ran = call(main, **flags)
    assert ran.code == 0, ran.err
    (data,) = tmp_path.rglob("data")
    if change is late:
        shutil.rmtree(data)
    before = listing(tmp_path)
    with monkeypatch.context() as patch:
        change(main, patch)
        ran = call(main, "--resume", **flags)
    assert ran.code == 2 and "--resume: " in ran.err and "other random play" in ran.err, ran
    assert ran.err.count("error: ") == 1 and "--overwrite" in ran.err
    if change is late:
        shutil.rmtree(data)
    assert listing(tmp_path) == before
    ran = call(main, "--resume", **flags)  # with what it was
    assert ran.code == 0 and "is finished" in ran.out


@scripts
def test_other_code_that_plays_the_same_is_told(call, tmp_path, monkeypatch, main):
    flags = {**FLAGS[main], "results_dir": tmp_path}
    assert call(main, **flags).code == 0
    monkeypatch.setattr(play_key, "code_digest", lambda _: "other")
    ran = call(main, "--resume", **flags)
    assert ran.code == 0 and ran.out.count("code has changed since") == 1 and "is finished" in ran.out, ran


@pytest.mark.parametrize("damage", ["lost", "altered"])
@scripts
def test_the_files_of_a_finished_embedding_are_written_again(call, tmp_path, main, damage):
    flags = {**FLAGS[main], "results_dir": tmp_path}
    assert call(main, **flags).code == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*coder.pt")}
    assert files
    for path, content in files.items():
        path.unlink()
        if damage == "altered":
            path.write_bytes(content[:-1])
    ran = call(main, "--resume", **flags)
    assert ran.code == 0 and "is finished" in ran.out, ran
    for path, content in files.items():
        again, before = (torch.load(io.BytesIO(data), weights_only=True) for data in (path.read_bytes(), content))
        assert checkpoint.digest(again) == checkpoint.digest(before)


def test_checkpoints_that_do_not_know_their_play_go_on(call, tmp_path):
    flags = {**FLAGS[EMBED], "results_dir": tmp_path}
    for name in ("new", "old"):
        assert call(EMBED, name=name, **flags).code == 0
    folder = tmp_path / "Walk-v0" / "old"
    content = checkpoint.load(folder / "checkpoint.pt", "embedding run")
    del content["play"]
    checkpoint.save(folder / "checkpoint.pt", "embedding run", content)
    ran = call(EMBED, "--resume", name="old", **flags)
    assert ran.code == 0 and "is finished" in ran.out

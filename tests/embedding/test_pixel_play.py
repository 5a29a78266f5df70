"""Frames of random play on disk: which they are, and that nothing that stops the drawing harms them."""

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
import time

import numpy as np
import PIL
import pytest
import torch
import toy_pixel_envs

import common.memory
import embedding.pixel_play
import embedding.play_drawing
from common.environments import make_env
from common.errors import UsageError
from common.paths import REPOSITORY
from common.pixel_environments import make_pixel_env
from embedding.pixel_play import load_pixel_play, open_pixel_play
from embedding.play_drawing import Layout
from embedding.random_play import episode_seed, random_play
from envs.rendering import RenderingUnavailable, select_gl_backend

DOT, SHORT = "toy_pixel_envs:Dot-v0", "toy_pixel_envs:DotShort-v0"


def load(results, env_id=DOT, steps=40, seed=0, k=2, **flags):
    return load_pixel_play(env_id, steps, seed, results, k, **{"workers": 1, **flags})


def same(a, b):
    names = ("states", "actions", "lengths", "observations")
    return torch.equal(a.frames, b.frames) and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def folder_in(results):
    (folder,) = results.rglob("pixels-*")
    return folder


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "play.npz"}


@pytest.fixture
def drawn(monkeypatch):
    """The numbers of the episodes that are drawn in this process."""
    episodes, original = [], embedding.play_drawing.draw_episode

    def noted(env, seed, episode, actions):
        episodes.append(episode)
        return original(env, seed, episode, actions)

    monkeypatch.setattr(embedding.play_drawing, "draw_episode", noted)
    return episodes


# ---- what is drawn ----


@pytest.mark.parametrize("env_id", [DOT, SHORT])
def test_frames_are_those_of_random_play(tmp_path, env_id):
    play, known = load(tmp_path, env_id), random_play(make_env(env_id), 40, seed=0)
    assert np.array_equal(play.actions, known.actions) and np.array_equal(play.lengths, known.lengths)
    np.testing.assert_array_equal(play.states, known.states)
    np.testing.assert_array_equal(play.observations, known.states)  # not MuJoCo's: the state is the observation
    if env_id == SHORT:
        assert len(set(play.lengths.tolist())) > 3
    env, row, step = make_pixel_env(env_id), 0, 0
    for episode, length in enumerate(play.lengths):
        observation, _ = env.reset(seed=episode_seed(0, episode))
        assert np.array_equal(play.frames[row], observation[-3:])
        for _ in range(length):
            row, step = row + 1, step + 1
            assert np.array_equal(play.frames[row], env.step(play.actions[step - 1])[0][-3:])
        row += 1
    assert (row, step) == (len(play.frames), 40)


@pytest.fixture
def opengl():
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


def test_the_number_of_workers_does_not_matter(tmp_path, opengl):
    flags = {"env_id": "ReacherVertical-v2", "steps": 230, "source_img_width": 64}
    alone, together = (load(tmp_path / str(n), workers=n, **flags) for n in (1, 2))
    assert alone.lengths.tolist() == [100, 100, 30]
    assert same(alone, together)
    assert bytes_of(folder_in(tmp_path / "1")) == bytes_of(folder_in(tmp_path / "2"))
    assert (alone.states.shape, alone.observations.shape) == ((233, 4), (233, 11))
    known = random_play(make_env("ReacherVertical-v2"), 230, seed=0)
    np.testing.assert_allclose(alone.states, known.states, rtol=0, atol=1e-9)
    assert len(np.unique(alone.frames.flatten(1), axis=0)) > 200


def test_a_frame_is_kept_once(tmp_path):
    load(tmp_path, steps=60)
    sizes = {path.name: path.stat().st_size for path in folder_in(tmp_path).iterdir()}
    assert sizes["frames.uint8"] == (60 + 10) * 12288
    assert sum(sizes.values()) < 1.03 * sizes["frames.uint8"]  # 100 000 frames and episodes of 100: 1.25 GB


# ---- going on ----


def test_the_second_time_it_is_read(tmp_path, drawn):
    first = load(tmp_path)
    assert drawn == list(range(7))
    assert same(first, load(tmp_path)) and len(drawn) == 7
    assert same(first, open_pixel_play(folder_in(tmp_path)))


def test_kill_9_loses_no_finished_episode(tmp_path, drawn, counts):
    """The drawing processes go with their parent; what they had finished is not drawn again."""
    flags, results = {"steps": 3000}, tmp_path / "killed"
    program = f"""
import toy_pixel_envs
from embedding.pixel_play import load_pixel_play
if __name__ == "__main__":
    load_pixel_play({DOT!r}, 3000, 0, {str(results)!r}, 2, workers=2)
"""
    script = tmp_path / "draw.py"
    script.write_text(program)
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])
    process = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE)
    checks, end = None, time.monotonic() + 120
    while checks is None or not 0 < np.count_nonzero(np.fromfile(checks, np.uint64)) < 400:
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.01)
        checks = next(iter(results.rglob("checks.uint64")), None)
    process.kill()
    process.communicate()
    before = -1
    while before != (now := np.count_nonzero(np.fromfile(checks, np.uint64))):  # the workers' last episodes
        before = now
        time.sleep(1)
    assert 0 < before < 500
    whole = load(results, **flags)
    assert len(drawn) == 500 - before
    assert same(whole, load(tmp_path / "undisturbed", **flags))
    assert bytes_of(folder_in(results)) == bytes_of(folder_in(tmp_path / "undisturbed"))
    counts["kills while frames were drawn"] += 1


FAULTS = {
    "frames.uint8": [12288 * 8 + 5, 12288 * 69],
    "states.float64": [8 * 9],
    "observations.float64": [8 * 10],
    "checks.uint64": [8 * 1 + 2],
}


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, places in FAULTS.items() for place in places])
def test_a_damaged_episode_alone_is_drawn_anew(tmp_path, drawn, capsys, name, place):
    first = load(tmp_path, steps=60)
    before, folder = bytes_of(folder_in(tmp_path)), folder_in(tmp_path)
    data = bytearray(before[name])
    data[place] ^= 4
    (folder / name).write_bytes(data)
    with pytest.raises(UsageError, match="1 of 10 episodes are missing or damaged: delete the folder"):
        open_pixel_play(folder)
    drawn.clear()
    assert same(first, load(tmp_path, steps=60))
    assert drawn == [9 if place == 12288 * 69 else 1]
    assert "1 episodes in" in capsys.readouterr().out
    assert bytes_of(folder) == before


@pytest.mark.parametrize("name", list(FAULTS))
@pytest.mark.parametrize("share", [None, 0, 0.5, 1.5])
def test_files_that_are_cut_short_are_refused_or_completed(tmp_path, drawn, name, share):
    first, folder = load(tmp_path), folder_in(tmp_path)
    before = bytes_of(folder)
    if share is None:
        (folder / name).unlink()
    else:
        os.truncate(folder / name, int(share * len(before[name])))
    with pytest.raises(UsageError, match="cut short or missing: delete the folder"):
        open_pixel_play(folder)
    drawn.clear()
    assert same(first, load(tmp_path))
    assert len(drawn) == {None: 7, 0: 7, 1.5: 0}.get(share, len(drawn)) and len(drawn) < 8
    assert bytes_of(folder) == before


def test_a_damaged_header_is_written_anew(tmp_path, drawn):
    first, folder = load(tmp_path), folder_in(tmp_path)
    for data in (b"", (folder / "play.npz").read_bytes()[:200]):
        (folder / "play.npz").write_bytes(data)
        with pytest.raises(UsageError, match="play.npz cannot be read"):
            open_pixel_play(folder)
        drawn.clear()
        assert same(first, load(tmp_path)) and not drawn


@pytest.mark.parametrize("name", ["play.npz", "drawing.lock", *FAULTS])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, name):
    load(tmp_path)
    path = folder_in(tmp_path) / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match=f"{name} is no file: delete the folder"):
        load(tmp_path)


def test_play_of_another_environment_is_refused(tmp_path):
    load(tmp_path / "a"), load(tmp_path / "b", SHORT)
    ours, theirs = folder_in(tmp_path / "a"), folder_in(tmp_path / "b")
    before = bytes_of(theirs)
    for path in ours.iterdir():
        path.unlink()
    for path in theirs.iterdir():
        (ours / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="of other settings than its name says: delete the folder"):
        load(tmp_path / "a")
    assert bytes_of(ours) == before
    key = str(np.load(ours / "play.npz")["key"])
    assert json.loads(key)["env"] == "DotShort-v0"
    open_pixel_play(ours, key)
    with pytest.raises(UsageError, match="of other settings"):
        open_pixel_play(ours, key.replace("DotShort", "Dot"))


CHANGES = {
    "environment": {"env_id": SHORT},
    "steps": {"steps": 41},
    "seed": {"seed": 1},
    "width": {"source_img_width": 64},
    "pillow": {},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_determines_the_frames_is_part_of_the_key(tmp_path, drawn, monkeypatch, change):
    load(tmp_path)
    if change == "pillow":
        monkeypatch.setattr(PIL, "__version__", "0")
    drawn.clear()
    load(tmp_path, **CHANGES[change])
    assert drawn and len(list(tmp_path.rglob("pixels-*"))) == 2


# ---- what goes wrong ----


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = common.memory.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(common.memory.shutil, "disk_usage", lambda _: usage._replace(free=40 * 12288 - 1))
    with pytest.raises(UsageError, match=r"--steps 40: its frames take 0.0 GB.* use fewer, or another --results_dir"):
        load(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_loses_nothing(tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    random_play_size = 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (random_play_size, hard))
    try:
        with pytest.raises(OSError, match=str(tmp_path)) as error:
            load(tmp_path)
        assert error.value.errno in (errno.EFBIG, errno.ENOSPC)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert same(load(tmp_path), load(tmp_path / "undisturbed"))


def test_a_process_that_dies_is_said(tmp_path):
    with pytest.raises(UsageError, match="a process that draws ended with code 9 .*: call it again"):
        load(tmp_path, "toy_pixel_envs:DotDies-v0", workers=2)


def test_an_environment_that_is_not_deterministic(tmp_path, monkeypatch):
    monkeypatch.setattr(toy_pixel_envs.Dot, "begun", -10_000)
    with pytest.raises(UsageError, match="--env DotMoody-v0: .* ended its random episode 0 after 1 steps"):
        moody = "toy_pixel_envs:DotMoody-v0"
        original = embedding.pixel_play.load_random_play

        def played(*args):
            play = original(*args)
            toy_pixel_envs.Dot.begun = 100
            return play

        monkeypatch.setattr(embedding.pixel_play, "load_random_play", played)
        load(tmp_path, moody)


def test_an_environment_without_pixels_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="--env toy_envs:Walk-v0: it has no pixels"):
        load(tmp_path, "toy_envs:Walk-v0", workers=2)
    assert not list(tmp_path.iterdir())


def test_a_second_process_waits_for_the_first(tmp_path, capsys):
    load(tmp_path)
    with open(folder_in(tmp_path) / "drawing.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        began = time.monotonic()
        load(tmp_path)
    assert time.monotonic() - began > 0.3 and "waiting for it" in capsys.readouterr().out


def test_layout_of_files():
    layout = Layout("folder", [3, 1, 2], 4, 11)
    assert layout.rows == 9 and layout.first.tolist() == [0, 4, 6]
    assert [layout.path(name).name for name in ("frames", "checks")] == ["frames.uint8", "checks.uint64"]

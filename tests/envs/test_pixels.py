"""Pixel observations: exact means, stacks in order, right at resets, of memory of their own, on any MuJoCo environment."""

import gc
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import toy_pixel_envs  # noqa: F401  (registers its environments)
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401  (registers the tasks)
from common.errors import UsageError
from common.paths import REPOSITORY
from common.pixel_environments import make_pixel_env
from envs.pixels import PixelObservation, stack_rows, to_frame
from envs.rendering import RenderingUnavailable, select_gl_backend

MUJOCO = ["ReacherVertical-v2", "Pusher-v2", "HalfCheetah-v5"]
DOT = "toy_pixel_envs:Dot-v0"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Tests run in a folder of their own: MuJoCo logs what it has against HalfCheetah's model."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def opengl():
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


def literal_frame(image, factor):
    """The mean over squares by sums of whole numbers, rounded half up: (3, 64, 64)."""
    sums = np.zeros((64, 64, 3), np.int64)
    for row in range(factor):
        for column in range(factor):
            sums += image[row::factor, column::factor]
    return ((2 * sums + factor**2) // (2 * factor**2)).transpose(2, 0, 1)


# ---- frames ----


@pytest.mark.parametrize("width", [64, 128, 256, 512])
def test_a_frame_is_the_exact_mean(width):
    image = np.random.default_rng(0).integers(0, 256, (width, width, 3), dtype=np.uint8)
    frame = to_frame(image)
    assert (frame.shape, frame.dtype) == ((3, 64, 64), np.uint8)
    assert np.array_equal(frame, literal_frame(image, width // 64))


def test_every_sum_of_a_square_is_rounded_half_up():
    """All 4081 sums that 16 pixels can have, in squares of one frame."""
    found = set()
    for begin in (0, 2040):
        sums = np.minimum(begin + np.arange(64 * 64), 16 * 255)
        pixels = np.clip(sums[:, None] - 255 * np.arange(16), 0, 255).astype(np.uint8)
        image = pixels.reshape(64, 64, 4, 4, 1).transpose(0, 2, 1, 3, 4).reshape(256, 256, 1).repeat(3, axis=2)
        assert np.array_equal(to_frame(image)[1], ((sums + 8) // 16).reshape(64, 64))
        found |= set(sums.tolist())
    assert found == set(range(4081))


def test_an_image_that_is_upside_down_in_memory():
    """OpenGL's rows come from the bottom; MuJoCo environments return a view."""
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert np.array_equal(to_frame(image[::-1]), literal_frame(image[::-1], 4))


# ---- stacks ----


def played(env, seed, actions):
    """Observations of an episode, and the frame of the image drawn at each, (T + 1, 3, 64, 64)."""
    observation, info = env.reset(seed=seed)
    observations, frames, states = [observation], [literal_frame(env.render(), 4)], [info["state"]]
    for action in actions:
        observation, _, _, _, info = env.step(action)
        observations.append(observation)
        frames.append(literal_frame(env.render(), 4))
        states.append(info["state"])
    return np.stack(observations), np.stack(frames), np.stack(states)


@pytest.mark.parametrize("env_id", [DOT, *MUJOCO])
def test_observations_are_the_newest_frames_oldest_first(env_id, opengl):
    env = make_pixel_env(env_id)
    actions = np.random.default_rng(0).uniform(-1, 1, (6, *env.action_space.shape)).astype(np.float32)
    plain = gymnasium.make(env_id)
    for seed in (1, 2):  # the second episode holds nothing of the first
        observations, frames, states = played(env, seed, actions)
        assert observations.dtype == np.uint8 and observations.shape == (7, 12, 64, 64)
        for t, observation in enumerate(observations):
            assert env.observation_space.contains(observation)
            newest = [frames[max(0, t - back)] for back in (3, 2, 1, 0)]
            assert np.array_equal(observation, np.concatenate(newest))
        rows = stack_rows(0, np.arange(7))
        assert np.array_equal(observations, frames[rows].reshape(7, 12, 64, 64))
        assert len(np.unique(frames.reshape(7, -1), axis=0)) == 7
        state, _ = plain.reset(seed=seed)  # drawing changes nothing
        for t, action in enumerate(actions):
            assert np.array_equal(state, states[t])
            state = plain.step(action)[0]
    assert np.array_equal(env.newest, observations[-1][-3:])
    env.close()


def test_stacks_of_frames_that_are_kept_once():
    first, row = np.array([0, 0, 0, 7, 7, 20]), np.array([0, 2, 6, 7, 9, 26])
    wanted = [[0, 0, 0, 0], [0, 0, 1, 2], [3, 4, 5, 6], [7, 7, 7, 7], [7, 7, 8, 9], [23, 24, 25, 26]]
    assert stack_rows(first, row).tolist() == wanted
    assert stack_rows(first, row, 1).tolist() == [[r] for r in row]


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_so_many_frames_as_are_asked_for(frames):
    env = make_pixel_env(DOT, frames=frames)
    assert env.reset(seed=0)[0].shape == env.observation_space.shape == (3 * frames, 64, 64)


def test_observations_do_not_share_memory():
    env = make_pixel_env(DOT)
    kept = [env.reset(seed=0)[0]]
    for _ in range(5):
        kept.append(env.step(env.action_space.sample())[0])
    before = [observation.copy() for observation in kept]
    kept[0][:] = 7
    env.step(env.action_space.sample())
    assert not any(np.shares_memory(a, b) for a in kept for b in kept if a is not b)
    assert all(np.array_equal(a, b) for a, b in zip(kept[1:], before[1:], strict=True))
    kept[-1][:] = 9
    assert not (env.step(env.action_space.sample())[0] == 9).all(axis=(1, 2)).any()


@pytest.mark.parametrize("env_id", [DOT, *MUJOCO])
def test_gymnasium_finds_no_fault(env_id, opengl):
    env = make_pixel_env(env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version")
        warnings.filterwarnings("ignore", ".*recommend using a symmetric and normalized space")
        check_env(env, skip_render_check=True)
    env.close()


# ---- many environments ----


@pytest.mark.parametrize("env_id", ["Pusher-v2", "HalfCheetah-v5"])
def test_side_by_side_and_alone_and_whatever_came_before(env_id, opengl):
    """Also the free camera, which the first image fixes, is where it always is."""
    actions = np.random.default_rng(0).uniform(-1, 1, (3, *gymnasium.make(env_id).action_space.shape))
    wanted = {}
    for seed in (1, 2):
        env = make_pixel_env(env_id)
        wanted[seed], *_ = played(env, seed, actions)
        env.close()
    together = {seed: make_pixel_env(env_id) for seed in (2, 1)}
    found = {seed: [env.reset(seed=seed)[0]] for seed, env in together.items()}
    for action in actions:
        for seed, env in together.items():
            found[seed].append(env.step(action)[0])
    for seed in (1, 2):
        assert np.array_equal(found[seed], wanted[seed])
    together.pop(2).close()
    gc.collect()
    assert np.array_equal(played(together[1], 2, actions)[0], wanted[2])
    together[1].close()


def test_the_camera_track_is_used_where_there_is_one(opengl):
    """gymnasium's own choice is the free camera, which the cheetah walks away from."""
    env = make_pixel_env("HalfCheetah-v5")
    assert env.unwrapped.model.camera(env.unwrapped.mujoco_renderer.camera_id).name == "track"
    env.close()
    env = make_pixel_env("Pusher-v2")
    assert env.unwrapped.mujoco_renderer.camera_id == -1
    env.close()


def test_fewer_pixels_may_be_drawn(opengl):
    images = []
    for width in (64, 256):
        env = make_pixel_env("ReacherVertical-v2", width)
        images.append(env.reset(seed=0)[0].astype(float))
        assert env.render().shape == (width, width, 3)
        env.close()
    assert 0 < np.abs(images[0] - images[1]).mean() < 3  # of 255: edges differ


def test_multisampling_only_where_nothing_is_averaged(opengl):
    """Four samples a drawn pixel, of 16 in a pixel of the frame, change its edges a little, and take three times as long."""
    env, multisampled = (
        make_pixel_env("ReacherVertical-v2"),
        gymnasium.make("ReacherVertical-v2", render_mode="rgb_array", width=256, height=256),
    )
    frame = env.reset(seed=1)[0][-3:].astype(float)
    multisampled.reset(seed=1)
    differences = np.abs(frame - to_frame(multisampled.render()))
    assert 0 < differences.mean() < 0.5 and differences.max() < 32  # of 255
    small = make_pixel_env("ReacherVertical-v2", 64)
    assert [e.unwrapped.mujoco_renderer.viewer.con.offSamples for e in (env, multisampled, small)] == [0, 4, 4]
    for e in (env, multisampled, small):
        e.close()


# ---- what will not do ----

NOT_DRAWN = {
    "Pendulum-v1": "unexpected keyword argument 'width'",
    "toy_envs:Walk-v0": "no render mode rgb_array",
    "toy_pixel_envs:DotGray-v0": "(256, 256, 1)",
    "toy_pixel_envs:DotFloat-v0": "float32 images",
}


@pytest.mark.parametrize("env_id", NOT_DRAWN)
def test_environments_without_pixels(env_id):
    with pytest.raises(UsageError) as error:
        make_pixel_env(env_id, flag="--env")
    line = str(error.value)
    assert line.startswith(f"--env {env_id}: it has no pixels") and NOT_DRAWN[env_id] in line
    assert "use an environment that draws" in line


def test_environments_that_states_refuse_too():
    with pytest.raises(UsageError, match="did you mean ReacherVertical-v2"):
        make_pixel_env("ReacherVertica-v2")
    with pytest.raises(UsageError, match="one-dimensional Box"):
        make_pixel_env("CartPole-v1")


def test_an_environment_that_was_made_without_images():
    with pytest.raises(ValueError, match="render mode is None"):
        PixelObservation(gymnasium.make("ReacherVertical-v2"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="backends are chosen on Linux only")
@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "HalfCheetah-v5"])
def test_without_opengl_one_line_names_the_packages(env_id, tmp_path):
    program = f"""
from common.cli import run
from common.pixel_environments import make_pixel_env
run(lambda: make_pixel_env({env_id!r}))
"""
    environment = {"PYOPENGL_PLATFORM": "none", "PATH": "", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-W", "ignore", "-c", program]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    line = ran.stderr.splitlines()[-1]
    assert f"--env {env_id}: pixels need OpenGL" in line and "libegl1" in line and "libosmesa6" in line
    assert "Traceback" not in ran.stderr

"""Videos that runs record, and those of their policies."""

import imageio_ffmpeg
import numpy as np
import pytest

import rl.evaluate
import rl.main_dyne
import rl.main_td3
from envs.rendering import RenderingUnavailable, select_gl_backend

SHORT = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 2, "batch_size": 32}


@pytest.fixture(scope="module")
def opengl():
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


def frames(path):
    """The number of frames of a video, and the mean difference between its first and its last."""
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    images = [np.frombuffer(image, np.uint8).astype(float) for image in reader]
    assert {len(image) for image in images} == {3 * size[0] * size[1]}
    return len(images), np.abs(images[0] - images[-1]).mean()


def test_videos_are_recorded_during_a_run_and_of_its_policy(opengl, call, tmp_path, tiny):
    decoder = tiny / "ReacherVertical-v2" / "default" / "decoder.pt"
    flags = {"render_freq": 200, "max_timesteps": 300, "eval_episodes": 1, "policy_name": "random-DynE"}
    ran = call(rl.main_dyne.main, results_dir=tmp_path, decoder=decoder, **flags)
    assert ran.code == 0, ran.err
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "random-DynE" / "default"
    assert [path.name for path in (folder / "seed_0" / "videos").iterdir()] == ["200.mp4"]
    count, difference = frames(folder / "seed_0" / "videos" / "200.mp4")
    assert count == 100 and difference > 0.1
    video = tmp_path / "x.mp4"
    ran = call(rl.evaluate.main, folder, threads=None, episodes=2, video=video, video_episodes=1)
    assert ran.code == 0, ran.err
    assert frames(video)[0] >= 100

"""Films of environments that draw in unusual ways, and to files of unusual names; none needs OpenGL."""

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from common import provenance
from common.environments import draws_images
from common.errors import EnvironmentFault, UsageError
from rl.action_spaces import RawActions
from rl.evaluation import frames_a_second, make_video_env, record_video, require_ffmpeg, write_video
from rl.film import WIDEST, Shown, film
from rl.policies import Policy

pytestmark = pytest.mark.quick
IMAGES = [np.full((16, 16, 3), 40 * i, np.uint8) for i in range(4)]


@pytest.fixture
def dot():
    return make_video_env(None, "toy_pixel_envs:Dot-v0", "--video")


def policy():
    actions = RawActions(np.full(1, -1, np.float32), np.full(1, 1, np.float32))
    return Policy("Dot-v0", "random", 0, None, actions, lambda _: np.zeros(1, np.float32))


def seconds(path):
    return imageio_ffmpeg.count_frames_and_secs(str(path))


@pytest.mark.parametrize("name", ["12:30.mp4", "file:x.mp4", "%03d.mp4", "-y.mp4", "a b\n'.mp4"])
def test_a_video_may_have_any_name_in_the_working_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(IMAGES, name, 10)
    assert [path.name for path in tmp_path.iterdir()] == [name] and seconds(tmp_path / name)[0] == 4


@pytest.mark.parametrize("declared", [None, 0, -3, "fast", float("nan"), 1e9])
@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_images_a_second_that_make_no_sense_count_as_30(dot, declared, suffix, tmp_path):
    dot.unwrapped.metadata = {"render_modes": ["rgb_array"], "render_fps": declared}
    assert frames_a_second(dot) == 30
    film([Shown(policy(), dot)], tmp_path / f"x.{suffix}", [0])
    assert (tmp_path / f"x.{suffix}").stat().st_size > 0


@pytest.mark.parametrize("metadata", [None, 3, {"render_modes": 5}])
def test_metadata_that_are_none(dot, metadata):
    dot.unwrapped.metadata = metadata
    assert frames_a_second(dot) == 30 and not draws_images(dot)


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_very_wide_pictures_make_no_film_that_is_larger_than_others(dot, suffix, tmp_path):
    dot.unwrapped.render = lambda: np.zeros((1, 4000, 3), np.uint8)
    film([Shown(policy(), dot)], tmp_path / f"x.{suffix}", [0])
    size = Image.open(tmp_path / "x.gif").size if suffix == "gif" else film_size(tmp_path / "x.mp4")
    assert size[0] == WIDEST and size[1] < 100


def film_size(path):
    return next(imageio_ffmpeg.read_frames(str(path)))["size"]


def test_a_film_that_memory_has_no_room_for_is_refused(dot, tmp_path, monkeypatch):
    """The pictures of an episode before they are drawn, those of the film before they are made."""
    drawn, free = [], iter([10**9, 1000])
    render = dot.unwrapped.render
    monkeypatch.setattr(dot.unwrapped, "render", lambda: drawn.append(1) or render())
    monkeypatch.setattr("common.memory.available_memory", lambda: next(free))
    told = rf"--video {tmp_path}/x.gif, --video_episodes 1: "
    with pytest.raises(UsageError, match=told + r"\d+ pictures of \d+ x \d+ take"):
        film([Shown(policy(), dot)], tmp_path / "x.gif", [0])
    assert not list(tmp_path.iterdir()) and len(drawn) > 1
    drawn.clear()
    monkeypatch.setattr("common.memory.available_memory", lambda: 1000)
    with pytest.raises(UsageError, match=told + "100 more pictures take"):
        film([Shown(policy(), dot)], tmp_path / "x.gif", [0])
    assert not list(tmp_path.iterdir()) and len(drawn) == 1


def test_images_of_another_size_in_another_episode_are_the_environments_fault(dot, tmp_path):
    reset, sizes = dot.unwrapped.reset, iter([16, 17])

    def reset_to_another_size(**kwargs):
        dot.unwrapped.size = next(sizes)
        return reset(**kwargs)

    dot.unwrapped.reset = reset_to_another_size
    dot.unwrapped.render = lambda: np.zeros((dot.unwrapped.size, 16, 3), np.uint8)
    with pytest.raises(EnvironmentFault, match=r"Dot-v0: its render\(\) draws images of several sizes"):
        film([Shown(policy(), dot)], tmp_path / "x.gif", [0, 1])
    assert not list(tmp_path.iterdir())


def test_an_environment_without_render_is_refused_for_it(monkeypatch):
    monkeypatch.setattr("toy_pixel_envs.Dot.render", gymnasium.Env.render)
    with pytest.raises(
        UsageError, match=r"--video: .* cannot be drawn here: NotImplementedError: it has no render\(\)"
    ):
        make_video_env(None, "toy_pixel_envs:Dot-v0", "--video")


@pytest.mark.parametrize("made", [None, "no program\n"])
def test_an_ffmpeg_that_cannot_be_started_is_told_before_anything_runs(made, tmp_path, monkeypatch):
    exe = tmp_path / "ffmpeg"
    if made:
        exe.write_text(made)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(exe))
    with pytest.raises(
        UsageError, match=r"--video: ffmpeg, .* cannot be started .*: unset IMAGEIO_FFMPEG_EXE \(.*/ffmpeg\)"
    ):
        require_ffmpeg("--video")
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    require_ffmpeg("--video")


def test_those_that_an_environment_declares_are_kept(dot):
    assert frames_a_second(dot) == 10


@pytest.mark.parametrize("later", [None, np.zeros((8, 9, 3), np.uint8), np.zeros((16, 16, 3))])
def test_later_images_that_are_none_or_of_another_size_are_the_environments_fault(dot, later, tmp_path):
    drawn = iter([np.zeros((16, 16, 3), np.uint8), later])
    dot.unwrapped.render = lambda: next(drawn)
    with pytest.raises(EnvironmentFault, match=r"Dot-v0: its render\(\) draws"):
        record_video(policy(), dot, tmp_path / "x.mp4", [0])
    assert not list(tmp_path.iterdir())


def test_an_episode_whose_first_observation_is_not_finite_makes_no_video(dot, tmp_path):
    dot.unwrapped.reset = lambda **_: (np.full(1, np.nan), {})
    assert np.isnan(record_video(policy(), dot, tmp_path / "x.mp4", [0])).all()
    assert not list(tmp_path.iterdir())


def test_notes_of_a_command_with_names_that_are_no_text_can_be_written(monkeypatch):
    monkeypatch.setattr("sys.argv", ["rl/evaluate.py", "--out", "\udcff.csv"])
    assert "\\udcff.csv" in provenance.notes({"command": provenance.typed_command()}).encode().decode()

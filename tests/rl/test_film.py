"""Films of policies side by side: what is in their frames, and where they are cut."""

import imageio_ffmpeg
import numpy as np
import pytest
import toy_envs
from PIL import Image

import rl.evaluate
import rl.main_td3
from rl.film import HEIGHTS, STAY, Shown, film

WIDTH, HEIGHT, SIDE = 160, 120, 10


class Drawn(toy_envs.Walk):
    """Walk whose point is a red square on grey; it stays in the columns 40 to 60, and ends after `length` steps."""

    metadata = {"render_fps": 20, "render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, length):
        super().__init__()
        self.length = length

    def step(self, action):
        position, _, _, _, info = super().step(action)
        return position, -1.5, self.taken == self.length, False, info

    def render(self):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        left = 40 + min(self.taken, 10)
        image[50 : 50 + SIDE, left : left + SIDE] = (250, 20, 20)
        return image


class Still:
    """A policy that does not act."""

    def __init__(self, method):
        self.method = method

    def reset(self):
        pass

    def select_action(self, observation):
        return np.zeros(2, np.float32)


@pytest.fixture
def shown():
    return [Shown(Still("TD3"), Drawn(12)), Shown(Still("DynE-TD3"), Drawn(20))]


def test_policies_stand_side_by_side_until_the_longer_one_ends(shown, tmp_path):
    assert film(shown, tmp_path / "x.mp4", [0, 1]) == [[-18.0, -18.0], [-30.0, -30.0]]
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "x.mp4"))
    width, height = next(reader)["size"]
    images = [np.frombuffer(image, np.uint8).reshape(height, width, 3).astype(int) for image in reader]
    assert len(images) == 2 * (20 + round(STAY * 20))
    assert height > HEIGHTS[".mp4"] and width % 2 == height % 2 == 0
    # Cropped to what moves, columns 40 to 60 of 160 and 10 rows of 120 with a margin: the square is a large part of it.
    red = (images[0][..., 0] > 180) & (images[0][..., 1] < 90)
    assert 0.05 < red[:, : width // 2].mean() < 0.4 and 0.05 < red[:, width // 2 :].mean() < 0.4
    caption = height - HEIGHTS[".mp4"]
    for half in (slice(width // 2), slice(width // 2, None)):
        assert images[0][:caption, half].min() < 120 and np.median(images[0][:caption, half]) > 240
    assert np.abs(images[13] - images[19])[caption:, : width // 2].mean() < 1  # the shorter one waits
    assert np.abs(images[2] - images[9])[caption:].mean() > 2


def test_a_gif_repeats_itself_at_a_speed_that_browsers_show(shown, tmp_path):
    film(shown, tmp_path / "x.gif", [0])
    image = Image.open(tmp_path / "x.gif")
    assert image.is_animated and image.info["loop"] == 0 and image.info["duration"] == 50
    for one in shown:
        one.env.metadata = {"render_fps": 100}
    film(shown, tmp_path / "y.gif", [0])
    fast = Image.open(tmp_path / "y.gif")
    assert fast.info["duration"] == 40 and (tmp_path / "y.gif").stat().st_size < (tmp_path / "x.gif").stat().st_size * 2


def test_small_things_keep_their_colours_in_a_gif(tmp_path):
    brown, red = (90, 60, 30), (220, 40, 40)

    class Colourful(Drawn):
        def render(self):
            across, down = np.meshgrid(np.linspace(150, 230, WIDTH), np.linspace(120, 255, HEIGHT))
            image = np.stack([across * 0.6, across, down], axis=2).astype(np.uint8)  # water, in which there are
            image[40:46, 50:56], image[60:66, 80:86] = brown, red  # a boat and a buoy
            image[:, 100 + min(self.taken, 10)] = 0
            return image

    film([Shown(Still("TD3"), Colourful(20))], tmp_path / "x.gif", [0], whole=True)
    image = np.asarray(Image.open(tmp_path / "x.gif").convert("RGB")).astype(int)
    scale = HEIGHTS[".gif"] / HEIGHT
    caption = image.shape[0] - HEIGHTS[".gif"]
    for (row, column), color in (((43, 53), brown), ((63, 83), red)):
        found = image[caption + round(row * scale), round(column * scale)]
        assert np.abs(found - color).max() <= 30, (found, color)


def test_a_file_that_cannot_be_written_is_told(shown, tmp_path):
    for name in ("x.gif", "x.mp4"):
        with pytest.raises(OSError):
            film(shown, tmp_path / "none" / name, [0])


def test_pictures_in_which_nothing_moves_are_whole(tmp_path):
    class Frozen(Drawn):
        def render(self):
            return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)

    film([Shown(Still("TD3"), Frozen(3))], tmp_path / "x.gif", [0])
    image = Image.open(tmp_path / "x.gif")
    assert image.width == pytest.approx(HEIGHTS[".gif"] * WIDTH / HEIGHT, abs=2)


def test_whole_pictures_are_shown_where_that_is_asked(shown, tmp_path):
    film(shown[:1], tmp_path / "x.gif", [0], whole=True)
    image = Image.open(tmp_path / "x.gif")
    assert image.width == pytest.approx(HEIGHTS[".gif"] * WIDTH / HEIGHT, abs=2)


def test_runs_of_two_environments_are_not_played_together(call, tmp_path):
    runs = []
    for env in ("Pendulum-v1", "ReacherVertical-v2"):
        flags = {"env": env, "max_timesteps": 100, "eval_episodes": 1, "policy_name": "random", "results_dir": tmp_path}
        assert call(rl.main_td3.main, **flags).code == 0
        runs.append(tmp_path / "rl" / env / "random" / "default")
    refused = call(rl.evaluate.main, *runs, threads=None)
    assert refused.code == 2 and "evaluate them one by one" in refused.err

"""Films of policies: several side by side from the same starts, each with its name and its return so far."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from common.files import put_in_place
from common.memory import require_memory
from rl.evaluation import frames_a_second, play, several_sizes, write_video
from rl.methods import METHODS
from rl.policies import Policy

SUFFIXES = (".mp4", ".gif")
HEIGHTS = {".mp4": 360, ".gif": 280}  # of a picture, pixels
WIDEST = 1920  # width of a picture, pixels
CPU = torch.device("cpu")
CAPTION = 0.11  # height of a caption, as a share of the picture's
MOVED = 24  # least difference of a colour (of 255) by which two pictures differ at a place
GAP = 6  # pixels between two pictures
MARGIN = 0.06  # of the picture, left around what moves
GIF_FPS = 25  # at most: browsers slow down faster ones
AT_ONCE = 100  # pictures that memory is asked for at once, before they are drawn
STAY = 0.6  # seconds that the end of an episode stays


class Shown(NamedTuple):
    """A policy that is filmed, and the environment it is filmed in, made with `render_mode="rgb_array"`."""

    policy: Policy
    env: gymnasium.Env


def film(shown: Sequence[Shown], path: str | Path, seeds: Sequence[int], whole: bool = False) -> list[list[float]]:
    """Plays an episode for every reset seed with every policy and films them side by side, episode after episode.

    An episode that is over waits for the longest one.

    Args:
        path: the file, of one of `SUFFIXES`; it appears whole or not at all.
        whole: whether whole pictures are shown; else they are cropped to what moves in them.
    Returns:
        The returns, a list of one a seed for each policy.
    Raises:
        EnvironmentFault: pictures are of several sizes.
        UsageError: the film has no room in memory.
        OSError: it could not be written.
    """
    asked = f"--video {path}, --video_episodes {len(seeds)}: {AT_ONCE} more pictures"
    played = [[_episode(one, seed, asked) for seed in seeds] for one in shown]
    suffix, fps = Path(path).suffix, frames_a_second(shown[0].env)
    images = [frame for of in played for images, _ in of for frame in images]
    if len({image.shape for image in images}) > 1:
        raise several_sizes(shown[0].env)
    left, top, right, bottom = (0, 0, images[0].shape[1], images[0].shape[0]) if whole else _moving(images)
    height = HEIGHTS[suffix]
    ratio, above = (right - left) / (bottom - top), round(CAPTION * height)
    height = max(min(height, round(WIDEST / ratio)), above)  # a picture that is very wide is less high
    width = min(max(1, round(height * ratio)), WIDEST)
    size = _even(len(shown) * (width + GAP) - GAP), _even(height + above)
    lengths = [max(len(images) for images, _ in episodes) for episodes in zip(*played, strict=True)]
    count = sum(lengths) + len(lengths) * round(STAY * fps)
    told = f"--video {path}, --video_episodes {len(seeds)}: {count} pictures of {size[0]} x {size[1]}"
    require_memory({told: 6 * count * size[0] * size[1]}, CPU)
    frames: list[Image.Image] = []
    for length, episodes in zip(lengths, zip(*played, strict=True), strict=True):
        for step in [*range(length), *[length - 1] * round(STAY * fps)]:
            frame = Image.new("RGB", size, "white")
            for place, (one, (images, returns)) in enumerate(zip(shown, episodes, strict=True)):
                now = min(step, len(images) - 1)
                picture = Image.fromarray(images[now]).crop((left, top, right, bottom))
                frame.paste(
                    picture.resize((width, height), Image.Resampling.LANCZOS),
                    (place * (width + GAP), frame.height - height),
                )
                _caption(frame, one, returns[now], place * (width + GAP), width, frame.height - height)
            frames.append(frame)
    if suffix == ".gif":
        _write_gif(frames, path, fps)
    else:
        write_video([np.asarray(frame) for frame in frames], path, fps)
    return [[returns[-1] for _, returns in of] for of in played]


def _even(length: int) -> int:
    """Videos have even widths and heights."""
    return length + length % 2


def _episode(one: Shown, seed: int, asked: str) -> tuple[list[np.ndarray], list[float]]:
    """The images (H, W, 3) uint8 of an episode, and the return after each of its steps.

    Args:
        asked: what needs memory, for the message.
    Raises:
        UsageError: its pictures have no room in memory.
    """
    images: list[np.ndarray] = []
    counted = _Counted(one.env, asked)
    play(one.policy, counted, seed, images)
    return images, counted.returns


class _Counted(gymnasium.Wrapper):
    """An environment that remembers the return after each step of an episode, and counts the memory that its pictures will take.

    Args:
        asked: what needs this memory, for the message.
    """

    def __init__(self, env: gymnasium.Env, asked: str) -> None:
        super().__init__(env)
        self._asked, self._drawn = asked, 0
        self.returns: list[float] = []

    def reset(self, **kwargs):  # type: ignore[no-untyped-def]
        self.returns = []
        return self.env.reset(**kwargs)

    def render(self):  # type: ignore[no-untyped-def]
        picture = self.env.render()
        if self._drawn % AT_ONCE == 0 and isinstance(picture, np.ndarray):
            require_memory({self._asked: picture.nbytes * AT_ONCE}, CPU)
        self._drawn += 1
        return picture

    def step(self, action):  # type: ignore[no-untyped-def]
        result = self.env.step(action)
        self.returns.append(sum(self.returns[-1:]) + float(result[1]))
        return result


def _moving(images: Sequence[np.ndarray]) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of images (H, W, 3) in which they differ, with a margin; else all of them."""
    low, high = images[0].copy(), images[0].copy()
    for image in images[1:]:
        np.minimum(low, image, out=low)
        np.maximum(high, image, out=high)
    rows, columns = np.nonzero((high - low).max(axis=2) >= MOVED)
    height, width = low.shape[:2]
    if not len(rows):
        return 0, 0, width, height
    margin = round(MARGIN * max(height, width))
    return (
        max(0, int(columns.min()) - margin),
        max(0, int(rows.min()) - margin),
        min(width, int(columns.max()) + 1 + margin),
        min(height, int(rows.max()) + 1 + margin),
    )


def _caption(frame: Image.Image, one: Shown, value: float, left: int, width: int, height: int) -> None:
    """Writes a policy's name, in the colour of its method, and its return so far above its picture."""
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(round(0.62 * height))
    method = METHODS.get(one.policy.method)
    color = method.color if method else "black"
    draw.text((left + height // 4, height / 2), one.policy.method, color, font, anchor="lm")
    draw.text((left + width - height // 4, height / 2), f"return {value:.1f}", "black", font, anchor="rm")


def _write_gif(frames: Sequence[Image.Image], path: str | Path, fps: float) -> None:
    """Writes an animation that repeats itself; of faster frames only so many a second that browsers can show."""
    every = max(1, round(fps / GIF_FPS))
    kept = frames[::every]
    sample = Image.new("RGB", (kept[0].width, 8 * kept[0].height))
    for place in range(8):
        sample.paste(kept[place * len(kept) // 8], (0, place * kept[0].height))
    # The ordinary choice of colours, the median cut, loses those of small things, such as a target's.
    colors = sample.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=1)
    images = [frame.quantize(palette=colors, dither=Image.Dither.NONE) for frame in kept]
    try:
        with put_in_place(path) as temporary:
            images[0].save(
                temporary, "GIF", save_all=True, append_images=images[1:], duration=round(1000 * every / fps), loop=0
            )
    except OSError as error:
        raise OSError(error.errno or errno.EIO, "the film could not be written", str(path)) from error

"""Environments that are observed in pixels, made from what the command line names."""

import argparse
import os

import gymnasium

from common.environments import draws_images, make_env
from common.errors import EnvironmentFault, UsageError
from envs.pixels import FRAMES, SIZE, SOURCE_WIDTH, SOURCE_WIDTHS, PixelObservation
from envs.rendering import RenderingUnavailable, select_gl_backend


def add_pixel_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says how images are drawn."""
    parser.add_argument(
        "--source_img_width",
        type=int,
        choices=SOURCE_WIDTHS,
        default=SOURCE_WIDTH,
        help=f"width drawn, then averaged to {SIZE}; less is faster",
    )


def make_pixel_env(
    env_id: str, source_img_width: int = SOURCE_WIDTH, frames: int = FRAMES, flag: str = "--env"
) -> PixelObservation:
    """Makes an environment that observes its newest frames, (3 * frames, 64, 64) uint8; see `PixelObservation`.

    Args:
        env_id: a registered id, or `module:id`, of an environment that takes `render_mode`, `width` and `height`, as
            those of this project and gymnasium's MuJoCo environments do.
        source_img_width: the width and height of the images drawn, pixels.
        flag: the flag that is named if the environment will not do.
    Raises:
        UsageError: unknown id, spaces that DynE cannot work with, no images, or no OpenGL here; of what the environment
            raises, `EnvironmentFault`.
    """
    size = {"width": source_img_width, "height": source_img_width}
    way_out = "use an environment that draws rgb_array of a given width and height, as MuJoCo's do"
    if not draws_images(make_env(env_id, flag)):
        raise UsageError(f"{flag} {env_id}: it has no pixels, no render mode rgb_array: {way_out}")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's own threads compete with the processes beside this one
    try:
        select_gl_backend()
        return PixelObservation(make_env(env_id, flag, render_mode="rgb_array", **size), frames)
    except RenderingUnavailable as error:
        raise UsageError(f"{flag} {env_id}: pixels need OpenGL: {error}") from error
    except EnvironmentFault as error:
        if error.call or not isinstance(error.__cause__, TypeError):
            raise
        raise UsageError(f"{flag} {env_id}: it has no pixels: {error.__cause__}: {way_out}") from error
    except (TypeError, ValueError, AttributeError, gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"{flag} {env_id}: it has no pixels: {error}: {way_out}") from error

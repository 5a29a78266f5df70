"""Pictures of what an image model predicts, as it trains: PNG files in the run's folder `render/`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from common.files import write_atomically
from envs.pixels import SIZE

GAP = 2  # white pixels between images
ZOOM = 2  # of the contact sheet
HEADING = 24  # height of a heading on it, pixels
WHITE = 255


def grid(rows: Sequence[np.ndarray]) -> np.ndarray:
    """One image of many.

    Args:
        rows: list of (columns, 3, 64, 64) uint8 arrays; columns may differ.
    Returns:
        (H, W, 3) uint8, white where there is nothing.
    """
    columns = max(len(row) for row in rows)
    step = SIZE + GAP
    sheet = np.full((len(rows) * step - GAP, columns * step - GAP, 3), WHITE, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            sheet[i * step : i * step + SIZE, j * step : j * step + SIZE] = image.transpose(1, 2, 0)
    return sheet


def to_bytes(unit: torch.Tensor) -> np.ndarray:
    """A tensor of values in [0, 1] as a uint8 array."""
    return (unit.clamp(0, 1) * 255).round().byte().cpu().numpy()


class Renders:
    """The pictures of one training.

    `epoch_<n>.png`, a row for each of some fixed observations: what goes in | what should come out | what does;
    `samples_<n>.png`, what comes of z ~ N(0, I); `observations.png`, observations as they are; `latest.png`, the newest
    of the first two kinds on one sheet, enlarged, under headings.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "render"

    def write(self, name: str, sheet: np.ndarray) -> None:
        """Writes (H, W, 3) uint8 as a PNG."""
        self.folder.mkdir(exist_ok=True)
        write_atomically(self.folder / name, lambda file: Image.fromarray(sheet).save(file, "PNG"))

    def observations(self, rows: Sequence[np.ndarray]) -> None:
        """Writes observations, a list of (frames, 3, 64, 64) uint8 arrays."""
        self.write("observations.png", grid(rows))

    def epoch(
        self,
        number: int,
        rows: Sequence[np.ndarray],
        samples: Sequence[np.ndarray],
        headings: Sequence[tuple[str, int]],
        keep_samples: bool,
    ) -> None:
        """Writes the pictures of an epoch and the contact sheet of both.

        Args:
            number: the epoch's.
            rows, samples: lists of (columns, 3, 64, 64) uint8 arrays.
            headings: what stands above the parts of a row, and how many columns each part has; a column lies between.
            keep_samples: whether the samples get a file of their own.
        """
        self.write(f"epoch_{number:04}.png", grid(rows))
        if keep_samples:
            self.write(f"samples_{number:04}.png", grid(samples))
        parts = _headed(grid(rows), headings), _headed(grid(samples), [("samples of the prior, z ~ N(0, I)", 0)])
        width = max(part.shape[1] for part in parts)
        widths = [((0, 0), (0, width - part.shape[1]), (0, 0)) for part in parts]
        padded = [np.pad(part, wanted, constant_values=WHITE) for part, wanted in zip(parts, widths, strict=True)]
        self.write("latest.png", np.concatenate(padded))


def _headed(sheet: np.ndarray, headings: Sequence[tuple[str, int]]) -> np.ndarray:
    """A sheet (H, W, 3), enlarged, below a line of headings, each at the first column of its part; see `Renders.epoch`."""
    large = sheet.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    line = Image.new("RGB", (large.shape[1], HEADING), "white")
    column = 0
    for text, columns in headings:
        place = column * (SIZE + GAP) * ZOOM, 2
        ImageDraw.Draw(line).text(place, text, fill="black", font=ImageFont.load_default(size=HEADING - 8))
        column += columns + 1
    return np.concatenate([np.asarray(line), large])

"""Charts as files, and in the notebook."""

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from altair.typing import ChartType
from PIL import Image

from common.errors import DISK_FULL, UsageError
from common.files import write_atomically


def save(chart: ChartType, *paths: str | Path) -> None:
    """Draws a chart into .png files, 2 pixels a point, and .svg files; each appears whole or not at all.

    Raises:
        UsageError: one cannot be written.
        OSError: the disk is full.
    """
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    for path in paths:
        _write(path, svg.encode() if Path(path).suffix == ".svg" else _png(svg)[0])


def _write(path: str | Path, drawn: bytes) -> None:
    try:
        write_atomically(path, lambda file: file.write(drawn))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UsageError(f"{path}: it cannot be written ({error.strerror})") from error


def _png(svg: str) -> tuple[bytes, dict[str, int]]:
    """A drawn chart as a png file in 256 colours, 2 pixels a point, and its width and height in points."""
    file, drawn = io.BytesIO(), io.BytesIO(vl_convert.svg_to_png(svg, scale=2))
    image = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(file, format="png", optimize=True)
    return file.getvalue(), {"width": image.width // 2, "height": image.height // 2}


VEGA_LITE = "application/vnd.vegalite.v5+json"  # that Jupyter draws itself, offline, of notebooks not trusted too


def show(chart: ChartType) -> None:
    """In a notebook: the interactive chart; where nothing draws it, as on GitHub, an image of it."""
    from IPython import display

    spec = chart.to_dict()
    png, size = _png(vl_convert.vegalite_to_svg(spec))
    spec = compact(spec)
    bundle = {VEGA_LITE: spec, "image/png": base64.b64encode(png).decode(), "text/plain": "a chart"}
    display.display(bundle, raw=True, metadata={"image/png": size})


def compact(spec: dict[str, Any]) -> dict[str, Any]:
    """A specification for Jupyter's Vega-Lite 5, its data as text of comma-separated values: a tenth of their JSON."""
    tables = {name: pd.DataFrame(rows) for name, rows in spec["datasets"].items()}
    formats = {
        name: {"type": "csv", "parse": {str(column): "number" for column in table.select_dtypes("number")}}
        for name, table in tables.items()
    }
    texts = {
        name: table.to_csv(index=False, float_format="%.5g", lineterminator="\n") for name, table in tables.items()
    }

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(one) for one in part]
        if not isinstance(part, dict):
            return part
        named = {"format": formats[part["name"]]} if [*part] == ["name"] and part["name"] in formats else {}
        return {key: walk(value) for key, value in part.items()} | named

    schema = "https://vega.github.io/schema/vega-lite/v5.json"
    return walk({key: value for key, value in spec.items() if key != "datasets"}) | {
        "datasets": texts,
        "$schema": schema,
    }

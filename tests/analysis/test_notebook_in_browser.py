"""The committed notebook in Jupyter, seen in a real browser without internet, as one who has just cloned it sees it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import urllib.request

import nbformat
import pytest
from browser import CHROMIUM, browse, wait_for

from analysis.charts import COLORS
from analysis.drawing import VEGA_LITE
from common.paths import REPOSITORY

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
NOTEBOOK = REPOSITORY / "rl_plots.ipynb"
CHARTS = ".jp-RenderedVegaCommon5 canvas"
# Each chart's number of coloured pixels.
COLORED = f"""[...document.querySelectorAll("{CHARTS}")].map(canvas => {{
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4)
        count += Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) - Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) > 60;
    return count;
}})"""
# The place in the window of a pixel of a colour in the lower right third of a chart, which is scrolled there.
PLACE = f"""(() => {{
    const canvas = document.querySelectorAll("{CHARTS}")[%d], [red, green, blue] = %s;
    canvas.scrollIntoView({{block: "end", behavior: "instant"}});
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let y = Math.round(canvas.height / 2); y < canvas.height; y++)
        for (let x = Math.round(canvas.width * 0.8); x < canvas.width; x++) {{
            const i = 4 * (y * canvas.width + x);
            if (pixels[i] == red && pixels[i + 1] == green && pixels[i + 2] == blue)
                return [box.left + x / scale, box.top + y / scale];
        }}
}})()"""
TOLD = """Object.fromEntries([...document.querySelectorAll("#vg-tooltip-element.visible tr")].map(
    row => [...row.cells].map(cell => cell.textContent.trim())))"""


@contextlib.contextmanager
def jupyter(folder):
    """Within `with`, the address of a Jupyter of its own, whose files are in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    with open(folder / "jupyter.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--IdentityProvider.token=", "--ServerApp.port_retries=0"],
            cwd=folder,
            env=os.environ | places,
            stdout=log,
            stderr=log,
        )

    def answers():
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status") as answer:
            return answer.status == 200

    try:
        wait_for(answers)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The notebook's page, all of its charts there."""
    folder, profile = tmp_path_factory.mktemp("notebook"), tmp_path_factory.mktemp("browser")
    shutil.copy(NOTEBOOK, folder)
    outputs = [o for cell in nbformat.read(NOTEBOOK, as_version=4).cells for o in cell.get("outputs", [])]
    charts = sum(VEGA_LITE in output.get("data", {}) for output in outputs)
    assert charts >= 8
    with jupyter(folder) as address, browse(profile) as page:
        page.send("Page.navigate", url=f"{address}/notebooks/{NOTEBOOK.name}")
        wait_for(lambda: page.run(f"document.querySelectorAll('{CHARTS}').length") == charts)
        yield page


def test_every_chart_is_drawn_without_internet(page):
    assert all(count > 500 for count in page.run(COLORED))
    assert (
        page.run("document.querySelectorAll('.vega-embed .error, .jp-RenderedText[data-mime-type*=stderr]').length")
        == 0
    )
    assert [url for url in page.requested if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


def test_each_chart_is_shown_once_and_nothing_in_a_box_that_scrolls(page):
    images = page.run("document.querySelectorAll('.jp-OutputArea img').length")
    assert images == 1  # the tasks of figures 6 and 7: no image repeats a chart
    assert page.run("document.querySelectorAll('.jp-mod-outputsScrolled').length") == 0


def test_a_point_tells_the_name_of_its_method(page):
    red = [int(COLORS["DynE-TD3"][i : i + 2], 16) for i in (1, 3, 5)]

    def told():
        page.point_at(*page.run(PLACE % (1, red)))  # the second chart is figure 4, its last panel Thrower
        return page.run(TOLD)

    wait_for(lambda: told().get("method") == "DynE-TD3", 20)  # the page may still move
    found = told()
    assert found["method"] == "DynE-TD3" and found["seeds"][:1].isdigit(), found
    assert float(found["mean"].replace("\N{MINUS SIGN}", "-")) < 0 < int(found["steps"].replace(",", ""))

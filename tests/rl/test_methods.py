"""The registry of methods: every row works, and a new row is all that a new method takes."""

import argparse
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import toy_agents

import embedding.probe
import rl.main_td3
from analysis import charts, curves, publish
from common.paths import REPOSITORY
from rl.methods import CONTROLS, METHODS, Method, methods_of
from rl.policies import load_policy

pytestmark = pytest.mark.quick
FLAGS = {"env": "Pendulum-v1", "max_timesteps": 400, "eval_freq": 200, "eval_episodes": 1, "batch_size": 16}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_row_names_what_there_is(method):
    script = importlib.import_module(f"rl.{Path(method.script).stem}")
    assert isinstance(script.parse([]), argparse.Namespace)
    assert not method.agent or callable(pkgutil.resolve_name(method.agent))
    assert re.fullmatch("#[0-9a-f]{6}", method.color)
    assert method.sees in ("observations", "pixels", "vae", "frames", "nothing")
    assert method.acts_in in ("raw", "decoder", *CONTROLS)


def lab(color):
    """A colour, hex, in CIELAB, where distances are about as people see them; 2 is just seen."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colors_differ():
    names = list(METHODS)
    places = np.array([lab(METHODS[name].color) for name in names])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1000 * np.eye(len(names))
    first, second = np.unravel_index(apart.argmin(), apart.shape)
    assert apart.min() > 12, f"{names[first]} and {names[second]} look alike: choose another color"
    for baseline in ("SAC", "TD3"):
        assert apart[names.index("DynE-TD3"), names.index(baseline)] > 60


def test_encoders_have_the_colors_of_the_methods_that_see_by_them():
    of = {"DynE": "S-DynE-TD3", "VAE": "VAE-TD3", "pixels": "Pixel-TD3"}
    assert {name: METHODS[method].color for name, method in of.items()} == embedding.probe.COLORS


def test_a_new_method_is_a_row_and_a_class(call, tmp_path, monkeypatch):
    row = Method("Doubtful-TD3", "main_td3.py", "toy_agents:DoubtfulTD3", "observations", "raw", "#123456")
    monkeypatch.setitem(METHODS, row.name, row)
    assert row.name in methods_of("main_td3.py")
    for name in (row.name, "TD3"):
        ran = call(rl.main_td3.main, policy_name=name, results_dir=tmp_path, **FLAGS)
        assert ran.code == 0, ran.err
    run = tmp_path / "rl" / "Pendulum-v1" / row.name / "default"
    ours, td3 = (curves.load_run(folder).mean_return for folder in (run, run.parent.parent / "TD3" / "default"))
    assert ours[0] == td3[0] and ours.iloc[-1] != td3.iloc[-1]  # the same beginning; its targets are its own
    policy = load_policy(run)
    assert policy.method == row.name
    assert policy.select_action(np.zeros(3, np.float32)).shape == (1,)
    of_seed = publish.load_flags(run / "seed_0" / "eval.csv")
    (command,) = publish.rebuild_commands(row.name, [of_seed])
    assert "rl/main_td3.py" in command and f"--policy_name {row.name}" in command
    loaded = curves.load_runs(tmp_path)
    assert list(curves.series_of(loaded).values()) == ["TD3", row.name]
    assert charts.COLORS["TD3"] == METHODS["TD3"].color
    assert toy_agents.DoubtfulTD3.learns


def test_the_page_shows_this_very_class():
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    source = Path(toy_agents.__file__).read_text()
    assert source[source.index("class") :].strip() in page
    assert 'Method("Doubtful-TD3", "main_td3.py", ' in page

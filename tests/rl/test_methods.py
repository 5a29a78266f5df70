"""The registry of methods: every row works, and a new row is all that a new method takes."""

import argparse
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import toy_agents

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


def test_colors_differ():
    assert len({method.color for method in METHODS.values()}) == len(METHODS)


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

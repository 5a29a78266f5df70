"""The registry of methods: every row works, and a new row is all that a new method takes."""

import argparse
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_agents
from same_runs import assert_same

import embedding.probe
import rl.evaluate
import rl.main_td3
import rl.methods
from analysis import charts, curves, publish
from analysis.finished_seeds import load_flags
from common import checkpoint
from common.checkpoint import CheckpointError
from common.mlp import MLP, row_length
from common.paths import REPOSITORY
from rl.methods import CONTROL_SPACES, METHODS, Method, methods_of
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
    assert method.acts_in in ("raw", "decoder", *CONTROL_SPACES)


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


def test_what_a_script_trains_by_default_does_not_depend_on_the_order_of_rows(monkeypatch):
    row = Method("Doubtful-TD3", "main_td3.py", "toy_agents:DoubtfulTD3", "observations", "raw", "#123456")
    monkeypatch.setattr(rl.methods, "METHODS", {row.name: row, **METHODS})
    assert methods_of("main_td3.py")[0] == row.name
    flags = vars(rl.main_td3.parse(["--env", "Pendulum-v1"]))
    assert flags["policy_name"] == "TD3"


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
    of_seed = load_flags(run / "seed_0" / "eval.csv")
    (command,) = publish.rebuild_commands(row.name, [of_seed])
    assert "rl/main_td3.py" in command and f"--policy_name {row.name}" in command
    loaded = curves.load_runs(tmp_path)
    assert list(curves.series_of(loaded).values()) == ["TD3", row.name]
    assert charts.COLORS["TD3"] == METHODS["TD3"].color
    assert toy_agents.DoubtfulTD3.learns


def method_of(agent):
    return Method(
        f"New-{agent.__name__}", "main_td3.py", f"toy_agents:{agent.__name__}", "observations", "raw", "#123456"
    )


@pytest.mark.parametrize("agent", [toy_agents.SoftsignTD3, toy_agents.ConstantTD3], ids=lambda agent: agent.__name__)
def test_an_agents_own_policy_is_trained_resumed_and_loaded(call, tmp_path, monkeypatch, agent):
    row = method_of(agent)
    monkeypatch.setitem(METHODS, row.name, row)
    flags = {**FLAGS, "policy_name": row.name, "results_dir": tmp_path}
    for name, stops in (("whole", [400]), ("parts", [200, 400])):
        for steps in stops:
            ran = call(rl.main_td3.main, "--resume", **flags | {"max_timesteps": steps, "name": name})
            assert ran.code == 0, ran.err
    run = tmp_path / "rl" / "Pendulum-v1" / row.name
    assert_same(run / "whole", run / "parts")
    ran = call(rl.evaluate.main, run / "whole", threads=None, episodes=1)
    assert ran.code == 0 and f"{row.name} seed 0: return " in ran.out
    policy, state = load_policy(run / "whole"), np.array([0.3, -0.2, 4.0], np.float32)
    content = checkpoint.load(run / "whole" / "seed_0" / "checkpoint.pt", "run")
    weights = content["agent"]["actor"]["weights"][None]
    mlp = MLP(weights, [3, 400, 300, 1])
    if agent is toy_agents.SoftsignTD3:
        output = mlp.forward(torch.from_numpy(state)[None, None])[0].item()
        wanted = 2 * output / (1 + abs(output))
    else:
        wanted = 2 * np.tanh(mlp.forward(torch.zeros(1, 1, 3))[0].item())
    assert policy.select_action(state) == pytest.approx([wanted], rel=1e-5)


def test_a_method_that_is_not_known_here_is_named(call, tmp_path, monkeypatch):
    row = method_of(toy_agents.SoftsignTD3)
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, row.name, row)
        assert call(rl.main_td3.main, policy_name=row.name, results_dir=tmp_path, **FLAGS).code == 0
    run = tmp_path / "rl" / "Pendulum-v1" / row.name / "default"
    with pytest.raises(CheckpointError, match=f"its method, {row.name}, has no row in rl/methods.py: add its row"):
        load_policy(run)


def test_softsigns_gradient_is_autograds():
    rows, state = torch.randn(2, row_length([3, 5, 2]), dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    center, scale = torch.tensor([0.5, 0.0], dtype=torch.float64), torch.tensor([2.0, 1.0], dtype=torch.float64)
    action, trace = toy_agents.SoftsignActor(MLP(rows, [3, 5, 2]), center, scale).forward(state)
    found = toy_agents.SoftsignActor(MLP(rows, [3, 5, 2]), center, scale).backward(trace, action.cos())
    followed = toy_agents.SoftsignActor(MLP(rows.requires_grad_(), [3, 5, 2]), center, scale)(state)
    (wanted,) = torch.autograd.grad(followed.sin().sum(), rows)
    assert torch.allclose(torch.cat([part.flatten(1) for part in found], dim=1), wanted)


@pytest.mark.parametrize("agent", [toy_agents.DoubtfulTD3, toy_agents.SoftsignActor, toy_agents.SoftsignTD3])
def test_the_page_shows_this_very_class(agent):
    page = (REPOSITORY / "docs" / "own-algorithm.md").read_text()
    assert inspect.getsource(agent).strip() in page
    assert 'Method("Doubtful-TD3", "main_td3.py", ' in page

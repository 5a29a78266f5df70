"""The benchmarks run, say what they claim, and count the matrix products of an update as torch counts them."""

import importlib
import json
import math
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import can_draw
from torch.utils.flop_counter import FlopCounterMode

import common.mlp
from embedding import main as embedding_main
from embedding.decoder import ActionDecoder
from embedding.decoder_training import DecoderTraining
from embedding.encoder_training import EncoderTraining
from embedding.models import ActionEncoder, Predictor
from embedding.random_play import Windows
from rl.action_spaces import DynEActions, RawActions
from rl.agents import Agents
from rl.dyne_td3 import DynETD3
from rl.methods import METHODS
from rl.replay import Replay
from rl.td3 import TD3

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
CPU = torch.device("cpu")
LOW, HIGH = np.full(2, -1, np.float32), np.full(2, 1, np.float32)


CLAIMS = {"updates": 5, "against": 2, "evaluation_share": 2, "embedding_stages": 3, "pixels": 5 if can_draw() else 3}
if find_spec("ray"):
    CLAIMS["scheduler"] = 1
if can_draw():
    CLAIMS["pixel_agents"] = 7
SPEEDS = {
    "updates": {"TD3", "DynE-TD3"},
    "embedding_stages": {"main.py"},
    "pixels": {"main_pixels.py", "main_vae.py"},
    "pixel_agents": {"SA-DynE-TD3", "S-DynE-TD3", "Pixel-TD3", "VAE-TD3"},
}
ANOTHER = "## Another\n\n    python benchmarks/another.py\n"  # a section of results


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports a module of benchmarks/, which is no package: its scripts have their own folder on the path."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


# ---- the scripts ----


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_script_says_what_it_claims(tmp_path, benchmark_module, name):
    """Run by run_all.py at tiny sizes, from a folder outside the repository."""
    results = tmp_path / "RESULTS.md"
    results.write_text(f"# Benchmarks\n\n{ANOTHER}")
    command = [sys.executable, BENCHMARKS / "run_all.py", "--quick", "--only", name, "--out", "RESULTS.md"]
    command += ["--json_dir", ".", "--results_dir", "."]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    content, text = json.loads((tmp_path / f"{name}.json").read_text()), results.read_text()
    assert len(content["claims"]) == CLAIMS[name]
    for claim in content["claims"]:
        bound = claim["measured"] >= claim["least"] if "least" in claim else claim["measured"] <= claim["most"]
        assert claim["reached"] == bound
        line = f"- {'reached' if bound else 'NOT REACHED'}: {claim['claim']}: "
        assert line in done.stdout and line in text
    assert f"python benchmarks/{name}.py" in text
    assert ANOTHER in text  # what is not run stays
    assert content["machine"].keys() >= {"processor", "python", "torch", "mujoco", "stable-baselines3"}

    measured = numbers([content["tables"], [claim["measured"] for claim in content["claims"]]])
    assert len(measured) >= 5
    assert all(math.isfinite(number) and number > 0 for number in measured)

    # Tiny sizes tell no speeds; under the name of the full ones they would.
    speeds = benchmark_module("speeds")
    assert speeds.speeds_of(results) == {}
    results.write_text(re.sub(r"(    python benchmarks/\w+\.py) .*", r"\1", text))
    found = speeds.speeds_of(results)
    assert found.keys() == SPEEDS.get(name, set())
    if name == "updates":
        assert found["TD3"] == pytest.approx(steps_of(content, "TD3"), rel=0.01)


def numbers(value):
    """All numbers of nested dicts and lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def steps_of(content, method):
    """Whole steps a second in the result of updates.py."""
    tables = content["tables"]
    return next(
        row[1] for table in tables if "steps/s" in table["columns"] for row in table["rows"] if row[0] == method
    )


def test_every_script_is_run(benchmark_module):
    helpers = {"measure", "speeds", "dummy_task", "matrix_products", "untrained", "run_all", "update_worker"}
    by_itself = {"gpu", "physics"}  # where there is one; whose table is docs/physics.md's
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - helpers - by_itself
    assert scripts == set(CLAIMS) == set(benchmark_module("run_all").QUICK)


def test_speeds_are_those_of_the_results(benchmark_module):
    """benchmarks/speeds.py writes speeds.toml from RESULTS.md."""
    speeds = benchmark_module("speeds")
    found, text = speeds.speeds_of(BENCHMARKS / "RESULTS.md"), (BENCHMARKS / "speeds.toml").read_text()
    assert text == speeds.text_of(found), "python benchmarks/speeds.py writes it anew"
    assert tomllib.loads(text)["speeds"] == pytest.approx(found, rel=0.005)
    assert found.keys() > {"main.py", "main_pixels.py", "main_vae.py", "TD3", "DynE-TD3", "Pixel-TD3"}
    assert {name for name in found if not name.endswith(".py")} <= METHODS.keys()


@pytest.mark.parametrize(
    "flag, value",
    [("--out", "result.txt"), ("--out", "missing/result.json"), ("--results_dir", "file"), ("--num_seeds", "0")],
)
def test_wrong_flags_are_refused_in_one_line(tmp_path, flag, value):
    (tmp_path / "file").touch()
    command = [sys.executable, BENCHMARKS / "evaluation_share.py", flag, value]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert flag in done.stderr and value in done.stderr and len(done.stderr.splitlines()) == 1


# ---- the floor ----


@pytest.fixture
def countable(monkeypatch, benchmark_module):
    """All products by torch.matmul: torch does not count those of oneDNN."""
    monkeypatch.setattr(common.mlp, "ONEDNN", None)
    monkeypatch.setattr(benchmark_module("matrix_products"), "ONEDNN", None)


def flops(function):
    """The floating-point operations of the matrix products that a call makes."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize("agent_class", [TD3, DynETD3])
@pytest.mark.parametrize("state_dim", [4, 11])
def test_floor_of_an_update_is_what_an_update_multiplies(
    countable, benchmark_module, agent_class, num_seeds, state_dim
):
    batch, dyne = 7, agent_class is DynETD3
    actions = DynEActions(ActionDecoder(LOW, HIGH, k=4), LOW, HIGH) if dyne else RawActions(LOW, HIGH)
    settings = {"lr": 1e-3, "tau": 0.005, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
    agents = Agents(agent_class, (state_dim,), actions, range(num_seeds), CPU, **settings)
    replay = Replay(num_seeds, (state_dim,), 2, 30, CPU)
    for n in range(num_seeds):
        replay.append(n, np.random.default_rng(n).standard_normal((30, 2 * state_dim + 5), dtype=np.float32))
    indices = np.random.default_rng(0).integers(0, 30, (2, num_seeds, batch))

    floor = benchmark_module("updates").floor(agents, batch, CPU)
    of_two = flops(lambda: agents.update(replay, indices, torch.randn(2, num_seeds, batch, 2)))
    assert of_two == num_seeds * flops(lambda: floor.run(2)) == 2 * num_seeds * floor.flops


def test_floor_of_an_update_by_hand(benchmark_module):
    # ReacherVertical: 11 states, 2 actions, which the critic sees twice.
    actor, critic = 11 * 400 + 400 * 300 + 300 * 2, 15 * 400 + 400 * 300 + 300
    hidden = 400 * 300
    of_critics = actor + 2 * critic + 2 * critic + 2 * (critic + hidden + 300)
    of_actor = actor + critic + (4 * 400 + hidden + 300) + actor + hidden + 300 * 2
    floor = benchmark_module("matrix_products").TD3Floor((11, 2, 15), None, 100, 2, CPU)
    assert floor.flops == 2 * 100 * (of_critics + of_actor / 2) == 286_560_000


def test_floors_of_the_embedding_are_what_its_batches_multiply(countable, benchmark_module):
    products, k, state_dim, batch = benchmark_module("matrix_products"), 4, 5, 6
    args = embedding_main.parse(
        ["--prior", "--batch_size", "6", "--epoch_size", "6", "--epochs", "1"]
        + ["--decoder_batches", "1", "--decoder_epochs", "1"]
    )
    encoder, decoder = ActionEncoder(LOW, HIGH, k), ActionDecoder(LOW, HIGH, k)
    predictor = Predictor(state_dim, encoder.action_dim)
    data = Windows(torch.randn(50, state_dim), torch.rand(50, k, 2), torch.randn(50, state_dim))
    floor = products.embedding_floor(state_dim, 2, k, batch, CPU)
    training = EncoderTraining(data, encoder, predictor, "", args, None)
    assert flops(training.run_epoch) == flops(floor.run) == floor.flops

    floor = products.decoder_floor(2, k, batch, CPU)
    training = DecoderTraining(data.actions, encoder, decoder, args, None)
    training.begin()
    assert flops(training.run_epoch) == flops(floor.run) == floor.flops


# ---- timing ----


def test_contestants_take_turns(benchmark_module, monkeypatch):
    measure, clock, calls = benchmark_module("measure"), [0.0], []
    monkeypatch.setattr(measure, "now", lambda device=None: clock[0])

    def contestant(name, durations):
        durations = iter(durations)

        def run():
            calls.append(name)
            clock[0] += next(durations)

        return run

    contestants = {"a": (10, contestant("a", [9, 1, 2, 4])), "b": (30, contestant("b", [9, 6, 3, 3]))}
    rates = measure.alternate(contestants, rounds=3)
    assert calls == ["a", "b"] * 4
    assert rates["a"].tolist() == [10, 5, 2.5] and rates["b"].tolist() == [5, 10, 10]
    assert measure.ratio(rates["a"], rates["b"]) == 0.5


def test_stopwatch_counts_time_once(benchmark_module, monkeypatch):
    share, clock = benchmark_module("measure"), [0.0]
    monkeypatch.setattr(share, "now", lambda device=None: clock[0])

    class Work:
        def outer(self):
            clock[0] += 1
            self.inner()
            self.inner()
            clock[0] += 2
            return "done"

        def inner(self):
            clock[0] += 10

    work, stopwatch = Work(), share.Stopwatch(CPU)
    stopwatch.wrap(work, "outer", "around")
    stopwatch.wrap(work, "inner", "within")
    assert work.outer() == "done"
    work.inner()
    assert stopwatch.seconds == {"around": 3, "within": 30}

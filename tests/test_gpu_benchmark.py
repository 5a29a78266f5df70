"""benchmarks/gpu.py: refused without a GPU, and all of it but captured graphs tried on the CPU."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rl.dyne_td3 import DynETD3
from rl.pixel_td3 import PixelTD3
from rl.replay import Replay
from rl.td3 import TD3

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
CPU = torch.device("cpu")


LOW, HIGH = np.full(2, -1, np.float32), np.full(2, 1, np.float32)


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports a module of benchmarks/, which is no package: its scripts have their own folder on the path."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


TINY = "--num_seeds 1 2 --batch_size 8 --rows 200 --updates 4 --steps 200 --image_batch_size 2 --batches 1 --rounds 2"


def gpu_benchmark(folder, *flags):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--results_dir", ".", *flags]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_is_refused_in_one_line(tmp_path):
    done = gpu_benchmark(tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "--device cuda" in done.stderr and "use --device cpu" in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_block_that_ends_between_updates_of_the_actor_is_refused(tmp_path):
    done = gpu_benchmark(tmp_path, "--device", "cpu", "--updates", "5")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "--updates 5" in done.stderr


def test_all_but_graphs_is_tried_on_a_cpu(tmp_path):
    scripts = ["rl/main_td3.py", "rl/main_dyne.py"]  # the latter lacks its decoder
    done = gpu_benchmark(tmp_path, "--device", "cpu", "--out", "r.json", *TINY.split(), "--scripts", *scripts)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "r.json").read_text())
    of_scripts, differences, speed, images = (table["rows"] for table in content["tables"])
    assert [row[0] for row in of_scripts] == scripts and all(row[2] > 0 for row in of_scripts)
    assert of_scripts[0][1] == "worked" and of_scripts[1][1].startswith("failed: main_dyne.py: error: --decoder")
    assert [row[:2] for row in differences] == [[c, n] for c in ("TD3", "DynETD3", "PixelTD3") for n in (1, 2)]
    assert [row[0] for row in speed] == ["as they are"] * 2 and all(row[2] > 0 for row in speed + images)
    assert {tuple(row[:2]) for row in images} == {(model, p) for model in ("DynE", "VAE") for p in ("fp32", "bf16")}
    assert [claim["reached"] for claim in content["claims"]] == [False, True, True, True]
    assert {path.name for path in tmp_path.iterdir()} == {"r.json"}


def test_scripts_that_a_gpu_is_tried_with_take_their_flags(benchmark_module):
    for name, flags in benchmark_module("gpu").SCRIPTS.items():
        script, *more = name.split()
        parse = importlib.import_module(script.removesuffix(".py").replace("/", ".")).parse
        assert parse([*more, *flags.split(), "--device", "cuda"]).device == "cuda"
    folder = BENCHMARKS.parent
    assert {name.split()[0] for name in benchmark_module("gpu").SCRIPTS} == {
        str(path.relative_to(folder))
        for stage in ("embedding", "rl")
        for path in (folder / stage).glob("main*.py")
        if path.stem not in ("main_baselines", "main_sac_lsp")  # for a CPU
    }


def test_a_captured_block_learns_what_updates_learn(benchmark_module):
    """With a graph that runs the block anew, and counts nothing, as CUDA's does."""
    gpu, num_seeds, counted = benchmark_module("gpu"), 2, ("updates", "_value_updates")

    def make_graph(block, device):
        def replay():
            before = {name: getattr(agents.agents[0], name) for name in counted}
            block()
            vars(agents.agents[0]).update(before)

        for _ in range(2):  # untimed, and captured
            block()
        return replay

    rng, shape = np.random.default_rng(0), (4, num_seeds, 5)
    replay = Replay(num_seeds, (11,), 2, 100, CPU)
    for n in range(num_seeds):
        replay.append(n, rng.random((50, sum(replay.widths)), np.float32))
    plain, _ = gpu.make_agents(TD3, range(num_seeds), CPU)
    agents = SimpleNamespace(agents=gpu.make_agents(TD3, range(num_seeds), CPU)[:1])
    block = gpu.CapturedBlock(agents, replay, shape, make_graph)
    for _ in range(2):
        indices, noise = rng.integers(0, 50, shape), torch.randn(*shape, 2)
        for agent in (plain, agents.agents[0]):
            agent.clear_diagnostics()
        plain.update(replay.sample(indices), noise)
        block(replay, indices, noise)
        assert gpu.distance(plain, agents.agents[0], num_seeds) == 0
        assert plain.diagnostics() == agents.agents[0].diagnostics()
        assert plain.updates == agents.agents[0].updates


def test_a_difference_of_any_weight_is_found(benchmark_module):
    gpu = benchmark_module("gpu")
    for agent_class in (TD3, DynETD3, PixelTD3):
        one, _ = gpu.make_agents(agent_class, [0, 1], CPU)
        other, _ = gpu.make_agents(agent_class, [0, 1], CPU)
        assert gpu.distance(one, other, 2) == 0
        other.target_critics[1].rows[1, 3] += 0.5
        assert gpu.distance(one, other, 2) == pytest.approx(0.5)

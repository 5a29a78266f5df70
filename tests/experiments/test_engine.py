"""Tasks on a real cluster of two nodes: one is killed in the middle, and nothing is lost."""

import shutil
import threading
import time

import pytest

from common.errors import UsageError
from experiments import engine
from experiments.manifest import read
from experiments.tasks import tasks_of

MANIFEST = """
[embeddings.pend]
script = "main.py"
env = "Pendulum-v1"
flags = { steps = 600, epochs = 2, epoch_size = 256, decoder_epochs = 2, decoder_batches = 5, threads = 1 }

[[curves]]
env = "Pendulum-v1"
method = "DynE-TD3"
embedding = "pend"
seeds = "0-1"
steps = 3000
flags = { eval_freq = 500, eval_episodes = 1, batch_size = 16, checkpoint_freq = 100 }

[[curves]]
env = "Pendulum-v1"
method = "TD3"
seeds = "0-1"
steps = 3000
flags = { eval_freq = 500, eval_episodes = 1, batch_size = 16, checkpoint_freq = 100, update_every = 50 }
"""


@pytest.fixture
def tasks(tmp_path):
    """The tasks of the manifest in a folder of results."""

    def of(name):
        results = tmp_path / name
        (results / "published").mkdir(parents=True)
        (tmp_path / "m.toml").write_text(MANIFEST)
        return results, tasks_of(read(tmp_path / "m.toml"), results, {})

    return of


def carry_out(tasks, results, address=None, cores=2):
    told = []
    where = {"address": address, "cores": cores, "gpus": 0.0, "logs": results / "logs"}
    return engine.carry_out(tasks, **where, tell=told.append, every=1.0), told


def curves(results):
    return {path.name: path.read_bytes() for path in (results / "published").glob("*.csv")}


@pytest.mark.slow
def test_a_node_that_dies_costs_nothing(tasks, counts):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    undisturbed, plain = tasks("plain")
    outcomes, told = carry_out(plain, undisturbed)
    assert {outcome.code for outcome in outcomes.values()} == {0}, told
    assert len(curves(undisturbed)) == 2

    results, disturbed = tasks("cluster")
    shutil.copytree(undisturbed / "Pendulum-v1", results / "Pendulum-v1")  # random play, embedding: done
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        first, _ = (cluster.add_node(num_cpus=2) for _ in range(2))
        killed = threading.Event()

        def kill():
            while not any(0 < task.progress() < task.steps for task in disturbed):
                time.sleep(0.05)
            cluster.remove_node(first, allow_graceful=False)
            killed.set()

        threading.Thread(target=kill, daemon=True).start()
        outcomes, told = carry_out(disturbed, results, address=cluster.address)
        assert killed.is_set()
    finally:
        cluster.shutdown()
    assert {outcome.code for outcome in outcomes.values()} == {0}, told
    assert curves(results) == curves(undisturbed)
    counts["nodes of a cluster that were killed"] += 1
    again, told = carry_out(disturbed, results)
    assert again == {} and told == []  # nothing is left to do


def test_a_task_that_fails_is_told_and_the_others_go_on(tasks):
    pytest.importorskip("ray")
    results, all_tasks = tasks("failing")
    (results / "rl" / "Pendulum-v1" / "TD3").mkdir(parents=True)
    run = next(task.folder.parent for task in all_tasks if task.name.startswith("Pendulum-v1 TD3"))
    run.write_text("in the way")  # the folder of the run cannot be made
    chosen = [task for task in all_tasks if "TD3 plain" in task.name or task.name == "Pendulum-v1 TD3 published"]
    chosen.append(next(task for task in all_tasks if task.name == "embedding pend"))
    outcomes, told = carry_out(chosen, results)
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.code}
    assert len(failed) == 2 and {outcome.code for outcome in failed.values()} == {2}
    assert outcomes["embedding pend"].code == 0
    assert any("FAILED with exit code 2" in line and "--results_dir" in line for line in told)
    assert any(line.startswith("Pendulum-v1 TD3 published: not run: it needs") for line in told)


def test_without_ray_one_line_says_what_to_install(tasks, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    results, all_tasks = tasks("none")
    with pytest.raises(UsageError, match="pip install 'dyne\\[cluster\\]'"):
        carry_out(all_tasks, results)

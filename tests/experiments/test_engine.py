"""Tasks on a real cluster of two nodes: nodes are killed in the middle, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from fault_runs import wait_until_held
from manifests import TINY
from processes import ScriptProcess

from common import checkpoint
from common.errors import UsageError
from common.paths import REPOSITORY
from common.run_folder import RunFolder
from experiments import engine
from experiments.manifest import read
from experiments.task import Task
from experiments.tasks import check_results, lacking, tasks_of, undone

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
steps = 1000
flags = { eval_freq = 500, eval_episodes = 1, batch_size = 16, checkpoint_freq = 100 }

[[curves]]
env = "Pendulum-v1"
method = "TD3"
seeds = "0-1"
steps = 1000
flags = { eval_freq = 500, eval_episodes = 1, batch_size = 16, checkpoint_freq = 100, update_every = 50 }
"""

OF_TD3 = MANIFEST[MANIFEST.rindex("[[curves]]") :]

LONGER = (
    MANIFEST.replace("steps = 1000", "steps = 20_000")
    + """
[[curves]]
env = "Pendulum-v1"
method = "SAC"
seeds = "0-1"
steps = 3000
flags = { eval_freq = 100, eval_episodes = 1 }
"""
)


@pytest.fixture
def tasks(tmp_path):
    """The tasks of a manifest in a folder of results."""

    def of(name, manifest=MANIFEST):
        results = tmp_path / name
        (tmp_path / "m.toml").write_text(manifest)
        return results, tasks_of(read(tmp_path / "m.toml"), results, {})

    return of


def carry_out(tasks, results, address=None, cores=2):
    told = []
    where = {"address": address, "cores": cores, "gpus": 0.0, "logs": results / "logs"}
    return engine.carry_out(tasks, **where, tell=told.append, every=1.0), told


def curves(results):
    return {path.name: path.read_bytes() for path in (results / "published").glob("*.csv")}


def test_a_task_under_way_has_a_speed_once_its_steps_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.time, "monotonic", lambda: 130.0)
    task = Task("t", ("script.py",), (), tmp_path, tmp_path / "made", steps=5000)
    assert engine._goes_on(task, 100.0, 0) == "t: 0 of 5,000 steps"
    for steps, before, told in (
        (1000, 1000, ""),
        (4000, 1000, ", 100 steps/s, 10 s left"),
        (1006, 1000, ", 0.2 steps/s, 5.5 h left"),
    ):
        (tmp_path / "eval.csv").write_text(f"episodes,steps,mean_return\n0,0,-1\n9,{steps},-1\n")
        assert engine._goes_on(task, 100.0, before) == f"t: {steps:,} of 5,000 steps{told}"


@pytest.mark.slow
def test_a_node_that_dies_costs_nothing(tasks, counts, full):
    """One node is killed while TD3 is trained; in full counts twenty, one after the other, and DynE-TD3 and SAC are trained too."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    wanted, manifest = (20, LONGER) if full else (1, OF_TD3)
    undisturbed, plain = tasks("plain", manifest)
    outcomes, told = carry_out(plain, undisturbed)
    assert {outcome.code for outcome in outcomes.values()} == {0}, told
    assert len(curves(undisturbed)) == manifest.count("[[curves]]")

    killed = runs = 0
    while killed < wanted:
        runs += 1
        results, disturbed = tasks(f"cluster{runs}", manifest)
        if full:
            shutil.copytree(undisturbed / "Pendulum-v1", results / "Pendulum-v1")  # random play, embedding: done
        # without Ray's hooks for the end of this process, which nodes that a thread adds could not set
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0}, shutdown_at_exit=False)
        try:
            killer = Killer(cluster, disturbed, wanted - killed)
            outcomes, told = carry_out(disturbed, results, address=cluster.address)
            killed += killer.stop()
        finally:
            cluster.shutdown()
        assert {outcome.code for outcome in outcomes.values()} == {0}, told
        assert curves(results) == curves(undisturbed)
        assert killed >= runs  # or it would go on for ever
    counts["nodes of a cluster that were killed"] += killed
    again, told = carry_out(disturbed, results)
    assert again == {} and told == []  # nothing is left to do


class Killer(threading.Thread):
    """Kills nodes of a cluster, the longest there first, each once the tasks have come further; others take their places.

    Args:
        cluster: a `ray.cluster_utils.Cluster`, which is given two nodes.
        tasks: what runs on it.
        most: how many nodes to kill.
    """

    def __init__(self, cluster, tasks, most):
        super().__init__(daemon=True)
        self.cluster, self.tasks, self.most = cluster, tasks, most
        self.nodes, self.killed, self.over = [cluster.add_node(num_cpus=2) for _ in range(2)], 0, False
        self.start()

    def run(self):
        before = 0
        while self.killed < self.most and not self.over:
            time.sleep(0.05)
            done = [task.progress() for task in self.tasks]
            under_way = any(0 < steps < task.steps for steps, task in zip(done, self.tasks, strict=True))
            if under_way and sum(done) > before:
                before = sum(done)
                self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
                self.killed += 1
                if self.killed < self.most:
                    self.nodes.append(self.cluster.add_node(num_cpus=2))

    def stop(self):
        """Ends it; returns how many nodes were killed."""
        self.over = True
        self.join()
        return self.killed


def test_sigterm_ends_it_in_one_line(tasks, tmp_path):
    """It ends its tasks too; called again it would go on."""
    pytest.importorskip("ray")
    results, all_tasks = tasks("stopped", MANIFEST.replace("steps = 1000", "steps = 1_000_000"))
    task = next(task for task in all_tasks if task.name.startswith("Pendulum-v1 TD3 plain"))
    flags = ["--manifest", tmp_path / "m.toml", "--results_dir", results, "--cores", 1, "--only", task.name]
    process = ScriptProcess("experiments/run.py", flags, tmp_path / "stderr.txt")
    assert wait_until_held(task.folder, process)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143, process.err
    last = process.err.strip().splitlines()[-1]
    assert last == "stopped by SIGTERM; called again it goes on from the tasks' checkpoints"
    assert "PC:" not in process.err
    begun = time.monotonic()
    while RunFolder(task.folder, "run").in_use():
        assert time.monotonic() - begun < 30, "its task goes on"
        time.sleep(0.1)


WHERE_A_TASK_RUNS = """
import experiments.engine as engine

with engine._connection(None, 1) as ray:
    print(ray.get(ray.remote(lambda: __import__("experiments.engine").engine.__file__).remote()))
"""


def test_tasks_on_this_machine_import_the_copy_that_was_called(tmp_path):
    """Not another copy, such as the one that is installed here."""
    pytest.importorskip("ray")
    for name in ("common", "embedding", "envs", "experiments", "rl"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "where.py").write_text(WHERE_A_TASK_RUNS)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, str(tmp_path / "where.py")]
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(tmp_path / "experiments" / "engine.py"), done.stderr


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


NEW = """
[[curves]]
env = "Pendulum-v1"
method = "TD3"
seeds = "0"
steps = 100
final_episodes = 1
flags = { eval_freq = 100, eval_episodes = 1, batch_size = 16 }

[[ablations]]
env = "Pendulum-v1"
group = "g"
method = "TD3"
seeds = "0"
steps = 100
variants = { none = "" }
flags = { eval_freq = 100, eval_episodes = 1, batch_size = 16 }
"""


def test_a_new_folder_of_results_is_published_into(tasks):
    results, all_tasks = tasks("new", NEW)
    outcomes = {task.name: engine.call(task, str(results / "logs" / "log")) for task in all_tasks}
    assert len(outcomes) == 4 and {outcome.code for outcome in outcomes.values()} == {0}, outcomes
    assert all(task.is_done() for task in all_tasks)
    tables = {str(path.relative_to(results)) for path in results.glob("*/*.csv")}
    published, ablation = "published/Pendulum-v1_TD3.csv", "ablations/Pendulum-v1_g_none.csv"
    assert tables == {published, ablation, "final_policies/Pendulum-v1_TD3.csv"}


def test_what_is_made_of_what_is_made_anew_is_made_anew_in_the_same_call(tmp_path):
    """And nothing else."""
    pytest.importorskip("ray")
    copy, source, other = (tmp_path / name for name in ("copy.py", "source", "other"))
    copy.write_text("import shutil, sys\nshutil.copy(*sys.argv[1:])\n")
    source.write_text("1"), other.write_text("as ever")

    def task(name, of, after=()):
        product, mark = tmp_path / f"{name}.csv", tmp_path / f".{name}"
        words = (str(copy), str(of), str(product))
        return Task(name, words, after, tmp_path / name, mark, product=product, made_of=(of,))

    run = task("run", source)
    curve, table = task("curve", run.product, ("run",)), task("table", other, ("run",))
    film = task("film", curve.product, ("curve", "table"))
    tasks = [run, curve, table, film]
    assert {*carry_out(tasks, tmp_path)[0]} == {"run", "curve", "table", "film"} and not undone(tasks)
    source.write_text("2")
    assert lacking(tasks)[2] == "table: made anew if what it needs changes"
    assert [task.name for task in undone(tasks)] == ["run", "curve", "table", "film"]
    assert {*carry_out(tasks, tmp_path)[0]} == {"run", "curve", "film"} and not undone(tasks)
    assert film.product.read_text() == "2"
    source.unlink()  # the first fails
    outcomes = carry_out(tasks, tmp_path)[0]
    assert {*outcomes} == {"run"} and outcomes["run"].code == 1


@pytest.mark.parametrize("entry", ["final_episodes = 1", "policy_seed = 1"])
def test_policies_of_longer_runs_than_their_curve_are_refused(tasks, entry):
    _, tasks = tasks("longer", TINY.replace("[[curves]]", f"[[curves]]\n{entry}", 1))
    task = next(task for task in tasks if task.policies_of)
    check_results(tasks)
    folder = task.made_of[-1].parent
    folder.mkdir(parents=True)
    longer = task.policies_of + 100
    for planned, steps in ((longer, None), (longer, task.policies_of), (task.policies_of, longer), (longer, longer)):
        (folder / "opt.json").write_text(json.dumps({"max_timesteps": planned}))
        if steps:
            checkpoint.save(folder / "checkpoint.pt", "run", {"steps": steps})
        if (planned, steps) != (longer, longer):
            check_results([task])
    with pytest.raises(
        UsageError, match=f"of {task.policies_of} steps, but {folder} was trained for {longer} steps: give"
    ):
        check_results([task])


def test_what_a_script_is_to_write_is_never_made_in_its_place(tmp_path):
    """Nor is a task marked as done whose script has not written it."""
    folder = tmp_path / "folder"
    run = Task("run", ("benchmarks/dummy_task.py",), (), folder, folder / "checkpoint.pt")
    publication = Task("published", run.command, (), folder, folder / ".published", product=tmp_path / "table.csv")
    for task, missing in ((run, run.target), (publication, publication.product)):
        outcome = engine.call(task, str(tmp_path / "log"))
        assert outcome.code == 1 and outcome.line == f"the script ended well, but {missing} is not there"
        assert not task.target.exists() and not missing.exists()
    (tmp_path / "table.csv").touch()
    assert engine.call(publication, str(tmp_path / "log")).code == 0 and publication.is_done()


def test_without_ray_one_line_says_what_to_install(tasks, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    results, all_tasks = tasks("none")
    with pytest.raises(UsageError, match="pip install 'dyne\\[cluster\\]'"):
        carry_out(all_tasks, results)

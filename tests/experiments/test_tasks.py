"""What a manifest asks for as tasks: commands, what they wait for, and what of them is done."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest
from manifests import TINY, reader

import experiments.run
from analysis.commands import script_of
from common import checkpoint
from common.errors import UsageError
from common.paths import REPOSITORY
from common.run_folder import RunFolder
from experiments import engine
from experiments.manifest import read
from experiments.run import MANIFEST
from experiments.task import Task, _digest
from experiments.tasks import check_results, lacking, needed, ordered, tasks_of

pytestmark = pytest.mark.quick


@pytest.fixture
def manifest(tmp_path):
    return reader(tmp_path)


def test_every_task_is_a_command_that_its_script_accepts(tmp_path):
    tasks = tasks_of(read(MANIFEST), tmp_path, {"TD3": 100.0})
    names = [task.name for task in tasks]
    assert len(set(names)) == len(names) > 100
    for task in tasks:
        assert all(name in names[: names.index(task.name)] for name in task.after)
        if task.command[0].startswith("rl/main_"):
            method = task.name.split()[1]
            args = script_of(method).parse(list(task.command[1:]))
            assert args.max_timesteps == task.steps and args.num_seeds == 1
            assert args.resume and task.target.name == "checkpoint.pt"


def test_curves_of_the_same_settings_share_their_runs(tmp_path):
    tasks = tasks_of(read(MANIFEST), tmp_path, {})
    runs = [task.name for task in tasks if task.name.startswith("ReacherVertical-v2 DynE-TD3 vertical seed ")]
    assert len(runs) == 16  # figure 4's; ablations take theirs from these


def test_a_table_of_runs_waits_for_their_seeds(manifest, tmp_path):
    entry = (
        '[[tables]]\nname = "values"\nscript = "critic_values.py"\nruns = ["Pendulum-v1 DynE-TD3 {}"]\nsteps = 300\n'
    )
    tasks = tasks_of(manifest(TINY + entry.format("pend")), tmp_path, {})
    assert tasks[-1].after == tuple(f"Pendulum-v1 DynE-TD3 pend seed {seed}" for seed in (0, 1))
    script, folder, *flags = tasks[-1].command
    assert (script, folder) == ("analysis/critic_values.py", str(tmp_path / "rl" / "Pendulum-v1" / "DynE-TD3" / "pend"))
    assert flags == ["--out", str(tmp_path / "figures" / "values.csv"), "--until", "300"]
    with pytest.raises(
        UsageError, match="table values: it needs Pendulum-v1 DynE-TD3 pendel seed 0, which nothing makes"
    ):
        tasks_of(manifest(TINY + entry.format("pendel")), tmp_path, {})
    with pytest.raises(UsageError, match="it has no embedding, no runs and no envs: give one of the three"):
        manifest(TINY + '[[tables]]\nname = "t"\nscript = "figure3_reach.py"\n')


def test_only_what_is_needed_is_run(manifest, tmp_path):
    tasks = tasks_of(manifest(TINY), tmp_path, {})
    (wanted,) = [task for task in tasks if task.name.endswith("seed 1")]
    assert [task.name for task in needed(tasks, [wanted])] == ["embedding pend", wanted.name]


@pytest.fixture
def made(manifest, tmp_path):
    """A folder of results in which the embedding and the runs of `TINY` seem to have been made."""
    for task in tasks_of(manifest(TINY), tmp_path / "results", {}):
        if task.flags:
            task.folder.mkdir(parents=True)
            task.target.touch()
            (task.folder / "opt.json").write_text(json.dumps(task.flags))
    return tmp_path / "results"


@pytest.mark.parametrize("mode", ["--status", "--dry_run", None])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            "traj_len = 8, epochs = 1",
            "embedding pend: the manifest asks for --traj_len 8, but {} was made with --traj_len 4",
        ),
        ("prior = true, epochs = 1", "was made with no --prior: move it away, and the runs that need it"),
        ("epochs = 2", "--epochs 1: move it away, and the runs that need it, or give the entry another name"),
    ],
)
def test_results_of_other_flags_are_refused(made, call, tmp_path, mode, flags, words):
    (tmp_path / "m.toml").write_text(TINY.replace("epochs = 1", flags, 1))
    where = {"manifest": tmp_path / "m.toml", "results_dir": made, "threads": None}
    ran = call(experiments.run.main, *filter(None, [mode]), **where)
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran.err
    assert words.format(made / "Pendulum-v1" / "pend") in ran.err


def test_runs_of_other_flags_are_refused(made, call, tmp_path):
    """A run whose decoder was another's, as one that was trained by hand."""
    path = made / "rl" / "Pendulum-v1" / "DynE-TD3" / "pend" / "seed_1" / "opt.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder": "default"}))
    ran = call(experiments.run.main, "--status", manifest=tmp_path / "m.toml", results_dir=made, threads=None)
    told = f"the manifest asks for --decoder pend, but {path.parent} was made with --decoder default: move it away"
    assert (ran.code, ran.err.count("\n")) == (2, 1) and f"DynE-TD3 pend seed 1: {told}, or ask for that" in ran.err


def test_flags_without_effect_on_results_may_differ(made, manifest):
    flags = 'checkpoint_freq = 3, device = "cpu", threads = 2'
    text = TINY.replace("steps = 600,", f"steps = 600, {flags},") + f"flags = {{ eval_freq = 100, {flags} }}\n"
    check_results(tasks_of(manifest(text), made, {}))
    (made / "Pendulum-v1" / "pend" / "decoder.pt").unlink()  # nothing is there that a training would go on with
    check_results(tasks_of(manifest(TINY.replace("epochs = 1,", "epochs = 2,")), made, {}))


def test_precision_that_the_machine_chose_is_not_another(manifest, tmp_path):
    images = '[embeddings.images]\nscript = "main_pixels.py"\nenv = "ReacherVertical-v2"\n'
    (task,) = tasks_of(manifest(images), tmp_path, {})
    task.folder.mkdir(parents=True)
    task.target.touch()
    (task.folder / "opt.json").write_text(json.dumps(dict(task.flags) | {"precision": "bf16"}))
    check_results([task])
    (task,) = tasks_of(manifest(images + 'flags = { precision = "fp32" }\n'), tmp_path, {})
    with pytest.raises(UsageError, match="asks for --precision fp32, but .* was made with --precision bf16"):
        check_results([task])


def test_folders_that_tables_are_written_into_are_made(tmp_path):
    tasks = tasks_of(read(MANIFEST), tmp_path, {})
    outs = {task: Path(task.command[task.command.index("--out") + 1]) for task in tasks if "--out" in task.command}
    tables = {task: out for task, out in outs.items() if out.suffix == ".csv"}
    assert {out.parent.name for out in tables.values()} == {
        "published",
        "ablations",
        "final_policies",
        "figures",
        "probes",
    }
    for task, out in tables.items():
        task.prepare()
        assert out.parent.is_dir() and task.folder == out.parent


def test_folders_of_environments_of_ones_own_are_called_by_their_ids(manifest, tmp_path):
    named = TINY.replace('"Pendulum-v1"', '"my_envs:Pendulum-v1"')
    folders = {task.folder.relative_to(tmp_path).parts[:2] for task in tasks_of(manifest(named), tmp_path, {})}
    assert {("Pendulum-v1", "pend"), ("rl", "Pendulum-v1")} <= folders


def test_files_of_environments_in_a_namespace_are_called_as_their_folders(manifest, tmp_path):
    more = "final_episodes = 1\n"
    tasks = tasks_of(manifest((TINY + more).replace('"Pendulum-v1"', '"my_envs:ns/Pendulum-v1"')), tmp_path, {})
    products = {str(task.product.relative_to(tmp_path)) for task in tasks if task.product}
    assert products == {"published/ns_Pendulum-v1_DynE-TD3.csv", "final_policies/ns_Pendulum-v1_DynE-TD3.csv"}


def test_scripts_may_import_the_modules_that_a_manifest_names(manifest, tmp_path):
    """Those too that would otherwise only read in a file which module it is."""
    more = 'policy_seed = 0\nfinal_episodes = 1\n\n[[tables]]\nname = "reach"\nscript = "figure3_reach.py"\nembedding = "pend"\n'
    for env, words in (("my_envs:Pendulum-v1", ("--env", "my_envs:Pendulum-v1")), ("Pendulum-v1", ())):
        tasks = tasks_of(manifest((TINY + more).replace('"Pendulum-v1"', f'"{env}"')), tmp_path, {})
        acting = {
            task.command[0]: task.command for task in tasks if task.command[0].endswith(("evaluate.py", "reach.py"))
        }
        assert len(acting) == 2
        for command in acting.values():
            assert command[command.index("--out") + 2 :] == words
        policy = next(task for task in tasks if task.command[0].endswith("publish_policy.py"))
        assert policy.folder == tmp_path / "published" / "policies" / "Pendulum-v1"  # where it is looked for by its id


def test_tasks_that_need_each_other_are_refused(tmp_path):
    one, other = (Task(name, ("x.py",), after, tmp_path, tmp_path) for name, after in (("a", ("b",)), ("b", ("a",))))
    with pytest.raises(UsageError, match="a: it needs b, which needs it in turn"):
        ordered([one, other])
    with pytest.raises(UsageError, match="a: it needs b, which nothing makes"):
        ordered([one])


def test_what_is_lacking_is_told(manifest, tmp_path):
    """Seed 0 is done, seed 1 is half done; then it is being written, then it was given up."""
    tasks = tasks_of(manifest(TINY), tmp_path / "results", {})
    (embedding,) = [task for task in tasks if task.name == "embedding pend"]
    seeds = [task for task in tasks if " seed " in task.name]
    assert lacking(tasks) == [
        "embedding pend: not begun",
        f"{seeds[0].name.removesuffix(' 0')} 0 1: needs embedding pend",
        f"Pendulum-v1 DynE-TD3 published: needs {seeds[0].name} and 1 more",
    ]
    for task, last in ((embedding, None), (seeds[0], 400), (seeds[1], 200)):
        task.folder.mkdir(parents=True)
        task.target.touch()
        if last:
            checkpoint.save(task.target, "run", {"steps": last})
            (task.folder / "opt.json").write_text(json.dumps({"max_timesteps": 400, "eval_freq": 200}))
            rows = "".join(f"0,{step},-1.0\n" for step in range(0, last + 1, 200))
            (task.folder / "eval.csv").write_text("episodes,steps,mean_return\n" + rows)
    waits = f"Pendulum-v1 DynE-TD3 published: needs {seeds[1].name}"
    assert lacking(tasks) == [f"{seeds[1].name}: 200 of 400 steps", waits]
    folder = RunFolder(seeds[1].folder, "run")
    folder.lock()
    assert lacking(tasks) == [f"{seeds[1].name}: running, 200 of 400 steps", waits]
    folder.fail("step 300: a loss")
    folder.release()
    assert lacking(tasks) == [f"{seeds[1].name}: failed: step 300: a loss", waits]


def test_a_run_that_ended_behind_its_last_evaluation_is_not_done(call, tmp_path):
    """Of 190 steps it was killed at 130: its evaluations are those of 190 steps, its checkpoint is not."""
    text = TINY.replace("steps = 400", "steps = 190\nflags = { eval_freq = 100, update_every = 10 }")
    (tmp_path / "m.toml").write_text(text.replace('"0-1"', '"0"'))
    tasks = tasks_of(read(tmp_path / "m.toml"), tmp_path / "results", {})
    (task,) = [task for task in tasks if task.steps]
    task.folder.mkdir(parents=True)
    (task.folder / "opt.json").write_text(json.dumps(task.flags))
    (task.folder / "eval.csv").write_text("episodes,steps,mean_return\n0,0,-1.0\n0,100,-1.0\n")
    where = {"manifest": tmp_path / "m.toml", "results_dir": tmp_path / "results", "threads": None}
    for steps, done in ((100, False), (130, False), (190, True), (200, True), (None, False)):
        checkpoint.save(task.target, "run", {} if steps is None else {"steps": steps})
        assert task.is_done() == done
        assert (f"{task.name}: python rl/main_dyne.py" in call(experiments.run.main, "--dry_run", **where).out) != done
        assert (f"{task.name}: " in call(experiments.run.main, "--status", **where).out) != done
    checkpoint.save(task.target, "run", {"steps": 190})
    task.target.write_bytes(task.target.read_bytes()[:-100])
    assert not task.is_done()
    task.target.unlink()
    assert not task.is_done()


@pytest.mark.parametrize(
    "change",
    [
        ('seeds = "0-1"', 'seeds = "0-2"'),
        ("steps = 400", "steps = 200"),
        "deleted",
        "emptied",
        "without its text",
        "of a seed that was trained anew",
        "of a seed that is gone",
    ],
    ids=str,
)
def test_what_was_published_is_made_anew_where_it_or_what_it_is_made_of_changed(manifest, tmp_path, change):
    def publication(text):
        (found,) = [task for task in tasks_of(manifest(text), tmp_path / "results", {}) if "published" in task.name]
        return found

    task = publication(TINY)
    task.prepare()
    task.product.write_text("a curve")
    task.product.with_suffix(".txt").write_text("how it was made")
    seed_0, seed_1 = task.made_of
    for curve in task.made_of:
        curve.parent.mkdir(parents=True)
        curve.write_text("evaluations")
    task.conclude()
    assert task.is_done() and publication(TINY).is_done()
    if change == "deleted":
        task.product.unlink()
    elif change == "emptied":
        task.product.write_text("")
    elif change == "without its text":
        task.product.with_suffix(".txt").unlink()
    elif change == "of a seed that was trained anew":
        seed_1.write_text("other evaluations")
    elif change == "of a seed that is gone":
        seed_0.unlink()
    assert not publication(TINY.replace(*change, 1) if isinstance(change, tuple) else TINY).is_done()


def test_marks_of_earlier_versions_told_less(manifest, tmp_path):
    (task,) = [task for task in tasks_of(manifest(TINY), tmp_path / "results", {}) if "published" in task.name]
    task.prepare()
    task.product.write_text("a curve")
    task.conclude()
    command, _ = task.target.read_text().splitlines(keepends=True)
    digest = _digest([task.product, task.product.with_suffix(".txt")])
    for mark in (command, f"{command}{digest} made of {_digest(task.made_of)}\n"):
        task.target.write_text(mark)
        assert task.is_done()
        task.target.write_text(mark.replace("400", "800"))
        assert not task.is_done()


@pytest.mark.slow
def test_a_table_that_lost_its_text_is_made_again(manifest, tmp_path):
    """By a script that replaces nothing it does not know; tables that no mark is of are left alone."""
    made = tmp_path / "table.csv"
    script = ("rl/evaluate.py", "published/ReacherVertical-v2", "--episodes", "1", "--out", str(made))
    task = Task("table", script, (), tmp_path, tmp_path / ".table", product=made)
    log = str(tmp_path / "log")
    assert engine.call(task, log).code == 0 and task.is_done()
    made.with_suffix(".txt").unlink()
    assert not task.is_done()
    assert engine.call(task, log).code == 0 and task.is_done() and made.with_suffix(".txt").exists()
    for table, words in (
        (made.read_text(), "what I found"),
        ("my,own,table\n", "what I found"),
        ("my,own,table\n", None),
    ):
        made.write_text(table)
        made.with_suffix(".txt").unlink(missing_ok=True)
        if words:
            made.with_suffix(".txt").write_text(words)
        before = made.read_bytes(), made.with_suffix(".txt").exists()
        assert engine.call(task, log).code == 2 and before == (made.read_bytes(), made.with_suffix(".txt").exists())
    made.unlink()
    assert engine.call(task, log).code == 0 and task.is_done()
    made.with_suffix(".txt").unlink()
    task.target.unlink()
    assert engine.call(task, log).code == 2 and made.exists()


def test_a_dry_run_tells_commands_and_hours(tmp_path, call):
    flags = {"results_dir": tmp_path / "my results", "only": "ReacherVertical-v2 TD3 plain *", "threads": None}
    ran = call(experiments.run.main, "--dry_run", **flags)
    assert ran.code == 0, ran.err
    head, *lines = ran.out.splitlines()
    speed = tomllib.loads((REPOSITORY / "benchmarks" / "speeds.toml").read_text())["speeds"]["TD3"]
    hours = 16 * 50_000 / speed / 3600  # of 16 seeds
    assert head == f"16 of 16 tasks to do, about {hours:.1f} core-hours"
    words = [shlex.split(line.split(": ", 1)[1]) for line in lines]
    assert all(line[:2] == ["python", "rl/main_td3.py"] and str(tmp_path / "my results") in line for line in words)
    assert not list(tmp_path.iterdir())


def test_pages_that_cannot_be_made_anew_are_told(call, tmp_path, monkeypatch):
    """Curves, or returns of final policies, are new; the figures are drawn, analysis/report.py finds something wrong."""
    (tmp_path / "m.toml").write_text(TINY)
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "figures.py").write_text("open('drawn', 'w')")
    (tmp_path / "analysis" / "report.py").write_text("raise SystemExit(2)")
    where = {"manifest": tmp_path / "m.toml", "results_dir": tmp_path / "results", "threads": None}
    for name, value in (("MANIFEST", where["manifest"]), ("RESULTS", where["results_dir"]), ("REPOSITORY", tmp_path)):
        monkeypatch.setattr(experiments.run, name, value)
    for ended, pages in {"X TD3 published": True, "X TD3 final policies": True, "X TD3 default seed 0": False}.items():
        done = {ended: engine.Outcome(0, "", 1.0)}
        monkeypatch.setattr(experiments.run, "carry_out", lambda *_, done=done, **__: done)
        ran = call(experiments.run.main, **where)
        assert (ran.code, "1 failed: analysis/report.py" in ran.out) == ((1, True) if pages else (0, False)), ran
        assert (tmp_path / "drawn").exists() == pages
        (tmp_path / "drawn").unlink(missing_ok=True)

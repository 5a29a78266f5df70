"""Publishing runs that have checkpoints: what these know is not contradicted by what is published."""

import json
import shutil

import pytest

import analysis.publish
import analysis.publish_policy
import rl.main_dyne
import rl.main_sac_lsp
import rl.main_td3
from analysis import finished_seeds
from common import checkpoint
from common.errors import UsageError

ENV = "ReacherVertical-v2"
FLAGS = {"env": ENV, "max_timesteps": 200, "eval_freq": 100, "eval_episodes": 1, "policy_name": "random"}


@pytest.fixture
def train(call, tmp_path):
    """Trains in `tmp_path` for a moment; returns the run's folder."""

    def trained(*arguments, main=rl.main_td3.main, **flags):
        ran = call(main, *arguments, **{"results_dir": tmp_path / "results", **FLAGS, **flags})
        assert ran.code == 0, ran.err
        (folder,) = (tmp_path / "results" / "rl").glob("*/*/default")
        return folder

    return trained


@pytest.fixture
def publish(call, tmp_path):
    """Publishes a run; returns the text beside the curve, or the one line that it is refused with."""

    def published(run, *arguments, **flags):
        out = tmp_path / "curve.csv"
        ran = call(analysis.publish.main, run, *arguments, out=out, threads=None, **flags)
        if ran.code == 0:
            return out.with_suffix(".txt").read_text()
        assert ran.code == 2 and ran.err.count("\n") == 1 and not list(tmp_path.glob("curve.*")), ran
        return ran.err

    return published


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def command_of(text):
    """The last command of a text."""
    return [line for line in text.splitlines() if "python rl/" in line][-1].partition("python ")[2]


def test_evaluations_that_no_command_makes_are_refused_without_one(train, publish):
    train(max_timesteps=200)
    run = train("--resume", max_timesteps=600, eval_freq=200)
    line = publish(run)
    assert "seed 0 up to step 100 are not those of a run with --max_timesteps 600 --eval_freq 200: give" in line
    assert "two commands" in publish(run, command="two commands")


def test_evaluations_that_became_more_frequent_are_refused_too(train, publish):
    train(max_timesteps=400, eval_freq=200)
    run = train("--resume", max_timesteps=600, eval_freq=100)
    assert "seed 0 up to step 200 are not those of a run with --max_timesteps 600 --eval_freq 100" in publish(run)


def test_seeds_of_different_lengths_are_told(train, publish):
    train(max_timesteps=200)
    text = publish(train(max_timesteps=400, seed=1))
    assert "steps:       200 to 400 a seed" in text
    assert "evaluations: 3 to 5 a seed, of 1 episodes" in text
    assert text.count("python rl/main_td3.py") == 2


def test_a_run_is_published_up_to_a_step_within_a_block(train, publish, tmp_path):
    """A run of so many steps would go on to the end of the block."""
    run = train(max_timesteps=400)
    text = publish(run, until=150)
    assert "steps:       150 a seed" in text and "evaluations: 3 a seed" in text
    short = rl.main_td3.parse(command_of(text).split()[1:])
    assert short.max_timesteps == 150
    again = train(max_timesteps=150, seed=1) / "seed_1" / "eval.csv"
    assert len(again.read_text().splitlines()) == 4


def test_a_run_that_was_killed_behind_its_last_evaluation_is_refused(train, publish):
    """At step 130 of 190: its evaluations are those of 190 steps."""
    run = train(max_timesteps=130, update_every=10)
    edit(run / "seed_0" / "opt.json", max_timesteps=190)
    told = "seed 0 has not finished its {} steps: wait for it, go on with it by --resume, or publish fewer with --until"
    assert told.format(190) in publish(run)
    assert told.format(190) in publish(run, command="a command")
    assert told.format(190) in publish(run, until=190)
    assert told.format(150) in publish(run, until=150)
    assert "steps:       130 a seed" in publish(run, until=130)


def test_a_run_that_goes_on_has_what_it_was_evaluated_at(train, publish):
    """Its newest checkpoint may be older than an evaluation up to which it is published."""
    run = train(max_timesteps=400)
    shutil.copy(run / "seed_0" / "checkpoint.previous.pt", run / "seed_0" / "checkpoint.pt")  # of 300 steps
    assert "seed 0 has not finished its 400 steps" in publish(run)
    edit(run / "seed_0" / "opt.json", max_timesteps=1000)
    assert "steps:       400 a seed" in publish(run, until=400)


def test_the_folder_of_results_is_the_one_that_the_run_lies_in(train, publish, tiny, tmp_path, monkeypatch):
    """Whatever it was called when the run was made, and wherever it is published from."""
    shutil.copytree(tiny / ENV, tmp_path / "results" / ENV)
    monkeypatch.chdir(tmp_path)
    run = train(main=rl.main_dyne.main, policy_name="random-DynE", results_dir="results")
    first = publish(run)
    assert "python embedding/main.py" in first and "not there" not in first
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for table in tmp_path.glob("curve.*"):
        table.unlink()
    assert publish(run) == first
    for table in tmp_path.glob("curve.*"):
        table.unlink()
    (tmp_path / "results").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / run.relative_to(tmp_path / "results")
    decoder = tmp_path / "moved" / ENV / "default" / "decoder.pt"
    content = checkpoint.load(decoder, "decoder")
    checkpoint.save(decoder, "decoder", content | {"max_embedding": 1.01 * content["max_embedding"]})
    assert f"trained with another decoder than {decoder} holds by now" in publish(moved)
    decoder.unlink()
    line = publish(moved)
    assert "what it was trained with is not there (--decoder default: there is no" in line and "with --command" in line
    for path in (moved / "seed_0").glob("checkpoint*"):
        path.unlink()
    assert "(the decoder default is not there any more)" in publish(moved)


@pytest.mark.parametrize("place", ["ReacherTurn-v2/random", f"{ENV}/TD3", f"{ENV}/DynE-TD3"])
def test_a_run_in_the_place_of_another_is_refused(train, publish, place):
    run = train()
    other = run.parents[2] / place / "default"
    other.parent.mkdir(parents=True)
    run.rename(other)
    env, method = place.split("/")
    opt = other / "seed_0" / "opt.json"
    assert f"seed_0: its opt.json is of random on {ENV}, its folder of {method} on {env}: put it" in publish(other)
    if env == ENV:
        flags = json.loads(opt.read_text())
        opt.write_text(json.dumps({name: value for name, value in flags.items() if name != "policy_name"}))
        assert "seed_0: its checkpoint has --policy_name, its opt.json has not: put" in publish(other)
        whole = checkpoint.load(other / "seed_0" / "checkpoint.pt", "run")
        of_others = {name: value for name, value in whole["flags"].items() if name != "policy_name"}
        checkpoint.save(other / "seed_0" / "checkpoint.pt", "run", whole | {"flags": of_others})
        assert f"seed_0: its checkpoint is of random on {ENV}, its folder of {method} on {env}: put it" in publish(
            other
        )
        checkpoint.save(other / "seed_0" / "checkpoint.pt", "run", whole)
    edit(opt, env_name=env, policy_name=method)
    flag = f"--policy_name {method}" if env == ENV else f"--env {env}"
    assert f"seed_0: its opt.json has {flag}, its checkpoint --" in publish(other)
    for path in (other / "seed_0").glob("checkpoint*"):
        path.unlink()
    if method == "DynE-TD3":
        assert "no run of DynE-TD3 has flags without 'source_env'" in publish(other)


def test_a_seed_in_the_place_of_another_is_refused(train, publish, call, tmp_path):
    run = train()
    shutil.copytree(run / "seed_0", run / "seed_5")
    assert f"{run / 'seed_5'}: its opt.json is of seed 0" in publish(run)
    edit(run / "seed_5" / "opt.json", seed=5)
    assert f"{run / 'seed_5'}: its opt.json has --seed 5, its checkpoint --seed 0" in publish(run)
    shutil.rmtree(run / "seed_5")
    ran = call(rl.main_td3.main, results_dir=tmp_path / "other", **FLAGS | {"env": "ReacherTurn-v2"}, seed=5)
    assert ran.code == 0
    shutil.copytree(next((tmp_path / "other").rglob("seed_5")), run / "seed_5")
    assert f"seed_5: its opt.json is of random on ReacherTurn-v2, its folder of random on {ENV}" in publish(run)


def test_seeds_of_different_decoders_of_one_name_are_not_joined(train, publish, call, tiny, tmp_path):
    """Each is that of its own folder of results."""
    runs = []
    for seed, results in enumerate((tmp_path / "results", tmp_path / "other")):
        shutil.copytree(tiny / ENV, results / ENV)
        decoder = results / ENV / "default" / "decoder.pt"
        content = checkpoint.load(decoder, "decoder")
        checkpoint.save(decoder, "decoder", content | {"max_embedding": (1 + seed / 100) * content["max_embedding"]})
        flags = FLAGS | {"policy_name": "random-DynE", "seed": seed, "results_dir": results}
        assert call(rl.main_dyne.main, **flags).code == 0
        runs.append(results / "rl" / ENV / "random-DynE" / "default")
    line = f"runs: seed 1 of {runs[1]} acts in another space, of another decoder or bounds, than seed 0 of {runs[0]}: "
    assert line in publish(*runs) and line in publish(*runs, command="mine")
    assert "1: 1" in publish(runs[1])


def test_what_checkpoints_do_not_tell_keeps_no_seeds_apart(capsys):
    first = {"actions": {"low": 0.0}, "states": {"encoder": 1}, "fingerprint": "a", "made_of": "b"}
    others = [{}, {"fingerprint": ""}, {"fingerprint": None, "made_of": None}, dict(first)]
    finished_seeds.check_joined({("run", seed): content for seed, content in enumerate([{}, first, *others])})
    assert not capsys.readouterr().out
    with pytest.raises(UsageError, match="seed 2 of b sees by another encoder or space than seed 1 of a: publish them"):
        finished_seeds.check_joined({("a", 1): first, ("b", 2): first | {"states": {"encoder": 2}}})


@pytest.mark.parametrize("entry", ["fingerprint", "made_of"])
def test_seeds_of_another_environment_are_told_once(train, call, tmp_path, entry):
    """As in joining a run: a processor that rounds otherwise makes another one, too."""
    run = train(num_seeds=3)
    for seed in (1, 2):
        path = run / f"seed_{seed}" / "checkpoint.pt"
        content = checkpoint.load(path, "run")
        checkpoint.save(path, "run", content | {entry: f"another one {seed}"})
    ran = call(analysis.publish.main, run, out=tmp_path / "curve.csv", threads=None)
    told = [line for line in ran.out.splitlines() if line.startswith("runs: ")]
    assert ran.code == 0 and len(told) == 1 and "if more than rounding has changed, publish them one by one" in told[0]
    assert (
        told[0].startswith(f"runs: seed 1 of {run} was trained where the environment, its code, ")
        and "seed 0 of" in told[0]
    )


def test_seeds_whose_numbers_depend_on_their_length_are_published_of_one_alone(train, publish, call, tmp_path):
    run = train(main=rl.main_sac_lsp.main, policy_name=None)
    flags = FLAGS | {"policy_name": None, "max_timesteps": 300, "seed": 1}
    assert call(rl.main_sac_lsp.main, **flags, results_dir=tmp_path / "other").code == 0
    other = tmp_path / "other" / run.relative_to(tmp_path / "results")
    assert f"runs: {other} has --max_timesteps 300, {run} --max_timesteps 200: publish them one" in publish(run, other)


def test_what_was_changed_since_the_checkpoint_is_refused(train, publish):
    run = train()
    opt, table = run / "seed_0" / "opt.json", run / "seed_0" / "eval.csv"
    before = opt.read_text(), table.read_text()
    edit(opt, lr=0.5)
    assert "its opt.json has --lr 0.5, its checkpoint --lr 0.001: put back" in publish(run)
    edit(opt, lr=0.001, max_timesteps=100)
    assert "are not those of a run with --max_timesteps 100" in publish(run)
    edit(opt, max_timesteps="200")
    assert "max_timesteps is 200, not a whole number" in publish(run)
    opt.write_text(json.dumps({name: value for name, value in json.loads(before[0]).items() if name != "lr"}))
    assert "its checkpoint has --lr, its opt.json has not: put back" in publish(run)
    opt.write_text(before[0])
    edit(opt, plan_length=9)
    assert "its opt.json has --plan_length, its checkpoint has not: put back" in publish(run)
    opt.write_text(before[0])
    table.write_text(before[1].replace(",100,-", ",100,-1"))
    assert table.read_text() != before[1]
    assert "seed_0: eval.csv was changed since its checkpoint: put back what it was" in publish(run)
    table.write_text(before[1])
    training = run / "seed_0" / "train.csv"
    kept = training.read_text()
    training.write_text(kept.replace("1", "2", 1))
    assert "seed_0: train.csv was changed since its checkpoint: put back what it was" in publish(run)
    training.write_text(kept)
    damaged = run / "seed_0" / "checkpoint.pt"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert "put back a whole checkpoint, or take it away" in publish(run)
    for path in (run / "seed_0").glob("checkpoint*"):
        path.unlink()
    edit(opt, env_name=None)
    assert "its env_name is no name of an environment" in publish(run)
    opt.write_text(before[0])
    assert "3 a seed" in publish(run)


@pytest.mark.parametrize("odd", [{"decoder": None}, {"decoder": 5}, {"source_env": 7}])
def test_flags_that_no_run_has_tell_no_command(train, publish, tiny, odd):
    """Where no checkpoint tells what they were."""
    decoder = tiny / "ReacherVertical-v2" / "default"
    run = train(main=rl.main_dyne.main, policy_name="DynE-TD3", decoder=decoder)
    for path in (run / "seed_0").glob("checkpoint*"):
        path.unlink()
    edit(run / "seed_0" / "opt.json", **odd)
    assert "--command: no run of DynE-TD3 has such flags (" in publish(run)


def test_no_policy_is_published_of_a_run_that_no_command_repeats(train, call, tmp_path):
    """The numbers of SAC-LSP depend on how long the run is to be: here 400 steps, of which it has 200."""
    seed = train(main=rl.main_sac_lsp.main, policy_name=None) / "seed_0"
    out = tmp_path / "policy"
    path = seed / "checkpoint.pt"
    content = checkpoint.load(path, "run")
    checkpoint.save(path, "run", content | {"flags": content["flags"] | {"max_timesteps": 400}})
    ran = call(analysis.publish_policy.main, seed, out=out, threads=None)
    assert ran.code == 2 and "it has 200 steps of 400" in ran.err and ran.err.count("\n") == 1 and not out.exists()
    checkpoint.save(path, "run", content)
    ran = call(analysis.publish_policy.main, seed, out=out, threads=None)
    assert ran.code == 0 and "--max_timesteps 200" in (out / "policy.txt").read_text(), ran.err
    edit(seed / "opt.json", levels=3)
    ran = call(analysis.publish_policy.main, "--overwrite", seed, out=out, threads=None)
    assert ran.code == 2 and "its opt.json has --levels 3, its checkpoint --levels 2" in ran.err

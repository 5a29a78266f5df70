"""A run that stops goes on as if it had not: N + N steps are 2N, bit for bit, however it was stopped."""

import shutil

import numpy as np
import pytest
import torch
import toy_envs  # noqa: F401  (registers its environments)
from same_runs import assert_same
from scripts import listing

import embedding.main
import rl.main_baselines
import rl.main_dyne
import rl.main_td3
import rl.state_spaces
from common import checkpoint
from common.run_folder import RunFolder

RL = {"num_seeds": 2, "eval_freq": 100, "eval_episodes": 1, "batch_size": 20}
SHORTER = {"eval_freq": 50, "update_every": 50}
EMBEDDING = {"steps": 1000, "epochs": 4, "epoch_size": 256, "decoder_epochs": 3, "decoder_batches": 8}
CASES = [
    ("ReacherVertical-v2", "TD3", {}),
    ("ReacherVertical-v2", "DynE-TD3", {"update_every": 25, "start_timesteps": 40}),
    ("Hopper-v5", "TD3", {"update_every": 15, "eval_freq": 45, "replay_size": 35}),
    ("Hopper-v5", "DynE-TD3", {"update_every": 15, "eval_freq": 45}),
    ("Pendulum-v1", "DynE-TD3", {"update_every": 35, "eval_freq": 35, "checkpoint_freq": 70}),
    ("Pendulum-v1", "random-DynE", {}),
]


@pytest.fixture
def train(call, tiny, tmp_path):
    """Runs an experiment of a case under a name; returns its folder and how the call ended."""

    def run(env_id, method, name, *arguments, **flags):
        main = rl.main_td3.main if method == "TD3" else rl.main_dyne.main
        source = {"decoder": tiny / env_id / "default" / "decoder.pt"} if "DynE" in method else {}
        flags = {**RL, **source, "policy_name": method, **flags}
        ran = call(main, *arguments, env_name=env_id, name=name, results_dir=tmp_path, **flags)
        return tmp_path / "rl" / env_id / method / name, ran

    return run


@pytest.mark.parametrize(("env_id", "method", "flags"), CASES)
def test_n_and_n_steps_are_2n(train, env_id, method, flags):
    flags = SHORTER | flags
    whole, ran = train(env_id, method, "whole", max_timesteps=210, **flags)
    assert ran.code == 0, ran.err
    for steps in (65, 105, 210):
        parts, ran = train(env_id, method, "parts", "--resume", max_timesteps=steps, **flags)
        assert ran.code == 0, ran.err
    assert_same(whole, parts)
    parts, ran = train(env_id, method, "parts", "--resume", max_timesteps=210, **flags)
    assert ran.code == 0 and "is finished" in ran.out
    assert_same(whole, parts)


def test_a_seed_may_be_resumed_by_itself(train):
    both, _ = train("Pendulum-v1", "TD3", "both", max_timesteps=200)
    train("Pendulum-v1", "TD3", "parts", max_timesteps=100)
    parts, ran = train("Pendulum-v1", "TD3", "parts", "--resume", max_timesteps=200, seed=1, num_seeds=1)
    assert ran.code == 0, ran.err
    assert_same(both / "seed_1", parts / "seed_1")


def test_the_older_checkpoint_serves_when_the_newest_is_damaged(train):
    whole, _ = train("Hopper-v5", "TD3", "whole", max_timesteps=150, **SHORTER)
    parts, _ = train("Hopper-v5", "TD3", "parts", max_timesteps=100, **SHORTER)
    damaged = parts / "seed_1" / "checkpoint.pt"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    parts, ran = train("Hopper-v5", "TD3", "parts", "--resume", max_timesteps=150, **SHORTER)
    assert ran.code == 0 and "is damaged" in ran.out, ran
    assert_same(whole, parts)


def test_seeds_go_on_from_the_newest_point_that_all_have(train):
    """As after a kill between the checkpoints of two seeds, twice in a row."""
    whole, _ = train("Pendulum-v1", "TD3", "whole", max_timesteps=200, **SHORTER)
    parts, _ = train("Pendulum-v1", "TD3", "parts", max_timesteps=100, **SHORTER)
    for _ in range(2):
        saved = {path.name: path.read_bytes() for path in (parts / "seed_1").glob("checkpoint*")}
        train("Pendulum-v1", "TD3", "parts", "--resume", max_timesteps=150, **SHORTER)
        for name, data in saved.items():
            (parts / "seed_1" / name).write_bytes(data)
    _, ran = train("Pendulum-v1", "TD3", "parts", "--resume", max_timesteps=200, **SHORTER)
    assert ran.code == 0, ran.err
    assert_same(whole, parts)


def test_no_seed_loses_steps_because_another_has_fewer(train):
    """Where it has more than there are to be, nothing is done; else it is told that it takes them again."""
    blocks = {"update_every": 25, "eval_freq": 50}
    run, _ = train("Pendulum-v1", "TD3", "a", max_timesteps=200, num_seeds=1, **blocks)
    train("Pendulum-v1", "TD3", "a", max_timesteps=150, num_seeds=1, seed=1, **blocks)
    before = listing(run)
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=175, **blocks)
    told = f"--max_timesteps 175: {run / 'seed_0'} has 200 steps, the other seeds 150: give at least 200"
    assert ran.code == 2 and told in ran.err and listing(run) == before, ran
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=176, **blocks)  # 200, in whole blocks
    assert ran.code == 0 and f"{run / 'seed_0'} goes back from 200 steps to the 150 that all seeds have" in ran.out, ran
    whole, _ = train("Pendulum-v1", "TD3", "whole", max_timesteps=200, **blocks)
    assert_same(whole, run)


def test_td3_is_the_same_by_either_script(train, call, tmp_path):
    """Flags of raw actions are of both: neither goes on with a run of the other without them."""
    flags = {"env": "Pendulum-v1", "results_dir": tmp_path, "eval_freq": 100, "eval_episodes": 1, "batch_size": 20}
    assert call(rl.main_td3.main, **flags, max_timesteps=100, noise_unit="bounds").code == 0
    dyne = {**flags, "policy_name": "TD3", "max_timesteps": 200}
    ran = call(rl.main_dyne.main, "--resume", **dyne)
    assert ran.code == 2 and "--noise_unit raw: the run that --resume continues has --noise_unit bounds" in ran.err, ran
    ran = call(rl.main_dyne.main, **dyne, seed=1)
    assert ran.code == 2 and "--noise_unit raw: seed_0 of the run" in ran.err, ran
    assert call(rl.main_dyne.main, "--resume", **dyne, noise_unit="bounds").code == 0
    whole = {**flags, "name": "whole", "max_timesteps": 200, "noise_unit": "bounds"}
    assert call(rl.main_td3.main, **whole).code == 0
    runs = tmp_path / "rl" / "Pendulum-v1" / "TD3"
    assert_same(runs / "whole", runs / "default")


@pytest.mark.parametrize(
    ("flags", "words"),
    [({"tau": 0.1}, "--tau 0.1"), ({"batch_size": 21}, "--batch_size 21"), ({"threads": 2}, "--threads 2")],
)
def test_flags_that_contradict_the_checkpoint(train, flags, words):
    train("Pendulum-v1", "TD3", "a", max_timesteps=100)
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", **{"max_timesteps": 200, "threads": 1, **flags})
    assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1


def test_a_refusal_changes_nothing(call, tmp_path):
    """Seed 0 could go on, seed 1 has another flag; a third seed was never begun."""
    flags = {**RL, "env": "Pendulum-v1", "num_seeds": 1}
    run = "rl/Pendulum-v1/TD3/default"
    call(rl.main_td3.main, **flags, results_dir=tmp_path / "a", max_timesteps=200)
    call(rl.main_td3.main, **flags, results_dir=tmp_path / "b", max_timesteps=100, seed=1, tau=0.1)
    (tmp_path / "b" / run / "seed_1").rename(tmp_path / "a" / run / "seed_1")
    before = listing(tmp_path / "a")
    for seeds, words in (
        (2, "--tau 0.005: the run that --resume continues"),
        (3, "begin the first new ones with --seed 2 --num_seeds 1"),
    ):
        flags = {**RL, "env": "Pendulum-v1", "num_seeds": seeds, "results_dir": tmp_path / "a"}
        ran = call(rl.main_td3.main, "--resume", **flags, max_timesteps=300)
        assert ran.code == 2 and words in ran.err, ran.err
        assert listing(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("main", "flags", "where", "value"),
    [
        (rl.main_baselines.main, {"algo": "PPO"}, "results.eval", []),
        (rl.main_baselines.main, {"algo": "PPO"}, "replay.checksums", "x"),
        (rl.main_td3.main, {"policy_name": "random"}, "collector.steps", "x"),
        (rl.main_td3.main, {"batch_size": 16}, "evaluations", "x"),
        (rl.main_td3.main, {"batch_size": 16}, "steps", "x"),
    ],
)
def test_a_checkpoint_of_another_form_is_told(call, tmp_path, main, flags, where, value):
    flags |= {"env": "Pendulum-v1", "eval_freq": 100, "eval_episodes": 1, "results_dir": tmp_path}
    assert call(main, max_timesteps=200, **flags).code == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    content = place = checkpoint.load(path, "run")
    *outer, last = where.split(".")
    for name in outer:
        place = place[name]
    place[last] = value
    checkpoint.save(path, "run", content)
    before = listing(tmp_path)
    ran = call(main, "--resume", max_timesteps=200 if "algo" in flags else 300, **flags)
    assert ran.code == 2 and "seed_0" in ran.err.splitlines()[-1] and "Traceback" not in ran.err, ran
    assert listing(tmp_path) == before


def test_a_run_whose_environment_was_named_without_its_version_goes_on(train):
    """As earlier versions of this project let it be named."""
    run, _ = train("Pendulum-v1", "TD3", "a", max_timesteps=100)
    for noted, steps, code in (("Pendulum", 200, 0), ("Pendul", 300, 2)):
        for path in run.rglob("checkpoint*.pt"):
            content = checkpoint.load(path, "run")
            content["flags"]["env_name"] = noted
            checkpoint.save(path, "run", content)
        _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=steps)
        assert ran.code == code, ran.err
    assert "--env Pendulum-v1: the run that --resume continues has --env Pendul:" in ran.err


def test_fewer_steps_than_done_change_nothing(train):
    run, _ = train("Pendulum-v1", "TD3", "a", max_timesteps=200)
    before = listing(run)
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=100)
    assert ran.code == 0 and "it has 200 steps already" in ran.out
    assert listing(run) == before


def test_results_without_a_checkpoint_are_not_overwritten(train, call, tmp_path):
    train("Pendulum-v1", "TD3", "a", max_timesteps=200)
    flags = {**EMBEDDING, "env": "Pendulum-v1", "results_dir": tmp_path}
    assert call(embedding.main.main, **flags).code == 0
    for path in tmp_path.rglob("checkpoint*"):
        path.unlink()
    before = listing(tmp_path)
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=200)
    for ended in (ran, call(embedding.main.main, "--resume", **flags)):
        assert ended.code == 2 and "holds results, but no checkpoint" in ended.err, ended.err
    assert listing(tmp_path) == before


def test_seeds_that_were_evaluated_differently_stay_what_they_were(call, tmp_path):
    """Resumed together, each goes on with its own number of evaluations."""

    def train(results, *arguments, **flags):
        ran = call(rl.main_td3.main, *arguments, **{**RL, "env": "Pendulum-v1", "results_dir": results, **flags})
        assert ran.code == 0, ran.err

    together, alone = tmp_path / "together", tmp_path / "alone"
    train(together, max_timesteps=100, num_seeds=1, eval_freq=50, update_every=50)
    train(together, max_timesteps=100, num_seeds=1, seed=1, update_every=50)
    shutil.copytree(together, alone)
    train(together, "--resume", max_timesteps=200, update_every=50)
    for seed in (0, 1):
        train(alone, "--resume", max_timesteps=200, num_seeds=1, seed=seed, update_every=50)
    for path in sorted(together.rglob("eval.csv")):
        assert path.read_bytes() == (alone / path.relative_to(together)).read_bytes()


def test_seeds_of_one_run_have_the_same_flags(train):
    run, _ = train("Pendulum-v1", "TD3", "a", max_timesteps=100)
    before = listing(run)
    for way, seed in (("--overwrite", 0), ("--resume", 5)):
        _, ran = train("Pendulum-v1", "TD3", "a", way, max_timesteps=100, num_seeds=1, seed=seed, lr=0.1)
        assert ran.code == 2 and "--lr 0.1: seed_" in ran.err and "has --lr 0.001" in ran.err, ran.err
    assert listing(run) == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [({"seed": 1}, "--seed 1"), ({"steps": 900}, "--steps 900"), ({"amsgrad": True}, "--amsgrad: the run")],
)
def test_an_embedding_goes_on_with_its_own_flags_only(call, tmp_path, flags, words):
    common = {**EMBEDDING, "env": "Pendulum-v1", "results_dir": tmp_path}
    assert call(embedding.main.main, **common).code == 0
    before = listing(tmp_path)
    arguments = ["--amsgrad"] if flags.pop("amsgrad", False) else []
    ran = call(embedding.main.main, "--resume", *arguments, **common | flags)
    assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
    assert listing(tmp_path) == before


def test_an_evaluation_that_is_not_finite_gives_the_seed_up(call, tmp_path):
    """toy_envs:WalkBreaks returns NaN from the sixth step on; an evaluation gets there first."""
    flags = {"env": "toy_envs:WalkBreaks-v0", "max_timesteps": 100, "eval_episodes": 1, "results_dir": tmp_path}
    ran = call(rl.main_td3.main, **flags)
    assert ran.code == 3 and "return of an evaluation nan" in ran.err
    (table,) = tmp_path.rglob("eval.csv")
    assert table.read_text().count("\n") == 1  # the header
    ran = call(rl.main_td3.main, "--resume", **flags)
    assert ran.code == 3 and "return of an evaluation nan" in ran.err


def test_another_decoder_is_refused(train, tiny, tmp_path):
    """Even under the name of the one that the run began with."""
    mine = shutil.copy(tiny / "Pendulum-v1" / "default" / "decoder.pt", tmp_path)
    _, ran = train("Pendulum-v1", "DynE-TD3", "a", max_timesteps=100, decoder=mine)
    assert ran.code == 0, ran.err
    content = checkpoint.load(mine, "decoder")
    content["weights"]["layers.0.bias"] += 1
    checkpoint.save(mine, "decoder", content)
    _, ran = train("Pendulum-v1", "DynE-TD3", "a", "--resume", max_timesteps=200, decoder=mine)
    assert ran.code == 2 and "what the policy is to act in" in ran.err, ran.err


def test_a_folder_in_use_is_refused(train):
    folder, _ = train("Pendulum-v1", "TD3", "a", max_timesteps=100)
    held = RunFolder(folder / "seed_1", "run")
    held.lock()
    for way in ("--resume", "--overwrite"):
        _, ran = train("Pendulum-v1", "TD3", "a", way, max_timesteps=200)
        assert ran.code == 2 and "another process" in ran.err
    held.release()
    _, ran = train("Pendulum-v1", "TD3", "a", "--resume", max_timesteps=200)
    assert ran.code == 0, ran.err


def test_a_seed_that_diverges_is_given_up_and_the_others_go_on(train, monkeypatch):
    """Seed 1's environment returns NaN from its 150th step on; seeds 0 and 2 are what they would have been."""
    undisturbed, _ = train("Pendulum-v1", "TD3", "undisturbed", max_timesteps=200, num_seeds=3)
    made, original = [], rl.state_spaces.make_env

    def make_env(*args, **kwargs):
        env = original(*args, **kwargs)
        made.append(env)
        if len(made) == 2:  # seed 1's
            steps, step = [], env.step

            def broken(action):
                steps.append(action)
                observation, *rest = step(action)
                return (observation * np.nan if len(steps) >= 150 else observation, *rest)

            env.step = broken
        return env

    monkeypatch.setattr(rl.state_spaces, "make_env", make_env)
    folder, ran = train("Pendulum-v1", "TD3", "broken", max_timesteps=200, num_seeds=3)
    assert ran.code == 3 and "seed 1" in ran.err and "step 150" in ran.err and "observation" in ran.err
    for seed in (0, 2):
        assert_same(undisturbed / f"seed_{seed}", folder / f"seed_{seed}")
    assert "step 150" in (folder / "seed_1" / "failed.json").read_text()
    assert checkpoint.load(folder / "seed_1" / "checkpoint.pt", "run")["steps"] == 100


def test_a_loss_that_is_not_finite_is_named(train, monkeypatch):
    import rl.td3

    original, called = rl.td3.TD3.target_value, []

    def broken(self, *args):
        called.append(self)
        breaks = self is called[0] and called.count(self) > 75  # seed 0's; each is for two updates
        return original(self, *args) * (torch.nan if breaks else 1)

    monkeypatch.setattr(rl.td3.TD3, "target_value", broken)
    folder, ran = train("Pendulum-v1", "TD3", "broken", max_timesteps=300)
    assert ran.code == 3 and "seed 0" in ran.err and "step 200: critic loss" in ran.err
    assert (folder / "seed_0" / "failed.json").exists() and not (folder / "seed_1" / "failed.json").exists()
    assert "the last good checkpoint is kept: to try again from it, delete failed.json" in ran.err
    _, ran = train("Pendulum-v1", "TD3", "broken", "--resume", max_timesteps=400)
    assert ran.code == 3 and checkpoint.load(folder / "seed_1" / "checkpoint.pt", "run")["steps"] == 400


def test_an_embedding_that_diverges_keeps_its_checkpoint(call, tmp_path):
    flags = {**EMBEDDING, "results_dir": tmp_path, "lr": 1e30}
    ran = call(embedding.main.main, **flags)
    assert ran.code == 3 and "seed 0" in ran.err and "epoch" in ran.err and "Traceback" not in ran.err
    assert "there is no checkpoint yet: once that is mended, start over with --overwrite" in ran.err
    assert not list(tmp_path.rglob("*coder.pt"))


def test_weights_that_are_not_finite_are_not_saved(call, tmp_path):
    """The loss of the only batch is finite, what it leaves is not."""
    flags = {**EMBEDDING, "epochs": 1, "epoch_size": 16, "batch_size": 16, "lr": 1e38, "decoder_epochs": 0}
    ran = call(embedding.main.main, results_dir=tmp_path, **flags)
    assert ran.code == 3 and "not finite" in ran.err, ran
    assert not list(tmp_path.rglob("*.pt")) and len(list(tmp_path.rglob("failed.json"))) == 1

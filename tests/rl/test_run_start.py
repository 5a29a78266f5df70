"""What a run must agree with as it begins: the seeds beside it, and the environment that it began with."""

import shutil
import sys

import numpy as np
import pytest
import toy_envs
from gymnasium.envs.registration import EnvSpec, registry
from processes import ScriptProcess
from scripts import listing

import analysis.publish
import embedding.main
import rl.main_baselines
import rl.main_dyne
import rl.main_sac_lsp
import rl.main_td3
from common import checkpoint
from common.cli import LARGEST_WHOLE
from common.environments import make_env
from rl.fingerprint import Fingerprint
from rl.policies import load_policy
from rl.training import TrainingRun

FLAGS = {"env": "Pendulum-v1", "max_timesteps": 100, "eval_freq": 50, "eval_episodes": 1, "batch_size": 20}
WALK = {"env": "toy_envs:Walk-v0", "update_every": 6, "eval_freq": 60, "eval_episodes": 1, "batch_size": 20}


def test_a_seed_that_began_meanwhile_with_other_flags_is_seen(call, tmp_path, monkeypatch):
    """Another process comes and goes between the check of the folders and their locks."""
    start, other = TrainingRun.start, []

    def late(experiment):
        if not other:
            other.append(None)
            other[0] = call(rl.main_td3.main, **FLAGS, results_dir=tmp_path, seed=1, lr=0.01)
            other.append(listing(tmp_path))
        return start(experiment)

    monkeypatch.setattr(TrainingRun, "start", late)
    ran = call(rl.main_td3.main, **FLAGS, results_dir=tmp_path)
    assert other[0].code == 0, other[0].err
    assert ran.code == 2 and "--lr 0.001: seed_1 of the run" in ran.err and ran.err.count("\n") == 1, ran
    assert listing(tmp_path) == other[1]


def test_of_processes_that_begin_together_with_different_flags_one_is_refused(tmp_path):
    for attempt in range(3):
        flags = [f"--{name}={value}" for name, value in {**FLAGS, "results_dir": tmp_path, "name": attempt}.items()]
        together = [
            ScriptProcess("rl/main_td3.py", [*flags, "--seed", seed, "--lr", lr], tmp_path / f"err_{attempt}_{seed}")
            for seed, lr in ((0, 1e-3), (1, 1e-2))
        ]
        assert sorted(process.wait() for process in together) == [0, 2], [process.err for process in together]
        (folder,) = (tmp_path / "rl" / "Pendulum-v1" / "TD3" / str(attempt)).iterdir()
        assert (folder / "eval.csv").exists()


def test_processes_that_begin_together_with_the_same_flags_both_run(tmp_path):
    flags = [f"--{name}={value}" for name, value in {**FLAGS, "results_dir": tmp_path}.items()]
    together = [ScriptProcess("rl/main_td3.py", [*flags, "--seed", seed], tmp_path / f"err_{seed}") for seed in (0, 1)]
    assert [process.wait() for process in together] == [0, 0], [process.err for process in together]
    assert sorted(path.name for path in (tmp_path / "rl/Pendulum-v1/TD3/default").iterdir()) == ["seed_0", "seed_1"]


def slower(monkeypatch):
    monkeypatch.setattr(toy_envs, "STEP", 0.125)


def rewarded(monkeypatch):
    step = toy_envs.Walk.step

    def doubled(env, action):
        observation, reward, *rest = step(env, action)
        return (observation, 2 * reward, *rest)

    monkeypatch.setattr(toy_envs.Walk, "step", doubled)


def longer(monkeypatch):
    monkeypatch.setattr(registry["Walk-v0"], "max_episode_steps", 7)


def breaking(monkeypatch):
    monkeypatch.setitem(registry["Walk-v0"].kwargs, "breaks", True)


@pytest.mark.parametrize("change", [slower, rewarded, longer, breaking])
def test_another_environment_is_refused_at_the_end_of_an_episode_too(call, tmp_path, monkeypatch, change):
    """Episodes have 6 steps: at step 60 one has just ended, and the next begins as it did before."""
    assert call(rl.main_td3.main, **WALK, max_timesteps=60, results_dir=tmp_path).code == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    assert len(checkpoint.load(path, "run")["collector"]["taken"]) == 0
    before = listing(tmp_path)
    with monkeypatch.context() as patch:
        change(patch)
        ran = call(rl.main_td3.main, "--resume", **WALK, max_timesteps=120, results_dir=tmp_path)
    assert ran.code == 2 and "--env toy_envs:Walk-v0: " in ran.err and ran.err.count("\n") == 1, ran
    assert listing(tmp_path) == before
    assert call(rl.main_td3.main, "--resume", **WALK, max_timesteps=120, results_dir=tmp_path).code == 0


@pytest.mark.parametrize("change", [slower, rewarded])
def test_a_seed_that_joins_tells_that_the_environment_has_changed(call, tmp_path, monkeypatch, change):
    for seed in (0, 1):
        ran = call(rl.main_td3.main, **WALK, max_timesteps=12, results_dir=tmp_path, seed=seed)
        assert ran.code == 0 and "of the run" not in ran.out
    change(monkeypatch)
    ran = call(rl.main_td3.main, **WALK, max_timesteps=12, results_dir=tmp_path, seed=2)
    assert ran.out.count("seed_0 of the run") == ran.out.count("stop and choose another --name") == 1, ran


def test_a_seed_does_not_join_those_of_another_decoder(call, tiny, tmp_path):
    """The embedding was trained anew under its name; flags tell nothing of it."""
    shutil.copytree(tiny / "ReacherVertical-v2", tmp_path / "ReacherVertical-v2")
    flags = {**FLAGS, "env": "ReacherVertical-v2", "results_dir": tmp_path}
    assert call(rl.main_dyne.main, **flags).code == 0
    decoder = tmp_path / "ReacherVertical-v2" / "default" / "decoder.pt"
    content = checkpoint.load(decoder, "decoder")
    content["max_embedding"] *= 1.01
    checkpoint.save(decoder, "decoder", content)
    before = listing(tmp_path)
    ran = call(rl.main_dyne.main, **flags, seed=1)
    assert ran.code == 2 and "seed_0 of the run" in ran.err and "choose another --name" in ran.err, ran
    run = tmp_path / "rl" / "ReacherVertical-v2" / "DynE-TD3" / "default"
    ran = call(analysis.publish.main, run, out=tmp_path / "curve.csv", threads=None)
    assert ran.code == 2 and f"seed_0: it was trained with another decoder than {decoder} holds by now" in ran.err, ran
    assert listing(tmp_path) == before


def test_a_backup_of_other_flags_keeps_no_seed_from_joining(call, tmp_path):
    assert call(rl.main_td3.main, **FLAGS, results_dir=tmp_path).code == 0
    run = tmp_path / "rl" / "Pendulum-v1" / "TD3" / "default"
    (run / "seed_0").rename(run / "seed_0_before")
    assert call(rl.main_td3.main, **FLAGS, results_dir=tmp_path, lr=0.3).code == 0


def test_a_seed_of_another_length_joins_where_numbers_do_not_depend_on_it(call, tmp_path):
    flags = {name: value for name, value in FLAGS.items() if name != "batch_size"} | {"results_dir": tmp_path}
    assert call(rl.main_sac_lsp.main, **flags).code == call(rl.main_td3.main, **flags).code == 0
    before = listing(tmp_path)
    ran = call(rl.main_sac_lsp.main, **flags | {"max_timesteps": 200, "seed": 1})
    run = tmp_path / "rl" / "Pendulum-v1" / "SAC-LSP" / "default"
    told = f"--max_timesteps 200: seed_0 of the run {run} has --max_timesteps 100: give that, or choose another --name"
    assert ran.code == 2 and told in ran.err and ran.err.count("\n") == 1 and listing(tmp_path) == before, ran
    assert call(rl.main_sac_lsp.main, **flags | {"seed": 1}).code == 0
    assert call(rl.main_td3.main, **flags | {"max_timesteps": 200, "seed": 1}).code == 0


def test_flags_are_those_of_the_checkpoint_where_opt_json_is_lost(call, tmp_path):
    assert call(rl.main_td3.main, **FLAGS, results_dir=tmp_path).code == 0
    next(tmp_path.rglob("opt.json")).unlink()
    ran = call(rl.main_td3.main, **FLAGS, results_dir=tmp_path, seed=1, lr=0.3)
    assert ran.code == 2 and "--lr 0.3: seed_0 of the run" in ran.err and "has --lr 0.001: give that" in ran.err, ran


def test_a_checkpoint_knows_flags_better_than_opt_json(call, tmp_path):
    """Which is for people, and may have been written to."""
    assert call(rl.main_td3.main, **FLAGS, results_dir=tmp_path).code == 0
    (path,) = tmp_path.rglob("opt.json")
    path.write_text(path.read_text().replace('"lr": 0.001', '"lr": 0.3'))
    assert call(rl.main_td3.main, **FLAGS, results_dir=tmp_path, seed=1).code == 0
    ran = call(rl.main_td3.main, **FLAGS, results_dir=tmp_path, seed=2, lr=0.3)
    assert ran.code == 2 and "--lr 0.3: seed_0 of the run" in ran.err and "has --lr 0.001: give that" in ran.err, ran


LATE = """
import gymnasium
import numpy as np


class Late(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(2, 0.5, np.float32), -1.0 if self.t > 120 else 0.0, False, False, {}


gymnasium.register("Late-v1", Late, max_episode_steps=150)
"""


@pytest.mark.parametrize("main", [rl.main_td3.main, rl.main_baselines.main])
@pytest.mark.parametrize(("change", "tells"), [(("> 120", "> 130"), True), (("class", "# a remark\nclass"), False)])
def test_a_run_tells_if_it_is_resumed_in_other_code_that_begins_alike(call, tmp_path, monkeypatch, main, change, tells):
    (tmp_path / "late_code.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "late_code", raising=False)
    monkeypatch.delitem(registry, "Late-v1", raising=False)
    flags = {**FLAGS, "env": "late_code:Late-v1", "results_dir": tmp_path / "results"}
    flags = {name: value for name, value in flags.items() if main is rl.main_td3.main or name != "batch_size"}
    told = "its code, its MuJoCo model"
    for steps in (200, 400):
        ran = call(main, "--resume", **flags | {"max_timesteps": steps, "num_seeds": 2})
        assert ran.code == 0 and told not in ran.out + ran.err, ran
    (tmp_path / "late_code.py").write_text(LATE.replace(*change))
    ran = call(main, **flags, seed=7)
    assert ran.code == 0 and ("seed_0 of the run" in ran.out + ran.err) == tells, ran
    ran = call(main, "--resume", **flags | {"max_timesteps": 600, "num_seeds": 2})
    assert ran.code == 0 and (ran.out + ran.err).count(told) == tells, ran


def test_a_model_of_mujoco_is_part_of_what_an_environment_is_made_of():
    env = make_env("InvertedPendulum-v5")
    before = Fingerprint.of(env)
    assert Fingerprint.of(make_env("InvertedPendulum-v5")) == before
    env.unwrapped.model.geom_friction[0, 0] *= 2  # of the rail, which nothing touches in its first steps
    assert Fingerprint.of(env).made_of != before.made_of


def test_another_environment_is_refused_though_it_breaks_on_the_way_too(call, tmp_path, monkeypatch):
    """What comes before its first steps is compared even so: here the time limit."""
    step = toy_envs.Walk.step

    def picky(env, action):
        if abs(action[0]) > 0.95:  # which a policy that explores little never asks for
            raise ValueError("too strong")
        return step(env, action)

    monkeypatch.setattr(toy_envs.Walk, "step", picky)
    flags = {**WALK, "results_dir": tmp_path, "expl_noise": 0, "lr": 1e-5}
    assert call(rl.main_td3.main, **flags, max_timesteps=60).code == 0
    with monkeypatch.context() as patch:
        longer(patch)
        ran = call(rl.main_td3.main, "--resume", **flags, max_timesteps=120)
    assert ran.code == 2 and "--env toy_envs:Walk-v0: " in ran.err and ran.err.count("\n") == 1, ran
    (path,) = tmp_path.rglob("checkpoint.pt")
    content = checkpoint.load(path, "run")
    content["fingerprint"] = ""  # of an earlier version
    checkpoint.save(path, "run", content)
    assert call(rl.main_td3.main, "--resume", **flags, max_timesteps=120).code == 0


def test_checkpoints_without_a_fingerprint_are_gone_on_with(call, tmp_path):
    assert call(rl.main_td3.main, **WALK, max_timesteps=60, results_dir=tmp_path).code == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    content = checkpoint.load(path, "run")
    del content["fingerprint"], content["made_of"]
    checkpoint.save(path, "run", content)
    ran = call(rl.main_td3.main, "--resume", **WALK, max_timesteps=120, results_dir=tmp_path)
    assert ran.code == 0, ran.err
    assert np.load(next(tmp_path.rglob("eval.npy")))[-1, 1] == 120


@pytest.mark.parametrize("main", [rl.main_td3.main, rl.main_sac_lsp.main])
def test_seeds_that_no_file_could_name_are_not_trained(call, tmp_path, main):
    ran = call(main, env="Pendulum-v1", seed=LARGEST_WHOLE, num_seeds=2, results_dir=tmp_path)
    assert ran.code == 2 and f"--seed {LARGEST_WHOLE}: " in ran.err and ran.err.count("\n") == 1, ran
    assert not listing(tmp_path)


def test_the_largest_seed_is_trained_and_loaded(call, tmp_path):
    flags = {"policy_name": "random", "max_timesteps": 100, "eval_episodes": 1, "num_seeds": 2}
    ran = call(rl.main_td3.main, env="Pendulum-v1", **flags, seed=LARGEST_WHOLE - 1, results_dir=tmp_path)
    assert ran.code == 0, ran.err
    assert {load_policy(path.parent).seed for path in tmp_path.rglob("checkpoint.pt")} == {
        LARGEST_WHOLE - 1,
        LARGEST_WHOLE,
    }


@pytest.mark.parametrize("main", [rl.main_td3.main, rl.main_sac_lsp.main, embedding.main.main])
def test_environments_that_no_file_could_name_are_not_trained_on(call, tmp_path, monkeypatch, main):
    named = f"{'Long' * 50}-v0"
    monkeypatch.setitem(registry, named, EnvSpec(named, toy_envs.Walk, max_episode_steps=6))
    ran = call(main, env=named, results_dir=tmp_path)
    assert ran.code == 2 and f"--env {named}: no file can name it" in ran.err and ran.err.count("\n") == 1, ran
    assert not listing(tmp_path)


@pytest.mark.parametrize("policy", ["TD3", "random"])
def test_networks_that_no_checkpoint_could_hold_are_not_trained(call, tmp_path, monkeypatch, policy):
    """A random policy has none."""
    monkeypatch.setattr("rl.memory_budget.LARGEST_FILE", 2**20)
    ran = call(rl.main_td3.main, **FLAGS | {"max_timesteps": 100, "results_dir": tmp_path}, policy_name=policy)
    if policy == "random":
        assert ran.code == 0, ran.err
    else:
        assert ran.code == 2 and "--env Pendulum-v1: networks" in ran.err and ran.err.count("\n") == 1, ran
        assert not listing(tmp_path)


def test_a_checkpoint_that_could_not_be_read_again_is_not_written(call, tmp_path, monkeypatch):
    flags = FLAGS | {"results_dir": tmp_path, "policy_name": "random"}
    assert call(rl.main_td3.main, **flags).code == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("common.torch_file.LARGEST_FILE", len(before) - 1)
        ran = call(rl.main_td3.main, "--overwrite", **flags | {"name": "other"})
    assert ran.code == 2 and "could not be read again (it is larger than " in ran.err and ran.err.count("\n") == 1, ran
    assert path.read_bytes() == before and load_policy(path.parent)

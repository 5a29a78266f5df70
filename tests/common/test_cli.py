"""Bad input: one line on stderr that names the flag, the value and the way out, exit code 2, nothing written."""

import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
import torch
import toy_envs  # noqa: F401  (registers its environments)
from gymnasium.envs.registration import EnvSpec
from scripts import DYNE, EMBED, EVALUATE, SHORT, TD3, Malicious, every, listing, training

from common.environments import make_env
from common.paths import REPOSITORY

# ---- environments ----

ENVIRONMENTS = {
    "ReacherVertica-v2": "did you mean ReacherVertical-v2",
    "ReacherVertical-v3": "did you mean ReacherVertical-v2",
    "Xyzzy1234-v0": "there is no such environment: no known one is like it. One's own is module:id",
    "not an id": "Malformed environment ID",
    "HalfCheetah-v2": "have been moved",
    "Pendulum": "it names no version: name Pendulum-v1",
    "toy_envs:Walk": "it names no version: name toy_envs:Walk-v0",
    "no_module:X-v0": "No module named 'no_module'",
    ":X-v0": "module:id",
    "a:b:X-v0": "module:id",
    "..x:X-v0": "module:id",
    "toy_envs:X-v0": "there is no such environment",
    "CartPole-v1": "Discrete(2); DynE needs a one-dimensional Box",
    "toy_envs:WalkUnbounded-v0": "must be finite",
    "toy_envs:WalkWhole-v0": "int64); DynE needs floats",
    "toy_envs:WalkNear-v0": "too near or too far for float32",
    "toy_envs:WalkWide-v0": "too near or too far for float32",
}


def test_an_environment_that_is_called_after_another_one_is_itself(monkeypatch):
    """A wrapper may have asked for the spec of what it wraps, which gymnasium remembers."""

    class Asking(gymnasium.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.limit = self.spec.max_episode_steps

    made_of = EnvSpec("Mine-v0", lambda **flags: Asking(gymnasium.make("Pendulum-v1", **flags)), max_episode_steps=9)
    monkeypatch.setitem(gymnasium.registry, "Mine-v0", made_of)
    make_env("Mine-v0")


@every
@pytest.mark.filterwarnings("ignore:.*HalfCheetah", "ignore:.*unversioned")
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_environments_that_will_not_do(refuse, a_run, main, env_id):
    refuse(main, [f"--env {env_id}: ", ENVIRONMENTS[env_id]], env=env_id)


@pytest.mark.parametrize("main", [TD3, DYNE])
def test_episodes_without_an_end(refuse, main):
    refuse(main, ["--env toy_envs:WalkEndless-v0", "max_episode_steps"], env_name="toy_envs:WalkEndless-v0")


def test_evaluation_in_an_environment_of_other_sizes(refuse, a_run):
    refuse(EVALUATE, ["--env Pendulum-v1", "3 and 1 numbers", "2: use"], env="Pendulum-v1")


# ---- flags ----


@training
def test_no_folder_of_results(call, main, tmp_path, monkeypatch):
    """An empty path would be the working folder."""
    monkeypatch.chdir(tmp_path)
    told = "is too long for a path: name another folder"
    for folder, words in (("", "'' is no folder: name one"), ("n" * 256, told), ("n/" * 2000, told)):
        ran = call(main, results_dir=folder, **SHORT[main])
        assert ran.code == 2 and "--results_dir: " in ran.err and words in ran.err and ran.err.count("\n") == 1, ran
    assert not listing(tmp_path)


@every
def test_unknown_flags_and_abbreviations(refuse, a_run, main):
    refuse(main, ["unrecognized arguments: --gama 3"], "--gama", "3")
    refuse(main, ["unrecognized arguments: --see"], "--see=3")


def test_a_flag_that_is_almost_right_is_named(refuse):
    said = "unrecognized arguments: --max_timessteps 3: did you mean --max_timesteps? (--help lists the flags)"
    refuse(TD3, [said], "--max-timessteps", "3")


def test_choices(refuse):
    refuse(DYNE, ["--policy_name", "'SAC'", "DynE-TD3"], policy_name="SAC")
    refuse(TD3, ["--policy_name", "'DynE-TD3'"], policy_name="DynE-TD3")
    refuse(EMBED, ["--norm", "'l1'", "squared"], norm="l1")


@training
@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "/tmp", "a b"])
def test_names_that_are_not_one_folder(refuse, main, name):
    refuse(main, ["--name", repr(name), "is not a folder's name"], f"--name={name}")
    refuse(main, ["--name", "'xxxx", "is too long: use a name of 100 characters at most"], name="x" * 101)


@training
@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", *([] if torch.cuda.is_available() else ["cuda"])])
def test_devices_that_are_not_there(refuse, main, device):
    refuse(main, [f"--device {device}: ", "use "], device=device)


@pytest.mark.parametrize("flag", ["--env", "--env_name", "--env-name"])
@every
def test_an_environment_is_named_by_either_flag(refuse, a_run, main, flag):
    refuse(main, ["Nope-v0: there is no such environment"], flag, "Nope-v0")


def test_dashes_and_underscores_are_the_same(call, tmp_path):
    flags = ["--max-timesteps=100", "--eval-episodes", "1", "--policy_name", "random", "--num-seeds=2"]
    assert call(TD3, "--results-dir", tmp_path, *flags).code == 0
    assert len(list(tmp_path.rglob("eval.csv"))) == 2


@pytest.mark.parametrize("name", ["data", "seed_1", "published", "published-k4"])
def test_names_of_embeddings_that_mean_something_else(refuse, name):
    refuse(EMBED, [f"--name: '{name}' is reserved"], name=name)


@pytest.mark.parametrize("env_id", ["..", ".", "rl"])
def test_ids_of_environments_that_would_lie_elsewhere(refuse, monkeypatch, env_id):
    monkeypatch.setitem(gymnasium.registry, env_id, EnvSpec(env_id, "toy_envs:Walk", max_episode_steps=9))
    for main in (TD3, EMBED):
        refuse(main, [f"--env: results of an environment called {env_id} would lie in {env_id}/"], env=env_id)


def test_an_environment_that_cannot_be_filmed(refuse):
    refuse(
        TD3,
        ["--render_freq: toy_envs:Walk-v0 cannot be drawn here"],
        env="toy_envs:Walk-v0",
        render_freq=50,
    )


def test_an_unknown_opengl_backend(tmp_path):
    command = [sys.executable, REPOSITORY / "rl" / "main_td3.py", "--results_dir", tmp_path]
    ran = subprocess.run(command, env=os.environ | {"MUJOCO_GL": "foo"}, check=False, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "MUJOCO_GL" in ran.stderr and "egl" in ran.stderr


def test_the_folder_of_a_decoder_may_be_named(call, tmp_path, decoder):
    ran = call(DYNE, decoder=decoder.parent, results_dir=tmp_path, **SHORT[DYNE])
    assert ran.code == 0, ran.err


# ---- result folders ----


@training
def test_results_below_a_file(refuse, main, tmp_path, decoder):
    (tmp_path / "file").write_text("x")
    flags = {"decoder": decoder} if main is DYNE else {}
    words = [f"--results_dir: {tmp_path / 'file'} is not a folder", "choose another"]
    refuse(main, words, results_dir=tmp_path / "file" / "x", **flags)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nobody can write")
@training
def test_results_where_nobody_can_write(call, main, decoder):
    flags = {"decoder": decoder} if main is DYNE else {}
    ran = call(main, results_dir="/proc/x", **flags, **SHORT[main])
    assert ran.code == 2
    line = ran.err.splitlines()[-1]  # random play draws a bar before
    assert "error: --results_dir: /proc/x" in line and "cannot be written" in line


@training
def test_an_existing_run_is_replaced_only_with_overwrite(call, refuse, main, tmp_path, decoder):
    flags = SHORT[main] | ({"decoder": decoder} if main is DYNE else {})
    assert call(main, results_dir=tmp_path, **flags).code == 0
    (run,) = {path.parent for path in tmp_path.rglob("opt.json")}
    for name in ("stray", "failed.json"):
        (run / name).touch()
    assert str(run) in refuse(main, ["--name: the run", "exists", "--overwrite"], **flags)
    assert call(main, "--overwrite", results_dir=tmp_path, **flags).code == 0
    assert (run / "opt.json").is_file() and not (run / "failed.json").exists() and (run / "stray").exists()


def test_seeds_join_a_run_but_do_not_replace_its_seeds(call, refuse, a_run, tmp_path):
    refuse(TD3, ["--seed 1 --num_seeds 1", "--overwrite"], num_seeds=2)
    before = listing(a_run / "seed_0")
    assert call(TD3, results_dir=tmp_path, seed=1, num_seeds=2, **SHORT[TD3]).code == 0
    assert sorted(folder.name for folder in a_run.iterdir()) == ["seed_0", "seed_1", "seed_2"]
    assert listing(a_run / "seed_0") == before


# ---- decoders ----


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"decoder": "other"},
        {"env_name": "ReacherTurn-v2", "source_env": "ReacherVertical-v2"},
        {"env_name": "toy_envs:WalkSkewed-v0"},
        {"env_name": "ReacherTurn-v2", "source_env": "toy_envs:Walk-v0"},
    ],
    ids=lambda flags: " ".join(flags.values()) or "default",
)
def test_a_missing_decoder_names_the_command_that_trains_it(call, refuse, tmp_path, flags):
    (_, command) = refuse(DYNE, ["--decoder", "there is no", "train it with"], **flags).strip().split(" with python ")
    script, *arguments = shlex.split(command)
    assert script == "embedding/main.py"
    assert call(EMBED, *arguments, results_dir=tmp_path, **SHORT[EMBED]).code == 0
    assert call(DYNE, results_dir=tmp_path, **flags, **SHORT[DYNE]).code == 0


def test_decoders_that_do_not_fit(refuse, tiny, decoder, tmp_path):
    pendulum = tiny / "Pendulum-v1" / "default" / "decoder.pt"
    refuse(DYNE, [f"--decoder {pendulum}", "1 numbers", "takes 2"], decoder=pendulum)
    words = ["--decoder", "4 steps", "3 steps", "--traj_len"]
    refuse(DYNE, words, decoder=decoder, env="toy_envs:WalkShort-v0")
    refuse(DYNE, ["there is no", "nothing.pt"], decoder=tmp_path / "nothing.pt")


@pytest.mark.parametrize("fault", ["truncated", "empty", "foreign", "encoder", "malicious", "pickle"])
def test_files_that_are_no_decoders(refuse, decoder, tmp_path, fault):
    path, proof, whole = tmp_path / "x.pt", tmp_path / "executed", decoder.read_bytes()
    if fault in ("foreign", "malicious"):
        torch.save({"weight": torch.zeros(3) if fault == "foreign" else Malicious(proof)}, path)
    else:
        pickled = pickle.dumps(Malicious(proof), protocol=2)
        encoder = decoder.with_name("encoder.pt").read_bytes()
        path.write_bytes({"truncated": whole[:-1000], "empty": b"", "encoder": encoder, "pickle": pickled}[fault])
    refuse(DYNE, [f"--decoder {path}", "train it anew"], decoder=path)
    assert not proof.exists()


# ---- evaluation ----


def test_runs_that_are_not_there(call, a_run, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "checkpoint.pt").write_bytes((a_run / "seed_0" / "checkpoint.pt").read_bytes()[:-200])
    for folder in (tmp_path / "nowhere", tmp_path, damaged):
        ran = call(EVALUATE, folder, threads=None)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert str(folder) in ran.err and "give the folder of a run" in ran.err


@pytest.mark.parametrize("video", ["x.avi", "nowhere/x.mp4", "x", "folder.gif"])
def test_videos_that_cannot_be_written(refuse, a_run, tmp_path, video):
    """Before anything is played."""
    (tmp_path / "folder.gif").mkdir()
    reason = f"there is no folder {tmp_path / 'nowhere'}" if "nowhere" in video else "name a .mp4 or .gif file"
    refuse(EVALUATE, [f"--video {tmp_path / video}: {reason}"], video=tmp_path / video)


# ---- from the shell ----


@pytest.mark.parametrize("script", ["embedding/main.py", "rl/main_td3.py"])
def test_the_shell_sees_one_line_and_exit_code_2_from_any_folder(tmp_path, script):
    folder, name = (REPOSITORY / script).parent, Path(script).name
    command = [sys.executable, name, "--env", "ReacherVertica-v2", "--results_dir", str(tmp_path)]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{name}: error: ") and ran.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())

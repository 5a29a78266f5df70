"""Files note the module of an environment of one's own; reading them does not import it, unless the user says so."""

import shlex
import sys
import warnings

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from scripts import listing

import analysis.figure3_reach
import analysis.figure8_effects
import analysis.figure10_trajectories
import embedding.evaluate
import embedding.main
import rl.evaluate
import rl.main_dyne
import rl.main_td3
from common import checkpoint
from common.checkpoint import CheckpointError
from common.errors import UsageError
from common.paths import REPOSITORY
from embedding.decoder import ActionDecoder
from embedding.models import load_encoder
from rl.policies import load_policy

NAME = "mylab.ball:LabBall-v0"
MODULE = """
import pathlib
import gymnasium
from toy_envs import Walk
pathlib.Path({proof!r}).touch()
gymnasium.register("LabBall-v0", Walk, max_episode_steps=6)
"""
LOOKING = {
    embedding.evaluate.main: {},
    analysis.figure3_reach.main: {"episodes": 2},
    analysis.figure8_effects.main: {"sequences": 20},
    analysis.figure10_trajectories.main: {"episodes": 2},
}


class Lab:
    """What was trained on an environment of one's own, as another process finds it: its module is not imported."""

    def __init__(self, folder):
        self.results, self.proof, self.package = folder / "results", folder / "imported", folder / "mylab"
        self.embedding = self.results / "LabBall-v0" / "default"
        self.runs = [self.results / "rl" / "LabBall-v0" / method / "default" for method in ("TD3", "DynE-TD3")]
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        (self.package / "ball.py").write_text(MODULE.format(proof=str(self.proof)))

    def forget(self):
        """Undoes an import of the module."""
        gymnasium.registry.pop("LabBall-v0", None)
        for name in ("mylab.ball", "mylab"):
            sys.modules.pop(name, None)
        self.proof.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory, call):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(lab.package.parent))
        short = {"steps": 300, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 4, "traj_len": 2}
        assert call(embedding.main.main, env=NAME, results_dir=lab.results, **short).code == 0
        short = {"max_timesteps": 100, "eval_episodes": 1, "env": NAME, "results_dir": lab.results}
        for main in (rl.main_td3.main, rl.main_dyne.main):
            ran = call(main, **short)
            assert ran.code == 0, ran.err
        yield lab
        lab.forget()


@pytest.fixture
def lab(made):
    made.forget()
    yield made
    made.forget()


def test_files_note_the_module_and_are_read_without_it(lab):
    decoder, (_, _, env_name) = (
        ActionDecoder.load(lab.embedding / "decoder.pt"),
        load_encoder(lab.embedding / "encoder.pt"),
    )
    policies = [load_policy(run) for run in lab.runs]
    assert {decoder.env_name, env_name, *(policy.env_name for policy in policies)} == {NAME}
    assert {decoder.env_id, *(policy.env_id for policy in policies)} == {"LabBall-v0"}
    assert policies[1].actions.decoder.env_name == NAME
    assert not lab.proof.exists() and "mylab" not in sys.modules


def test_scripts_ask_for_the_flag_and_take_it(lab, call, tmp_path):
    calls = [(rl.evaluate.main, run, {"episodes": 1}) for run in lab.runs]
    calls += [(main, lab.embedding, flags) for main, flags in LOOKING.items()]
    for main, folder, flags in calls:
        out = {} if main in (rl.evaluate.main, embedding.evaluate.main) else {"out": tmp_path / "t.csv"}
        ran = call(main, folder, threads=None, **flags, **out)
        assert ran.code == 2 and ran.err.count("\n") == 1, ran
        assert str(folder) in ran.err and ran.err.endswith(f"add --env {NAME}\n"), ran.err
        assert not lab.proof.exists() and not list(tmp_path.iterdir())
        ran = call(main, folder, "--env", NAME, threads=None, **flags, **out)
        assert ran.code == 0 and lab.proof.exists(), ran
        lab.forget()
        for path in listing(tmp_path):
            path.unlink()


NEXT = {
    "embedding/evaluate.py": (embedding.evaluate.main, {}),
    "rl/main_dyne.py": (rl.main_dyne.main, {"max_timesteps": 100, "eval_episodes": 1, "name": "next"}),
    "rl/evaluate.py": (rl.evaluate.main, {"episodes": 1, "video_episodes": 1}),
}


def test_each_script_ends_with_the_next_command_and_that_runs(lab, call, tmp_path, monkeypatch):
    """In a process of its own each, in which nothing of the user's is imported yet; here the module is forgotten instead."""
    monkeypatch.chdir(tmp_path)
    short = {"steps": 300, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 4, "traj_len": 2}
    ran = call(embedding.main.main, env=NAME, results_dir=tmp_path / "results", name="mine", **short)
    followed = []
    while len(followed) < 4:
        assert ran.code == 0, ran
        _, script, *words = shlex.split(ran.out.splitlines()[-1].partition("next: ")[2])
        script = str((tmp_path / script).resolve().relative_to(REPOSITORY))
        followed.append(script)
        if len(followed) == 4:
            assert (tmp_path / words[-1]).resolve() == tmp_path / "results" / "rl" / "LabBall-v0" / "DynE-TD3" / "next"
            break
        lab.forget()
        main, small = NEXT[script]
        results = {"results_dir": tmp_path / "results"} if script == "rl/main_dyne.py" else {}
        ran = call(main, *words, threads=None, **small, **results)
    assert followed == [
        "embedding/evaluate.py",
        "rl/main_dyne.py",
        "rl/evaluate.py",
        "analysis/plot_runs.py",
    ]  # it cannot be drawn


def test_in_python_one_agrees_by_trust(lab, monkeypatch):
    for run in lab.runs:
        policy = load_policy(run)
        with pytest.raises(UsageError, match=rf"trained on {NAME}.*make_env\(trust=True\)"):
            policy.make_env()
        assert not lab.proof.exists()
        env = policy.make_env(trust=True)
        assert lab.proof.exists() and env.spec.id == "LabBall-v0"
        policy.select_action(env.reset(seed=0)[0])
        with warnings.catch_warnings(action="error"):
            assert policy.make_env().spec.id == "LabBall-v0"  # it is imported already
        entry_point = gymnasium.spec("Pendulum-v1").entry_point  # of another module, which registers the same id
        monkeypatch.setitem(gymnasium.registry, "LabBall-v0", EnvSpec("LabBall-v0", entry_point, max_episode_steps=9))
        with pytest.warns(UserWarning, match=f"{NAME} is not, to the last bit, what the policy was trained on"):
            policy.make_env()
        lab.forget()


def test_files_of_before_say_that_a_module_is_missing(lab, call, tmp_path):
    content = checkpoint.load(lab.runs[0] / "seed_0" / "checkpoint.pt", "run")
    del content["env_name"]
    checkpoint.save(tmp_path / "checkpoint.pt", "run", content)
    ran = call(rl.evaluate.main, tmp_path, threads=None)
    assert ran.code == 2 and ran.err.endswith("add --env <module>:LabBall-v0\n"), ran.err
    assert call(rl.evaluate.main, tmp_path, "--env", NAME, threads=None, episodes=1).code == 0


@pytest.mark.parametrize("entries", [{"env_id": NAME}, {"env_name": "mylab.ball:Other-v0"}, {"env_name": "mylab.ball"}])
def test_modules_in_other_places_are_refused(lab, tmp_path, entries):
    content = checkpoint.load(lab.runs[0] / "seed_0" / "checkpoint.pt", "run")
    checkpoint.save(tmp_path / "checkpoint.pt", "run", content | entries)
    with pytest.raises(CheckpointError, match=f"{next(iter(entries))} is"):
        load_policy(tmp_path)
    assert not lab.proof.exists()


def test_a_registered_environment_of_the_same_id_is_not_taken_for_that_of_a_module(lab, call, tmp_path):
    """It may be another one: here the project's own Point, where the file says mylab's."""
    content = checkpoint.load(lab.runs[0] / "seed_0" / "checkpoint.pt", "run")
    named = {"env_id": "Point-v0", "env_name": "mylab.ball:Point-v0"}
    checkpoint.save(tmp_path / "checkpoint.pt", "run", content | named)
    ran = call(rl.evaluate.main, tmp_path, threads=None, episodes=1)
    assert ran.code == 2 and "it was trained on mylab.ball:Point-v0" in ran.err, ran
    with pytest.raises(UsageError, match="trained on mylab.ball:Point-v0"):
        load_policy(tmp_path).make_env()
    assert not lab.proof.exists()
    ran = call(rl.evaluate.main, tmp_path, "--env", "Point-v0", threads=None, episodes=1)
    assert ran.code == 0, ran.err

"""analysis/publish_policy.py: what it writes acts as the run's policy did, and holds nothing else."""

import numpy as np
import pytest

import analysis.publish_policy
import rl.evaluate
import rl.main_dyne
from common import checkpoint
from common.paths import PUBLISHED_POLICIES
from embedding.main import main as embedding_main
from rl.policies import load_policy

pytestmark = pytest.mark.quick
FLAGS = {"env": "ReacherVertical-v2", "max_timesteps": 200, "eval_freq": 200, "eval_episodes": 1, "batch_size": 8}


@pytest.fixture
def run(call, tmp_path):
    ran = call(rl.main_dyne.main, results_dir=tmp_path, policy_name="held-TD3", **FLAGS)
    assert ran.code == 0, ran.err
    return tmp_path / "rl" / FLAGS["env"] / "held-TD3" / "default" / "seed_0"


def test_it_acts_as_the_run_does_and_holds_nothing_of_the_training(call, run, tmp_path):
    out = tmp_path / "policies" / FLAGS["env"]
    ran = call(analysis.publish_policy.main, run, out=out, threads=None)
    assert ran.code == 0, ran.err
    before, after = load_policy(run), load_policy(out)
    for state in np.random.default_rng(0).normal(size=(9, 11)).astype(np.float32):
        assert np.array_equal(before.select_action(state), after.select_action(state))
    assert (after.env_id, after.method, after.seed) == (FLAGS["env"], "held-TD3", 0)
    content = checkpoint.load(out / "checkpoint.pt", "run")
    assert set(content) <= set(analysis.publish_policy.POLICY_ENTRIES) and content["steps"] == 200
    text = (out / "policy.txt").read_text()
    (command,) = [line for line in text.splitlines() if "rl/main_dyne.py" in line]
    given = vars(rl.main_dyne.parse(command.partition("main_dyne.py ")[2].split()))
    wanted = {"env_name" if name == "env" else name: value for name, value in FLAGS.items()}
    assert given.items() >= (wanted | {"policy_name": "held-TD3"}).items()

    again = call(analysis.publish_policy.main, run, out=out, threads=None)
    assert again.code == 2 and "--overwrite" in again.err
    assert call(analysis.publish_policy.main, "--overwrite", run, out=out, threads=None).code == 0


def test_a_run_is_never_written_over(call, run, tmp_path):
    before = (run / "checkpoint.pt").read_bytes()
    ran = call(analysis.publish_policy.main, "--overwrite", run, out=run, threads=None)
    assert ran.code == 2 and ran.err.count("\n") == 1 and f"--out {run}" in ran.err
    assert (run / "checkpoint.pt").read_bytes() == before


def test_a_text_that_lies_there_is_not_replaced_without_a_word(call, run, tmp_path):
    text = tmp_path / "out" / "policy.txt"
    text.parent.mkdir()
    text.write_text("mine")
    ran = call(analysis.publish_policy.main, run, out=text.parent, threads=None)
    assert ran.code == 2 and "--overwrite" in ran.err and text.read_text() == "mine"


def test_what_is_no_seeds_folder(call, run, tmp_path):
    for folder in (run.parent, tmp_path / "nowhere"):
        ran = call(analysis.publish_policy.main, folder, out=tmp_path / "out", threads=None)
        assert ran.code == 2 and ran.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_policy_that_was_not_trained_is_not_published(call, run, tmp_path):
    (path,) = run.rglob("checkpoint.pt")
    content = checkpoint.load(path, "run")
    checkpoint.save(path, "run", content | {"steps": 0})
    ran = call(analysis.publish_policy.main, path.parent, out=tmp_path / "out", threads=None)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and "its policy has not been trained yet" in ran.err, ran


@pytest.mark.parametrize("env_id", sorted(path.parent.name for path in PUBLISHED_POLICIES.glob("*/checkpoint.pt")))
def test_published_policies_are_played_by_name(call, env_id):
    policy = load_policy(f"published/{env_id}")
    assert (policy.env_id, policy.method) == (env_id, "DynE-TD3")
    ran = call(rl.evaluate.main, f"published/{env_id}", threads=None, episodes=1)
    assert ran.code == 0 and f"seed {policy.seed}: return" in ran.out
    missing = call(rl.evaluate.main, "published/Nothing-v2", threads=None)
    assert missing.code == 2 and f"published/{env_id}" in missing.err


def test_a_folder_that_is_not_there_is_told_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(checkpoint.CheckpointError, match=f"there is no folder {tmp_path}/results/rl/no_run"):
        load_policy("results/rl/no_run")


def test_the_file_of_a_policy_is_not_its_folder(tmp_path):
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(checkpoint.CheckpointError, match=f"is a file: name the folder that it lies in, {tmp_path}$"):
        load_policy(tmp_path / "checkpoint.pt")


def test_a_policy_whose_decoder_was_trained_anew_is_refused(call, tmp_path):
    """The command in the text would make another one."""
    embedding = {"env": "Pendulum-v1", "steps": 600, "epochs": 1, "epoch_size": 64, "decoder_epochs": 1}
    embedding |= {"decoder_batches": 2, "results_dir": tmp_path}
    assert call(embedding_main, **embedding).code == 0
    flags = FLAGS | {"env": "Pendulum-v1", "results_dir": tmp_path}
    assert call(rl.main_dyne.main, **flags).code == 0
    seed = tmp_path / "rl" / "Pendulum-v1" / "DynE-TD3" / "default" / "seed_0"
    assert call(analysis.publish_policy.main, seed, out=tmp_path / "first", threads=None).code == 0
    assert call(embedding_main, "--overwrite", **embedding, seed=1).code == 0
    ran = call(analysis.publish_policy.main, seed, out=tmp_path / "second", threads=None)
    assert ran.code == 2 and "another decoder" in ran.err and ran.err.strip().endswith("by now: put that back"), ran
    assert not (tmp_path / "second").exists()

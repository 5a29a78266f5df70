"""Decoders that were trained on one task and act in another, and those that come with the project."""

import json
import shlex

import gymnasium
import numpy as np
import pytest
import torch

import embedding.evaluate
import embedding.main
import envs  # noqa: F401  (registers the tasks)
import rl.main_dyne
from common.paths import PUBLISHED_EMBEDDINGS
from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions

PUBLISHED = [("ReacherVertical-v2", 4), ("Pusher-v2", 4), ("Pusher-v2", 8)]
SHORT = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 1, "num_seeds": 2, "batch_size": 16}
TRANSFERS = [
    ("ReacherTurn-v2", "ReacherVertical-v2", 4),
    ("ReacherPush-v2", "ReacherVertical-v2", 4),
    ("Striker-v2", "Pusher-v2", 4),
    ("Thrower-v2", "Pusher-v2", 8),
]


def published(env_id, k):
    return PUBLISHED_EMBEDDINGS / env_id / f"k{k}" / "decoder.pt"


@pytest.mark.parametrize(("env_id", "k"), PUBLISHED)
def test_published_decoders_are_whole_small_and_say_how_they_were_made(env_id, k):
    decoder = ActionDecoder.load(published(env_id, k))
    space = gymnasium.make(env_id).action_space
    assert (decoder.env_id, decoder.k) == (env_id, k)
    np.testing.assert_array_equal(decoder.high, space.high)
    folder = published(env_id, k).parent
    assert all(path.stat().st_size < 1.5e6 for path in folder.iterdir())
    (line,) = [line for line in (folder / "embedding.txt").read_text().splitlines() if line.startswith("command:")]
    flags = vars(embedding.main.parse(shlex.split(line)[3:]))
    assert (flags["env_name"], flags["traj_len"]) == (env_id, k)


@pytest.mark.parametrize(("env_id", "k"), PUBLISHED)
def test_published_decoders_are_good(call, env_id, k):
    ran = call(embedding.evaluate.main, published(env_id, k).parent, threads=None)
    assert ran.code == 0, ran.err
    verdicts = ran.out.partition("verdict\n")[2].partition("\nnext: ")[0].splitlines()
    assert len(verdicts) == 6 and all(line.endswith(" ok") for line in verdicts), ran.out


@pytest.mark.parametrize(("target", "source", "k"), TRANSFERS)
def test_transfers_run_and_resume(call, tmp_path, target, source, k):
    flags = {"env_name": target, "decoder": f"published-k{k}", "results_dir": tmp_path, **SHORT}
    for steps in (100, 200):
        ran = call(rl.main_dyne.main, "--resume", **flags | {"max_timesteps": steps}, source_env=source)
        assert ran.code == 0, ran.err
    ran = call(rl.main_dyne.main, **flags, name="whole")  # the paper's source is the default
    assert ran.code == 0, ran.err
    runs = tmp_path / "rl" / target / "DynE-TD3"
    for seed in (0, 1):
        ours, whole = (runs / name / f"seed_{seed}" / "eval.csv" for name in ("default", "whole"))
        assert ours.read_bytes() == whole.read_bytes()
    assert json.loads((runs / "whole" / "seed_0" / "opt.json").read_text())["decoder"] == f"published-k{k}"


def test_decoded_actions_are_in_the_sources_units_and_within_the_targets_bounds():
    decoder = ActionDecoder.load(published("Pusher-v2", 4))
    z = np.random.default_rng(0).uniform(-4, 4, 7).astype(np.float32)
    raw = decoder(torch.from_numpy(z)[None])[0].numpy()
    assert np.abs(raw).max() > 1.2  # beyond [-1, 1], within Pusher's [-2, 2]
    wide, narrow = np.full(7, 3, np.float32), np.full(7, 0.5, np.float32)
    np.testing.assert_array_equal(DynEActions(decoder, -wide, wide).decode(z), raw)
    np.testing.assert_array_equal(DynEActions(decoder, -narrow, narrow).decode(z), raw.clip(-0.5, 0.5))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"env_name": "Hopper-v5", "decoder": "published-k4"}, ["none of Hopper-v5 is published", "--traj_len 4"]),
        ({"env_name": "Pusher-v2", "decoder": "published-k3"}, ["none of Pusher-v2", "Pusher-v2 published-k8"]),
        (
            {"env_name": "ReacherTurn-v2", "source_env": "Pusher-v2", "decoder": "published-k4"},
            ["the decoder makes actions of 7 numbers (Pusher-v2)", "ReacherTurn-v2 takes 2"],
        ),
        (
            {"env_name": "Striker-v2", "source_env": "Thrower-v2"},
            ["train it with python embedding/main.py --env Thrower-v2"],
        ),
    ],
)
def test_decoders_that_will_not_do(call, tmp_path, flags, words):
    ran = call(rl.main_dyne.main, results_dir=tmp_path, **flags, **SHORT)
    assert ran.code == 2 and ran.err.count("\n") == 1, ran.err
    assert all(word in ran.err for word in words), ran.err
    assert not list(tmp_path.iterdir())


def test_a_decoder_of_unit_actions(call, tmp_path):
    """The release's range: plans within [-1, 1] where the bounds are 2."""
    short = {"steps": 400, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 4}
    for name, bound in (("unit", 1), ("bounds", 2)):
        ran = call(embedding.main.main, env="Pusher-v2", decoder_range=name, name=name, results_dir=tmp_path, **short)
        assert ran.code == 0, ran.err
        decoder = ActionDecoder.load(tmp_path / "Pusher-v2" / name / "decoder.pt")
        largest = decoder(100 * torch.randn(500, 7)).abs().max().item()
        assert 0.9 * bound < largest <= bound


def test_a_decoder_of_an_environment_that_is_only_called_alike(call, tmp_path):
    space = gymnasium.make("toy_envs:Walk-v0").action_space
    ActionDecoder(space.low, space.high, 2, env_name="another:Walk-v0").save(tmp_path / "decoder.pt")
    flags = {
        "env": "toy_envs:Walk-v0",
        "decoder": tmp_path / "decoder.pt",
        "results_dir": tmp_path / "results",
        **SHORT,
    }
    ran = call(rl.main_dyne.main, **flags)
    assert (
        ran.code == 2 and "it was trained on another:Walk-v0, not on toy_envs:Walk-v0: add --source_env" in ran.err
    ), ran
    assert not (tmp_path / "results").exists()
    assert call(rl.main_dyne.main, **flags, source_env="another:Walk-v0").code == 0


@pytest.mark.parametrize(
    ("own", "env", "code"), [("toy_envs:Walk-v0", "Walk-v0", 2), ("Walk-v0", "toy_envs:Walk-v0", 0)]
)
def test_a_modules_decoder_is_not_that_of_another_environment_of_its_id(call, tmp_path, own, env, code):
    """But one that names no module may be any's: files of earlier versions named none."""
    space = gymnasium.make("toy_envs:Walk-v0").action_space
    ActionDecoder(space.low, space.high, 2, env_name=own).save(tmp_path / "decoder.pt")
    flags = {"env": env, "decoder": tmp_path / "decoder.pt", "results_dir": tmp_path / "results"}
    ran = call(rl.main_dyne.main, **flags, **SHORT)
    assert ran.code == code and (f"trained on {own}, not on {env}" in ran.err) == bool(code), ran


def test_a_decoder_in_the_folder_of_another_environment_is_not_taken_for_its_own(call, tmp_path):
    """A folder that was copied, or two ids that are one folder, as ns/Walk-v0 and ns_Walk-v0 are."""
    space = gymnasium.make("toy_envs:Walk-v0").action_space
    path = tmp_path / "Walk-v0" / "default" / "decoder.pt"
    path.parent.mkdir(parents=True)
    ActionDecoder(space.low, space.high, 2, env_name="ns/Walk-v0").save(path)
    flags = {"env": "toy_envs:Walk-v0", "results_dir": tmp_path, **SHORT}
    ran = call(rl.main_dyne.main, **flags)
    told = f"{path} was trained on ns/Walk-v0, not on toy_envs:Walk-v0: name this file with --decoder if it is meant"
    assert ran.code == 2 and told in ran.err and not (tmp_path / "rl").exists(), ran
    assert call(rl.main_dyne.main, **flags, decoder=path).code == 0
    ActionDecoder(space.low, space.high, 2).save(path)  # does not say what it was trained on
    assert call(rl.main_dyne.main, "--overwrite", **flags).code == 0

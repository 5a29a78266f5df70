"""embedding/probe.py: ridge regression, true states, and the script."""

import shutil

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scripts import listing

import embedding.probe
import embedding.regression
from common.environments import make_env
from common.errors import UsageError
from common.provenance import is_notes
from embedding.probe import chart, parts_of, play_again, probe, shrink, true_state
from embedding.random_play import is_mujoco, random_play
from embedding.regression import network, r_squared, ridges

RNG = np.random.default_rng(0)
ENV = "ReacherVertical-v2"
SIX_EPISODES = {"LEAST": 6, "HELD_OUT": 0.4, "CHOSEN_ON": 0.5}  # two for each part, whose targets differ


@pytest.mark.parametrize("width", [6, 80])  # fewer inputs than rows, and more
def test_ridge_is_least_squares_with_a_penalty_as_further_rows(width):
    inputs, outputs = RNG.standard_normal((50, width)) + 3, RNG.standard_normal((50, 2))
    penalties = (0.1, 7.0)
    for penalty, weights in zip(penalties, ridges(inputs, outputs, penalties), strict=True):
        centered = np.concatenate([inputs - inputs.mean(0), np.sqrt(penalty) * np.eye(width)])
        literal = np.linalg.lstsq(centered, np.concatenate([outputs - outputs.mean(0), np.zeros((width, 2))]))[0]
        np.testing.assert_allclose(weights[:-1], literal)
        np.testing.assert_allclose((inputs @ weights[:-1] + weights[-1]).mean(0), outputs.mean(0))


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean():
    inputs = RNG.standard_normal((40, 2))
    outputs = inputs @ np.array([[1.0], [2.0]]) + 5
    assert r_squared(inputs, outputs, np.array([[1.0], [2.0], [5.0]])) == pytest.approx([1.0])
    assert r_squared(inputs, outputs, np.array([[0.0], [0.0], [outputs.mean()]])) == pytest.approx([0.0])


def test_a_probe_finds_what_is_linear_and_nothing_in_noise():
    hidden = RNG.standard_normal((2000, 3))
    inputs = np.concatenate([hidden @ RNG.standard_normal((3, 8)), np.zeros((2000, 1))], axis=1).astype(np.float32)
    outputs = np.stack([hidden[:, 0], hidden[:, 0] ** 2, RNG.standard_normal(2000)], axis=1)
    found = probe(inputs, outputs, np.repeat(np.arange(40), 50))
    linear, square, noise = found["linear"]
    assert linear > 0.999 and square < 0.05 and noise < 0.05
    linear, square, noise = found["network"]  # which finds the square too
    assert linear > 0.95 and square > 0.8 and noise < 0.05


def test_the_network_is_the_same_for_the_same_seed_and_leaves_torchs_stream_alone():
    inputs, outputs = RNG.standard_normal((300, 4)), RNG.standard_normal((300, 2))
    state = torch.get_rng_state()
    first, again, other = (network(inputs, outputs, (inputs[:50], outputs[:50]), seed)(inputs) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_probe_is_judged_on_episodes_that_it_has_not_seen():
    """Inputs that tell the episode apart tell nothing of others."""
    episode = np.repeat(np.arange(30), 20)
    outputs = RNG.standard_normal((30, 1))[episode]
    for found in probe(np.eye(30)[episode], outputs, episode).values():
        assert found[0] < 0.05


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "ReacherTurn-v2", "ReacherPush-v2"])
def test_true_states_are_those_of_the_random_play(env_id):
    env = make_env(env_id)
    play = random_play(env, 230, 5)
    names, truth = play_again(make_env(env_id), play, 5)
    assert len(truth) == len(play.states) and truth.shape[1] == len(names)
    count = len(env.unwrapped.data.qvel)
    velocities = truth[:, [name.startswith("velocity") for name in names]]
    np.testing.assert_array_equal(velocities, play.states[:, -count:])
    np.testing.assert_array_equal(truth[:, names.index("sin joint0")], np.sin(play.states[:, 0]))
    np.testing.assert_array_equal(truth[:, names.index("cos joint1")], np.cos(play.states[:, 1]))
    env.reset(seed=3)
    observation = env.unwrapped._observation() if hasattr(env.unwrapped, "_observation") else None
    read = dict(zip(*[(n := true_state(env))[0], n[1]()], strict=True))
    target = env.unwrapped.data.body("target").xpos
    assert [read[f"target {axis}"] for axis in "xyz"] == target.tolist()
    assert observation is None or set(observation.tolist()) >= {read["target x"], read["target z"]}


def test_a_probe_needs_a_simulator():
    with pytest.raises(UsageError, match="Pendulum-v1: a probe needs the joints of a MuJoCo environment"):
        true_state(gymnasium.make("Pendulum-v1"))
    assert not is_mujoco(gymnasium.make("Pendulum-v1"))


def test_small_images_are_area_means_side_by_side():
    frames = torch.from_numpy(RNG.integers(0, 256, (3, 3, 64, 64), dtype=np.uint8))
    found = shrink(frames, np.array([[0, 0, 1, 2], [1, 2, 2, 0]]))
    assert found.shape == (2, 4 * 3 * 16 * 16)
    literal = np.asarray(Image.fromarray(frames[2].permute(1, 2, 0).numpy()).reduce(4)).ravel() / 255
    np.testing.assert_allclose(found[0, 3 * 768 :], literal, atol=1e-6)
    means = frames[2].double().view(3, 16, 4, 16, 4).mean((2, 4)).permute(1, 2, 0).flatten() / 255
    np.testing.assert_allclose(literal, means.numpy(), atol=0.51 / 255)


@pytest.fixture
def results(tiny_images, tmp_path):
    """A results folder of one's own with hardly trained embeddings of images."""
    for kind in ("pixels", "vae"):
        shutil.copytree(tiny_images / f"{ENV}-{kind}", tmp_path / f"{ENV}-{kind}")
    return tmp_path


def test_the_script_writes_a_table_and_a_picture(call, results, monkeypatch):
    monkeypatch.setattr(embedding.regression, "EPOCHS", 2)
    for name, less in {"PENALTIES": [1e3], **SIX_EPISODES}.items():
        monkeypatch.setattr(embedding.probe, name, less)
    ran = call(embedding.probe.main, threads=None, env=ENV, vae="default", steps=600, results_dir=results)
    assert ran.code == 0, ran.err
    folder = results / f"{ENV}-pixels" / "default"
    table = pd.read_csv(folder / "probe.csv")
    assert list(table.columns) == embedding.probe.COLUMNS
    assert list(table.representation.unique()) == ["DynE (100)", "VAE (4 x 25)", "pixels (4 x 16 x 16)"]
    quantities = ["sin joint0", "cos joint0", "sin joint1", "cos joint1", "velocity joint0", "velocity joint1"]
    assert list(table.regression.unique()) == ["linear", "network"] and len(table) == 3 * 2 * 8
    assert list(table.quantity.unique()) == [*quantities, "target x", "target z"]
    assert np.isfinite(table.r2).all() and (table.r2 <= 1).all() and "velocity joint1" in ran.out
    assert Image.open(folder / "probe.png").size[0] > 500 and chart(table).to_dict()
    assert "\ncommand:     python embedding/probe.py --env ReacherVertical-v2 " in (folder / "probe.txt").read_text()
    found = {regression: np.ones(8) for regression in ("linear", "network")}
    monkeypatch.setattr(embedding.probe, "probe", lambda *_: found)  # which takes longest
    out = results / "elsewhere.csv"
    again = call(embedding.probe.main, threads=None, env=ENV, vae="default", steps=600, results_dir=results, out=out)
    assert again.code == 0, again.err
    assert pd.read_csv(out).drop(columns="r2").equals(table.drop(columns="r2")) and set(pd.read_csv(out).r2) == {1}
    assert out.with_suffix(".png").is_file() and is_notes(out.with_suffix(".txt"))


def test_what_stands_still_in_a_part_is_left_out(call, results, monkeypatch):
    """Nothing is to be explained there, and R^2 would be a division by almost nothing."""
    for name, less in SIX_EPISODES.items():
        monkeypatch.setattr(embedding.probe, name, less)

    def standing(env, play, seed):
        names, truth = play_again(env, play, seed)
        episode = np.repeat(np.arange(len(play.lengths)), play.lengths + 1)
        for part, column in zip(parts_of(episode), (0, 3, 5), strict=True):
            truth[part, column] = 0.1  # whose mean is not quite that
        return names, truth

    asked = []
    monkeypatch.setattr(embedding.probe, "play_again", standing)
    monkeypatch.setattr(
        embedding.probe, "probe", lambda _, outputs, __: asked.append(outputs) or {"linear": np.ones(5)}
    )
    ran = call(embedding.probe.main, threads=None, env=ENV, steps=600, results_dir=results)
    assert ran.code == 0, ran.err
    (line,) = [line for line in ran.out.splitlines() if line.startswith("left out, for standing still in a part")]
    assert line.endswith(": sin joint0, cos joint1, velocity joint1, target y")
    table = pd.read_csv(results / f"{ENV}-pixels" / "default" / "probe.csv")
    assert list(table.quantity.unique()) == ["cos joint0", "sin joint1", "velocity joint0", "target x", "target z"]
    assert all(outputs.shape[1] == 5 for outputs in asked)
    monkeypatch.setattr(embedding.probe, "play_again", lambda *of: (standing(*of)[0], 0 * standing(*of)[1]))
    ran = call(embedding.probe.main, threads=None, env=ENV, steps=600, results_dir=results)
    assert ran.code == 2 and "--steps 600: nothing moves in all of the parts" in ran.err


def test_what_others_wrote_is_not_replaced(call, results):
    (results / "mine.csv").write_text("1\n")
    (results / "other.png").write_text("2\n")
    (results / f"{ENV}-pixels" / "default" / "probe.txt").write_text("what I think of it")
    before = listing(results)
    for flags, words in (
        ({"out": results / "mine.csv"}, "mine.csv: it exists, and no such table was written there"),
        ({"out": results / "other.csv"}, "other.png: it exists and is no .png file"),
        ({}, "probe.txt would be replaced by the text that belongs to it"),
    ):
        ran = call(embedding.probe.main, threads=None, env=ENV, results_dir=results, **flags)
        assert (ran.code, ran.err.count("\n")) == (2, 1) and words in ran.err, ran
    assert listing(results) == before


def test_bad_input(call, results):
    for flags, words in (
        ({"env": "Pendulum-v1"}, ["--env Pendulum-v1", "MuJoCo"]),
        ({"encoder": "mine"}, ["--encoder mine: there is no", "--name mine"]),
        ({"vae": "mine"}, ["--vae mine: there is no", "python embedding/main_vae.py"]),
        ({"steps": 2}, ["--steps 2: that is 0 episodes of 3 steps or more"]),
        ({"steps": 1900}, ["--steps 1900: that is 19 episodes", "use at least 20"]),
    ):
        before = set(listing(results))
        ran = call(embedding.probe.main, threads=None, **{"env": ENV, "results_dir": results} | flags)
        assert (ran.code, ran.err.splitlines()[-1].startswith("probe.py: error: ")) == (2, True), ran
        assert all(word in ran.err for word in words), ran.err
        assert set(listing(results)) == before

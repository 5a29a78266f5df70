"""The scripts of figures 3, 8 and 10, against literal loops."""

import gymnasium
import numpy as np
import pandas as pd
import pytest

import analysis.figure3_reach
import analysis.figure8_effects
import analysis.figure10_trajectories
from analysis import random_plans
from analysis.figure8_effects import affine_r_squared
from analysis.figure_tables import SHOWN_ON
from common import memory
from common.streams import reset_seed, stream
from embedding.decoder import ActionDecoder

ENV = "ReacherVertical-v2"
SCRIPTS = {
    "figure3": (analysis.figure3_reach.main, {"episodes": 3}),
    "figure8": (analysis.figure8_effects.main, {"sequences": 12}),
    "figure10": (analysis.figure10_trajectories.main, {"episodes": 3}),
}
every_figure = pytest.mark.parametrize("name", SCRIPTS)


@pytest.fixture
def run(call, tiny, tmp_path):
    """Calls the script of a figure on a tiny embedding; returns its table and how the call ended."""

    def run(name, *arguments, **flags):
        main, short = SCRIPTS[name]
        flags = {"threads": None, "out": tmp_path / "t.csv", **short, **flags}
        ran = call(main, tiny / "ReacherVertical-v2" / "default", *arguments, **flags)
        return pd.read_csv(tmp_path / "t.csv") if ran.code == 0 else None, ran

    return run


def literal_episode(decoder, seed, tag, index, actions, rng):
    """The joints' positions of an episode of random plans, (101, 2), the environment stepped one by one."""
    env = gymnasium.make("ReacherVertical-v2")
    env.reset(seed=reset_seed(seed, tag, index))
    count = 100 // decoder.k
    if actions == "DynE":
        z = rng.uniform(-decoder.max_embedding, decoder.max_embedding, (count, 2))
        plans = np.clip(decoder(torch_of(z)).numpy(), -1, 1)
    else:
        plans = rng.uniform([-1, -1], [1, 1], (count, decoder.k, 2))
    positions = [env.unwrapped.data.qpos[:2].copy()]
    for action in np.float32(plans).reshape(-1, 2):
        env.step(action)
        positions.append(env.unwrapped.data.qpos[:2].copy())
    return np.array(positions)


def torch_of(z):
    import torch

    return torch.from_numpy(np.float32(z))


def test_figure_3_bins_the_distances_of_every_state(run, tiny):
    table, ran = run("figure3", seed=5)
    decoder = ActionDecoder.load(tiny / "ReacherVertical-v2" / "default" / "decoder.pt").requires_grad_(False)
    for actions in ("DynE", "raw"):
        rng = stream(5, "reach: plans", int(actions == "DynE"))
        paths = [literal_episode(decoder, 5, "reach", i, actions, rng) for i in range(3)]
        away = np.linalg.norm(np.array(paths) - np.array(paths)[:, :1], axis=2)
        for horizon, values in ((f"{decoder.k} steps", away[:, decoder.k]), ("episode", away[:, 1:].ravel())):
            bins = table[(table.actions == actions) & (table.horizon == horizon)]
            assert len(bins) == 40 and bins.share.sum() == pytest.approx(1, abs=1e-4)
            for low, high, share in zip(bins.low, bins.high, bins.share, strict=True):
                inside = ((values >= low - 1e-4) & (values < high + 1e-4)).mean()
                assert share <= inside + 1e-4
            assert (bins.share * bins.high).sum() == pytest.approx(values.mean(), abs=bins.high.max() / 40)
    assert ran.out.count("median distance") == 7  # one of places that are spread evenly


def test_figure_10_is_the_paths_of_the_joints(run, tiny):
    table, ran = run("figure10", seed=6)
    assert set(table.env) == {"ReacherVertical-v2"}
    decoder = ActionDecoder.load(tiny / "ReacherVertical-v2" / "default" / "decoder.pt").requires_grad_(False)
    for actions in ("DynE", "raw"):
        rng = stream(6, "trajectories: plans", int(actions == "DynE"))
        for episode in range(3):
            path = table[(table.actions == actions) & (table.episode == episode)]
            assert path.step.tolist() == list(range(101))
            literal = literal_episode(decoder, 6, "trajectories", episode, actions, rng)
            np.testing.assert_allclose(path[["x", "y"]].to_numpy(), literal, rtol=1e-4, atol=1e-5)
    assert ran.out.count("farthest from the start") == 3


def test_figure_8_plays_every_sequence_from_its_own_start(run, tiny):
    table, ran = run("figure8", seed=7)
    assert set(table.env) == {"ReacherVertical-v2"}
    plans = stream(7, "effects: plans").uniform([-1, -1], [1, 1], (12, 4, 2)).astype(np.float32)
    env = gymnasium.make("ReacherVertical-v2")
    for number, plan in enumerate(plans):
        env.reset(seed=reset_seed(7, "effects", number))
        before = env.unwrapped.data.qpos[:2].copy()
        for action in plan:
            env.step(action)
        moved = env.unwrapped.data.qpos[:2] - before
        np.testing.assert_allclose(table.loc[number, ["dx", "dy"]], moved, rtol=1e-4, atol=1e-5)
    assert ran.out.count("affine: R^2") == 2


def test_affine_maps_are_explained_and_noise_is_not():
    x, noise = np.random.default_rng(0).normal(size=(2, 500, 2))
    moved = x @ [[1.0, 3.0], [-2.0, 0.5]] + [7.0, -1.0]
    assert affine_r_squared(x, moved) == pytest.approx(1)
    assert affine_r_squared(x, noise) < 0.05
    assert affine_r_squared(x, moved + 0.5 * noise) == pytest.approx(1 - 0.25 / (moved.var(0).mean() + 0.25), abs=0.02)


@every_figure
def test_the_same_seed_gives_the_same_table(run, name):
    tables = [run(name, seed=seed)[0] for seed in (3, 3, 4)]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


@every_figure
def test_what_will_not_do_is_refused(run, tmp_path, tiny, name):
    for arguments, flags, words in (
        ([], {"out": tmp_path / "t.txt"}, "t.txt: name a .csv file"),
        ([], {"out": tmp_path / "no" / "t.csv"}, "make it first"),
        (["--seed=-1"], {}, "--seed"),
    ):
        _, ran = run(name, *arguments, **flags)
        assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(tmp_path.iterdir())


def test_embeddings_that_do_not_fit_are_refused(call, tiny, tmp_path):
    pendulum, reacher = (tiny / env_id / "default" for env_id in ("Pendulum-v1", "ReacherVertical-v2"))
    for main, arguments, words in (
        (analysis.figure8_effects.main, [pendulum], "a plane has 2: train on Point-v0"),
        (analysis.figure8_effects.main, [reacher, "--sequences", "5"], "use at least 10"),
        (analysis.figure3_reach.main, [reacher, "--env", "Pendulum-v1"], "--env Pendulum-v1"),
        (analysis.figure3_reach.main, [tiny], f"folder {tiny}"),
    ):
        ran = call(main, *arguments, "--out", tmp_path / "t.csv", threads=None)
        assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "env_id"), [("figure3", "Hopper-v5"), *((f, ENV) for f in ("figure8", "figure10"))])
def test_the_published_table_is_not_replaced_by_one_of_another_environment(
    call, tiny, tmp_path, monkeypatch, name, env_id
):
    monkeypatch.setattr(random_plans, "FIGURES", tmp_path)
    main, short = SCRIPTS[name]
    ran = call(main, tiny / env_id / "default", threads=None, **short)
    words = f"{name}.csv: the {name} there is of {SHOWN_ON[name]}, this one would be of {env_id}: give another --out"
    assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("effects", "the second number does not differ among positions that actions change"),
        ("embed_all", "the second number does not differ among places in DynE space"),
    ],
)
def test_what_does_not_differ_is_explained_by_nothing(run, tmp_path, monkeypatch, function, words):
    real = getattr(analysis.figure8_effects, function)
    flat = {"effects": np.array([1, 0]), "embed_all": torch_of([1, 0])}[function]
    monkeypatch.setattr(analysis.figure8_effects, function, lambda *of: real(*of) * flat + 0.1)
    _, ran = run("figure8")
    assert ran.code == 2 and f"on {ENV} {words}: train on Point-v0" in ran.err and ran.err.count("\n") == 1, ran.err
    assert not ran.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["figure3", "figure10"])
def test_episodes_without_end_or_room_are_refused(run, tmp_path, monkeypatch, name):
    _, ran = run(name, episodes="1e9")
    assert ran.code == 2 and "--episodes: '1e9' would take for ever: use at most 1,000,000" in ran.err
    monkeypatch.setattr(memory, "available_memory", lambda: 10**6)
    _, ran = run(name, episodes=1000)
    assert ran.code == 2 and "--episodes 1000 take" in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(tmp_path.iterdir())


def test_positions_are_the_simulators_or_the_observation():
    reacher, point = gymnasium.make("ReacherVertical-v2"), gymnasium.make("Point-v0")
    assert random_plans.positions_of(reacher, np.arange(4.0)).tolist() == [0, 1]
    assert random_plans.positions_of(point, np.arange(2.0)).tolist() == [0, 1]


class Bytes(gymnasium.Env):
    """A place from 0 to 255, noted in a byte, that goes down by what an action says."""

    observation_space = gymnasium.spaces.Box(0, 255, (2,), np.uint8)

    def reset(self, *, seed=None, options=None):
        self.place = np.array([100.0, 50.0])
        return self.place.astype(np.uint8), {}

    def step(self, action):
        self.place -= action
        return self.place.astype(np.uint8), 0.0, False, False, {}


def test_distances_between_small_whole_numbers_are_not_those_around_256():
    states = random_plans.play_plans(Bytes(), np.full((1, 3, 2), 10), 0)
    np.testing.assert_array_equal(states - states[0], [[0, 0], [-10, -10], [-20, -20], [-30, -30]])

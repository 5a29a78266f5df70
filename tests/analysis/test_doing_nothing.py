"""analysis/doing_nothing.py: what it plays, what it writes, what it refuses."""

import gymnasium
import numpy as np
import pandas as pd
import pytest
import toy_envs

import analysis.doing_nothing
from common.provenance import is_notes
from common.streams import reset_seed


def test_returns_are_those_of_the_middle_of_the_bounds(call, tmp_path):
    out = tmp_path / "still.csv"
    ran = call(analysis.doing_nothing.main, "Pendulum-v1", "ReacherPush-v2", episodes=3, out=out, threads=None)
    assert ran.code == 0 and "Pendulum-v1: doing nothing returns" in ran.out, ran
    env, returns = gymnasium.make("Pendulum-v1"), np.zeros(3)
    for episode in range(3):
        env.reset(seed=reset_seed(0, "doing nothing", episode))
        returns[episode] = sum(float(env.step(np.zeros(1, np.float32))[1]) for _ in range(200))
    table = pd.read_csv(out).set_index("env")
    assert list(table.index) == ["Pendulum-v1", "ReacherPush-v2"] and set(table.episodes) == {3}
    assert table["return"]["Pendulum-v1"] == pytest.approx(returns.mean(), rel=1e-5)
    assert table["standard_deviation"]["Pendulum-v1"] == pytest.approx(returns.std(ddof=1), rel=1e-5)
    assert is_notes(out.with_suffix(".txt"))

    before = out.read_bytes()
    ran = call(analysis.doing_nothing.main, "Pendulum-v1", episodes=1, out=tmp_path / "one.csv", threads=None)
    assert ran.code == 0 and "standard error" not in ran.out
    assert pd.read_csv(tmp_path / "one.csv").standard_deviation.isna().all() and out.read_bytes() == before


def test_the_middle_of_bounds_that_do_not_lie_about_zero():
    space = gymnasium.spaces.Box(np.float32([0, -3]), np.float32([10, 1]))
    assert analysis.doing_nothing.DoNothing(space).select_action(np.zeros(4)).tolist() == [5, -1]


@pytest.mark.parametrize(
    ("envs", "words"),
    [
        (["Pendulum-v1", "Pendulm-v1"], "envs Pendulm-v1: "),
        (["CartPole-v1"], "envs CartPole-v1: "),
        (["Pendulum-v1", "Pendulum-v1"], "envs Pendulum-v1: it is named twice"),
        (["toy_envs:WalkEndless-v0"], "its episodes have no limit"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_is(call, tmp_path, envs, words):
    assert toy_envs
    ran = call(analysis.doing_nothing.main, *envs, episodes=1, out=tmp_path / "still.csv", threads=None)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and words in ran.err, ran
    assert not list(tmp_path.iterdir())

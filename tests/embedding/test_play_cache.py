"""Random play that is kept: read the second time, played anew wherever something that it depends on has changed."""

import gymnasium
import numpy as np
import pytest
import toy_envs

import embedding.play_key
import embedding.random_play
from common.environments import make_env
from common.errors import UsageError
from embedding.random_play import load_random_play, random_play

pytestmark = pytest.mark.quick


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("states", "actions", "lengths"))


@pytest.fixture
def plays(monkeypatch):
    """Counts how often random play is really played."""
    played = []

    def counted(env, steps, seed):
        played.append((env.spec.id, steps, seed))
        return random_play(env, steps, seed)

    monkeypatch.setattr(embedding.random_play, "random_play", counted)
    return played


def test_the_cache_is_read_the_second_time(plays, tmp_path):
    used = make_env("ReacherVertical-v2")
    first, second, third = (load_random_play(env, 120, 0, tmp_path) for env in (used, used, make_env(used.spec.id)))
    assert len(plays) == 1 and same(first, second) and same(first, third)
    assert first.states.dtype == second.states.dtype and first.actions.dtype == second.actions.dtype


def heavier(env):
    env.unwrapped.model.body_mass[1] *= 2
    return env


CHANGES = {
    "environment": lambda patch: (make_env("ReacherTurn-v2"), 120, 0),
    "steps": lambda patch: (make_env("ReacherVertical-v2"), 121, 0),
    "seed": lambda patch: (make_env("ReacherVertical-v2"), 120, 1),
    "limit": lambda patch: (gymnasium.make("ReacherVertical-v2", max_episode_steps=50), 120, 0),
    "arguments": lambda patch: (gymnasium.make("ReacherVertical-v2", width=64), 120, 0),
    "model": lambda patch: (heavier(make_env("ReacherVertical-v2")), 120, 0),
    "gymnasium": lambda patch: patch(gymnasium, "__version__", "0"),
    "numpy": lambda patch: patch(np, "__version__", "0"),
    "recipe": lambda patch: patch(embedding.play_key, "RECIPE", 0),
    "code": lambda patch: patch(embedding.play_key, "code_digest", lambda _: "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_determines_the_data_is_part_of_the_key(plays, tmp_path, monkeypatch, change):
    load_random_play(make_env("ReacherVertical-v2"), 120, 0, tmp_path)
    changed = CHANGES[change](monkeypatch.setattr) or (make_env("ReacherVertical-v2"), 120, 0)
    load_random_play(*changed, tmp_path)
    assert len(plays) == 2
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    load_random_play(*changed, tmp_path)
    assert len(plays) == 2


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_cache_is_played_anew(plays, tmp_path, share):
    env = make_env("ReacherVertical-v2")
    first = load_random_play(env, 120, 0, tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    assert same(first, load_random_play(env, 120, 0, tmp_path))
    assert len(plays) == 2
    assert same(first, load_random_play(env, 120, 0, tmp_path))  # and is whole again
    assert len(plays) == 2


def test_a_damaged_cache_is_never_read_as_other_data(tmp_path):
    env = make_env("ReacherVertical-v2")
    first = load_random_play(env, 120, 0, tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        assert same(first, load_random_play(env, 120, 0, tmp_path))


def test_play_that_is_not_finite_is_refused_and_not_kept(tmp_path):
    with pytest.raises(UsageError, match="--env WalkBreaks-v0: state 6 of its random play is not finite"):
        load_random_play(make_env("toy_envs:WalkBreaks-v0"), 50, 0, tmp_path)
    assert not list(tmp_path.rglob("*"))


CRAFTED = {
    "few states": lambda play: {"states": play.states[:5]},
    "wide states": lambda play: {"states": np.repeat(play.states, 2, axis=1)},
    "other lengths": lambda play: {"lengths": play.lengths[:-1]},
    "negative lengths": lambda play: {"lengths": np.array([-1, 121])},
    "floats as lengths": lambda play: {"lengths": play.lengths.astype(np.float64)},
    "narrow actions": lambda play: {"actions": play.actions[:, :1]},
    "float64 actions": lambda play: {"actions": play.actions.astype(np.float64)},
    "states that are not finite": lambda play: {"states": np.full_like(play.states, np.nan)},
}


def test_a_cache_that_claims_to_be_huge_takes_no_memory(plays, tmp_path, capsys):
    env = make_env("ReacherVertical-v2")
    first = load_random_play(env, 120, 0, tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    rows, columns = first.states.shape
    claimed, huge = (f"'shape': ({many}, {columns}), }}".encode() for many in (rows, 9_999_999_999_999))
    body, padded = file.read_bytes(), claimed + b" " * (len(huge) - len(claimed))
    assert body.count(padded) == 1
    file.write_bytes(body.replace(padded, huge))
    assert same(first, load_random_play(env, 120, 0, tmp_path)) and len(plays) == 2
    assert "is made anew" in capsys.readouterr().out


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_cache_is_played_anew(plays, tmp_path, capsys, name):
    env = make_env("ReacherVertical-v2")
    first = load_random_play(env, 120, 0, tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    with np.load(file) as stored:
        content = dict(stored)
    np.savez(file, **{**content, **CRAFTED[name](first)})
    assert same(first, load_random_play(env, 120, 0, tmp_path)) and len(plays) == 2
    assert "cannot be read (ValueError) and is made anew" in capsys.readouterr().out


def test_what_depends_on_more_than_code_is_played_anew(plays, tmp_path, monkeypatch):
    """On a file of settings, or a variable of the surroundings."""
    gain = {"of": 1.0}
    original = toy_envs.Walk.step
    monkeypatch.setattr(toy_envs.Walk, "step", lambda env, action: original(env, gain["of"] * action))
    first = load_random_play(make_env("toy_envs:Walk-v0"), 60, 0, tmp_path)
    gain["of"] = 0.5
    second = load_random_play(make_env("toy_envs:Walk-v0"), 60, 0, tmp_path)
    assert len(plays) == 2 and not same(first, second)
    gain["of"] = 1.0
    assert same(first, load_random_play(make_env("toy_envs:Walk-v0"), 60, 0, tmp_path)) and len(plays) == 2


def test_what_does_not_do_the_same_twice_is_kept_too(plays, tmp_path):
    for _ in range(2):
        load_random_play(make_env("nasty_envs:RemembersRewards-v0"), 60, 0, tmp_path)
    assert len(plays) == 1

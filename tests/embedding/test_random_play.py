"""Random play and windows of it."""

import gymnasium
import numpy as np
import pytest

import embedding.play_key
import embedding.random_play
from common.environments import make_env
from common.errors import UsageError
from embedding.random_play import RandomPlay, is_open_loop, random_play, windows
from envs.reacher_family.reacher_vertical import ReacherVertical

pytestmark = pytest.mark.quick


def split(play):
    """The (states, actions) of every episode of `play`."""
    states = np.split(play.states, np.cumsum(play.lengths + 1)[:-1])
    return list(zip(states, np.split(play.actions, np.cumsum(play.lengths)[:-1]), strict=True))


# ---- windows ----


@pytest.mark.parametrize("lengths", [(7, 3, 1, 12, 4), (1, 1, 9, 2), (8, 8), (8, 7)])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 8])
def test_windows_are_those_of_a_loop_over_samples(lengths, k):
    rng = np.random.default_rng(0)
    total = sum(lengths)
    play = RandomPlay(
        rng.standard_normal((total + len(lengths), 3)),
        rng.standard_normal((total, 2)).astype(np.float32),
        np.array(lengths),
    )
    expected = [
        (states[t], actions[t : t + k], states[t + k] - states[t])
        for states, actions in split(play)
        for t in range(len(actions))
        if t + k <= len(actions)
    ]
    data = windows(play, k)
    columns = zip(*expected, strict=True)
    for found, wanted in zip((data.states, data.actions, data.deltas), columns, strict=True):
        assert np.array_equal(found.numpy(), np.stack(wanted).astype(np.float32))


def test_no_window_crosses_a_reset():
    lengths = np.array([5, 2, 9, 4])
    states = np.concatenate([[(episode, t) for t in range(n + 1)] for episode, n in enumerate(lengths)]).astype(float)
    data = windows(RandomPlay(states, np.zeros((20, 1), np.float32), lengths), 4)
    assert (data.deltas.numpy() == [0, 4]).all()
    assert len(data.deltas) == 2 + 0 + 6 + 1


def test_deltas_are_taken_before_rounding():
    """A small change of a large coordinate is no multiple of the coordinate's float32 spacing."""
    play = RandomPlay(np.array([[1000.0], [1000.0 + 1e-6]]), np.zeros((1, 1), np.float32), np.array([1]))
    assert windows(play, 1).deltas.item() == pytest.approx(1e-6, rel=1e-3)


def test_windows_longer_than_every_episode_are_refused():
    play = RandomPlay(np.zeros((9, 1)), np.zeros((7, 1), np.float32), np.array([3, 4]))
    with pytest.raises(UsageError, match="--traj_len 5: .* 4 steps"):
        windows(play, 5)


# ---- random play ----


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "ReacherPush-v2"])
def test_open_loop_play_equals_stepping(env_id):
    env = make_env(env_id)
    play = random_play(env, 250, seed=0)
    assert play.lengths.tolist() == [100, 100, 50]
    nq = env.unwrapped.model.nq
    for states, actions in split(play):
        env.reset(options={"qpos": states[0][:nq], "qvel": states[0][nq:]})
        for action, state in zip(actions, states[1:], strict=True):
            env.step(action)
            data = env.unwrapped.data
            np.testing.assert_allclose(np.concatenate([data.qpos, data.qvel]), state, rtol=0, atol=1e-9)


def test_open_loop_and_stepwise_play_are_the_same_episodes(monkeypatch):
    env = make_env("ReacherVertical-v2")
    fast = random_play(env, 5070, seed=3)  # more than one chunk of 50 episodes, the last one cut short
    monkeypatch.setattr(type(env.unwrapped), "open_loop", False)
    slow = random_play(env, 5070, seed=3)
    assert np.array_equal(fast.lengths, slow.lengths) and np.array_equal(fast.actions, slow.actions)
    np.testing.assert_allclose(fast.states, slow.states, rtol=0, atol=1e-9)


class Half(gymnasium.ActionWrapper):
    """A weaker motor."""

    def action(self, action):
        return (0.2 * action).astype(np.float32)


class Early(gymnasium.Wrapper):
    """Episodes of 10 steps."""

    def reset(self, **options):
        self.left = 10
        return self.env.reset(**options)

    def step(self, action):
        self.left -= 1
        return *self.env.step(action)[:2], self.left == 0, False, {}


class Weak(ReacherVertical):
    def step(self, action):
        return super().step((0.2 * action).astype(np.float32))


class Declared(Weak):
    open_loop = True


@pytest.fixture
def registered():
    """Registers what makes an environment, and makes it."""

    def made(maker):
        gymnasium.register("Odd-v0", maker, max_episode_steps=100)
        return make_env("Odd-v0")

    yield made
    gymnasium.registry.pop("Odd-v0", None)


@pytest.mark.parametrize(
    "maker", [lambda **_: Half(ReacherVertical()), lambda **_: Early(ReacherVertical()), lambda **_: Weak()]
)
def test_what_changes_a_step_is_stepped_one_by_one(registered, maker):
    env = registered(maker)
    assert not is_open_loop(env)
    play, plain = random_play(env, 250, seed=0), random_play(make_env("ReacherVertical-v2"), 250, seed=0)
    assert play.lengths[0] == 10 or np.abs(play.states).max() < np.abs(plain.states).max() / 2


class Rough(ReacherVertical):
    """Its geometries have another friction in every episode."""

    def reset_model(self):
        self.model.geom_friction[:] = self.np_random.uniform(0.5, 2.0)
        return super().reset_model()


class Heavy(ReacherVertical):
    """Its arm has another mass in every episode."""

    def set_state(self, *state):
        self.model.body_mass[:] = self.np_random.uniform(0.5, 2.0) * self.masses
        return super().set_state(*state)

    def __init__(self, **options):
        super().__init__(**options)
        self.masses = self.model.body_mass.copy()


def test_a_model_that_resets_change_is_stepped_one_by_one(registered, capsys):
    env = registered(lambda **_: Heavy())
    play, again = random_play(env, 250, seed=0), embedding.random_play._play_stepwise
    assert is_open_loop(env)
    assert np.array_equal(play.states, again(env, play.actions, 0, progress=False).states)
    assert "its steps are taken one by one" in capsys.readouterr().out


def test_a_class_with_resets_of_its_own_is_stepped(registered):
    env = registered(lambda **_: Rough())
    assert not is_open_loop(env)


def test_a_class_that_is_not_open_loop_as_it_says_is_refused(registered):
    with pytest.raises(UsageError, match="--env Odd-v0: it declares open_loop"):
        random_play(registered(lambda **_: Declared()), 250, seed=0)


def test_play_of_an_environment_without_a_simulator_is_of_its_observations():
    env = make_env("Pendulum-v1")
    play = random_play(env, 450, seed=0)
    assert play.lengths.tolist() == [200, 200, 50]
    assert play.states.shape == (453, 3) and play.actions.shape == (450, 1)
    env.reset(seed=0)
    for states, actions in split(play):
        env.reset()
        env.unwrapped.state = np.array([np.arctan2(states[0, 1], states[0, 0]), states[0, 2]])
        for action, before, after in zip(actions, states[:-1], states[1:], strict=True):
            env.unwrapped.state = np.array([np.arctan2(before[1], before[0]), before[2]])
            np.testing.assert_allclose(env.step(action)[0], after, atol=1e-5)


def test_play_of_a_terminating_simulator_ends_episodes_where_they_end():
    env = make_env("Hopper-v5")
    play = random_play(env, 300, seed=0)
    assert play.lengths.sum() == 300 and len(play.lengths) > 5 and play.states.shape == (300 + len(play.lengths), 12)
    simulator, episodes = env.unwrapped, split(play)
    env.reset(seed=0)
    for number, (states, actions) in enumerate(episodes):
        for step, action in enumerate(actions, start=1):
            simulator.set_state(states[step - 1][:6], states[step - 1][6:])
            terminated = simulator.step(action)[2]
            np.testing.assert_allclose(
                np.concatenate([simulator.data.qpos, simulator.data.qvel]), states[step], atol=1e-6
            )
            assert terminated == (step == len(actions)) or number == len(episodes) - 1


def test_actions_are_uniform_within_the_bounds_of_the_environment():
    play = random_play(make_env("toy_envs:WalkSkewed-v0"), 6000, seed=0)
    assert play.actions.dtype == np.float32
    low, high = np.array([-1, -2]), np.array([3, 2])
    assert (play.actions >= low).all() and (play.actions <= high).all()
    np.testing.assert_allclose(play.actions.min(0), low, atol=0.01)
    np.testing.assert_allclose(play.actions.max(0), high, atol=0.01)
    np.testing.assert_allclose(
        np.quantile(play.actions, [0.25, 0.5, 0.75], axis=0), [[0, -1], [1, 0], [2, 1]], atol=0.1
    )


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"])
def test_play_depends_on_its_seed_alone_and_no_two_episodes_start_alike(env_id):
    used = make_env(env_id)
    used.reset(seed=5)
    plays = [random_play(used, 601, seed=1), random_play(make_env(env_id), 601, seed=1)]
    assert plays[0].digest() == plays[1].digest()
    other = random_play(used, 601, seed=2)
    starts = np.concatenate([[states[0] for states, _ in split(play)] for play in (plays[0], other)])
    assert len(np.unique(starts, axis=0)) == len(starts) >= 8
    assert not np.array_equal(plays[0].actions, other.actions)


def test_the_first_steps_do_not_depend_on_how_many_follow():
    short, long = (random_play(make_env("ReacherVertical-v2"), steps, seed=1) for steps in (150, 400))
    assert np.array_equal(short.actions, long.actions[:150])
    assert np.array_equal(short.states, long.states[: len(short.states)])

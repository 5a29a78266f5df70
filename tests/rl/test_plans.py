"""From plans to replay rows: collection, k-step windows, the ring, exploration and warm-up."""

import numpy as np
import pytest
import torch
import toy_envs

import rl.main_dyne
import rl.replay
import rl.setup
from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions, RawActions
from rl.collection import Collector
from rl.plans import Plans, plan_returns
from rl.replay import Replay
from rl.state_spaces import ObservedStates
from rl.td3 import TD3

pytestmark = pytest.mark.quick

S, A, BOUND = 3, 2, 1.5
SCHEDULES = (  # lengths that k = 2, 3, 4 and 8 divide and that they do not, of episodes that end in all ways
    [(8, "truncated"), (5, "terminated"), (1, "terminated"), (7, "truncated"), (12, "terminated"), (1, "truncated")],
    [(3, "terminated"), (24, "both"), (2, "truncated"), (6, "terminated")],
    [(100, "truncated")],  # never ends here
)


def space(k):
    bounds = np.full(A, -1, np.float32), np.full(A, 1, np.float32)
    return RawActions(*bounds) if k == 0 else DynEActions(ActionDecoder(*bounds, k, max_embedding=BOUND), *bounds)


def act(states):
    """A policy that is told apart in every state."""
    return (states[:, :A] * 0.9 + states[:, A : A + 1]).astype(np.float32)


def forbidden(states):
    raise AssertionError("the policy is not to be asked")


def collector(actions, schedules, seeds=None, *, capacity=1000, noise=0.0, random_steps=0, discount=0.9):
    """A collector of one `Scripted` environment a schedule; (collector, its environments, its replay)."""
    envs = [toy_envs.Scripted(schedule, number) for number, schedule in enumerate(schedules)]
    replay = Replay(len(envs), (S,), actions.dim, capacity, torch.device("cpu"))
    seeds = seeds or list(range(len(envs)))
    flags = {"discount": discount, "noise": noise, "random_steps": random_steps}
    return Collector(envs, ObservedStates(S), actions, seeds, replay, **flags), envs, replay


def literal_rows(env, actions, discount):
    """The rows of all complete plans in what `env` has recorded, and checks that each plan was run open loop."""
    rows = []
    for episode in env.episodes:
        states = [state.astype(np.float32) for state in episode["states"]]
        rewards, steps = episode["rewards"], len(episode["actions"])
        for start in range(0, steps, actions.k):
            z = np.clip(act(states[start][None])[0], actions.policy_low, actions.policy_high)
            raw = actions.decode(z)
            for i in range(min(actions.k, steps - start)):
                assert np.array_equal(episode["actions"][start + i], raw[i])
            if start + actions.k > steps and episode["end"] is None:
                continue  # under way
            end = min(start + actions.k, steps)
            terminated = end == steps and episode["end"] in ("terminated", "both")
            for t in range(start, end):
                reward = sum(discount**j * rewards[t + j] for j in range(end - t))
                factor = 0.0 if terminated else discount ** (end - t)
                rows.append([*states[t], *z, t - start, reward, factor, *states[end]])
    return np.array(rows).reshape(-1, S + actions.dim + 3 + S)


# ---- rows ----


@pytest.mark.parametrize("discount", [0.9, 1.0])
@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 8], ids=lambda k: f"k={k}" if k else "raw")
def test_replay_rows_are_those_of_a_loop_over_recorded_episodes(k, discount):
    actions = space(k)
    collect, envs, replay = collector(actions, SCHEDULES, discount=discount)
    for steps in (1, 5, 7, 16, 3, 40):  # after every block, wherever the plans stand
        collect.collect(act, steps)
        for n, env in enumerate(envs):
            expected = literal_rows(env, actions, discount)
            assert replay.written[n] == replay.sizes[n] == len(expected)
            np.testing.assert_allclose(replay.rows[n, : len(expected)], expected, rtol=1e-6, atol=1e-6)
    assert [len(env.episodes) for env in envs] == [13, 9, 1]


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_plan_returns_are_the_equation_written_out(steps, discount, terminated):
    rewards = np.random.default_rng(steps).standard_normal(steps)
    returns, discounts = plan_returns(rewards, terminated, discount)
    for i in range(steps):
        assert returns[i] == pytest.approx(sum(discount**j * rewards[i + j] for j in range(steps - i)), abs=1e-12)
        assert discounts[i] == pytest.approx(0 if terminated else discount ** (steps - i), abs=1e-12)


def test_ended_episodes_are_reported_with_their_returns():
    collect, envs, _ = collector(space(4), SCHEDULES)
    ended = [[], [], []]
    for _ in range(8):
        for episodes, more in zip(ended, collect.collect(act, 9), strict=True):
            episodes += more
    for env, episodes in zip(envs, ended, strict=True):
        over = [episode for episode in env.episodes if episode["end"]]
        lengths = [len(episode["actions"]) for episode in over]
        assert [row[0] for row in episodes] == np.cumsum(lengths).tolist()
        assert [row[2] for row in episodes] == lengths
        np.testing.assert_allclose([row[1] for row in episodes], [sum(episode["rewards"]) for episode in over])
    assert collect.episodes.tolist() == [len(episodes) for episodes in ended]


def test_resets_are_seeded_by_seed_and_episode():
    runs = [collector(space(4), SCHEDULES[:2], [7, 3]), collector(space(2), [SCHEDULES[1]], [3])]
    for collect, *_ in runs:
        collect.collect(act, 60)
    together, alone = ([[episode["seed"] for episode in env.episodes] for env in envs] for _, envs, _ in runs)
    assert together[1] == alone[0]
    assert len({*together[0], *together[1]}) == len(together[0]) + len(together[1])


def test_plans_of_a_decoder_are_clipped_to_the_environment_that_is_acted_in():
    decoder = ActionDecoder(np.array([-4.0, -4.0]), np.array([4.0, 4.0]), k=50)
    torch.nn.init.constant_(decoder.layers[-1].bias, 100)
    actions = DynEActions(decoder, [-1, -0.5], [1, 0.25])
    plans = Plans(actions, 2)
    assert plans.due().all()
    plans.start(1, np.zeros(2, np.float32))
    assert plans.due().tolist() == [True, False]
    assert plans.next(1).tolist() == [1, 0.25]
    plans.drop(1)
    assert plans.due().all()


def test_what_a_checkpoint_holds_of_the_plan_under_way():
    collect, envs, _ = collector(space(4), SCHEDULES)
    collect.collect(act, 39)  # the last environment is within its tenth plan
    for n, env in enumerate(envs):
        state, episode = collect.snapshot(n), env.episodes[-1]
        assert (state["steps"], state["episodes"]) == (39, len(env.episodes) - 1)
        assert np.array_equal(state["taken"].numpy().reshape(-1, A), np.array(episode["actions"]).reshape(-1, A))
        under_way = len(episode["actions"]) % 4
        assert state["pending_rewards"] == episode["rewards"][len(episode["rewards"]) - under_way :]
    assert under_way == 3


# ---- the ring ----


@pytest.mark.parametrize("first", [4, 8, 1000])
@pytest.mark.parametrize("capacity", [7, 50])
def test_the_ring_keeps_exactly_the_newest_rows(monkeypatch, capacity, first):
    monkeypatch.setattr(rl.replay, "FIRST_CAPACITY", first)
    rng, replay = np.random.default_rng(0), Replay(2, (S,), A, capacity, torch.device("cpu"))
    width = S + A + 3 + S
    history = [np.zeros((0, width), np.float32), np.zeros((0, width), np.float32)]
    for _ in range(40):
        n, count = rng.integers(2), rng.choice([0, 1, 2, 3, 6, 7, 8, 60], p=[0.1, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05])
        rows = rng.standard_normal((count, width)).astype(np.float32)
        history[n] = np.concatenate([history[n], rows])
        replay.append(n, rows)
        assert replay.rows.shape[1] <= capacity
        for seed in (0, 1):
            kept = history[seed][-capacity:]
            assert replay.sizes[seed] == len(kept)
            found = replay.rows[seed, : len(kept)].numpy()
            assert sorted(map(tuple, found)) == sorted(map(tuple, kept))


def test_rows_are_sampled_from_their_own_seed():
    replay, width = Replay(3, (S,), A, 20, torch.device("cpu")), S + A + 3 + S
    stored = np.random.default_rng(0).standard_normal((3, 10, width)).astype(np.float32)
    for n in range(3):
        replay.append(n, stored[n])
    indices = np.random.default_rng(1).integers(0, 10, (4, 3, 5))
    batches = replay.sample(indices)
    assert len(batches) == 4
    for update, batch in enumerate(batches):
        assert [x.shape for x in batch] == [(3, 5, w) for w in (S, A, 1, 1, 1, S)]
        for n in range(3):
            assert np.array_equal(torch.cat(batch, dim=-1)[n].numpy(), stored[n, indices[update, n]])


def test_collection_past_the_capacity_keeps_the_newest_plans(monkeypatch):
    monkeypatch.setattr(rl.replay, "FIRST_CAPACITY", 8)
    actions = space(3)
    collect, envs, replay = collector(actions, SCHEDULES, capacity=20)
    for _ in range(12):
        collect.collect(act, 5)
        for n, env in enumerate(envs):
            expected = literal_rows(env, actions, 0.9)[-20:]
            found = replay.rows[n, : replay.sizes[n]].numpy()
            assert len(found) == len(expected)
            order = np.lexsort(found.T), np.lexsort(expected.astype(np.float32).T)
            np.testing.assert_allclose(found[order[0]], expected[order[1]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("update_every", [1, 3, 4, 10])
def test_only_complete_plans_are_sampled_even_by_blocks_shorter_than_a_plan(
    monkeypatch, tmp_path, call, tiny, update_every
):
    sampled, updates = [], []

    class Spy(Replay):
        def sample(self, indices, seeds):
            assert (indices.max((0, 2)) < self.sizes[seeds]).all() and (indices >= 0).all()
            batches = super().sample(indices, seeds)
            sampled.append((self.sizes[seeds].tolist(), len(batches)))
            assert all(batch.state.abs().sum(-1).min() > 0 for batch in batches)  # no row that was never written
            return batches

    update = TD3.update
    monkeypatch.setattr(rl.setup, "Replay", Spy)
    monkeypatch.setattr(
        TD3, "update", lambda self, rows, noise: updates.append(len(noise)) or update(self, rows, noise)
    )
    decoder = tiny / "ReacherVertical-v2" / "default" / "decoder.pt"
    flags = {"decoder": decoder, "results_dir": tmp_path, "max_timesteps": 21, "eval_episodes": 1, "num_seeds": 2}
    ran = call(rl.main_dyne.main, update_every=update_every, batch_size=8, **flags)
    assert ran.code == 0, ran.err
    ends = range(update_every, 21 + update_every, update_every)
    expected = [
        ([end - end % 4], update_every) for end in ends if end >= 4 for _ in range(2)
    ]  # one seed, then the other
    assert sampled == expected
    assert updates == [count for _, count in expected]


# ---- exploration and warm-up ----


def chosen(replay, n=0):
    """The policy's actions of the plans in the replay."""
    rows = replay.rows[n, : replay.sizes[n]].numpy()
    return rows[rows[:, S + A] == 0, S : S + A]


@pytest.mark.parametrize("k", [0, 2], ids=["raw", "k=2"])
def test_exploration_noise_has_its_scale_and_is_clipped_to_the_policys_bounds(k):
    actions = space(k)
    high = actions.policy_high
    collect, _, replay = collector(actions, SCHEDULES, capacity=5000, noise=0.1)
    collect.collect(lambda states: np.zeros((3, A), np.float32), 2000)
    z = chosen(replay, 2)
    assert z.mean() == pytest.approx(0, abs=0.02) and z.std() == pytest.approx(0.1, rel=0.1)
    assert len(np.unique(z)) == z.size  # every dimension of every plan has its own
    collect, _, replay = collector(actions, SCHEDULES, capacity=5000, noise=0.1)
    collect.collect(lambda states: np.tile(high, (3, 1)), 500)
    z = chosen(replay, 2)
    assert z.max() == high[0] and 0.3 < (z == high[0]).mean() < 0.7


def test_noise_of_a_seed_does_not_depend_on_the_seeds_beside_it():
    runs = [collector(space(2), SCHEDULES, [5, 1, 9], noise=0.3), collector(space(2), SCHEDULES[1:2], [1], noise=0.3)]
    for collect, *_ in runs:
        collect.collect(lambda states: np.zeros((len(states), A), np.float32), 60)
    together, alone = chosen(runs[0][2], 1), chosen(runs[1][2])
    assert np.array_equal(together, alone)
    assert not np.array_equal(chosen(runs[0][2], 0)[:20], together[:20])


@pytest.mark.parametrize("k", [0, 4], ids=["raw", "k=4"])
def test_warm_up_steps_are_uniformly_random_and_do_not_ask_the_policy(k):
    actions = space(k)
    collect, _, replay = collector(actions, SCHEDULES[2:], capacity=5000, random_steps=2000)
    collect.collect(forbidden, 2000)
    z, bound = chosen(replay), BOUND if k else 1.0
    assert -bound <= z.min() < -0.95 * bound and 0.95 * bound < z.max() <= bound
    np.testing.assert_allclose(np.quantile(z, [0.25, 0.5, 0.75]) / bound, [-0.5, 0, 0.5], atol=0.1)
    collect.collect(lambda states: np.full((1, A), 0.25, np.float32), 100)
    assert (chosen(replay)[-5:] == 0.25).all()


def test_a_plan_begun_in_the_warm_up_is_finished_after_it():
    collect, _, replay = collector(space(4), SCHEDULES[2:], random_steps=10)
    asked = []
    collect.collect(lambda states: asked.append(collect.steps) or np.zeros((1, A), np.float32), 24)
    assert asked == [12, 16, 20]
    assert (chosen(replay)[3:] == 0).all() and (chosen(replay)[:3] != 0).all()

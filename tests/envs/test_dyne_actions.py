"""DynEActionSpace: sequences, rewards, ends."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import toy_envs
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.env_checker import check_env as stable_baselines3_check

from common.paths import REPOSITORY
from embedding.decoder import ActionDecoder
from envs.dyne_actions import DynEActionSpace
from rl.action_spaces import DynEActions

LOW, HIGH = np.full(2, -1, np.float32), np.full(2, 1, np.float32)


def decoder_of(k, size=2):
    return ActionDecoder(LOW[:1].repeat(size), HIGH[:1].repeat(size), k, max_embedding=2.5).requires_grad_(False)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_a_step_is_a_sequence_of_the_environments(discount):
    decoder, rng = decoder_of(4), np.random.default_rng(0)
    env, raw = (
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder, discount),
        gymnasium.make("ReacherVertical-v2"),
    )
    plans = DynEActions(decoder, LOW, HIGH)
    seen, literal = env.reset(seed=1)[0], raw.reset(seed=1)[0]
    for number in range(25):
        assert np.array_equal(seen, literal)
        action = rng.uniform(-1, 1, 2).astype(np.float32)
        z = np.float32(2.5) * action
        seen, reward, terminated, truncated, info = env.step(action)
        steps = [raw.step(action) for action in plans.decode(z)]
        literal = steps[-1][0]
        assert reward == pytest.approx(sum(discount**i * step[1] for i, step in enumerate(steps)))
        assert (terminated, truncated, info["steps"]) == (False, number == 24, 4)


@pytest.mark.parametrize(("length", "end"), [(6, "terminated"), (7, "truncated"), (3, "both")])
def test_an_episodes_end_drops_the_rest_of_a_sequence(length, end):
    inner = toy_envs.Scripted([(length, end)])
    env = DynEActionSpace(TimeLimit(_with_spec(inner), 100), decoder_of(4))
    for _ in range(2):
        env.reset(seed=0)
        counts, over = [], False
        while not over:
            _, _, terminated, truncated, info = env.step(np.zeros(2, np.float32))
            counts.append(info["steps"])
            over = terminated or truncated
        assert counts == [4] * (length // 4) + ([length % 4] if length % 4 else [])
        assert (terminated, truncated) == (end != "truncated", end != "terminated")
        assert len(inner.episodes[-1]["actions"]) == length


def _with_spec(env):
    env.spec = gymnasium.spec("ReacherVertical-v2")
    return env


def test_actions_that_are_whole_numbers_are_refused():
    """Decoded ones would all be cut down to zero."""
    with pytest.raises(ValueError, match="decoded ones are no whole numbers: use a Box of floats"):
        DynEActionSpace(gymnasium.make("toy_envs:WalkWhole-v0"), decoder_of(4))


def test_actions_outside_are_clipped_and_raw_actions_too():
    env = DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(3))
    assert np.array_equal(env.action(np.array([9, -9])), env.action(np.array([1, -1], np.float32)))
    assert env.action_space.high.tolist() == [1, 1]
    assert np.abs(env.action(np.array([9, 9]))).max() <= 1


@pytest.mark.parametrize("action", [[np.nan, 0], [0.5], [[0, 0]], np.zeros((5, 2))])
def test_what_is_no_action_is_refused(action):
    with pytest.raises(ValueError, match="is not 2 numbers"):
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(4)).step(np.array(action, np.float32))


def test_actions_may_be_embeddings_themselves():
    """As SAC-plans and TD3-plans are published: what stable-baselines3 scales rounds in its own way."""
    decoder = decoder_of(3)
    scaled, plain = (
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder, normalised=flag) for flag in (True, False)
    )
    assert plain.action_space.high.tolist() == [2.5, 2.5]
    z = np.array([1.25, -0.3], np.float32)
    assert np.array_equal(plain.action(z), DynEActions(decoder, LOW, HIGH).decode(z))
    np.testing.assert_allclose(scaled.action(z / np.float32(2.5)), plain.action(z), atol=1e-6)


def test_decoders_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="makes actions of 3 numbers"):
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(4, 3))
    with pytest.raises(ValueError, match="longer than an episode"):
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(101))
    elsewhere = ActionDecoder(np.float32([-1, 1]), np.float32([1, 2]), 4)
    with pytest.raises(
        ValueError,
        match=r"between 1 and 2 in dimension 1, those of ReacherVertical-v2 between -1 and 1, so all would be clipped",
    ):
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), elsewhere)


def test_a_path_is_no_decoder():
    with pytest.raises(TypeError, match=r"'k4/decoder.pt': it is no decoder: ActionDecoder.load\(path\) returns one"):
        DynEActionSpace(gymnasium.make("ReacherVertical-v2"), "k4/decoder.pt")


def test_environments_that_will_not_do_are_refused():
    with pytest.raises(ValueError, match="has no spec, .*: make it with gymnasium.make"):
        DynEActionSpace(toy_envs.Walk(), decoder_of(4))
    with pytest.raises(ValueError, match=r"its actions are Discrete\(2\)"):
        DynEActionSpace(gymnasium.make("CartPole-v1"), decoder_of(4))
    acts = gymnasium.wrappers.FlattenObservation(DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(4)))
    with pytest.raises(ValueError, match="its actions are embeddings already"):
        DynEActionSpace(acts, decoder_of(4))


PARALLEL = """
import gymnasium
import torch

import envs
from embedding.decoder import ActionDecoder
from envs.dyne_actions import DynEActionSpace

torch.set_num_threads(4)
decoder = ActionDecoder.load("results/published/embeddings/ReacherVertical-v2/k4/decoder.pt")
torch.ones(500, 500) @ torch.ones(500, 500)  # whose threads a fork does not bring along
make = lambda: DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder)
parallel = gymnasium.vector.AsyncVectorEnv([make] * 2)
parallel.reset(seed=0)
print(parallel.step(parallel.action_space.sample())[1].shape)
parallel.close()
"""


def test_environments_of_forked_processes_do_not_wait_for_threads_that_are_not_there():
    words = [sys.executable, "-c", PARALLEL]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "(2,)\n", done.stderr


OF_EVERY_WRAPPER = "is different from the unwrapped version"
OF_THE_ENVIRONMENT = "A Box observation space m"  # aximum or inimum is infinite


def test_neither_gymnasium_nor_stable_baselines3_finds_a_fault():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_env(DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(4)), skip_render_check=True)
    left = [str(w.message) for w in found if OF_EVERY_WRAPPER not in str(w.message)]
    assert not [message for message in left if OF_THE_ENVIRONMENT not in message]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stable_baselines3_check(DynEActionSpace(gymnasium.make("ReacherVertical-v2"), decoder_of(4)))

"""A run is determined by its flags, and a seed's numbers by the seed: not by its neighbours, nor by how long they run."""

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
import toy_envs

import rl.main_dyne
import rl.main_td3
import rl.replay
from common import checkpoint
from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions, RawActions
from rl.evaluation import evaluate
from rl.policies import Policies
from rl.random_agent import RandomAgent
from rl.state_spaces import ObservedStates

MAINS = {"TD3": rl.main_td3.main, "DynE-TD3": rl.main_dyne.main}
FLAGS = {"max_timesteps": 100, "update_every": 25, "start_timesteps": 30, "eval_freq": 50, "eval_episodes": 1}
CASES = [(env_id, method) for env_id in ("ReacherVertical-v2", "Hopper-v5", "Pendulum-v1") for method in MAINS]
CASES.append(("Pusher-v5", "TD3"))  # 23 numbers of state, 7 of action: the 7DoF family
cases = pytest.mark.parametrize(("env_id", "method"), CASES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny, call):
    """Trains, and returns the folders of the seeds; a run that was made already is not made again."""
    made = {}

    def train(env_id, method, **flags):
        key = env_id, method, *sorted(flags.items())
        if key not in made:
            results = tmp_path_factory.mktemp("determinism")
            source = {"decoder": tiny / env_id / "default" / "decoder.pt"} if method == "DynE-TD3" else {}
            ran = call(MAINS[method], env_name=env_id, results_dir=results, **{**FLAGS, **source, **flags})
            assert ran.code == 0, ran.err
            made[key] = sorted((results / "rl" / env_id / method / "default").iterdir())
        return made[key]

    return train


def texts(folder):
    return {name: (folder / name).read_text() for name in ("eval.csv", "train.csv")}


def same(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def differences(a, b):
    """Parts of the checkpoints of two folders that differ; the flags may."""
    first, second = (checkpoint.load(folder / "checkpoint.pt", "run") for folder in (a, b))
    assert list(first) == list(second)
    return [part for part in first if part != "flags" and not same(first[part], second[part])]


# ---- the same command ----


@pytest.mark.parametrize("method", MAINS)
def test_the_same_command_gives_the_same_files_in_another_process(trained, tmp_path, tiny, method):
    (first,) = trained("Hopper-v5", method, seed=1)
    decoder = tiny / "Hopper-v5" / "default" / "decoder.pt"
    flags = {"env_name": "Hopper-v5", "results_dir": tmp_path, "seed": 1, **FLAGS}
    if method == "DynE-TD3":
        flags["decoder"] = decoder
    command = [sys.executable, MAINS[method].__globals__["__file__"]]
    command += [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True)
    again = tmp_path / "rl" / "Hopper-v5" / method / "default" / "seed_1"
    assert texts(first) == texts(again)
    assert differences(first, again) == []
    assert np.array_equal(np.load(first / "eval.npy"), np.load(again / "eval.npy"))


@cases
def test_another_seed_gives_other_numbers(trained, env_id, method):
    folders = trained(env_id, method, num_seeds=3)
    assert [folder.name for folder in folders] == ["seed_0", "seed_1", "seed_2"]
    curves = {texts(folder)["eval.csv"] for folder in folders}
    assert len(curves) == 3
    assert {"seed", "policy", "agent", "collector", "streams"} <= set(differences(*folders[:2]))


# ---- what a seed does not depend on ----


@cases
def test_a_seed_does_not_depend_on_the_seeds_beside_it(trained, env_id, method):
    together = trained(env_id, method, num_seeds=3)[1]
    (alone,) = trained(env_id, method, seed=1)
    assert texts(together) == texts(alone)
    assert differences(together, alone) == []


@pytest.mark.parametrize("method", MAINS)
def test_a_run_does_not_depend_on_how_long_it_will_be(trained, method):
    (short,) = trained("Hopper-v5", method, seed=1)
    (long,) = trained("Hopper-v5", method, seed=1, max_timesteps=150)
    for name, text in texts(short).items():
        assert texts(long)[name].startswith(text) and len(texts(long)[name]) > len(text)


def test_a_random_policy_does_not_depend_on_how_long_it_will_be(tmp_path, call):
    runs = []
    for steps in (200, 300):
        flags = {"policy_name": "random", "max_timesteps": steps, "eval_freq": 100, "eval_episodes": 1, "name": steps}
        assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
        runs.append(texts(tmp_path / "rl" / "ReacherVertical-v2" / "random" / str(steps) / "seed_0"))
    for name, text in runs[0].items():
        assert runs[1][name].startswith(text) and len(runs[1][name]) > len(text)


@pytest.mark.parametrize("method", MAINS)
def test_a_run_does_not_depend_on_the_steps_in_which_the_replay_grows(trained, monkeypatch, method):
    (whole,) = trained("ReacherVertical-v2", method, seed=1)
    monkeypatch.setattr(rl.replay, "FIRST_CAPACITY", 16)
    (grown,) = trained("ReacherVertical-v2", method, seed=1, replay_size=10_000)
    assert texts(whole) == texts(grown)
    assert differences(whole, grown) == []


def test_training_does_not_depend_on_how_often_it_is_evaluated(trained):
    (often,) = trained("Hopper-v5", "TD3", seed=1)
    (once,) = trained("Hopper-v5", "TD3", seed=1, eval_freq=100, eval_episodes=2)
    assert texts(often)["train.csv"] == texts(once)["train.csv"]
    assert set(differences(often, once)) <= {"evaluations", "results"}  # the latter: how long eval.csv is


# ---- starts of evaluations ----


def starts(seeds, evaluation, episodes, schedule, actions=None):
    """The reset seeds of every evaluation episode of each seed, in environments that end as `schedule` says."""
    envs = [toy_envs.Scripted(schedule, number) for number in range(len(seeds))]
    actions = actions or RawActions([-1, -1], [1, 1])
    agent = RandomAgent((3,), actions, seeds, None)
    policies = Policies(ObservedStates(3), actions, agent.evaluation_policy([evaluation] * len(seeds)))
    returns = evaluate(policies, envs, seeds, [evaluation] * len(envs), episodes)
    for env, row in zip(envs, returns, strict=True):
        assert len(env.episodes) == episodes and all(episode["end"] for episode in env.episodes)
        np.testing.assert_allclose(row, [sum(episode["rewards"]) for episode in env.episodes])
    return {seed: [e["seed"] for e in env.episodes] for seed, env in zip(seeds, envs, strict=True)}


def test_evaluation_starts_depend_on_seed_evaluation_and_episode_only(tiny):
    short, ragged = [(1, "terminated")], [(9, "truncated"), (2, "terminated"), (5, "both")]
    decoder = ActionDecoder.load(tiny / "ReacherVertical-v2" / "default" / "decoder.pt")
    plans = DynEActions(decoder, [-1, -1], [1, 1])
    reference = starts([4, 0, 7], 3, 6, short)
    assert starts([4, 0, 7], 3, 6, ragged) == starts([4, 0, 7], 3, 6, ragged, plans) == reference
    assert starts([7], 3, 6, ragged)[7] == reference[7]
    assert starts([0, 4], 3, 2, ragged) == {0: reference[0][:2], 4: reference[4][:2]}
    every = [s for evaluation in range(4) for row in starts([4, 0, 7], evaluation, 6, short).values() for s in row]
    assert len(set(every)) == len(every) == 4 * 3 * 6


class Starts(gymnasium.Wrapper):
    """Keeps the first observations of all episodes."""

    def __init__(self, env):
        super().__init__(env)
        self.seen = []

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        self.seen.append(observation.tolist())
        return observation, info


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"])
def test_policies_are_evaluated_from_the_same_states_of_the_environment(env_id):
    seen = []
    for choice in (0, 1):
        env = Starts(gymnasium.make(env_id))
        actions = RawActions(env.action_space.low, env.action_space.high)
        shape = env.observation_space.shape
        act = RandomAgent(shape, actions, [choice], None).evaluation_policy([0])
        policies = Policies(ObservedStates(*shape), actions, act)
        env.reset(seed=choice)
        evaluate(policies, [env], [5], [2], 3)
        seen.append(env.seen[1:])
    assert seen[0] == seen[1]
    assert len(seen[0]) == len({tuple(start) for start in seen[0]}) == 3

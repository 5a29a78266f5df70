"""Baselines go on as if they had not stopped, bit for bit, and their checkpoints hold the policies that they trained."""

import signal
import tempfile

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import register
from gymnasium.spaces import Box
from same_runs import assert_same
from scripts import listing

import rl.evaluate
import rl.main_baselines
import rl.main_sac_lsp
from common import checkpoint
from rl.baseline_run import SeedRun
from rl.policies import load_policy

BASELINES, LSP = rl.main_baselines.main, rl.main_sac_lsp.main
SHORT = {"eval_freq": 50, "eval_episodes": 1}
# method: script and arguments, environment, flags, and after how many steps, of all seeds together, what happens
CASES = {
    "SAC": (BASELINES, ["--algo", "SAC"], "Hopper-v5", {"max_timesteps": 170}, {70: "SIGTERM", 121: "kill"}),
    "PPO": (
        BASELINES,
        ["--algo", "PPO"],
        "Hopper-v5",
        {"max_timesteps": 250},
        {70: "kill", 150: "SIGTERM"},
    ),
    "SAC-plans": (BASELINES, ["--algo", "SAC"], "Hopper-v5", {"max_timesteps": 150}, {60: "kill", 100: "SIGTERM"}),
    "TD3-plans": (
        BASELINES,
        ["--algo", "TD3"],
        "ReacherVertical-v2",
        {"max_timesteps": 150},
        {60: "SIGINT", 130: "kill"},
    ),
    "SAC-LSP": (
        *(LSP, [], "Hopper-v5", {"max_timesteps": 90, "num_seeds": 2, "checkpoint_freq": 15}),
        {25: "SIGTERM", 45: "SIGTERM", 76: "kill", 120: "kill"},
    ),
}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Updates begin soon and are small, rollouts are short, and the replay of SAC-LSP's first level is full before its end."""
    for settings in (rl.main_baselines.SAC, rl.main_baselines.TD3):
        monkeypatch.setitem(settings, "policy_kwargs", {"net_arch": [16, 16]})
        monkeypatch.setitem(settings, "batch_size", 16)
    monkeypatch.setitem(rl.main_baselines.SAC, "learning_starts", 40)
    monkeypatch.setitem(rl.main_baselines.PPO, "n_steps", 64)
    monkeypatch.setitem(rl.main_baselines.PPO, "n_epochs", 2)
    monkeypatch.setattr(rl.main_sac_lsp, "LEARNING_STARTS", 20)
    monkeypatch.setattr(rl.main_sac_lsp, "BATCH", 16)
    monkeypatch.setattr(rl.main_sac_lsp, "replay_rows", lambda args: 30)


@pytest.fixture
def train(call, tiny, tmp_path):
    """Trains a method under a name; returns the run's folder and how the call ended."""

    def run(method, name, *arguments, **flags):
        main, more, env_id, own, _ = CASES[method]
        if "plans" in method:
            flags["decoder"] = tiny / env_id / "default" / "decoder.pt"
        ran = call(main, *more, *arguments, env=env_id, name=name, results_dir=tmp_path, **SHORT | own | flags)
        return tmp_path / "rl" / env_id / method / name, ran

    return run


@pytest.fixture
def happen(monkeypatch):
    """Lets a signal, or as sudden an end as a kill, befall the run once so many steps were counted."""
    count = SeedRun.count

    def at(steps, what):
        counted = []

        def noted(run, taken, ended):
            before = sum(counted)
            counted.append(taken)
            if before < steps <= before + taken:
                if what == "kill":
                    raise KeyboardInterrupt
                signal.raise_signal(getattr(signal, what))
            count(run, taken, ended)

        monkeypatch.setattr(SeedRun, "count", noted)

    yield at
    monkeypatch.setattr(SeedRun, "count", count)


def steps_of(folder):
    """The steps of the newest checkpoint of each seed that has one."""
    return [checkpoint.load(path, "run")["steps"] for path in sorted(folder.glob("seed_*/checkpoint.pt"))]


@pytest.mark.parametrize("method", CASES)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(train, happen, method):
    whole, ran = train(method, "whole")
    assert ran.code == 0, ran.err
    done = 0
    for steps, what in CASES[method][4].items():
        happen(steps - done, what)
        parts, ran = train(method, "parts", "--resume")
        assert ran.code == {"kill": 130, "SIGINT": 130, "SIGTERM": 143}[what], ran.err
        assert ("continue with" in ran.err and ran.err.strip().endswith("--resume")) == (what != "kill")
        assert sum(steps_of(parts)) > done
        done = sum(steps_of(parts))
    happen(10**9, "kill")
    parts, ran = train(method, "parts", "--resume")
    assert ran.code == 0, ran.err
    assert_same(whole, parts)
    before = listing(parts)
    parts, ran = train(method, "parts", "--resume")
    assert ran.code == 0 and "is finished" in ran.out, ran
    assert listing(parts) == before


@pytest.mark.parametrize("method", ["SAC", "SAC-plans", "TD3-plans"])
def test_n_and_n_steps_are_2n(train, method):
    steps = CASES[method][3]["max_timesteps"]
    whole, _ = train(method, "whole")
    for n in (steps // 2, steps):
        parts, ran = train(method, "parts", "--resume", max_timesteps=n)
        assert ran.code == 0, ran.err
    assert_same(whole, parts)


@pytest.mark.parametrize("method", ["SAC", "PPO"])
def test_nothing_is_left_among_temporary_files(train, monkeypatch, tmp_path, method):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert train(method, "whole")[1].code == 0
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("method", ["PPO", "SAC-LSP"])
def test_what_depends_on_its_length_goes_on_with_that_alone(train, method):
    """Of a finished run too."""
    run, ran = train(method, "a")
    assert ran.code == 0, ran.err
    before = listing(run)
    _, ran = train(method, "a", "--resume", max_timesteps=400)
    assert ran.code == 2 and ran.err.count("\n") == 1 and "--max_timesteps 400: the run that --resume" in ran.err, ran
    _, ran = train(method, "a", "--resume", max_timesteps=400, seed=7, num_seeds=1)  # which begins
    assert ran.code == 2 and ran.err.count("\n") == 1 and "--max_timesteps 400: seed_" in ran.err, ran
    assert listing(run) == before


def test_a_refusal_changes_nothing(train):
    run, _ = train("SAC", "a", max_timesteps=60)
    table = run / "seed_0" / "eval.csv"
    text = table.read_text()
    for change, words in (
        (lambda: None, "--eval_episodes 2: the run that --resume continues has --eval_episodes 1"),
        (lambda: table.write_text(text.replace("0,0,", "0,0,1")), "eval.csv was changed"),
    ):
        change()
        before = listing(run)
        _, ran = train("SAC", "a", "--resume", max_timesteps=90, eval_episodes=2 if "eval_episodes" in words else 1)
        assert ran.code == 2 and ran.err.count("\n") == 1 and words in ran.err, ran
        assert listing(run) == before


class Unlike(gymnasium.Env):
    """Its episodes begin where a stream says that is not its np_random."""

    observation_space, action_space = Box(-np.inf, np.inf, (2,)), Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.own = np.random.default_rng(seed)
        self.state = np.float32(self.own.normal(size=2))
        return self.state, {}

    def step(self, action):
        self.state = self.state + 0.1 * action
        return self.state, -float(np.square(self.state).sum()), False, False, {}


register("Unlike-v0", Unlike, max_episode_steps=20)


def test_an_environment_whose_episodes_cannot_be_had_again_is_refused(call, tmp_path):
    flags = {**SHORT, "env": "Unlike-v0", "results_dir": tmp_path}
    assert call(BASELINES, "--algo", "SAC", **flags, max_timesteps=50).code == 0
    before = listing(tmp_path)
    ran = call(BASELINES, "--algo", "SAC", "--resume", **flags, max_timesteps=80)
    assert ran.code == 2 and ran.err.strip().endswith("start over with --overwrite") and "np_random" in ran.err, ran
    assert listing(tmp_path) == before


@pytest.mark.parametrize("method", CASES)
def test_the_policy_of_a_checkpoint_is_the_one_that_was_trained(train, call, monkeypatch, method):
    learners, save = [], SeedRun.save

    def noted(run):
        learners.append(run.learner)
        save(run)

    monkeypatch.setattr(SeedRun, "save", noted)
    folder, ran = train(method, "default", num_seeds=1)
    assert ran.code == 0, ran.err
    policy = load_policy(folder)
    states = np.random.default_rng(0).normal(size=(20, policy.state_space.observed)).astype(np.float32)
    for state in states:
        wanted = policy.actions.decode(learners[-1].policies.act(state[None], np.ones(1, bool))[0])
        policy.reset()
        assert np.array_equal([policy.select_action(state) for _ in wanted], wanted)
    ran = call(rl.evaluate.main, folder, episodes=2, threads=None)
    assert ran.code == 0 and f"{method} seed 0: mean return" in ran.out, ran

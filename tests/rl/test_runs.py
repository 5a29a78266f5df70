"""Every script, run for a moment: the files that it leaves, and what can be done with them."""

import csv
import json
import pickle
import re
import shutil
import subprocess
import sys

import gymnasium
import numpy as np
import pandas as pd
import pytest
from scripts import listing

import embedding.main
import rl.evaluate
import rl.main_dyne
import rl.main_td3
from common import checkpoint
from common.paths import REPOSITORY
from common.streams import reset_seed
from embedding.decoder import ActionDecoder
from rl.evaluation import play
from rl.policies import load_policy, seed_folders

EVAL = ["episodes", "steps", "mean_return"]
TABLES = {"eval.csv", "train.csv", "speed.csv"}
TRAIN = [
    "episodes",
    "steps",
    "episode_return",
    "episode_length",
    "critic_loss",
    "value",
    "actor_loss",
    "q_min",
    "q_max",
]
KEPT_TO_RESUME = {".lock", "checkpoint.pt", "checkpoint.previous.pt"}
LOG = ["stage", "epoch", "loss", "error", "regulariser"]
SHORT = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 2, "batch_size": 32}


def shell(script, *arguments, cwd=REPOSITORY, **flags):
    """Runs a script in a process of its own and returns what it printed."""
    arguments += tuple(part for name, value in flags.items() for part in (f"--{name}", value))
    command = [sys.executable, script, *map(str, arguments)]
    ran = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def table(path):
    """Columns and rows of a CSV."""
    columns, *rows = csv.reader(path.open())
    return columns, rows


def numbers(path):
    return np.array(table(path)[1], dtype=np.float64)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder with two embeddings, trained by the script, once from its own folder."""
    folder = tmp_path_factory.mktemp("results")
    size = {"steps": 1000, "epochs": 2, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 8, "threads": 1}
    shell("main.py", env="ReacherVertical-v2", results_dir=folder, cwd=REPOSITORY / "embedding", **size)
    shell("embedding/main.py", env_name="Pendulum-v1", results_dir=folder, traj_len=3, name="short", **size)
    return folder


RUNS = {  # script, environment and flags of its own
    "TD3": ("rl/main_td3.py", "ReacherVertical-v2", {"num_seeds": 2}),
    "DynE-TD3": ("rl/main_dyne.py", "ReacherVertical-v2", {"num_seeds": 2, "seed": 3}),
    "TD3 by main_dyne": ("rl/main_dyne.py", "Pendulum-v1", {"policy_name": "TD3"}),
    "random": ("rl/main_dyne.py", "ReacherVertical-v2", {"policy_name": "random", "num_seeds": 2}),
    "random-DynE": ("rl/main_dyne.py", "Pendulum-v1", {"policy_name": "random-DynE", "decoder": "short"}),
    "transfer": ("rl/main_dyne.py", "ReacherTurn-v2", {"source_env": "ReacherVertical-v2"}),
}


@pytest.fixture(scope="module")
def run_of(results):
    """Makes one of `RUNS`, once, and returns its folder."""
    made = {}

    def make(name):
        if name not in made:
            script, env_id, flags = RUNS[name]
            folder = REPOSITORY / script.split("/")[0] if name == "transfer" else REPOSITORY  # from another folder
            path = REPOSITORY / script if name == "transfer" else script
            shell(path, env_name=env_id, results_dir=results, name=name.replace(" ", "_"), cwd=folder, **SHORT, **flags)
            method = flags.get("policy_name", "TD3" if name == "TD3" else "DynE-TD3")
            made[name] = results / "rl" / env_id / method / name.replace(" ", "_")
        return made[name]

    return make


# ---- files ----


@pytest.mark.parametrize(
    ("env_id", "name", "k", "action_dim"), [("ReacherVertical-v2", "default", 4, 2), ("Pendulum-v1", "short", 3, 1)]
)
def test_an_embedding_leaves_its_files(results, env_id, name, k, action_dim):
    folder = results / env_id / name
    assert files(folder) == {"encoder.pt", "decoder.pt", "opt.json", "log.csv", *KEPT_TO_RESUME}
    columns, rows = table(folder / "log.csv")
    assert columns == LOG
    assert [row[:2] for row in rows] == [["embedding", "1"], ["embedding", "2"], ["decoder", "1"]]
    assert np.isfinite(np.array([row[2:] for row in rows], dtype=np.float64)).all()
    decoder, encoder = ActionDecoder.load(folder / "decoder.pt"), checkpoint.load(folder / "encoder.pt", "encoder")
    assert (
        (decoder.k, decoder.action_dim, decoder.env_id)
        == (k, action_dim, env_id)
        == (encoder["k"], action_dim, encoder["env_id"])
    )
    options = json.loads((folder / "opt.json").read_text())
    assert (options["env_name"], options["traj_len"], options["gamma"], options["norm"]) == (env_id, k, 1e-4, "squared")


def files(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_leaves_the_documented_files(run_of, name):
    folder, flags = run_of(name), RUNS[name][2]
    first, count = flags.get("seed", 0), flags.get("num_seeds", 1)
    assert {path.name for path in folder.iterdir()} == {f"seed_{seed}" for seed in range(first, first + count)}
    for seed, part in enumerate(seed_folders(folder), start=first):
        assert files(part) == {*TABLES, "opt.json", "eval.npy", "replay", *KEPT_TO_RESUME}
        assert table(part / "eval.csv")[0] == EVAL and table(part / "train.csv")[0] == TRAIN
        evaluations, training = numbers(part / "eval.csv"), numbers(part / "train.csv")
        limit = gymnasium.spec(RUNS[name][1]).max_episode_steps
        assert evaluations[:, :2].tolist() == [[steps // limit, steps] for steps in (0, 100, 200)]
        assert training[:, :2].tolist() == [[n, n * limit] for n in range(1, 200 // limit + 1)]
        assert (training[:, 3] == limit).all()
        assert np.isfinite(evaluations).all() and np.isnan(training[:, 4:]).all() == name.startswith("random")
        saved = np.load(part / "eval.npy")
        assert saved.dtype == np.float64 and np.array_equal(saved, evaluations)
        content = checkpoint.load(part / "checkpoint.pt", "run")
        assert (content["env_id"], content["seed"]) == (RUNS[name][1], seed)
        options = json.loads((part / "opt.json").read_text())
        assert (options["seed"], options["max_timesteps"], options["discount"]) == (seed, 200, 0.99)
        assert table(part / "speed.csv")[0] == ["steps", "steps_per_second"]
        speeds = numbers(part / "speed.csv")
        assert speeds[:, 0].tolist() == [100, 200] and (speeds[:, 1] > 0).all()
        resolved = options["resolved"]
        assert resolved["device"] == "cpu" and resolved["seeds"] == list(range(first, first + count))
        assert resolved["versions"].keys() >= {"python", "torch", "numpy", "gymnasium", "dyne"}
        hidden = {name: widths[1:-1] for name, widths in resolved["networks"].items()}
        learns = not name.startswith("random")
        assert hidden == ({key: [400, 300] for key in ("critic 1", "critic 2", "actor")} if learns else {})


@pytest.mark.parametrize("main", [embedding.main.main, rl.main_td3.main, rl.main_dyne.main])
def test_opt_json_holds_every_flag(call, tmp_path, tiny, main):
    flags = {"decoder": tiny / "ReacherVertical-v2" / "default" / "decoder.pt"} if main is rl.main_dyne.main else {}
    quick = {"epochs": 0, "decoder_epochs": 0, "steps": 100}
    size = quick if main is embedding.main.main else {"max_timesteps": 100, "eval_episodes": 1, "batch_size": 4}
    assert call(main, results_dir=tmp_path, **size, **flags).code == 0
    usage = call(main, "--help")
    assert usage.code == 0
    described = set(re.findall(r"^  --([a-z_]+)", usage.out, flags=re.MULTILINE)) - {"help", "debug"}
    (path,) = tmp_path.rglob("opt.json")
    assert set(json.loads(path.read_text())) == (described - {"env"}) | {"env_name", "resolved"}


def test_evaluations_may_be_further_apart_than_the_run_is_long(call, tmp_path):
    flags = {"max_timesteps": 100, "eval_freq": 5000, "eval_episodes": 1, "batch_size": 4}
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0"
    assert numbers(folder / "eval.csv")[:, :2].tolist() == [[0, 0]]
    assert checkpoint.load(folder / "checkpoint.pt", "run")["collector"]["steps"] == 100


def test_a_run_is_rounded_up_to_whole_blocks(call, tmp_path):
    flags = {"max_timesteps": 130, "update_every": 60, "eval_freq": 50, "eval_episodes": 1, "policy_name": "random"}
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default" / "seed_0"
    assert numbers(folder / "eval.csv")[:, 1].tolist() == [0, 60, 120, 180]


# ---- policies of finished runs ----


def last_evaluation(folder, episodes):
    """The mean return of the run's last evaluation, and that of its policy from the same starts."""
    policy, rows = load_policy(folder), numbers(folder / "eval.csv")
    env = gymnasium.make(policy.env_id)
    starts = [reset_seed(policy.seed, "evaluation", len(rows) - 1, episode) for episode in range(episodes)]
    return rows[-1, 2], np.mean([play(policy, env, start) for start in starts])


@pytest.mark.parametrize("name", ["TD3", "DynE-TD3", "TD3 by main_dyne", "transfer"])
def test_a_loaded_policy_repeats_the_last_evaluation_of_its_run(run_of, name):
    for folder in seed_folders(run_of(name)):
        logged, played = last_evaluation(folder, SHORT["eval_episodes"])
        assert logged == played


@pytest.mark.parametrize("method", ["TD3", "DynE-TD3"])
def test_a_loaded_policy_of_a_terminating_environment_does_too(call, tmp_path, tiny, method):
    main, flags = rl.main_td3.main, {"env_name": "Hopper-v5", "num_seeds": 2, "eval_episodes": 5}
    if method == "DynE-TD3":
        main, flags["decoder"] = rl.main_dyne.main, tiny / "Hopper-v5" / "default" / "decoder.pt"
    assert call(main, results_dir=tmp_path, max_timesteps=300, eval_freq=150, update_every=50, **flags).code == 0
    folder = tmp_path / "rl" / "Hopper-v5" / method / "default"
    for part in seed_folders(folder):
        logged, played = last_evaluation(part, 5)
        assert logged == played
        lengths = numbers(part / "train.csv")[:, 3]
        assert len(lengths) > 1 and (lengths < 300).all()


def test_a_plan_is_run_open_loop_and_forgotten_at_a_reset(run_of):
    policy = load_policy(run_of("DynE-TD3"))
    assert (policy.method, policy.seed, policy.state_space.shape) == ("DynE-TD3", 3, (11,))
    one, other = np.random.default_rng(0).standard_normal((2, 11))
    plan = [policy.select_action(one) for _ in range(4)]
    assert all(action.shape == (2,) and action.dtype == np.float32 for action in plan)
    policy.reset()
    assert [policy.select_action(state).tolist() for state in (one, other, other)] == [a.tolist() for a in plan[:3]]
    policy.reset()
    assert policy.select_action(other).tolist() != plan[0].tolist()


@pytest.mark.parametrize("wrong", [np.zeros(12), np.zeros((1, 11)), np.full(11, np.nan), np.full(11, 1e39)])
def test_a_policy_refuses_what_is_no_observation_of_its_training(run_of, wrong):
    policy = load_policy(run_of("TD3"))
    with pytest.raises(ValueError, match="an observation"):
        policy.select_action(wrong)


@pytest.mark.parametrize("method", ["DynE-TD3", "TD3", "random"])
def test_a_pickled_policy_begins_an_episode(run_of, method):
    """As other processes are handed one; the plan under way stays behind."""
    states = np.random.default_rng(0).standard_normal((2, 11))
    loaded, again = load_policy(run_of(method)), load_policy(run_of(method))
    wanted = [loaded.select_action(state).tolist() for state in states]
    again.select_action(states[1])
    data = pickle.dumps(again)
    assert len(data) < 2_000_000  # without replay, critics and optimisers
    pickled = pickle.loads(data)
    assert [pickled.select_action(state).tolist() for state in states] == wanted
    assert (pickled.method, pickled.seed, pickled.env_name) == (again.method, again.seed, again.env_name)


def test_a_loaded_random_policy_draws_within_the_bounds(run_of):
    policy = load_policy(run_of("random"))
    actions = np.stack([policy.select_action(np.zeros(11)) for _ in range(500)])
    assert (np.abs(actions) <= 1).all() and actions.min() < -0.95 and actions.max() > 0.95


def test_evaluate_writes_the_return_of_every_episode(run_of, call, tmp_path):
    folder, out = run_of("TD3"), tmp_path / "returns.csv"
    ran = call(rl.evaluate.main, folder, threads=None, episodes=3, seed=5, out=out)
    assert ran.code == 0, ran.err
    written = pd.read_csv(out)
    assert list(written.columns) == rl.evaluate.RETURNS and len(written) == 3 * len(seed_folders(folder))
    seed = int(written.seed.iloc[-1])
    policy, env = load_policy(folder / f"seed_{seed}"), gymnasium.make("ReacherVertical-v2")
    for episode, value in enumerate(written[written.seed == seed]["return"]):
        assert value == pytest.approx(play(policy, env, reset_seed(5, "evaluate", episode)), rel=1e-5)
    refused = call(rl.evaluate.main, folder, threads=None, out=tmp_path / "no" / "x.csv")
    assert refused.code == 2 and "--out" in refused.err and not (tmp_path / "no").exists()


def test_evaluate_replaces_its_own_tables_alone(run_of, call, tmp_path):
    shutil.copytree(run_of("TD3"), tmp_path / "run")
    folder, before = tmp_path / "run", listing(tmp_path / "run")
    seed = seed_folders(folder)[0]
    for table in ("eval.csv", "train.csv"):
        ran = call(rl.evaluate.main, folder, threads=None, out=seed / table)
        assert ran.code == 2 and f"--out {seed / table}: it exists, and no such table" in ran.err
    assert listing(folder) == before
    out = tmp_path / "mine.csv"
    out.with_suffix(".txt").write_text("my notes")
    ran = call(rl.evaluate.main, folder, threads=None, out=out)
    assert ran.code == 2 and f"{out.with_suffix('.txt')} would be replaced" in ran.err and not out.exists()
    out.with_suffix(".txt").unlink()
    for _ in range(2):
        assert call(rl.evaluate.main, folder, threads=None, episodes=1, out=out).code == 0


def test_evaluate_refuses_checkpoints_of_other_seeds_and_methods(run_of, call, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(run_of("DynE-TD3"), whole)
    first, second = seed_folders(whole)[:2]
    shutil.copy(first / "checkpoint.pt", second / "checkpoint.pt")
    ran = call(rl.evaluate.main, whole, threads=None, episodes=1)
    assert ran.code == 2 and f"{second}: its checkpoint is of seed {first.name.removeprefix('seed_')}" in ran.err
    shutil.rmtree(second)
    shutil.copytree(run_of("TD3") / "seed_0", whole / "seed_0")
    ran = call(rl.evaluate.main, whole, threads=None, episodes=1)
    assert ran.code == 2 and "its seeds are of DynE-TD3 and TD3" in ran.err, ran


def test_evaluate_refuses_a_seed_of_another_environment(run_of, call, tmp_path):
    """Of as many numbers, so that its policy could act."""
    shutil.copytree(run_of("TD3"), tmp_path / "run")
    (path, *_) = sorted((tmp_path / "run").glob("seed_*/checkpoint.pt"))
    content = checkpoint.load(path, "run")
    checkpoint.save(path, "run", content | {"env_id": "ReacherTurn-v2"})
    for flags in ({}, {"env": "ReacherVertical-v2"}):
        ran = call(rl.evaluate.main, tmp_path / "run", threads=None, episodes=1, **flags)
        assert ran.code == 2 and "its seeds are of ReacherTurn-v2 and ReacherVertical-v2: put" in ran.err, ran


def test_evaluate_prints_the_returns_of_every_seed_or_of_one(run_of, call):
    folder, env = run_of("DynE-TD3"), gymnasium.make("ReacherVertical-v2")
    printed = shell("rl/evaluate.py", folder, episodes=3, seed=5)
    expected, means = [], []
    for part in seed_folders(folder):
        returns = [play(load_policy(part), env, reset_seed(5, "evaluate", episode)) for episode in range(3)]
        name = f"DynE-TD3 seed {part.name.removeprefix('seed_')}"
        means.append(np.mean(returns))
        error = np.std(returns, ddof=1) / np.sqrt(3)
        expected.append(f"{name}: mean return {means[-1]:.2f} ± {error:.2f}, std {np.std(returns, ddof=1):.2f}")
    whole = f"DynE-TD3, mean of {len(means)} seeds: {np.mean(means):.2f}"  # too few for an error
    *lines, about, curves, following = printed.splitlines()
    assert lines == ["ReacherVertical-v2: 3 episodes a seed", *expected, whole] and curves.startswith("Curves are")
    assert about.startswith("± is the standard") and about.endswith("; --episodes 100 tells more of a policy.")
    assert following.startswith("next: ") and following.endswith(" --video DynE-TD3.mp4")
    ran = call(rl.evaluate.main, folder / "seed_4", threads=None, episodes=3, seed=5)
    assert ran.out.splitlines()[1:-3] == expected[1:]
    ran = call(rl.evaluate.main, folder / "seed_4", threads=None, episodes=1, seed=5)
    assert f"{name}: return {returns[0]:.2f}\n" in ran.out and "std" not in ran.out and "±" not in ran.out

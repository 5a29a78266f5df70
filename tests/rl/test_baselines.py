"""The scripts of baselines: SAC and PPO through stable-baselines3, SAC-LSP, whole plans."""

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
import toy_envs

import embedding.main
import rl.main_baselines
import rl.main_sac_lsp
from analysis import list_runs, publish
from common import checkpoint
from common.interruption import Interruption
from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions, RawActions
from rl.baseline_run import Baseline, SeedRun
from rl.fingerprint import Fingerprint
from rl.latent_space_policies import PolicyStack, SoftActorCritic
from rl.main_baselines import make_model
from rl.main_sac_lsp import LSPLearner
from rl.seed_store import SeedStore

CPU = torch.device("cpu")
SHORT = {"max_timesteps": 2100, "eval_freq": 1000, "eval_episodes": 1}


def test_models_have_the_authors_hyperparameters():
    env = gymnasium.make("ReacherVertical-v2")
    actions = RawActions(env.action_space.low, env.action_space.high)
    sac, same = make_model(rl.main_baselines.parse(["--algo", "SAC"]), env, actions, 0, CPU)
    assert (sac.batch_size, sac.tau, sac.gamma, sac.learning_rate, sac.target_entropy) == (256, 0.005, 0.99, 3e-4, -2)
    assert [layer.out_features for layer in sac.actor.latent_pi if hasattr(layer, "out_features")] == [256, 256]
    states = np.ones((2, 11), np.float32)
    assert same(states) is states and sac.buffer_size == 10**6
    ppo, normalise = make_model(rl.main_baselines.parse(["--algo", "PPO"]), env, actions, 0, CPU)
    assert (ppo.n_steps, ppo.n_steps // ppo.batch_size, ppo.n_epochs, ppo.ent_coef) == (2048, 32, 10, 0.0)
    assert [ppo.lr_schedule(left) for left in (1.0, 0.5, 0.0)] == pytest.approx([3e-4, 1.5e-4, 0])
    assert (ppo.gae_lambda, ppo.gamma, ppo.vf_coef, ppo.max_grad_norm) == (0.95, 0.99, 0.25, 0.5)
    assert (ppo.clip_range(1), ppo.clip_range_vf(1)) == (0.2, 0.2)
    vectors = ppo.get_vec_normalize_env()
    vectors.reset()
    for _ in range(50):
        vectors.step([env.action_space.sample()])
    mean, variance = vectors.obs_rms.mean.copy(), vectors.obs_rms.var.copy()
    np.testing.assert_allclose(
        normalise(states), np.clip((states - mean) / np.sqrt(variance + 1e-8), -10, 10), rtol=1e-4
    )
    assert np.array_equal(vectors.obs_rms.mean, mean)  # looking does not move it


@pytest.mark.parametrize("algo", ["PPO", "SAC"])
def test_an_environment_that_seeds_the_streams_of_the_process_makes_no_copies(call, tmp_path, monkeypatch, algo):
    """Neither of episodes nor of seeds; and how often a run is evaluated changes nothing that it is trained on."""

    def actions_of(name, **flags):
        monkeypatch.setattr(toy_envs.Seeding, "made", [])
        flags = {
            "env": "toy_envs:Seeding-v0",
            "max_timesteps": 60,
            "eval_episodes": 1,
            "results_dir": tmp_path,
            **flags,
        }
        ran = call(rl.main_baselines.main, "--algo", algo, name=name, **flags)
        assert ran.code == 0, ran.err
        (trained_in,) = (env for env in toy_envs.Seeding.made if sum(map(len, env.episodes)) == 60)
        return np.array([one for one in trained_in.episodes if one])

    one, other = actions_of("one", eval_freq=1000), actions_of("other", eval_freq=1000, seed=1)
    assert one.shape == other.shape == (10, 6, 2)
    assert len(np.unique(one[:, 0], axis=0)) == 10 and (one != other).any(axis=(1, 2)).all()
    assert np.array_equal(actions_of("often", eval_freq=12), one)


@pytest.mark.parametrize("method", ["SAC", "PPO", "SAC-LSP"])
def test_a_run_writes_the_files_of_the_other_methods(call, tmp_path, method):
    main = rl.main_sac_lsp.main if method == "SAC-LSP" else rl.main_baselines.main
    steps = 2100 if method == "PPO" else 1100  # a hundred updates or more
    flags = {"max_timesteps": steps, "eval_freq": 500, "eval_episodes": 1}
    flags |= {"results_dir": tmp_path, "num_seeds": 2, "seed": 3}
    arguments = [] if method == "SAC-LSP" else ["--algo", method]
    assert call(main, *arguments, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / method / "default"
    tables = [pd.read_csv(folder / f"seed_{seed}" / "eval.csv") for seed in (3, 4)]
    for seed, table in zip((3, 4), tables, strict=True):
        assert table.steps.tolist() == list(range(0, steps, 500))
        assert table.episodes.tolist() == list(range(0, steps // 100, 5))
        assert np.array_equal(np.load(folder / f"seed_{seed}" / "eval.npy"), table.to_numpy())
        assert (pd.read_csv(folder / f"seed_{seed}" / "train.csv").episode_length == 100).all()
    assert tables[0].mean_return.tolist() != tables[1].mean_return.tolist()
    (listed,) = list_runs.join_seeds(pd.DataFrame([list_runs.describe(folder / "seed_3", tmp_path)])).state
    assert listed == "finished"
    ran = call(main, *arguments, **flags)
    assert ran.code == 2 and "--overwrite" in ran.err and "--resume" in ran.err
    again = call(main, *arguments, **{**flags, "num_seeds": 1, "seed": 4, "name": "again"})
    assert again.code == 0
    repeated = pd.read_csv(folder.parent / "again" / "seed_4" / "eval.csv")
    assert repeated.equals(tables[1])


@pytest.mark.parametrize("algo", ["SAC", "TD3"])
def test_plans_are_counted_in_the_environments_steps(call, tiny, tmp_path, algo):
    decoder = tiny / "ReacherVertical-v2" / "default"
    steps, starts = {"SAC": (1200, 1000), "TD3": (700, 0)}[algo]
    flags = {"max_timesteps": steps, "eval_freq": 250, "eval_episodes": 1, "results_dir": tmp_path}
    assert call(rl.main_baselines.main, "--algo", algo, decoder=decoder, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / f"{algo}-plans" / "default" / "seed_0"
    table = pd.read_csv(folder / "eval.csv")
    assert table.steps.tolist() == [0, 252, 500, 752, 1000][: len(table)] and len(table) == 1 + steps // 250
    assert table.episodes.tolist() == [at // 100 for at in table.steps]
    assert (pd.read_csv(folder / "train.csv").episode_length == 100).all()
    agent = checkpoint.load(folder / "checkpoint.pt", "run")["agent"]
    k = ActionDecoder.load(decoder / "decoder.pt").k
    assert agent["timesteps"] == steps // k and agent["updates"] == steps - starts  # as many as steps


def test_plans_that_go_beyond_evaluations_and_the_end_are_published(call, tiny, tmp_path):
    """Plans of 4 steps end at 4, 8, ..., 28; an evaluation is due at each third step."""
    flags = {
        "eval_freq": 3,
        "eval_episodes": 1,
        "results_dir": tmp_path,
        "decoder": tiny / "ReacherVertical-v2" / "default",
    }
    assert call(rl.main_baselines.main, "--algo", "TD3", max_timesteps=25, **flags).code == 0
    run = tmp_path / "rl" / "ReacherVertical-v2" / "TD3-plans" / "default"
    for until, last in ((None, 28), (10, 12), (12, 12)):
        out = tmp_path / f"{until}.csv"
        ran = call(publish.main, run, out=out, until=until, threads=None)
        assert ran.code == 0, ran.err
        assert pd.read_csv(out).steps.tolist() == list(range(0, last + 1, 4))


def test_plans_are_discounted_as_wholes(tiny):
    env = gymnasium.make("ReacherVertical-v2")
    decoder = ActionDecoder.load(tiny / "ReacherVertical-v2" / "default" / "decoder.pt")
    actions = DynEActions(decoder, env.action_space.low, env.action_space.high)
    for algo in ("SAC", "TD3"):
        args = rl.main_baselines.parse(["--algo", algo, "--decoder", "default"])
        model, _ = make_model(args, env, actions, 0, CPU)
        assert model.gamma == pytest.approx(0.99**decoder.k) and model.gradient_steps == decoder.k > 1


TOLD = [
    {"steps": 11, "episode": {"r": 1.0, "l": 2, "t": 0.0}},
    {
        "steps": "many",
        "episode": 3,
        "terminal_observation": 0,
        "TimeLimit.truncated": "no",
        "is_success": [],
        "_x": None,
    },
]


@pytest.mark.parametrize("method", ["SAC", "PPO", "SAC-plans", "SAC-LSP"])
def test_what_an_environment_tells_of_itself_is_not_believed(call, tmp_path, monkeypatch, method):
    flags = {"env": "toy_envs:Talkative-v0", "max_timesteps": 130, "eval_freq": 30, "eval_episodes": 1}
    main, arguments = rl.main_baselines.main, ["--algo", method.partition("-")[0]]
    if method == "SAC-LSP":
        main, arguments = rl.main_sac_lsp.main, []
    elif method == "SAC-plans":
        tiny = {"steps": 200, "epochs": 0, "decoder_epochs": 0, "traj_len": 3, "env": "toy_envs:Talkative-v0"}
        assert call(embedding.main.main, results_dir=tmp_path, **tiny).code == 0
        arguments += ["--decoder", "default"]
    runs = []
    for name, told in zip("abc", ({}, *TOLD), strict=True):
        monkeypatch.setattr(toy_envs.Talkative, "told", told)
        ran = call(main, *arguments, results_dir=tmp_path, name=name, **flags)
        assert ran.code == 0, ran.err
        folder = tmp_path / "rl" / "Talkative-v0" / method / name / "seed_0"
        runs.append([(folder / file).read_text() for file in ("eval.csv", "train.csv")])
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][0].splitlines()[-1].startswith("20,120,") and runs[0][1].count("\n") >= 21


@pytest.mark.parametrize("main", [rl.main_baselines.main, rl.main_sac_lsp.main], ids=["baselines", "sac_lsp"])
def test_what_is_not_finite_stops_a_run(call, tmp_path, main):
    flags = {"max_timesteps": 300, "eval_freq": 100, "eval_episodes": 1, "results_dir": tmp_path}
    ran = call(main, env="toy_envs:WalkBreaks-v0", **flags)
    assert ran.code == 3 and "not finite" in ran.err and ran.err.count("error") == 1, ran.err
    (failure,) = tmp_path.rglob("failed.json")
    assert "not finite" in failure.read_text()


def test_levels_learn_from_what_they_chose_and_what_came_of_it(tmp_path, monkeypatch):
    env, elsewhere = (
        gymnasium.make("toy_envs:Scripted-v0", schedule=[(3, "terminated"), (4, "truncated")], number=number)
        for number in range(2)
    )
    chosen, batches, temperatures = {}, [], []
    act, begin = PolicyStack.act, SoftActorCritic.__init__

    def noted_act(stack, states, latents):
        found = act(stack, states, latents)
        if latents.any():  # of training: evaluations have none
            chosen[states.tobytes()] = (len(stack.policies) - 1, found[0][0])
            assert np.allclose(found[0][0], latents[0] if len(stack.policies) > 1 else np.tanh(latents[0]))
        return found

    def noted_begin(agent, *args, **kwargs):
        begin(agent, *args, **kwargs)
        temperatures.append(agent.log_alpha.exp().item())

    def noted_update(agent, *batch):
        batches.append([part.numpy() for part in batch])
        with torch.no_grad():
            agent.log_alpha -= 0.125

    monkeypatch.setattr(PolicyStack, "act", noted_act)
    monkeypatch.setattr(SoftActorCritic, "__init__", noted_begin)
    monkeypatch.setattr(SoftActorCritic, "update", noted_update)
    monkeypatch.setattr(rl.main_sac_lsp, "LEARNING_STARTS", 10)
    args = rl.main_sac_lsp.parse(["--max_timesteps", "61", "--eval_freq", "20", "--eval_episodes", "1"])
    actions = rl.main_sac_lsp.raw_actions(env)
    baseline = Baseline(
        args, "SAC-LSP", "Scripted-v0", Fingerprint("", True, ""), env, elsewhere, actions, CPU, LSPLearner
    )
    store = SeedStore(tmp_path, 0, LSPLearner.row_width(3, 2), args, 1000)
    store.lock()
    SeedRun(baseline, 0, store, Interruption("it"), None).train()

    literal = {}  # (level, action, reward, following, terminated) of each state
    for episode in env.unwrapped.episodes:
        states = np.float32(episode["states"])
        for t, reward in enumerate(episode["rewards"]):
            over = t + 1 == len(episode["actions"]) and episode["end"] == "terminated"
            literal[states[t].tobytes()] = (*chosen[states[t].tobytes()], np.float32(reward), states[t + 1], over)
    assert len(literal) == 61 and {row[4] for row in literal.values()} == {True, False}
    for number, batch in enumerate(batches):
        for state, action, reward, following, terminated in zip(*batch, strict=True):
            level, *wanted = literal[state.tobytes()]
            assert level == (number >= 21)  # nothing of the level below
            for found, expected in zip((action, reward, following, terminated), wanted, strict=True):
                assert np.array_equal(found, expected)
    assert len(batches) == 21 + 22  # from the tenth step of each on
    assert {state.tobytes() for batch in batches[21:] for state in batch[0]} == {
        state for state, row in literal.items() if row[0] == 1
    }
    assert temperatures == pytest.approx([1, np.exp(-0.125 * 21)])  # handed on


def test_both_levels_learn_to_walk_to_the_origin(call, tmp_path, monkeypatch):
    monkeypatch.setattr(rl.main_sac_lsp, "LEARNING_STARTS", 100)
    flags = {"env": "toy_envs:Walk-v0", "max_timesteps": 1200, "eval_freq": 300, "eval_episodes": 20}
    assert call(rl.main_sac_lsp.main, results_dir=tmp_path, **flags).code == 0
    returns = pd.read_csv(next(tmp_path.rglob("eval.csv"))).mean_return.tolist()
    assert returns[2] > returns[0] / 2 and returns[4] > returns[0] / 3, returns


def test_every_level_has_its_steps(call, tmp_path):
    flags = {"eval_freq": 1000, "eval_episodes": 1, "results_dir": tmp_path}
    assert call(rl.main_sac_lsp.main, max_timesteps=9, levels=6, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "SAC-LSP" / "default" / "seed_0"
    assert len(checkpoint.load(folder / "checkpoint.pt", "run")["policy"]["policies"]) == 6
    ran = call(rl.main_sac_lsp.main, max_timesteps=5, levels=6, name="more", **flags)
    assert ran.code == 2 and "--levels 6: there are 5 steps" in ran.err


def test_replay_beyond_memory(call, tmp_path, monkeypatch):
    monkeypatch.setattr("common.memory.available_memory", lambda: 10_000_000)
    for main in (rl.main_baselines.main, rl.main_sac_lsp.main):
        for flags, words in (
            ({"max_timesteps": 10**8}, "--max_timesteps 100000000: 1000000 rows of replay take 0.2 GB"),
            ({"max_timesteps": 100, "num_seeds": 10**14}, "--num_seeds 100000000000000"),
            ({"max_timesteps": 100, "eval_episodes": 10**14}, "argument --eval_episodes: '100000000000000' would take"),
        ):
            ran = call(main, results_dir=tmp_path, **flags)
            assert ran.code == 2 and words in ran.err, ran.err
    assert not list(tmp_path.iterdir())


def test_decoders_that_do_not_fit_are_refused(call, tiny, tmp_path):
    decoder = tiny / "ReacherVertical-v2" / "default"
    for arguments, words in (
        (["--algo", "TD3"], "--algo TD3: on raw actions it is rl/main_td3.py"),
        (["--algo", "PPO", "--decoder", decoder], "leave it out"),
        (["--algo", "SAC", "--source_env", "Pusher-v2"], "--source_env Pusher-v2"),
        (["--algo", "SAC", "--decoder", "none"], "--decoder none: there is no"),
        (["--algo", "SAC", "--decoder", decoder, "--env", "Pusher-v2"], f"--decoder {decoder}"),
    ):
        ran = call(rl.main_baselines.main, *arguments, results_dir=tmp_path)
        assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("main", [rl.main_baselines.main, rl.main_sac_lsp.main], ids=["baselines", "sac_lsp"])
def test_bad_input(call, tmp_path, main):
    for flags, words in (
        ({"env": "Nope-v0"}, ["Nope-v0", "no such environment"]),
        ({"max_timesteps": 0}, ["--max_timesteps"]),
        ({"device": "cuda:9"}, ["--device cuda:9"]),
    ):
        ran = call(main, results_dir=tmp_path, **{**SHORT, **flags})
        assert ran.code == 2 and all(word in ran.err for word in words), ran.err
        assert not list(tmp_path.iterdir())

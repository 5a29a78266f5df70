"""Environments that misbehave: whose error it is, in one line; what was trained stays."""

import gymnasium
import nasty_envs
import numpy as np
import pytest
from gymnasium import spaces
from nasty_envs import NASTY
from scripts import EMBED, EVALUATE, TD3, listing

import rl.main_baselines
import rl.main_sac_lsp
from analysis.random_plans import play_plans
from common.environments import make_env
from common.errors import EnvironmentFault, UsageError
from common.guarded_environment import GuardedEnvironment
from embedding.pixel_play import load_pixel_play

SHORT_RUN = {"policy_name": "random", "max_timesteps": 60, "update_every": 20, "eval_freq": 20, "eval_episodes": 1}
SHORT_PLAY = {"steps": 60, "epochs": 0, "decoder_epochs": 0, "traj_len": 1}
BASELINE = {"max_timesteps": 60, "eval_freq": 20, "eval_episodes": 1}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.setattr(GuardedEnvironment, "_errors", None)


def run_of(results, name, method="random"):
    return results / "rl" / f"{name}-v0" / method / "default" / "seed_0"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NASTY)
def test_training_in_it(call, tmp_path, name):
    code, words = NASTY[name].must
    ran = call(TD3, env=f"nasty_envs:{name}-v0", results_dir=tmp_path, **SHORT_RUN)
    assert (ran.code, words in ran.err) == (code, True), ran.err
    if code == 2:
        assert ran.err.count("\n") == 1 and ran.err.startswith(f"main_td3.py: error: --env nasty_envs:{name}-v0: ")
        assert len(ran.err) < 600 and not listing(tmp_path)
    if code == 4:
        assert ran.err.splitlines()[-1].startswith(f"main_td3.py: error: --env nasty_envs:{name}-v0: ")
    if code == 0:
        rows = (run_of(tmp_path, name) / "eval.csv").read_text().splitlines()
        assert [row.split(",")[1] for row in rows[1:]] == ["0", "20", "40", "60"]


RANDOM_PLAY = [name for name, of in NASTY.items() if of.must[0] in (0, 2) and of.limit and name != "RaisesInClose"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*RANDOM_PLAY, "Late"])
def test_random_play_of_it(call, tmp_path, name):
    code, words = NASTY[name].must
    ran = call(EMBED, env=f"nasty_envs:{name}-v0", results_dir=tmp_path, **SHORT_PLAY)
    assert ran.code == (2 if code else 0), ran.err
    assert words.partition(";")[0].rpartition("-v0: ")[2] in ran.err
    assert code == 0 or not listing(tmp_path)


def test_a_run_that_an_environment_broke_goes_on_when_it_is_mended(call, tmp_path, monkeypatch):
    flags = {"env": "nasty_envs:Late-v0", "results_dir": tmp_path, **SHORT_RUN}
    ran = call(TD3, **flags)
    assert str(run_of(tmp_path, "Late") / "checkpoint.pt") in ran.err and "--resume" in ran.err
    monkeypatch.setattr(nasty_envs, "LATE", 1000)
    assert call(TD3, "--resume", **flags).code == 0
    assert call(TD3, env="nasty_envs:Late-v0", results_dir=tmp_path / "undisturbed", **SHORT_RUN).code == 0
    ours, theirs = (run_of(folder, "Late") / "eval.csv" for folder in (tmp_path, tmp_path / "undisturbed"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_fault_on_resuming_changes_nothing(call, tmp_path, monkeypatch):
    flags = {"env": "nasty_envs:Late-v0", "results_dir": tmp_path, **SHORT_RUN}
    assert call(TD3, **flags).code == 4
    before = {path: content for path, content in listing(tmp_path).items() if path.name != ".lock"}
    monkeypatch.setattr(nasty_envs, "LATE", 0)
    ran = call(TD3, "--resume", **flags)
    assert ran.code == 2 and "its step() raised KeyError: 'a'" in ran.err
    assert {path: content for path, content in listing(tmp_path).items() if path.name != ".lock"} == before


@pytest.mark.parametrize("main", [rl.main_baselines.main, rl.main_sac_lsp.main], ids=["SAC", "SAC-LSP"])
def test_baselines_in_it(call, tmp_path, main):
    ran = call(main, env="nasty_envs:LateExit-v0", results_dir=tmp_path, **BASELINE)
    assert ran.code == 4 and "its step() raised SystemExit: 0" in ran.err and "--resume" in ran.err
    (kept,) = tmp_path.rglob("checkpoint.pt")
    assert f"{kept}, is kept" in ran.err
    fresh = tmp_path / "fresh"
    ran = call(main, env="nasty_envs:RaisesInStep-v0", results_dir=fresh, **BASELINE)
    assert ran.code == 2 and not fresh.exists()


def test_the_traceback_is_shown_on_demand(call, tmp_path):
    ran = call(TD3, "--debug", env="nasty_envs:RaisesInReset-v0", results_dir=tmp_path, **SHORT_RUN)
    assert ran.code == 2 and "nasty_envs.py" in ran.err and 'raise OSError(28, "No space' in ran.err
    assert ran.err.splitlines()[-1].startswith("main_td3.py: error: ")
    with_it = call(TD3, "--debug", env="nasty_envs:Behaves-v0", results_dir=tmp_path, **SHORT_RUN)
    assert with_it.code == 0 and "debug" not in (run_of(tmp_path, "Behaves") / "opt.json").read_text()


def test_global_random_numbers_are_no_part_of_a_run(call, tmp_path):
    flags = {**SHORT_RUN, "policy_name": "TD3", "batch_size": 8}
    for name in ("Behaves", "SeedsAllRandomNumbers"):
        assert call(TD3, env=f"nasty_envs:{name}-v0", results_dir=tmp_path, **flags).code == 0
    ours, theirs = (run_of(tmp_path, name, "TD3") / "eval.csv" for name in ("Behaves", "SeedsAllRandomNumbers"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_observations_are_copied():
    plans = np.random.default_rng(0).uniform(-1, 1, (2, 3, 2))
    plain, written = (make_env(f"nasty_envs:{name}-v0") for name in ("Behaves", "WritesToItsObservations"))
    assert np.array_equal(play_plans(plain, plans, 1), play_plans(written, plans, 1))


def test_what_is_not_random_twice_is_not_resumed(call, tmp_path):
    flags = {"env": "nasty_envs:IsRandom-v0", "results_dir": tmp_path, **SHORT_RUN}
    assert call(TD3, **flags).code == 0
    ran = call(TD3, "--resume", **{**flags, "max_timesteps": 80})
    assert ran.code == 2 and "do not lead to the same again" in ran.err


@pytest.mark.parametrize("main", [TD3, rl.main_baselines.main, rl.main_sac_lsp.main], ids=["TD3", "SAC", "SAC-LSP"])
def test_rewards_that_remember_are_not_resumed(call, tmp_path, main):
    """Observations alone would not tell."""
    flags = SHORT_RUN if main is TD3 else BASELINE | ({"levels": 1} if main is rl.main_sac_lsp.main else {})
    flags = {"env": "nasty_envs:RemembersRewards-v0", "results_dir": tmp_path, **flags}
    assert call(main, **flags).code == 0
    ran = call(main, "--resume", **{**flags, "max_timesteps": 80})
    if main is rl.main_sac_lsp.main:  # whose --max_timesteps may not differ
        assert ran.code == 2
        return
    assert ran.code == 2 and "do not lead to the same again" in ran.err, ran


def test_evaluating_in_it(call, tmp_path):
    assert call(TD3, env="nasty_envs:Behaves-v0", results_dir=tmp_path, **SHORT_RUN).code == 0
    run = run_of(tmp_path, "Behaves")
    for name in ("NeverEnds", "RaisesInStep", "ReturnsThree", "ExitsWhenMade"):
        ran = call(EVALUATE, run, env=f"nasty_envs:{name}-v0", threads=None)
        assert ran.code == 2 and NASTY[name].must[1] in ran.err and ran.err.count("\n") == 1


def test_drawing_it(tmp_path):
    with pytest.raises(EnvironmentFault, match=r"its render\(\) raised KeyError: 'image'"):
        load_pixel_play("nasty_envs:DrawsNothing-v0", 40, 0, tmp_path, source_img_width=64)


def test_drawing_it_in_other_processes(tmp_path):
    with pytest.raises(
        UsageError, match=r"--env nasty_envs:DrawsLate-v0: its render\(\) raised SystemExit: 0"
    ) as raised:
        load_pixel_play("nasty_envs:DrawsLate-v0", 40, 0, tmp_path, source_img_width=64, workers=2)
    assert "in render" in raised.value.__notes__[0]


def test_filming_it(call, tmp_path):
    ran = call(TD3, env="nasty_envs:DrawsNothing-v0", render_freq=20, results_dir=tmp_path, **SHORT_RUN)
    assert (
        ran.code == 2 and "--render_freq: nasty_envs:DrawsNothing-v0 cannot be drawn here: KeyError: 'image'" in ran.err
    )


def test_a_good_environment_is_what_it_was():
    guarded, plain = make_env("Hopper-v5"), gymnasium.make("Hopper-v5", disable_env_checker=True)
    assert guarded.spec == plain.spec and type(guarded.unwrapped) is type(plain.unwrapped)
    assert guarded.metadata == plain.metadata and guarded.action_space == plain.action_space
    assert np.array_equal(guarded.reset(seed=3)[0], plain.reset(seed=3)[0])
    action = np.full(3, 0.5, np.float32)
    ours, theirs = guarded.step(action), plain.step(action)
    assert np.array_equal(ours[0], theirs[0]) and ours[0].dtype == theirs[0].dtype and ours[1:4] == theirs[1:4]


@pytest.mark.parametrize("main", [TD3, rl.main_sac_lsp.main, rl.main_baselines.main, EMBED])
def test_what_numpy_raises_in_an_environment_it_raises_nowhere_else(call, tmp_path, main):
    flags = {TD3: SHORT_RUN, EMBED: SHORT_PLAY}.get(main, BASELINE)
    before = np.geterr()
    ran = call(main, env="nasty_envs:SetsNumpysErrors-v0", results_dir=tmp_path, **flags)
    assert ran.code == 0 and np.geterr() == before, ran.err


@pytest.mark.parametrize("which", ["observation_space", "action_space"])
def test_spaces_that_differ_from_one_instance_to_the_next(call, tmp_path, monkeypatch, which):
    made, original = [], nasty_envs.Behaves.__init__

    def begin(self, **keywords):
        original(self, **keywords)
        made.append(self)
        space = getattr(self, which)
        setattr(self, which, spaces.Box(-9, 9, (2 + len(made) % 2,), space.dtype))

    monkeypatch.setattr(nasty_envs.Behaves, "__init__", begin)

    def seen(self):
        return np.zeros(self.observation_space.shape)

    monkeypatch.setattr(nasty_envs.Behaves, "reset", lambda self, **_: (seen(self), {}))
    monkeypatch.setattr(nasty_envs.Behaves, "step", lambda self, action: (seen(self), 0.0, False, False, {}))
    for main, flags in ((TD3, SHORT_RUN), (rl.main_baselines.main, {**BASELINE, "algo": "SAC"})):
        ran = call(main, env="nasty_envs:Behaves-v0", results_dir=tmp_path, **flags)
        assert ran.code == 2 and "its spaces differ from one instance to the next" in ran.err, ran
        assert not listing(tmp_path)


def test_a_space_that_differs_from_look_to_look_is_looked_at_once(monkeypatch):
    looks = iter(range(2, 100))
    space = property(lambda self: spaces.Box(-1, 1, (next(looks),), np.float32))
    monkeypatch.setattr(nasty_envs.Behaves, "action_space", space)
    env = make_env("nasty_envs:Behaves-v0")
    assert env.action_space is env.action_space

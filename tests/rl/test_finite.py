"""What float32 cannot hold counts as not finite, wherever it comes from: no network hides it."""

import numpy as np
import pytest
import toy_envs
from scripts import EMBED, EVALUATE, SHORT

import rl.main_baselines
import rl.main_dyne
import rl.main_sac_lsp
import rl.main_td3
from common.finite import is_finite
from rl.policies import load_policy

LAST = np.finfo(np.float32).max
PLACES = ["reset", "observation", "reward"]
AGENTS = {
    "TD3": (rl.main_td3.main, [], {"update_every": 20}),
    "DynE-TD3": (rl.main_dyne.main, [], {"update_every": 20, "start_timesteps": 0}),
    "SAC": (rl.main_baselines.main, ["--algo", "SAC"], {}),
    "PPO": (rl.main_baselines.main, ["--algo", "PPO"], {}),
    "SAC-LSP": (rl.main_sac_lsp.main, [], {}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_what_counts_as_finite(dtype):
    assert is_finite(np.array([0, -LAST, LAST], dtype), 1.0, -3)
    for number in (np.nan, np.inf, -np.inf, *((1e300, -4e38) if dtype is not np.float32 else ())):
        assert not is_finite(np.array([0, number], dtype)) and not is_finite(1.0, dtype(number))
    assert is_finite(np.zeros((2, 3), np.uint8), np.float16(65504)) and not is_finite(np.float16(np.inf))


@pytest.mark.filterwarnings("error:overflow")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", AGENTS)
def test_such_a_seed_is_given_up(call, tmp_path, decoder, method, place):
    main, arguments, flags = AGENTS[method]
    flags = flags | {"max_timesteps": 100, "eval_freq": 20, "eval_episodes": 1, "results_dir": tmp_path}
    if method == "DynE-TD3":
        flags["decoder"] = decoder
    ran = call(main, *arguments, env=f"toy_envs:Huge-{place}-v0", **flags)
    assert ran.code == 3 and "seed 0" in ran.err and "not finite" in ran.err and "Traceback" not in ran.err, ran.err
    (failure,) = tmp_path.rglob("failed.json")
    assert {"reset": "observation", "observation": "observation", "reward": "reward"}[place] in failure.read_text()
    if main in (rl.main_td3.main, rl.main_dyne.main):
        assert "step 40" in failure.read_text() or "step 43" in failure.read_text()
        assert load_policy(failure.parent).env_id == f"Huge-{place}-v0"


def test_a_sum_of_rewards_that_float32_cannot_hold(call, tmp_path, decoder, monkeypatch):
    """Each of the two rewards of the plan of steps 41 and 42 is finite."""
    monkeypatch.setattr(toy_envs.Huge, "first", 41)
    flags = {"max_timesteps": 100, "update_every": 20, "eval_episodes": 1, "results_dir": tmp_path, "decoder": decoder}
    ran = call(rl.main_dyne.main, env="toy_envs:HugeSum-v0", start_timesteps=0, **flags)
    assert ran.code == 3 and "sum of rewards" in ran.err, ran.err


@pytest.mark.parametrize("place", PLACES[:2])
def test_random_play_refuses(call, tmp_path, place):
    ran = call(EMBED, env=f"toy_envs:Huge-{place}-v0", results_dir=tmp_path, **SHORT[EMBED])
    assert ran.code == 2 and "not finite in float32" in ran.err and not list(tmp_path.rglob("*.*")), ran.err


@pytest.mark.parametrize("place", PLACES[:2])
def test_evaluations_say_so(call, tmp_path, monkeypatch, place):
    env_id = f"toy_envs:Huge-{place}-v0"
    flags = {"env": env_id, "update_every": 20, "eval_episodes": 1, "results_dir": tmp_path}
    assert call(rl.main_td3.main, max_timesteps=20, **flags).code == 0
    monkeypatch.setattr(toy_envs.Huge, "first", 3 if place == "observation" else 0)
    ran = call(EVALUATE, next(tmp_path.rglob("default")), threads=None, env=env_id)
    assert ran.code == 3 and "not finite" in ran.err
    ran = call(rl.main_td3.main, name="again", max_timesteps=20, **flags)
    assert ran.code == 3 and "return of an evaluation nan" in ran.err

"""Action spaces: the controls against literal loops, TD3's noises in shares of the bounds, and both in whole runs."""

import shlex

import numpy as np
import pytest
import torch
from crafted_files import whole_run

import rl.main_dyne
import rl.main_td3
from analysis.commands import rebuild_commands
from analysis.finished_seeds import load_flags
from common import checkpoint
from common.checkpoint import CheckpointError
from rl.action_spaces import LARGEST_PLAN, ControlActions, RawActions, from_content
from rl.policies import load_policy
from rl.td3 import TD3

pytestmark = pytest.mark.quick
LOW, HIGH = np.float32([-1, -0.5, 0]), np.float32([1, 0.25, 10])
FLAGS = {"env": "Pendulum-v1", "max_timesteps": 400, "eval_freq": 200, "eval_episodes": 1, "batch_size": 16}


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(("kind", "k"), [("held", 1), ("held", 4), ("chunk", 3)])
def test_a_plan_of_a_control(kind, k, share):
    space = ControlActions(kind, k, LOW, HIGH, share)
    assert space.dim == (3 * k if kind == "chunk" else 3)
    z = np.random.default_rng(0).uniform(-1, 1, space.dim).astype(np.float32)
    plan = space.decode(z)
    assert plan.shape == (k, 3) and plan.dtype == np.float32
    for step in range(k):
        for a in range(3):
            unit = z[3 * step + a] if kind == "chunk" else z[a]
            middle, half = (float(HIGH[a]) + float(LOW[a])) / 2, (float(HIGH[a]) - float(LOW[a])) / 2
            assert plan[step, a] == pytest.approx(middle + float(unit) * share * half, rel=1e-5, abs=1e-6)
    extreme = space.decode(np.ones(space.dim, np.float32))
    assert (extreme <= HIGH).all() and (share < 1 or (extreme == HIGH).all())
    assert (space.noise_unit, space.target_noise_unit, space.clip_unit) == (1, 1 / k, 1)
    again = from_content(space.content())
    assert np.array_equal(again.decode(z), plan) and again.content().keys() == space.content().keys()


def test_contents_that_make_no_control():
    content = ControlActions("held", 4, LOW, HIGH).content()
    for wrong in ({"k": 0}, {"k": 2.0}, {"k": LARGEST_PLAN // 3 + 1}, {"share": 0}, {"share": 2.0}, {"kind": "hold"}):
        with pytest.raises(CheckpointError, match=next(iter(wrong))):
            from_content(content | wrong)
    with pytest.raises(CheckpointError, match="bound"):
        from_content(RawActions(LOW, HIGH, 2.0).content() | {"bound": -1.0})


def test_raw_actions_within_a_bound_of_ones_own():
    space = RawActions(np.float32([-3, -1]), np.float32([3, 1]), bound=2.0)
    assert space.policy_low.tolist() == [-2, -1] and space.policy_high.tolist() == [2, 1]
    assert space.scale.tolist() == [2, 2]  # an actor's tanh spans the first bound everywhere, as without one
    assert from_content(space.content()).policy_high.tolist() == [2, 1]
    assert RawActions(LOW, HIGH).content().keys() == {"kind", "low", "high"}  # as before there was a bound


def test_a_bound_of_ones_own_holds_where_bounds_are_not_about_zero():
    """For the policy, and for random actions at the start."""
    space = RawActions(np.float32([2, -1, -20]), np.float32([10, 3, 20]), bound=2.5, own_ranges=True)
    assert (space.policy_low.tolist(), space.policy_high.tolist()) == ([2, -1, -2.5], [2.5, 2.5, 2.5])
    drawn = np.stack([space.sample(np.random.default_rng(seed)) for seed in range(200)])
    assert (space.policy_low <= drawn).all() and (drawn <= space.policy_high).all() and drawn[:, 2].max() > 2
    first = RawActions(
        np.float32([-15, -10]), np.float32([15, 10]), bound=12.0
    )  # the policy spans the first one's range
    drawn = np.stack([first.sample(np.random.default_rng(seed)) for seed in range(200)])
    assert (np.abs(drawn) <= [12, 10]).all() and (np.abs(drawn).max(0) > [11, 9]).all()
    assert from_content(space.content()).policy_high.tolist() == [2.5, 2.5, 2.5]
    with pytest.raises(ValueError, match=r"no action between .* is within \+-2"):
        RawActions(np.float32([2]), np.float32([10]), bound=2.0)


def test_noise_in_shares_of_the_bounds_is_that_share_of_each():
    space = RawActions(np.float32([-10, -1]), np.float32([10, 1]), noise_unit="bounds")
    assert np.array_equal(space.noise_unit, [10, 1]) and np.array_equal(space.clip_unit, [10, 1])
    agent = TD3(
        (3,), space, [0], torch.device("cpu"), lr=1e-3, tau=0.005, policy_freq=2,
        policy_noise=0.2 * space.target_noise_unit, noise_clip=0.5 * space.clip_unit,
    )  # fmt: skip
    seen = []
    agent.target_actor = lambda states: torch.zeros(1, len(states[0]), 2)
    agent.target_critics[0].forward = lambda x: (seen.append(x) or torch.zeros(1, len(x[0]), 1), None)
    agent.target_critics[1].forward = lambda x: (torch.zeros(1, len(x[0]), 1), None)
    noise = torch.tensor([[[1.0, 1.0], [9.0, -9.0]]])
    agent.target_value(torch.zeros(1, 2, 1), torch.ones(1, 2, 1), torch.zeros(1, 2, 3), noise)
    torch.testing.assert_close(seen[0][0, :, 3:5], torch.tensor([[2.0, 0.2], [5.0, -0.5]]))


@pytest.mark.parametrize(("policy", "k", "dim"), [("held-TD3", 2, 1), ("chunk-TD3", 2, 2), ("identity-TD3", 1, 1)])
def test_a_control_is_trained_resumed_and_loaded(call, tmp_path, policy, k, dim):
    flags = FLAGS | {"policy_name": policy} | ({} if k == 1 else {"plan_length": k})
    whole = call(rl.main_dyne.main, results_dir=tmp_path / "whole", **flags)
    assert whole.code == 0, whole.err
    first = call(rl.main_dyne.main, results_dir=tmp_path / "parts", **flags | {"max_timesteps": 200})
    then = call(rl.main_dyne.main, "--resume", results_dir=tmp_path / "parts", **flags)
    assert (first.code, then.code) == (0, 0), then.err
    curves = [tmp_path / part / "rl" / "Pendulum-v1" / policy / "default" for part in ("whole", "parts")]
    assert (curves[0] / "seed_0/eval.csv").read_bytes() == (curves[1] / "seed_0/eval.csv").read_bytes()
    loaded = load_policy(curves[0])
    assert loaded.method == policy and (loaded.actions.k, loaded.actions.dim) == (k, dim)
    noted = load_flags(curves[0] / "seed_0" / "eval.csv")
    (command,) = rebuild_commands(policy, [noted])
    again = vars(rl.main_dyne.parse(shlex.split(command)[2:]))  # one that the script accepts, and means the same by
    assert {name: again[name] for name in ("plan_length", "plan_share")} == {
        name: noted[name] for name in ("plan_length", "plan_share")
    }


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"policy_name": "held-TD3", "decoder": "default"}, "--decoder default"),
        ({"policy_name": "identity-TD3", "plan_length": 4}, "--plan_length 4"),
        ({"policy_name": "DynE-TD3", "plan_share": 0.5}, "--plan_share 0.5"),
        ({"policy_name": "DynE-TD3", "noise_unit": "bounds"}, "--noise_unit bounds: DynE-TD3 does not use it"),
        ({"policy_name": "held-TD3", "action_bound": 1}, "--action_bound 1.0: held-TD3 does not use it"),
        ({"policy_name": "random", "action_range": "own"}, "--action_range own: random does not use it"),
        ({"policy_name": "held-TD3", "plan_share": 0}, "plan_share"),
        ({"policy_name": "held-TD3", "plan_share": 1e-30}, "plan_share"),
        (
            {"policy_name": "chunk-TD3", "plan_length": 201},
            "--plan_length 201: an episode of Pendulum-v1 has 200 steps",
        ),
    ],
)
def test_flags_that_a_control_has_no_use_for(call, tmp_path, flags, named):
    ran = call(rl.main_dyne.main, results_dir=tmp_path, **FLAGS | flags)
    assert ran.code == 2 and named in ran.err and not list(tmp_path.iterdir())


def test_a_plan_longer_than_files_may_have_is_not_trained(call, tmp_path, monkeypatch):
    monkeypatch.setattr("rl.action_spaces.LARGEST_PLAN", 4)
    flags = FLAGS | {"policy_name": "held-TD3", "results_dir": tmp_path}
    ran = call(rl.main_dyne.main, **flags, plan_length=5)
    assert ran.code == 2 and "--plan_length 5: " in ran.err and ran.err.count("\n") == 1, ran
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["TD3", "random", "DynE-TD3", "chunk-TD3"])
def test_a_policy_acts_in_what_its_method_does(tmp_path, method):
    content = whole_run() | {"method": method, "policy": None}
    content["actions"] = ControlActions("held", 2, LOW, HIGH).content()
    checkpoint.save(tmp_path / "checkpoint.pt", "run", content)
    with pytest.raises(CheckpointError, match="kind is held, not one of "):
        load_policy(tmp_path)


def test_a_random_policy_has_no_bound_of_its_own(call, tmp_path):
    ran = call(rl.main_td3.main, results_dir=tmp_path, policy_name="random", action_bound=0.5, **FLAGS)
    assert ran.code == 2 and "--action_bound 0.5" in ran.err and not list(tmp_path.iterdir())
    ran = call(rl.main_td3.main, results_dir=tmp_path, policy_name="random", action_range="own", **FLAGS)
    assert ran.code == 2 and "--action_range own" in ran.err and not list(tmp_path.iterdir())


def test_a_policy_may_span_each_dimensions_own_range():
    bounds = np.float32([-0.1, -10]), np.float32([0.1, 10])
    first, own = RawActions(*bounds), RawActions(*bounds, own_ranges=True)
    assert first.policy_high.tolist() == [np.float32(0.1)] * 2  # as in the release
    assert own.policy_high.tolist() == own.scale.tolist() == bounds[1].tolist()
    assert from_content(own.content()).policy_high.tolist() == bounds[1].tolist()
    assert from_content(first.content()).policy_high.tolist() == first.policy_high.tolist()


def test_a_range_that_is_the_first_dimensions_is_told(call, tmp_path):
    flags = {**FLAGS, "env": "Thrower-v2", "max_timesteps": 20, "update_every": 20, "results_dir": tmp_path}
    assert "span +-10 in every dimension" in call(rl.main_td3.main, **flags).out
    assert "in every dimension" not in call(rl.main_td3.main, **flags, name="own", action_range="own").out
    assert "in every dimension" not in call(rl.main_td3.main, **flags | {"env": "Pusher-v2"}).out


def test_a_control_sees_no_images(call, tmp_path):
    ran = call(rl.main_dyne.main, "--pixels", results_dir=tmp_path, policy_name="held-TD3", **FLAGS)
    assert ran.code == 2 and "--pixels" in ran.err and not list(tmp_path.iterdir())


def test_td3_with_noise_in_shares_of_the_bounds_differs_from_that_in_units(call, tmp_path):
    for name, flags in (("raw", {}), ("bounds", {"noise_unit": "bounds"}), ("narrow", {"action_bound": 1.0})):
        ran = call(rl.main_td3.main, results_dir=tmp_path, name=name, **FLAGS | flags)
        assert ran.code == 0, ran.err
    run = tmp_path / "rl" / "Pendulum-v1" / "TD3"
    curves = {(run / name / "seed_0" / "eval.csv").read_text() for name in ("raw", "bounds", "narrow")}
    assert len(curves) == 3
    states = np.random.default_rng(0).normal(0, 10, (200, 3)).astype(np.float32)
    narrow = load_policy(run / "narrow")
    assert max(abs(narrow.select_action(state)[0]) for state in states) <= 1

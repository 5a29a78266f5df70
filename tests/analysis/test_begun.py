"""Seeds that have only just begun, whatever step their method begins at, count in no comparison."""

import warnings

import pandas as pd
import pytest
from curve_runs import frame

from analysis import curves, estimates, plot_runs
from common.errors import UsageError
from rl.methods import PRETRAINING

STEPS = range(0, 21_000, 1000)


def seeds(method, end, count=5, first=0):
    """Seeds that return -50 untrained, then `end`, at steps from `first` on."""
    return frame([[-50.0] + [end + seed] * 20 for seed in range(count)], [first + step for step in STEPS], method)


def fresh(method, first=0, seed=5):
    """A seed that was evaluated untrained only."""
    return frame([[-50.0]], [first], method).assign(seed=seed)


@pytest.mark.parametrize(("method", "first"), [("SAC", 0), ("S-DynE-TD3", PRETRAINING)])
def test_a_seed_that_has_just_begun_does_not_count_against_its_method(method, first):
    ours = seeds(method, -10.0, first=first)
    td3 = frame([[-50.0] + [-30.0 + seed] * 120 for seed in range(5)], range(0, 121_000, 1000))
    begun = pd.concat([td3, ours, fresh(method, first)])
    (told,) = plot_runs.compared(begun)
    assert "probability 1.00 (in all pairs of runs) in the last tenth of" in told and "behind" not in told
    assert [told] == plot_runs.compared(pd.concat([td3, ours]))
    assert (
        plot_runs.compared(pd.concat([td3, ours[ours.seed < 4], fresh(method, first, seed=4)])) == []
    )  # so there are four
    with warnings.catch_warnings(action="error"):
        table = estimates.summary(begun)
        pd.testing.assert_frame_equal(table, estimates.summary(pd.concat([td3, ours])))
        assert table.loc[method, "seeds"] == "5"
        assert estimates.summary(pd.concat([td3, fresh(method, first)])).index.tolist() == ["TD3"]
        assert estimates.summary(pd.concat([ours, fresh("TD3")])).columns.tolist()[-1] == "mean return over all steps"
        assert not len(estimates.summary(fresh(method, first)))


def test_seeds_that_have_just_begun_do_not_count_across_tasks():
    both = pd.concat([seeds(method, end).assign(env="Pusher-v2") for method, end in (("SAC", -40.0), ("TD3", -45.0))])
    begun = pd.concat([both, fresh("SAC").assign(env="Pusher-v2")])
    methods = ["SAC", "TD3"]
    pd.testing.assert_frame_equal(estimates.across_tasks(begun, methods), estimates.across_tasks(both, methods))
    with pytest.raises(UsageError, match="no task yet"):
        estimates.across_tasks(pd.concat([both[both.method == "TD3"], fresh("SAC").assign(env="Pusher-v2")]), methods)


@pytest.mark.parametrize(("method", "first"), [("TD3", 0), ("S-DynE-TD3", PRETRAINING)])
def test_what_ends_below_its_untrained_policy_is_named_wherever_that_stands(method, first):
    fallen = seeds(method, -90.0, first=first)
    assert plot_runs.below_their_start(pd.concat([fallen, fresh(method, first)])) == [method]
    assert plot_runs.below_their_start(seeds(method, -10.0, first=first)) == []
    assert curves.begun(fresh(method, first)).empty

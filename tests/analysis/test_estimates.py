"""Statistics of curves against literal loops, and against numbers of rliable 1.2.0."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from curve_runs import ENV, frame

from analysis import curves, estimates
from analysis.authors import AUTHORS_RANGE
from common.errors import UsageError
from common.paths import REPOSITORY

pytestmark = pytest.mark.quick


def scores(seed=0, runs=8, tasks=6):
    """Two (runs, tasks) arrays that share a row."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(-9, 2, (runs, tasks)), rng.normal(-10, 2, (runs, tasks))
    y[0] = x[0]
    return x, y


def test_statistics_are_those_of_rliable():
    """rliable.metrics.aggregate_iqm, probability_of_improvement, and its stratified bootstrap, on the same scores."""
    x, y = scores()
    value, low, high = estimates.interval(estimates.iqm, [*x.T])
    assert value == pytest.approx(-8.95155562, abs=1e-8)
    assert (low, high) == pytest.approx((-9.420, -8.388), abs=0.03)
    value, low, high = estimates.interval(estimates.mean_probability, [*x.T], [*y.T])
    assert value == 0.5625
    assert (low, high) == pytest.approx((0.443, 0.675), abs=0.01)


def test_a_final_return_is_of_the_last_tenth_of_the_steps():
    returns = np.arange(21.0)[None] + [[0.0], [100.0]]
    found = estimates.final_returns(frame(returns, range(0, 20_001, 1000)))
    assert found.to_dict() == {0: 19.0, 1: 119.0}  # those at 18, 19 and 20 thousand


def unequal(method="TD3", ends=(20_000, 20_000, 10_000)):
    """Seeds n that return n + their step in thousands, and have each run to a step of its own."""
    steps = range(0, 21_000, 1000)
    every = frame([[seed + step / 1000 for step in steps] for seed in range(len(ends))], steps, method)
    return every[every.steps <= every.seed.map(dict(enumerate(ends)))]


def test_final_returns_are_of_the_steps_that_all_seeds_have():
    assert estimates.last_step(unequal()) == 10_000
    assert estimates.final_returns(unequal()).to_dict() == {0: 9.5, 1: 10.5, 2: 11.5}
    shorter = unequal("SAC", [6_000, 8_000])
    assert estimates.last_step(unequal(), shorter) == 6_000
    ours, theirs = estimates.shared_finals(unequal(), shorter)
    assert ours.to_dict() == {0: 6.0, 1: 7.0, 2: 8.0} and theirs.to_dict() == {0: 6.0, 1: 7.0}
    assert [set(one.steps) for one in estimates.at_shared_steps(unequal(), shorter)] == [set(range(0, 7000, 1000))] * 2
    table = estimates.summary(pd.concat([unequal(), shorter]))
    assert table.seeds.tolist() == ["3", "2"] and table.steps.tolist() == ["10 000", "6 000"]
    assert table["final return"].tolist() == ["10.5 (9.5 10.5 11.5)", "6.5 (6.0 7.0)"]
    assert table["mean return over all steps"].tolist() == ["6.0 (5.0 6.0 7.0)", "3.5 (3.0 4.0)"]


def test_a_seed_that_was_not_evaluated_there_is_not_left_out_silently():
    often, other = unequal(), unequal("SAC", [12_000] * 2)
    rarely = other[(other.seed == 0) | (other.steps % 4000 == 0)]  # the second one at 8 000 and 12 000
    assert estimates.last_step(often, rarely) == 10_000
    with pytest.raises(UsageError, match="share no steps"):
        estimates.shared_finals(often, rarely)
    table = estimates.summary(pd.concat([often, rarely]))
    assert table.loc["SAC", "P(better than TD3)"] == "no steps shared"
    late = rarely[(rarely.seed == 0) & (rarely.steps <= 9_000) | (rarely.seed == 1) & rarely.steps.isin([0, 12_000])]
    with pytest.raises(UsageError, match="share no steps"):
        estimates.final_returns(late)
    table = estimates.summary(pd.concat([often, late]))
    assert (table.loc["SAC", ["seeds", "steps"]].tolist(), table.loc["SAC", "final return"]) == (
        ["2", "9 000"],
        "no steps shared",
    )
    assert table.loc["TD3"].tolist() == estimates.summary(often).loc["TD3"].tolist()


def test_an_area_is_that_of_trapezoids_whatever_the_order_of_rows():
    steps, returns = [0, 1000, 3000], [[-40.0, -20.0, -10.0], [0.0, 0.0, 6.0]]
    found = estimates.areas(frame(returns, steps).sample(frac=1, random_state=0))
    assert found.to_dict() == pytest.approx({0: (30 * 1000 + 15 * 2000) / -3000, 1: 3 * 2000 / 3000})


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8])
def test_interquartile_mean_is_a_literal_one(count):
    values = np.random.default_rng(count).normal(size=count)
    cut = count // 4
    found = estimates.interquartile_mean(values, np.full(count, 1 / count))
    assert found == pytest.approx(np.mean(sorted(values)[cut : count - cut]))


def test_tasks_count_alike_however_many_seeds_they_have():
    tasks = [np.random.default_rng(seed).normal(10 * seed, 1, n) for seed, n in ((0, 8), (1, 2), (2, 2), (3, 4))]
    repeated = np.sort(np.concatenate([np.repeat(values, 8 // len(values)) for values in tasks]))
    assert estimates.iqm(tasks) == pytest.approx(repeated[8:24].mean())
    assert estimates.mean(tasks) == pytest.approx(np.mean([values.mean() for values in tasks]))
    drawn = estimates.iqm(estimates.resample(tasks, np.random.default_rng(0)))
    assert drawn.shape == (estimates.RESAMPLES,) and drawn.std() > 0


def test_probability_of_improvement_is_counted_pair_by_pair():
    x, y = (np.random.default_rng(seed).integers(0, 4, n).astype(float) for seed, n in ((0, 5), (1, 7)))
    counted = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(x, y)]
    assert 0.5 in counted
    assert estimates.probability_of_improvement(x, y) == pytest.approx(np.mean(counted))


def test_bootstrap_samples_stay_within_their_task():
    tasks = [np.array([0.0, 1.0]), np.array([10.0]), np.array([20.0, 21.0, 22.0])]
    drawn = estimates.resample(tasks, np.random.default_rng(0))
    for values, sample in zip(tasks, drawn, strict=True):
        assert sample.shape == (estimates.RESAMPLES, len(values)) and set(sample.ravel()) == set(values)


@pytest.mark.parametrize(("seeds", "share"), [(5, 0.83), (8, 0.89), (16, 0.92)])
def test_intervals_of_few_seeds_are_somewhat_too_narrow_as_the_page_says(seeds, share):
    drawn = np.random.default_rng(0).normal(size=(2000, seeds))
    bounds = np.array([curves.bootstrap(values, resamples=500)[1:] for values in drawn])
    held = (bounds[:, 0] <= 0) & (0 <= bounds[:, 1])
    assert held.mean() == pytest.approx(share, abs=0.02)
    page = (REPOSITORY / "results" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"in\s(about\s)?{100 * share:.0f} %\s(of\scases\s)?with\s{seeds}\b", page)


@pytest.mark.parametrize(("seeds", "share"), [(5, 0.68), (8, 0.81), (16, 0.90)])
def test_so_are_those_of_probabilities(seeds, share, monkeypatch):
    monkeypatch.setattr(estimates, "RESAMPLES", 500)
    rng, held = np.random.default_rng(0), []
    for _ in range(1000):
        better, worse = rng.normal(1.8124, 1, seeds), rng.normal(0, 1, seeds)  # of two, the first is larger in 90 %
        _, low, high = estimates.interval(estimates.mean_probability, [better], [worse])
        held.append(low <= 0.9 <= high)
    assert np.mean(held) == pytest.approx(share, abs=0.015)
    page = (REPOSITORY / "results" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"in\s(about\s)?{100 * share:.0f} %\swith\s{seeds}\sand\s{seeds}\b", page)


def test_steps_to_reach_a_return():
    curve = frame([[-5.0, -30.0, -20.0, -10.0], [-5.0, -30.0, -22.0, -12.0]], [0, 1000, 2000, 3000])
    assert estimates.steps_to_reach(curve, -21, 1000) == 2000
    assert estimates.steps_to_reach(curve, -11, 1000) == 3000
    assert estimates.steps_to_reach(curve, -10, 1000) is None  # -5 is the untrained policy's
    assert estimates.steps_to_reach(curve, -16, 2000) == 3000  # a bin that the data end in stands at their end
    assert estimates.steps_to_reach(curve.assign(steps=curve.steps + 500), -21, 1000) == 3000


def test_a_summary_compares_with_the_baseline():
    steps = range(0, 20_001, 1000)
    better, worse = (frame([[level] * 21, [level + 1.0] * 21], steps, m) for m, level in (("SAC", -5.0), ("TD3", -9.0)))
    table = estimates.summary(pd.concat([better, worse]))
    assert table.index.tolist() == ["TD3", "SAC"]
    assert table.loc["SAC", "final return"] == "-4.5 (-5.0 -4.0)" == table.loc["SAC", "mean return over all steps"]
    assert table.loc["SAC", "P(better than TD3)"] == "1.00" and table.loc["SAC", "seeds"] == "2"
    assert table.loc["SAC", "its interquartile mean"] == "-4.5"
    many = frame([[-3.0 + seed] * 21 for seed in range(5)], steps, "SAC")
    of_many = estimates.summary(pd.concat([many, worse])).loc["SAC"]
    assert of_many["final return"].startswith("-1.0 [") and of_many["P(better than TD3)"] == "1.00"  # TD3 has two
    assert table.loc["TD3", "steps to TD3's final return"] == "-"  # its final return is that of step 0
    worse = frame([[-20.0] + [-9.0] * 20, [-21.0] + [-8.0] * 20], steps, "TD3")
    table = estimates.summary(pd.concat([better, worse]))
    assert table.loc["SAC", "steps to TD3's final return"] == "1 000"
    worst = frame([[-30.0] * 11], range(0, 10_001, 1000), "SAC")
    table = estimates.summary(pd.concat([worst, worse]))
    assert table.loc["SAC", "steps to TD3's final return"] == "not in 10 000"
    longer = frame([[-30.0] * 21 + [-1.0] * 5], range(0, 25_001, 1000), "SAC")
    table = estimates.summary(pd.concat([longer, worse]))
    assert table.loc["SAC", "final return"] == "-1.0" and table.loc["SAC", "P(better than TD3)"].startswith("0.00")
    later = worse.assign(method="SAC", steps=worse.steps + 100_000)
    assert estimates.summary(pd.concat([later, worse])).loc["SAC", "P(better than TD3)"] == "no steps shared"
    assert estimates.summary(worse, baseline="PPO").columns.tolist()[-1] == "mean return over all steps"


def test_runs_of_other_names_are_not_averaged_into_one_baseline():
    steps = range(0, 10_001, 1000)
    good, bad = (frame([[-50.0] + [end] * 10] * 5, steps, name=name) for name, end in (("a", -5.0), ("b", -15.0)))
    ours = frame([[-50.0] + [-10.0] * 10] * 5, steps, "SAC")
    table = estimates.summary(pd.concat([good, bad, ours]))
    assert table.index.tolist() == ["TD3, a", "TD3, b", "SAC"]
    told = {name: table.loc["SAC", f"P(better than TD3, {name})"] for name in "ab"}
    assert told == {"a": "0.00 [0.00, 0.00]", "b": "1.00 [1.00, 1.00]"}
    assert table.loc["SAC", "steps to TD3, a's final return"] == "not in 10 000"
    assert table.loc["SAC", "steps to TD3, b's final return"] == "1 000"
    with pytest.raises(UsageError, match=f"several runs of TD3 on {ENV}, one is a: choose one of them"):
        estimates.across_tasks(pd.concat([good, bad, ours]), ["SAC", "TD3"])


def test_tasks_are_scaled_by_the_ranges_of_the_authors_plots():
    steps, (low, high) = [0, 1000], AUTHORS_RANGE["Pusher-v2"]
    rows = [frame([[-10.0, -5.0]], steps, "A", env=ENV), frame([[-10.0, -20.0]], steps, "B", env=ENV)]
    rows += [frame([[low, (low + high) / 2]], steps, m, env="Pusher-v2") for m in ("A", "B")]
    rows += [frame([[0.0, 0.0]], steps, "A", env="Striker-v2")]  # B is not there
    table = estimates.across_tasks(pd.concat(rows), ["A", "B"])
    assert table.tasks.tolist() == ["2, 2 have fewer than 5 seeds"] * 2
    assert table.iloc[:, 1].tolist() == ["0.75", "0.25"]
    assert table.loc["B", "P(A better)"] == "0.75"
    seeds = [pd.concat([one.assign(seed=seed) for seed in range(5)]) for one in rows]
    table = estimates.across_tasks(pd.concat(seeds), ["A", "B"])
    assert table.tasks.tolist() == ["2", "2"]
    assert table.iloc[:, 1].tolist() == ["0.75 [0.75, 0.75]", "0.25 [0.25, 0.25]"]
    assert table.loc["B", "P(A better)"] == "0.75 [0.75, 0.75]"
    with pytest.raises(UsageError, match="no task yet with curves of all of A, C"):
        estimates.across_tasks(pd.concat(rows), ["A", "C"])


def test_evaluations_from_the_same_starts_correlate():
    starts = np.array([[99, 1, 2, 0, 3], [-99, 0, -1, 2, 0]])
    one, other = frame(starts, range(5)), frame(starts[:, :4] * 2 + 5, range(4), method="DynE-TD3")
    same, others = estimates.correlations([one, other])
    assert same == pytest.approx(1) and others == pytest.approx(np.corrcoef([1, 2, 0], [0, -1, 2])[0, 1])
    assert np.isnan(estimates.correlations([one, frame([[-1, -1, -1]] * 2, range(3))])).all()

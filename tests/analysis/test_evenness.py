"""Whether places are spread evenly over a disc: places that are, and places that are not."""

import numpy as np
import pytest

from analysis import report_claims, report_embeddings
from analysis.evenness import even_discs, gap, sample_size
from analysis.figure3_reach import histograms
from analysis.report_data import Data

PLANS = 1_000


def even(rng, radius=1.0, plans=PLANS):
    """Distances (plans,) of places that are spread evenly over a disc."""
    return radius * np.sqrt(rng.random(plans))


def table(dyne, *others):
    """The table of figure 3 of distances after one plan."""
    kinds = dict(zip(("DynE", "raw", "held"), (dyne, *others), strict=False))
    return histograms({kind: (one, 40 * one) for kind, one in kinds.items()}, "ReacherVertical-v2", 4)


@pytest.mark.parametrize("widest", [1.0, 1.37], ids=["the widest", "others are wider"])
def test_even_places_pass_in_about_95_of_100_cases(widest):
    rng, passed = np.random.default_rng(1), []
    for _ in range(300):
        found = table(even(rng), np.array([widest]))
        shares = found[(found.actions == "DynE") & (found.horizon != "episode")].share.to_numpy()
        reached = int(np.flatnonzero(shares)[-1]) + 1
        passed.append(gap(shares) < even_discs(PLANS, reached)[0])
    assert 0.91 <= np.mean(passed) <= 0.99


@pytest.mark.parametrize(
    "uneven",
    [
        lambda rng: rng.random(PLANS),  # even along the radius: most places lie near the middle
        lambda rng: np.sqrt(rng.uniform(0.2, 1, PLANS)),  # a ring
        lambda rng: np.abs(rng.normal(0, 1, PLANS)),
        lambda rng: 1 - 0.3 * rng.random(PLANS) ** 2,  # at the edge
    ],
)
def test_the_page_says_whether_places_are_even(tmp_path, uneven):
    (tmp_path / "figures").mkdir()
    rng, data = np.random.default_rng(0), Data(tmp_path)
    for dyne, claim, told in (
        (even(rng), "reproduces: ", "DynE's distances are even by this measure."),
        (uneven(rng), "**does not reproduce**: ", "DynE's distances are not even."),
    ):
        table(dyne, even(rng, 0.8), even(rng, 1.2)).to_csv(tmp_path / "figures" / "figure3.csv", index=False)
        said, amount = report_claims.figure3_plan(data)
        assert said.startswith(claim) and amount == "1000 episodes each"
        assert told in report_embeddings.figure3(data)


def test_the_highest_density_of_an_even_disc_is_above_2_by_chance():
    bins = 40
    assert even_discs(PLANS, bins)[1] == pytest.approx(2.24, abs=0.03)
    assert even_discs(10 * PLANS, bins)[1] == pytest.approx(2.01, abs=0.03)  # noise falls with their number


def test_the_number_of_plans_is_told_by_the_shares():
    found = table(even(np.random.default_rng(0), plans=137))
    assert sample_size(found[found.horizon == "episode"].share) == 137

"""Whether places are spread evenly over what can be reached: places that are, and places that are not."""

import gymnasium
import numpy as np
import pytest

from analysis import report_claims, report_embeddings
from analysis.evenness import EVEN, convex_hull, even_places, gap, gap_by_chance
from analysis.figure3_reach import even_distances, histograms
from analysis.report_data import Data

PLANS = 1_000
SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])


def test_the_hull_of_points_is_its_corners_counter_clockwise():
    inside = np.random.default_rng(0).uniform(0.1, 0.9, (200, 2)) * [2, 1]
    on_an_edge = np.array([[1.0, 0.0], [2.0, 0.5]])
    found = convex_hull(np.concatenate([inside, SQUARE[::-1], on_an_edge, SQUARE]))
    assert found.tolist() == SQUARE.tolist()


@pytest.mark.parametrize(
    "corners", [SQUARE, SQUARE[:3], np.array([[-1.0, -1.0], [3.0, -2.0], [4.0, 1.0], [0.5, 2.0], [-2.0, 0.5]])]
)
def test_places_are_spread_evenly_over_a_polygon(corners):
    """All lie within it, and of those in any half plane there are as many as its area asks for."""
    places = even_places(np.random.default_rng(1), corners, 100_000)
    edges = np.roll(corners, -1, axis=0) - corners
    for corner, edge in zip(corners, edges, strict=True):
        away = places - corner
        assert (edge[0] * away[:, 1] - edge[1] * away[:, 0] > -1e-9).all()
    grid = np.stack(np.meshgrid(np.linspace(-3, 5, 1601), np.linspace(-3, 5, 1601)), axis=-1).reshape(-1, 2)
    for corner, edge in zip(corners, edges, strict=True):
        away = grid - corner
        grid = grid[edge[0] * away[:, 1] - edge[1] * away[:, 0] >= 0]
    for direction in np.random.default_rng(2).normal(size=(10, 2)):
        middle = np.median(grid @ direction)
        assert (places @ direction < middle).mean() == pytest.approx(0.5, abs=0.01)


def even(rng, plans=PLANS):
    """Distances (plans,) from its middle of places that are spread evenly over an ellipse, twice as long as wide."""
    angle = rng.uniform(0, 2 * np.pi, plans)
    return np.sqrt(rng.random(plans)) * np.hypot(np.cos(angle), 0.5 * np.sin(angle))


def table(dyne, *others):
    """The table of figure 3 of distances after one plan."""
    kinds = dict(zip(("DynE", "raw", "held"), (dyne, *others), strict=False))
    found = {kind: (one, 40 * one) for kind, one in kinds.items()}
    return histograms({**found, EVEN: (even(np.random.default_rng(9), 100_000),)}, "ReacherVertical-v2", 4)


def test_even_places_pass_in_about_95_of_100_cases():
    rng, passed = np.random.default_rng(1), []
    for _ in range(300):
        found = table(even(rng))
        first = found[found.horizon != "episode"]
        ours, places = (first[first.actions == kind].share.to_numpy() for kind in ("DynE", EVEN))
        passed.append(gap(ours, places) < gap_by_chance(places, PLANS))
    assert 0.91 <= np.mean(passed) <= 0.99


@pytest.mark.parametrize(
    "uneven",
    [
        lambda rng: rng.random(PLANS),  # even along the radius: most places lie near the middle
        lambda rng: np.sqrt(rng.uniform(0.4, 1, PLANS)),  # a ring
        lambda rng: 1 - 0.3 * rng.random(PLANS) ** 2,  # at the edge
    ],
)
def test_the_page_says_whether_places_are_even(tmp_path, uneven):
    (tmp_path / "figures").mkdir()
    rng, data = np.random.default_rng(0), Data(tmp_path)
    for dyne, claim, told in (
        (even(rng), "reproduces: ", "DynE's distances"),
        (uneven(rng), "**does not reproduce**", "So by this measure those of held actions are as even"),
    ):
        table(dyne, uneven(rng), even(rng)).to_csv(tmp_path / "figures" / "figure3.csv", index=False)
        said, amount = report_claims.figure3_plan(data)
        assert said.startswith(claim) and amount == "1000 episodes each"
        assert told in report_embeddings.figure3(data)


def test_what_can_be_reached_is_a_set_of_two_moving_positions():
    """On ReacherVertical, whose target does not move; on Hopper six positions do, Pendulum is none of MuJoCo's."""
    found = even_distances(gymnasium.make("ReacherVertical-v2"), 4, 2, 0, lambda count: None)
    assert found is not None and len(found) == 200 and 0.6 < found.max() < 1.2
    for name in ("Hopper-v5", "Pendulum-v1"):
        assert even_distances(gymnasium.make(name), 4, 2, 0, lambda count: None) is None

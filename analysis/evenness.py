"""Whether distances from the start are those of places that are spread evenly over what can be reached.

Two position dimensions are taken, as in figure 3. What can be reached from a start is the convex hull of where many
varied plans end. A distance says less than a place: even distances are necessary for even places, not sufficient.
"""

import numpy as np

SAMPLES = 1_000  # that are simulated
EVEN = "spread evenly"  # what the table of figure 3 calls these places, among its kinds of actions


def convex_hull(points: np.ndarray) -> np.ndarray:
    """The corners (V, 2) of the convex hull of points (n, 2), counter-clockwise (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0)
    chains = []
    for one_way in (ordered, ordered[::-1]):
        chain: list[np.ndarray] = []
        for point in one_way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains += chain[:-1]
    return np.array(chains)


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Twice the area of the triangle a b c, positive if it is counter-clockwise."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def even_places(rng: np.random.Generator, corners: np.ndarray, n: int) -> np.ndarray:
    """n places (n, 2), independent and uniform over the convex polygon of `corners` (V, 2)."""
    first, sides = corners[0], corners[1:] - corners[0]
    areas = np.abs(sides[:-1, 0] * sides[1:, 1] - sides[:-1, 1] * sides[1:, 0])
    triangle = rng.choice(len(areas), n, p=areas / areas.sum())
    a, b = np.sort(rng.random((2, n)), axis=0)  # (a, b - a) is uniform over the triangle of corners 0, (1, 0), (0, 1)
    return first + a[:, None] * sides[triangle] + (b - a)[:, None] * sides[triangle + 1]


def gap(shares: np.ndarray, even: np.ndarray) -> float:
    """The largest difference between the shares of two histograms (B,) up to an edge of their bins (Kolmogorov's distance)."""
    return float(np.abs(np.cumsum(shares) - np.cumsum(even)).max())


def gap_by_chance(even: np.ndarray, plans: int) -> float:
    """The gap that 95 % of samples of as many even places stay below.

    Args:
        even: the histogram (B,) of very many even places, shares.
        plans: the number of places of a sample.
    """
    samples = np.random.default_rng(0).multinomial(plans, even / even.sum(), SAMPLES) / plans
    return float(np.quantile([gap(sample, even) for sample in samples], 0.95))

"""Whether distances from a start are those of places that are spread evenly over a disc.

Of evenly spread places the share within r is (r / R)^2, R being the disc's radius. How far a histogram of distances is
from that is told by its gap: the largest difference between the share up to an edge of bins and (r / R)^2, for the
radius in the last bin reached that makes it smallest. A sample of even places has a gap too; `even_discs` tells how
large.
"""

from functools import cache

import numpy as np
import pandas as pd

RADII = 100  # that are tried in the last bin
DISCS = 1_000  # that are simulated
MOST_PLANS = 1_000_000


def sample_size(shares: pd.Series) -> int:
    """Of how many distances the shares (N,) of some histograms are: the least number that makes whole counts of them."""
    values = shares.to_numpy()
    for plans in range(1, MOST_PLANS):
        counts = plans * values
        if np.abs(counts - counts.round()).max() < 1e-6:
            return plans
    return MOST_PLANS


def gap(shares: np.ndarray) -> float:
    """The gap of a histogram, a share; `shares` (B,) are of bins of one width, the first of which begins at 0."""
    reached = int(np.flatnonzero(shares)[-1]) + 1
    edges, radii = np.arange(1, reached + 1), reached - 1 + np.arange(1, RADII + 1) / RADII
    even = np.minimum(edges / radii[:, None], 1) ** 2
    return float(np.abs(shares[:reached].cumsum() - even).max(axis=1).min())


@cache
def even_discs(plans: int, reached: int) -> tuple[float, float]:
    """What as many places, spread evenly over a disc, give by chance: the gap that 95 % of such samples are below, a
    share, and the mean over samples of the highest density of distances, in means over the bins reached.

    Args:
        plans: the number of places.
        reached: so many bins they reach; the disc ends anywhere in the last one.
    """
    rng = np.random.default_rng(0)
    gaps, peaks = [], []
    for _ in range(DISCS):
        distances = (reached - rng.random()) * np.sqrt(rng.random(plans))
        shares = np.histogram(distances, np.arange(reached + 1))[0] / plans
        gaps.append(gap(shares))
        peaks.append(shares.max() * (np.flatnonzero(shares)[-1] + 1))
    return float(np.quantile(gaps, 0.95)), float(np.mean(peaks))

"""The bad end of the scores: the mean of the worst 5 %, and the share of catastrophic samples."""

import math
from dataclasses import dataclass

import numpy as np

from brushbench.reports.evidence.grids import Grid, ScoreGrid
from brushbench.reports.evidence.pairs import Share, win_rate

WORST = 0.05
"""The share of samples whose mean is printed."""
FAR = 5.0
"""A sample is catastrophic if it is worse than the median of all contenders by more than so many robust standard
deviations, or if it has no score because it failed."""
_ROBUST = 1.4826
"""Makes the median absolute deviation the standard deviation of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The bad end of one method's scores."""

    worst: float
    """Mean of the worst 5 %, of at least one sample."""
    catastrophic: Share
    scored: int
    failed: int
    """Samples x seeds without a score."""


def threshold(grid: ScoreGrid) -> float:
    """Return the score beyond which a sample is catastrophic; NaN without any score."""
    scores = np.concatenate([own.to_numpy(np.float64).ravel() for own in grid.contenders.values()] or [np.empty(0)])
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        return math.nan
    middle = float(np.median(scores))
    spread = _ROBUST * float(np.median(np.abs(scores - middle)))
    return middle - FAR * spread if grid.info.higher_is_better else middle + FAR * spread


def tail_of(scores: Grid, limit: float, *, higher_is_better: bool) -> Tail | None:
    """Return the tail of a method's scores, of which NaN counts as failed; None without any score."""
    known = np.sort(scores[~np.isnan(scores)])
    if not len(known):
        return None
    count = max(1, math.ceil(WORST * len(known)))
    worst = known[:count] if higher_is_better else known[-count:]
    beyond = scores < limit if higher_is_better else scores > limit
    bad = np.where(beyond | np.isnan(scores), 1.0, -1.0)
    return Tail(float(worst.mean()), win_rate(bad), len(known), int(np.isnan(scores).sum()))

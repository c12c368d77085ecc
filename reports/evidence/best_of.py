"""What several seeds of an image buy: the best of n, and the precision of a mean over n."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from brushbench.reports.evidence.grids import Grid
from brushbench.reports.evidence.hierarchical import complete
from brushbench.reports.statistics import Estimate, mean_interval


@dataclass(frozen=True, slots=True)
class OfSeeds:
    """A method with n seeds for each image."""

    count: int
    best: Estimate
    """The mean over images of the expected best of n."""
    mean: float
    """The mean, which is the same for every n."""
    error: float
    """The standard error of the mean over n seeds on these images and others like them; NaN if it can't be known."""


def best_of(scores: Grid, *, higher_is_better: bool) -> list[OfSeeds]:
    """Return the curve for n = 1, ..., K from the images that have a score under all K seeds; empty without any."""
    whole = complete(scores)
    images, seeds = whole.shape
    if not images or not seeds:
        return []
    ordered = np.sort(whole if higher_is_better else -whole, axis=1)
    sign = 1.0 if higher_is_better else -1.0
    mean = float(whole.mean())
    return [
        OfSeeds(count, mean_interval(sign * (ordered @ weights(seeds, count))), mean, _error(whole, count))
        for count in range(1, seeds + 1)
    ]


def weights(seeds: int, count: int) -> Float64[ndarray, " seeds"]:
    """Return the weights of sorted scores whose sum is the mean of the largest over all subsets of `count` of them.

    The i-th smallest is the largest of C(i - 1, n - 1) of the C(K, n) subsets, so this expectation has no bias, as
    drawing subsets would have noise.
    """
    subsets = math.comb(seeds, count)
    return np.array([math.comb(place, count - 1) / subsets for place in range(seeds)])


def _error(scores: Grid, count: int) -> float:
    """The standard error of the mean over images, each with the mean over n seeds, by the method of moments."""
    images, seeds = scores.shape
    if images < 2:
        return math.nan
    means = float(scores.mean(axis=1).var(ddof=1))
    within = float(scores.var(axis=1, ddof=1).mean()) if seeds > 1 else 0.0
    # The variance of an image's mean over K seeds has 1/K of what is within it.
    between = max(0.0, means - within / seeds)
    return math.sqrt((between + within / count) / images)

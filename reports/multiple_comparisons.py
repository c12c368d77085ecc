"""Find which of several methods may be the best: multiple comparisons by max-t over joint sign flips.

Choosing the best method by the data and then testing the others against it finds differences that do not exist, and
the more methods there are, the more often. Here all pairs are tested together. If no two methods differ, the
differences of every image might as well have the opposite sign, for all pairs at once. The |t| of every pair is
therefore compared with the largest |t| over all pairs when the signs of whole images are drawn at random (Westfall and
Young, Resampling-Based Multiple Testing, 1993; multiple comparisons with the best: Hsu, Ann. Statist. 12, 1984). A
method stays among the best as long as no other is significantly better.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int, Shaped

from brushbench.reports.resampling import AT_ONCE
from brushbench.reports.statistics import DRAWS, balanced

NEARLY_ONE = 1 - 1e-9
"""Shares above it belong to equal differences, whose t is infinite."""
Scores = Float64[np.ndarray, "samples methods"]


def beaten(
    scores: Scores,
    clusters: Shaped[np.ndarray, " samples"],
    strata: Shaped[np.ndarray, " samples"],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Float64[np.ndarray, " methods"]:
    """Return, for each method, the p-value of some other being better, corrected for all pairs; 1 if none is better.

    Higher scores are better; NaN means no score. Each pair is compared on the samples that both have, every stratum
    counts alike, and the signs of a cluster are flipped together for all pairs. With few clusters all signs are
    enumerated, so no p-value is below 2 / 2^clusters.
    """
    pairs = list(combinations(range(scores.shape[1]), 2))
    found = np.ones(scores.shape[1])
    if not pairs or not len(scores):
        return found
    names, places = np.unique(clusters, return_inverse=True)
    first, second = (np.array(own) for own in zip(*pairs, strict=True))
    sums, sizes = _sums(scores[:, first] - scores[:, second], strata, places, len(names))
    observed, direction = _squares(sums.sum(axis=0), sums, sizes), np.sign(sums.sum(axis=0))
    exact = len(names) < 64 and 2 ** (len(names) - 1) <= draws + 1
    reached, drawn = np.zeros(len(pairs)), 0
    for signs in _all_signs(len(names)) if exact else _random_signs(len(names), np.random.default_rng(seed), draws):
        largest = _squares(signs @ sums, sums, sizes).max(axis=1)
        # The observed value must count as reached by its own signs, despite rounding.
        reached += (largest[:, None] >= observed * (1 - 1e-6)).sum(axis=0)
        drawn += len(signs)
    p_values = reached / drawn if exact else (1 + reached) / (1 + drawn)
    for (one, other), p_value, sign in zip(pairs, p_values, direction, strict=True):
        if sign:
            loser = other if sign > 0 else one
            found[loser] = min(found[loser], p_value)
    return found


def _sums(
    differences: Float64[np.ndarray, "samples pairs"],
    strata: Shaped[np.ndarray, " samples"],
    places: Int[np.ndarray, " samples"],
    count: int,
) -> tuple[Float64[np.ndarray, "clusters pairs"], Shaped[np.ndarray, " pairs"]]:
    """Return the sum of each cluster's differences, by pair, and how many clusters of each pair have any.

    `places` says which of the `count` clusters a sample belongs to.
    """
    known = ~np.isnan(differences)
    values = np.where(known, differences, 0.0)
    if len(np.unique(strata)) > 1:
        for column, own in enumerate(known.T):
            values[own, column] = balanced(differences[own, column], strata[own])
    sums = np.stack([np.bincount(places, own, count) for own in values.T], axis=1)
    return sums, np.array([np.count_nonzero(np.bincount(places, own, count)) for own in known.T])


def _squares(
    totals: Float64[np.ndarray, "*draws pairs"],
    sums: Float64[np.ndarray, "clusters pairs"],
    sizes: Shaped[np.ndarray, " pairs"],
) -> Float64[np.ndarray, "*draws pairs"]:
    """Return t^2 of every pair: (n - 1) r / (1 - r), r = total^2 / (n sum of squares); flips keep the sum of squares.

    Computed from r, nothing cancels, however close to each other the differences are.
    """
    squares = sizes * (sums**2).sum(axis=0)
    shares = np.minimum(totals**2 / np.where(squares > 0, squares, 1.0), NEARLY_ONE)
    found: Float64[np.ndarray, "*draws pairs"] = np.maximum(sizes - 1, 0) * shares / (1 - shares)
    return found


def _all_signs(clusters: int) -> Iterator[Float64[np.ndarray, "draws clusters"]]:
    """Return the half of all signs whose first is positive; the other half has the opposite signs and the same |t|."""
    numbers = np.arange(2 ** (clusters - 1))[:, None]
    bits = (numbers >> np.arange(clusters - 1)) & 1
    yield np.concatenate([np.ones((len(numbers), 1)), 1.0 - 2.0 * bits], axis=1)


def _random_signs(
    clusters: int, generator: np.random.Generator, draws: int
) -> Iterator[Float64[np.ndarray, "draws clusters"]]:
    step = max(1, AT_ONCE // clusters)
    for start in range(0, draws, step):
        yield generator.integers(0, 2, (min(step, draws - start), clusters)).astype(np.float64) * 2 - 1

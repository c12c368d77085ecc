"""How certain the order of methods is: their ranks when images and seeds are resampled."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from brushbench.reports.evidence.grids import ScoreGrid, shared_samples
from brushbench.reports.statistics import LEVEL

DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Ranks:
    """How often a method has each rank, over the draws."""

    shares: tuple[float, ...]
    """Share of the draws in which it is 1st, 2nd, ..."""
    low: int
    high: int
    """The central interval of its rank."""


def ranks_of(grid: ScoreGrid, draws: int = DRAWS, seed: int = 0) -> dict[str, Ranks]:
    """Return the ranks of the contenders on the samples that all of them have, for 2 or more of each; else nothing.

    A draw takes images with replacement, the same for all methods, and for every image as many of its seeds with
    replacement: seeds of its own for each image, or with crossed seeds (`ScoreGrid.is_crossed`) the same for all.
    Methods with equal means share the better rank.
    """
    methods = grid.contenders
    samples = shared_samples(methods) if methods else []
    if len(methods) < 2 or len(samples) < 2:
        return {}
    scores = {name: own.loc[samples].to_numpy(np.float64) for name, own in methods.items()}
    means = _drawn(scores, draws, np.random.default_rng(seed), crossed=grid.is_crossed)
    signed = means if grid.info.higher_is_better else -means
    placed = 1 + (signed[:, None, :] < signed[None, :, :]).sum(axis=1)
    return {name: _ranks(placed[place], len(methods)) for place, name in enumerate(scores)}


def _ranks(placed: Int64[ndarray, " draws"], count: int) -> Ranks:
    ends = np.quantile(placed, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    shares = tuple(float((placed == rank).mean()) for rank in range(1, count + 1))
    return Ranks(shares, int(ends[0]), int(ends[1]))


def _drawn(
    scores: Mapping[str, Float64[ndarray, "images seeds"]], draws: int, random: np.random.Generator, *, crossed: bool
) -> Float64[ndarray, "methods draws"]:
    """Return the mean of every method in every draw; methods may have different numbers of seeds."""
    count = len(next(iter(scores.values())))
    found = np.empty((len(scores), draws))
    for draw in range(draws):
        images = random.integers(count, size=count)
        for place, own in enumerate(scores.values()):
            seeds = own.shape[1]
            chosen = random.integers(seeds, size=(1 if crossed else count, seeds))
            found[place, draw] = _mean(own[images[:, None], np.broadcast_to(chosen, (count, seeds))])
    return found


def _mean(scores: Float64[ndarray, "images seeds"]) -> float:
    """Return the mean of the images' means over the seeds that have a score."""
    known = ~np.isnan(scores)
    counts = known.sum(axis=1)
    sums = np.where(known, scores, 0.0).sum(axis=1)
    return float((sums[counts > 0] / counts[counts > 0]).mean())

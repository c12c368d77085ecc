"""Two methods on the same images and seeds: difference, effect size and win rate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import special

from brushbench.reports.evidence.grids import Grid, ScoreGrid, shared_samples
from brushbench.reports.evidence.hierarchical import difference_over_seeds, image_means
from brushbench.reports.statistics import LEVEL, Estimate

_Z = float(special.ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """What one metric says about two methods; positive is better for the first."""

    first: str
    second: str
    difference: Estimate
    p: float
    """Two-sided and not corrected for several pairs."""
    effect: float
    """Cohen's d_z: the mean difference of an image over the standard deviation of these; NaN if nothing varies."""
    wins: Share
    """How often the first is better, a tie being half a win, over images and seeds."""
    images: int
    seeds: int


def pairs_of(grid: ScoreGrid) -> Iterator[PairEvidence]:
    """Yield the evidence for every pair of contenders that share images and seeds."""
    for first, second in combinations(grid.contenders, 2):
        one, other = grid.methods[first], grid.methods[second]
        seeds = [seed for seed in one.columns if seed in other.columns]
        samples = shared_samples({first: one[seeds], second: other[seeds]}) if seeds else []
        if not samples:
            continue
        sign = 1.0 if grid.info.higher_is_better else -1.0
        differences = sign * (
            one.loc[samples, seeds].to_numpy(np.float64) - other.loc[samples, seeds].to_numpy(np.float64)
        )
        if np.isnan(differences).all():
            continue
        p, estimate = difference_over_seeds(differences, crossed=grid.is_crossed)
        means = image_means(differences)
        yield PairEvidence(
            *(first, second, estimate, p, effect_size(means), win_rate(differences)), len(means), len(seeds)
        )


def effect_size(means: Float64[ndarray, " images"]) -> float:
    """Return Cohen's d_z of paired differences."""
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    return float(means.mean()) / spread if spread else math.nan


def win_rate(differences: Grid) -> Share:
    """Return the share of positive differences, a tie being half of one, with Wilson's interval.

    The interval has the number of images as its size if seeds agree, and up to images x seeds if they don't: the number
    of independent samples whose share would have the same standard error (design effect; Kish, Survey Sampling, 1965).
    """
    known = ~np.isnan(differences)
    won = np.where(known, (differences > 0) + 0.5 * (differences == 0), np.nan)
    shares = image_means(won)
    value, count = float(shares.mean()), len(shares)
    error = float(shares.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    size = value * (1 - value) / error**2 if error else count
    return wilson(value, size)


def wilson(value: float, size: int | float) -> Share:
    """Return a share of so many independent samples with Wilson's score interval (J. Am. Stat. Assoc. 22, 1927)."""
    shift = value + _Z**2 / (2 * size)
    half = _Z * math.sqrt(value * (1 - value) / size + _Z**2 / (4 * size**2))
    scale = 1 + _Z**2 / size
    return Share(value, max(0.0, (shift - half) / scale), min(1.0, (shift + half) / scale))

"""Intervals and tests of means over images and seeds, as pure functions of float64 arrays.

How seeds enter depends on how noise is drawn:

* **Nested** (protocol `strict`). Every image has noise of its own under every seed, so the seeds of an image are
  repeats of that image, and nothing is common to images. The scores of an image are averaged, and the images are the
  clusters: their spread already has the share of the seeds in it. Nothing else is needed, for any number of seeds.
* **Crossed** (protocol `paper`). All images start from one noise, so a seed may help or hurt all of them, and more
  images don't average that out. An image and a seed each have an effect (two-way random effects, crossed; Searle,
  Casella and McCulloch, Variance Components, 1992), and the variance of the mean is that between the images' means / n,
  plus what the seeds have in common, (MS seeds - MS rest) / (n K), or 0 if it is negative. Student's quantile has the
  degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 1946). With one seed, that part can't be known.

`benchmarks/seed_coverage.py` measures how often the intervals contain the truth.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from brushbench.reports.evidence.grids import Grid
from brushbench.reports.statistics import (
    DRAWS,
    LEVEL,
    Estimate,
    asymmetry,
    mean_interval,
    paired_bootstrap,
    skewed_ends,
    student_p,
    student_quantile,
)

LEAST = 2
"""Fewest images, and fewest seeds, for what the seeds have in common."""


@dataclass(frozen=True, slots=True)
class SeedPart:
    """What seeds have in common, as a part of the variance of a mean."""

    variance: float
    """Variance of the mean by the seeds' common effect; never negative."""
    squares: tuple[tuple[float, float], ...] = ()
    """Mean squares of seeds and rest over n K, each with its degrees of freedom."""


def seed_part(scores: Grid) -> SeedPart:
    """Return the part of the seeds from scores that are all there; none for one seed or one image."""
    count, seeds = scores.shape
    if min(count, seeds) < LEAST:
        return SeedPart(0.0)
    mean, by_image, by_seed = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    left = scores - by_image[:, None] - by_seed[None, :] + mean
    of_seeds = float(((by_seed - mean) ** 2).sum()) / (seeds - 1) / seeds
    free = (count - 1) * (seeds - 1)
    of_rest = float((left**2).sum()) / free / (count * seeds)
    return SeedPart(max(of_seeds - of_rest, 0.0), ((of_seeds, seeds - 1.0), (of_rest, float(free))))


def mean_over_seeds(scores: Grid, *, crossed: bool, level: float = LEVEL) -> Estimate:
    """Return the mean over images and seeds with its interval, corrected for the skewness of the images.

    An image without a score under one seed is averaged over its others; the common part of crossed seeds comes from the
    images that have all scores.
    """
    means = image_means(scores)
    if not crossed:
        return mean_interval(means, level=level)
    found, freedom = _crossed(means, seed_part(complete(scores)))
    # Only the images' part of the error is known to be skewed.
    share = found.standard_error and (_spread(means) / found.standard_error)
    upper, lower = skewed_ends(freedom, asymmetry(means) * share**3, level)
    return replace(found, low=found.mean - upper * found.standard_error, high=found.mean - lower * found.standard_error)


def difference_over_seeds(
    differences: Grid, *, crossed: bool, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> tuple[float, Estimate]:
    """Return the two-sided p-value of a mean difference of 0, and the mean with its interval.

    `differences` are those of two methods under the same seeds. Nested seeds: the paired bootstrap-t of the images'
    means (`statistics.paired_bootstrap`). Crossed seeds: Student's t with the part of the seeds.
    """
    if not crossed or differences.shape[1] < LEAST:
        return paired_bootstrap(image_means(differences), seed=seed, draws=draws, level=level)
    return difference_with_parts(image_means(differences), seed_part(complete(differences)), level=level)


def difference_with_parts(
    means: Float64[ndarray, " images"], *parts: SeedPart, level: float = LEVEL
) -> tuple[float, Estimate]:
    """Return p-value and interval of a mean difference, given the common part of the seeds, or that of each side."""
    found, freedom = _crossed(means, *parts)
    if math.isnan(found.standard_error):
        return 1.0, found
    half = student_quantile(freedom, (1 + level) / 2) * found.standard_error
    estimate = replace(found, low=found.mean - half, high=found.mean + half)
    if found.standard_error == 0:
        return (1.0 if found.mean == 0 else 0.0), estimate
    return student_p(freedom, found.mean / found.standard_error), estimate


def image_means(scores: Grid) -> Float64[ndarray, " _"]:
    """Return the mean of every image over its seeds that have a score; images without any are left out."""
    known = scores[~np.isnan(scores).all(axis=1)]
    found: Float64[ndarray, " _"] = np.nanmean(known, axis=1) if len(known) else known[:, 0]
    return found


def complete(scores: Grid) -> Float64[ndarray, "_ seeds"]:
    """Return the images that have a score under every seed."""
    whole: Float64[ndarray, "_ seeds"] = scores[~np.isnan(scores).any(axis=1)]
    return whole


def _spread(means: Float64[ndarray, " images"]) -> float:
    return float(means.std(ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan


def _crossed(means: Float64[ndarray, " images"], *parts: SeedPart) -> tuple[Estimate, float]:
    """Return the estimate without ends, and the degrees of freedom by Satterthwaite."""
    count, nan = len(means), math.nan
    if count < LEAST:
        return Estimate(float(means.mean()) if count else nan, nan, nan, nan, nan, count, count), nan
    own = _spread(means) ** 2
    variance = own + sum(part.variance for part in parts)
    spread = own**2 / (count - 1)
    spread += sum(square**2 / free for part in parts if part.variance for square, free in part.squares)
    freedom = variance**2 / spread if spread else count - 1.0
    return Estimate(float(means.mean()), nan, nan, math.sqrt(variance), freedom, count, count), freedom

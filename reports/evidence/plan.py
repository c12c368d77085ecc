"""How many images and seeds it takes to find a difference, from the variances of a pilot run."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from brushbench.core.errors import UserError
from brushbench.reports.evidence.grids import Grid
from brushbench.reports.evidence.hierarchical import complete
from brushbench.reports.variance_components import components_of

LEAST = 10
"""Fewest images of a pilot: the variance of fewer says too little."""
MOST_SEEDS = 16
MOST_IMAGES = 10_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance of paired differences of two methods, in parts."""

    images: float
    """Between images, whatever the seed."""
    seeds: float
    """Of what a seed does to all images alike; 0 for seeds that are nested in images."""
    rest: float
    """Within an image, between its seeds; 0 if it can't be told from that between images."""
    count: int
    seed_count: int


@dataclass(frozen=True, slots=True)
class Needed:
    """The images that are needed with so many seeds."""

    seeds: int
    images: int | None
    """None if no number of images is enough."""

    @property
    def generated(self) -> int | None:
        """Images to generate with each method."""
        return None if self.images is None else self.images * self.seeds


def spread_of(differences: Grid, *, crossed: bool) -> Spread:
    """Estimate the parts from a pilot's differences, by the method of moments. Raises `UserError` for a small pilot."""
    whole = complete(differences)
    images, seeds = whole.shape
    if images < LEAST:
        raise UserError(f"the pilot has {images} images with all scores; valid: {LEAST} or more")
    if seeds == 1:
        return Spread(float(whole.var(ddof=1)), 0.0, 0.0, images, seeds)
    if crossed:
        parts = components_of(whole)
        return Spread(parts.images, parts.seeds, parts.rest, images, seeds)
    within = float(whole.var(axis=1, ddof=1).mean())
    between = max(0.0, float(whole.mean(axis=1).var(ddof=1)) - within / seeds)
    return Spread(between, 0.0, within, images, seeds)


def needed(spread: Spread, effect: float, *, power: float, alpha: float, seeds: int) -> Needed:
    """Return the images for a two-sided paired t-test at `alpha` to find a true difference with this power.

    `effect` is in the metric's unit, and positive. The smallest n with n >= (t_(1-alpha/2) + t_power)^2 v / effect^2,
    where v is the variance of an image's mean difference over the seeds, and t has n - 1 degrees of freedom.
    """
    variance = spread.images + spread.rest / seeds
    common = spread.seeds / seeds
    if common and (_quantile(math.inf, 1 - alpha / 2) + _quantile(math.inf, power)) ** 2 * common >= effect**2:
        return Needed(seeds, None)
    count = 2
    while count < MOST_IMAGES:
        asked = (_quantile(count - 1, 1 - alpha / 2) + _quantile(count - 1, power)) ** 2
        left = effect**2 - asked * common
        target = math.ceil(asked * variance / left) if left > 0 else count + 1
        if target <= count:
            return Needed(seeds, count)
        # Beyond a few images, t hardly changes with n, so large steps don't pass the smallest n.
        count = max(count + 1, min(target - 1, count * 2))
    return Needed(seeds, None)


def cheapest(found: list[Needed]) -> Needed | None:
    """Return the row with the fewest generated images; with equal ones, that with the fewest seeds."""
    known = [one for one in found if one.images is not None]
    return min(known, key=lambda one: (one.generated or 0, one.seeds)) if known else None


def _quantile(freedom: int | float, probability: float) -> float:
    if math.isinf(freedom):
        return float(special.ndtri(probability))
    return float(np.asarray(special.stdtrit(freedom, probability)))

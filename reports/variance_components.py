"""Estimate how much of the scores' variance is between images, between seeds, and neither.

An image's score under a seed is taken as the sum of a mean, an effect of the image, an effect of the seed, which all
images share, and a rest: the two-way random effects model, crossed, without interaction (Searle, Casella and McCulloch,
Variance Components, 1992). Its components are estimated by the method of moments, from the mean squares of the analysis
of variance. The rest includes what a seed does to one image alone, as one score for each pair can't tell the two apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy import ndarray

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.mean_error import is_derived
from brushbench.reports.seeds import SEED
from brushbench.reports.summary import GROUP, Summary

LEAST = 2
"""Fewest images, and fewest seeds."""


@dataclass(frozen=True, slots=True)
class Components:
    """The components of the variance of one metric, in the square of its unit; no estimate is negative."""

    images: float
    seeds: float
    rest: float
    count: int
    """Number of images."""
    seed_count: int
    negative: tuple[str, ...] = ()
    """Components whose estimate was negative, and counts as 0: `images` or `seeds`."""

    @property
    def shares(self) -> tuple[float, float, float]:
        """Return the shares of images, seeds and the rest; NaN if nothing varies."""
        total = self.images + self.seeds + self.rest
        found = [part / total if total else float("nan") for part in (self.images, self.seeds, self.rest)]
        return found[0], found[1], found[2]

    @property
    def seed_deviation(self) -> float:
        """Return the standard deviation of a run's mean under another seed, on the same images."""
        return sqrt(self.seeds + self.rest / self.count)


@dataclass(frozen=True, slots=True)
class Varied:
    """The components of one metric of a method on a split."""

    dataset: str
    split: str
    protocol: str
    method: str
    info: MetricInfo
    seeds: tuple[int, ...]
    left_out: int
    """Images without a score under one of the seeds."""
    components: Components | None
    """None if fewer than two images have a score under all seeds."""


def components_of(scores: Float64[ndarray, "images seeds"]) -> Components:
    """Estimate the components from scores that are all there, of at least two images and two seeds."""
    count, seed_count = scores.shape
    if min(count, seed_count) < LEAST:
        raise ValueError("variance components need two images and two seeds")
    mean, by_image, by_seed = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    left = scores - by_image[:, None] - by_seed[None, :] + mean
    square_images = seed_count * float(((by_image - mean) ** 2).sum()) / (count - 1)
    square_seeds = count * float(((by_seed - mean) ** 2).sum()) / (seed_count - 1)
    rest = float((left**2).sum()) / ((count - 1) * (seed_count - 1))
    # Rounding errors of scores that don't differ are no variance.
    least = (np.finfo(np.float64).eps * float(np.abs(scores).max(initial=0.0)) * 8) ** 2
    rest = rest if rest > least else 0.0
    found = {"images": (square_images - rest) / seed_count, "seeds": (square_seeds - rest) / count}
    negative = tuple(name for name, value in found.items() if value < -least)
    images, seeds = (value if value > least else 0.0 for value in found.values())
    return Components(images, seeds, rest, count, seed_count, negative)


def varied_of(summary: Summary) -> list[Varied]:
    """Return the components of every method that has several seeds on a split, metric by metric.

    The values are those that tables are made of. Raises `UserError` if no method has several seeds.
    """
    places = [*GROUP, "method", "metric"]
    found = [
        varied
        for (dataset, split, protocol, method, metric), rows in _groups(summary.tidy, places)
        if not is_derived(metric)
        and summary.metrics[metric].scope == "image"
        and (varied := _varied((dataset, split, protocol, method), summary.metrics[metric], rows))
    ]
    if not found:
        raise UserError(
            one_line(
                "variance components need runs of one method on one split under at least two seeds; "
                "`run --seed N` into another --output makes one more"
            )
        )
    return found


def single_seeds(summary: Summary) -> list[str]:
    """Return the methods, with their splits, that have only one seed."""
    groups = _groups(summary.tidy, ["method", "split"])
    return [f"{method} on {split}" for (method, split), rows in groups if rows[SEED].nunique() < LEAST]


def _groups(tidy: pd.DataFrame, columns: list[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    for key, rows in tidy.groupby(columns, sort=False):
        yield tuple(map(str, key)), rows


def _varied(place: tuple[str, str, str, str], info: MetricInfo, rows: pd.DataFrame) -> Varied | None:
    """Return the components of one metric; None if there is one seed."""
    wide = rows.pivot(index="sample", columns=SEED, values="value")
    if wide.shape[1] < LEAST:
        return None
    whole = wide.dropna()
    left_out = len(wide.dropna(how="all")) - len(whole)
    components = components_of(whole.to_numpy(np.float64)) if len(whole) >= LEAST else None
    return Varied(*place, info, tuple(map(int, wide.columns)), left_out, components)

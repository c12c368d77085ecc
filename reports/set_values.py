"""The value of a set metric for some samples of some runs, with a bootstrap interval over images.

The interval resamples images: an image and its source are drawn together, under all seeds at once. A distance of sets
has a bias that depends on their size, and draws with replacement add to it; so the interval has the width of the draws
around their own mean, but lies around the value itself. It says how far the value would be from its expectation over
other sets of so many images, not how far it is from that of infinitely many.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, final

import numpy as np
from jaxtyping import Float64

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo, parted
from brushbench.core.registry import by_name, is_built_in
from brushbench.reports.intervals import FEWEST
from brushbench.reports.resampling import resampled
from brushbench.reports.statistics import Estimate
from brushbench.runs.features import Features, StoredSet, read_features, read_sets
from brushbench.runs.folder import Run

DRAWS = 300
"""Draws of the bootstrap."""
SEED = 0
UNBIASED = ("kid",)
"""Set metrics whose expectation doesn't depend on the number of images."""
IN_SET = "counts in the set"
"""Status of a sample whose image is in the set: it has no score of its own."""
BUILT_IN = "brushbench.metrics.distances:DISTANCES"
LOADER = "brushbench.evaluation.select_metrics:load_set_metric"
Counts = Float64[np.ndarray, " _"]
Rows = Float64[np.ndarray, "_ d"]
Weighted = Callable[[Counts, Counts], float]
Draws = Float64[np.ndarray, " draws"]


@dataclass(frozen=True, slots=True)
class SetValue:
    """The value of a set metric and the values of the bootstrap's draws."""

    value: float
    draws: Draws
    count: int
    """Number of images, under all seeds."""
    clusters: int
    """Number of samples."""

    def estimate(self, info: MetricInfo) -> Estimate:
        """The value with its 95 % interval, within the metric's range; without ends for fewer than `FEWEST` samples."""
        if not len(self.draws) or self.clusters < FEWEST:
            return Estimate(self.value, math.nan, math.nan, math.nan, math.nan, self.count, self.clusters)
        low, high = bootstrap_interval(self.value, self.draws)
        lowest = -math.inf if info.lowest is None else info.lowest
        highest = math.inf if info.highest is None else info.highest
        return Estimate(
            self.value,
            max(low, lowest),
            min(high, highest),
            float(self.draws.std(ddof=1)),
            float(self.clusters - 1),
            self.count,
            self.clusters,
        )


def bootstrap_interval(value: float, draws: Draws) -> tuple[float, float]:
    """The 95 % interval around a value: as the draws lie around their mean, mirrored."""
    low, high = np.quantile(draws - draws.mean(), [0.025, 0.975])
    return value - float(high), value - float(low)


@dataclass(frozen=True)
class SetOfRun:
    """What a set metric compares in one run."""

    stored: StoredSet
    features: Features
    references: Rows | None
    """The rows of a folder of references; None for the samples' own sources."""

    def weighted(self, samples: Sequence[str]) -> Weighted:
        """The distance for these samples, all of which have features, as a function of how often each one counts."""
        places = self.features.places()
        rows = [places[name] for name in samples]
        images = self.features.images[rows].astype(np.float64)
        own = self.features.sources[rows].astype(np.float64) if self.references is None else self.references
        return distance_of(self.stored)(own, images)


@final
class Sets:
    """The set metrics of some runs, by the run's place."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = {run.place: run for run in runs}
        self._known: dict[tuple[str, str], SetOfRun | None] = {}
        self._fewest: dict[str, int] = {}
        """The fewest images of a value that was computed, by metric."""

    def of_run(self, place: str, metric: str) -> SetOfRun | None:
        """What a metric compares in a run; None if its features are missing."""
        if (place, metric) not in self._known:
            self._known[place, metric] = _read(self._runs[place], metric)
        return self._known[place, metric]

    def value(self, metric: str, samples: Mapping[str, Sequence[str]]) -> SetValue:
        """The mean over runs of the distance for each run's samples, given by the run's place.

        Samples of one id are drawn together. NaN unless every run has at least two usable samples.
        """
        parts = {place: (self.of_run(place, metric), list(names)) for place, names in samples.items() if len(names)}
        count = sum(len(names) for _, names in parts.values())
        ids = list(dict.fromkeys(name for _, names in parts.values() for name in names))
        self._fewest[metric] = min([self._fewest.get(metric, count), *(len(names) for _, names in parts.values())])
        if not parts or any(found is None or len(names) < 2 for found, names in parts.values()):
            return SetValue(math.nan, np.zeros(0), count, len(ids))
        prepared = [Prepared.of(cast(SetOfRun, found), names, ids) for found, names in parts.values()]
        value = float(np.mean([one(np.ones(len(ids)), None) for one in prepared]))
        return SetValue(
            value, drawn(lambda *counts: mean_over_runs(prepared, *counts), prepared, len(ids)), count, len(ids)
        )

    def note(self, metric: str) -> str:
        """What a reader must know about the values of a metric that were computed so far."""
        told = f"{metric}: one number for all images of a row; its 95 % interval is that of other images, equally many"
        fewest = self._fewest.get(metric, 0)
        widths = [
            found.features.images.shape[1] for (_, name), found in self._known.items() if found and name == metric
        ]
        if parted(metric)[0] in UNBIASED or not widths:
            return told
        if fewest > max(widths):
            return f"{told}; biased upwards, the more the fewer images"
        few = f"{fewest} images for {max(widths)} features"
        return f"{told}; {few}: far above the number of a large set, so compare it only on the same images"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The distance of one run as a function of how often each sample of all runs counts."""

    weighted: Weighted
    places: np.ndarray
    """The place of each of its samples among those of all runs."""
    references: int
    """Number of references of its own; 0 if they are the samples' sources."""

    @classmethod
    def of(cls, found: SetOfRun, samples: Sequence[str], ids: Sequence[str]) -> "Prepared":
        """Prepare the distance for some samples."""
        order = {name: place for place, name in enumerate(ids)}
        own = 0 if found.references is None else len(found.references)
        return cls(found.weighted(samples), np.array([order[name] for name in samples]), own)

    def __call__(self, counts: Counts, of_references: Counts | None) -> float:
        """The distance; NaN if fewer than two different samples count."""
        images = counts[self.places]
        references = images
        if self.references:
            references = np.ones(self.references) if of_references is None else of_references
        if np.count_nonzero(images) < 2 or np.count_nonzero(references) < 2:
            return math.nan
        return self.weighted(references, images)


def mean_over_runs(prepared: Sequence[Prepared], counts: Counts, of_references: Counts | None) -> float:
    """The mean over runs."""
    return float(np.mean([one(counts, of_references) for one in prepared]))


def drawn(make: Callable[[Counts, Counts | None], float], prepared: Sequence[Prepared], count: int) -> Draws:
    """What `make` returns for each draw of samples, and of references if they are a folder's."""
    own = max(one.references for one in prepared)
    others = (row for block in resampled(own, SEED + 1, DRAWS) for row in block) if own else iter(lambda: None, 0)
    found = [
        make(counts, of_references)
        for counts, of_references in zip(
            (row for block in resampled(count, SEED, DRAWS) for row in block), others, strict=False
        )
    ]
    values: Draws = np.array(found, dtype=np.float64)
    usable: Draws = values[np.isfinite(values)]
    return usable


def _read(run: Run, metric: str) -> SetOfRun | None:
    stored = read_sets(run).get(metric)
    features = read_features(run, stored.features) if stored else None
    if stored is None or features is None:
        return None
    if not stored.references:
        return SetOfRun(stored, features, None)
    others = read_features(run, stored.references)
    return None if others is None else SetOfRun(stored, features, others.images.astype(np.float64))


# Any: the suite's own distances, by name, which a layer finds by name.
@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Any]:
    found: Mapping[str, Any] = by_name(BUILT_IN)
    return found


def distance_of(stored: StoredSet) -> Callable[[Rows, Rows], Weighted]:
    """How to prepare the distance of two sets. Raises `UserError` if a plug-in's metric can't be loaded."""
    base = parted(stored.asked)[0]
    if is_built_in("metric", base):
        return cast(Callable[[Rows, Rows], Weighted], _built_in()[base])
    try:
        metric = by_name(LOADER)(stored.asked, **stored.options)
    except UserError as error:
        raise UserError(one_line(f"{stored.info.name}: its number needs {stored.asked}: {error}")) from error

    def prepared(references: Rows, images: Rows) -> Weighted:
        def weighted(of_references: Counts, of_images: Counts) -> float:
            rows = (
                np.repeat(own, counts.astype(np.int64), axis=0)
                for own, counts in ((references, of_references), (images, of_images))
            )
            return float(metric.distance(*rows))

        return weighted

    return prepared

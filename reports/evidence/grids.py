"""The scores of a metric on a split as grids: for every method, its images by its seeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy import ndarray

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.mean_error import is_derived
from brushbench.reports.seeds import SEED
from brushbench.reports.summary import GROUP, ROLE, Summary

Grid = Float64[ndarray, "images seeds"]
"""Scores as they count (`counting.counted`), not scaled; NaN where there is none."""
SHARED_NOISE = "paper"
"""The protocol under which all images of a run start from the same noise."""


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """The scores of one metric on one split, of all methods."""

    dataset: str
    split: str
    protocol: str
    info: MetricInfo
    methods: Mapping[str, pd.DataFrame]
    """By method, its scores as they count: samples (index) by seeds (columns), NaN where there is no score."""
    roles: Mapping[str, str]

    @property
    def is_crossed(self) -> bool:
        """Tell whether a seed is one noise for all images, so that its effect does not average out over images."""
        return self.protocol == SHARED_NOISE

    @property
    def contenders(self) -> dict[str, pd.DataFrame]:
        """Return the methods that are compared, without references and floors."""
        return {name: scores for name, scores in self.methods.items() if self.roles[name] == "contender"}


def grids_of(summary: Summary) -> Iterator[ScoreGrid]:
    """Yield the grids of a summary in the order of its rows; it must be one over seeds."""
    order = {name: place for place, name in enumerate(dict.fromkeys(summary.rows["method"]))}
    for key, rows in summary.tidy.groupby([*GROUP, "metric"], sort=False, observed=True):
        dataset, split, protocol, metric = map(str, key)
        if not is_derived(metric):
            own = {str(name): part for name, part in rows.groupby("method", sort=False, observed=True)}
            names = sorted(own, key=lambda name: order.get(name, len(order)))
            yield ScoreGrid(
                *(dataset, split, protocol, summary.metrics[metric]),
                {name: _wide(own[name]) for name in names},
                {name: str(own[name][ROLE].iloc[0]) for name in names},
            )


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.pivot(index="sample", columns=SEED, values="value").astype(np.float64)
    return wide.sort_index(axis=1)


def shared_samples(methods: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the samples that every one of these methods has a score of, under some seed."""
    parts = [scores.dropna(how="all").index for scores in methods.values()]
    found = parts[0]
    for part in parts[1:]:
        found = found.intersection(part, sort=False)
    return list(found)

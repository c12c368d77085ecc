"""Compare the set metrics of two runs: the difference of two distances, with a paired bootstrap over images.

Both distances are computed on the samples that both runs have in their sets, and every draw takes the same samples of
both, so what moves them alike (the choice of images, and most of the bias of a small set) cancels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.pairing import RunPair, paired_scores
from brushbench.reports.set_columns import is_of_set, with_sets
from brushbench.reports.set_values import IN_SET, Prepared, Sets, bootstrap_interval, drawn
from brushbench.reports.verdicts import FEWEST_OF_ANY
from brushbench.runs.folder import Run
from brushbench.runs.scores import Scores, status_column


@dataclass(frozen=True, slots=True)
class SetChange:
    """The change of one set metric between the runs of a pair."""

    dataset: str
    split: str
    protocol: str
    a: str
    """Label of the first run."""
    b: str
    info: MetricInfo
    value_a: float
    """The number of A for the shared samples; not scaled."""
    value_b: float
    difference: float
    """How much better B is than A."""
    low: float
    """Lower end of the difference's 95 % interval, by the paired bootstrap."""
    high: float
    count: int
    """Number of shared samples."""

    @property
    def verdict(self) -> str:
        """Return `better`, `worse`, empty if 0 is in the interval, or `no verdict` for too few samples."""
        if self.count < FEWEST_OF_ANY or math.isnan(self.low):
            return "no verdict"
        return "better" if self.low > 0 else "worse" if self.high < 0 else ""


def set_changes(pairs: Sequence[RunPair]) -> tuple[list[SetChange], list[str]]:
    """Compare every set metric that both runs of a pair have; returns also what could not be compared, and why."""
    runs = {run.place: run for pair in pairs for run in (pair.a, pair.b)}
    sets = Sets(list(runs.values()))
    found: list[SetChange] = []
    remarks: list[str] = []
    for pair in pairs:
        own, other = (with_sets(run, paired_scores(run), sets) or paired_scores(run) for run in (pair.a, pair.b))
        for info in _both(own, other):
            rival = other.metrics[info.name]
            if info.same_numbers(rival):
                found.append(_change(pair, info, sets, _shared(own, other, info.name)))
            else:
                told = f"version {info.version} in A, {rival.version} in B"
                remarks.append(f"{info.name} is not compared for {pair.label_a} and {pair.label_b}: {told}")
    return found, remarks


def _both(own: Scores, other: Scores) -> Iterator[MetricInfo]:
    return (info for name, info in own.metrics.items() if is_of_set(info) and name in other.metrics)


def _shared(own: Scores, other: Scores, metric: str) -> list[str]:
    """The samples that count in both sets."""
    counting = [
        scores.table.index[scores.table[status_column(metric)].to_numpy(object) == IN_SET] for scores in (own, other)
    ]
    return [str(name) for name in counting[0].intersection(counting[1], sort=False)]


def _change(pair: RunPair, info: MetricInfo, sets: Sets, samples: Sequence[str]) -> SetChange:
    value_a = value_b = difference = low = high = math.nan
    if len(samples) > 1:
        a, b = (_prepared(run, info.name, sets, samples) for run in (pair.a, pair.b))
        sign = 1 if info.higher_is_better else -1
        every = np.ones(len(samples))
        value_a, value_b = a(every, None), b(every, None)
        difference = sign * (value_b - value_a)
        draws = drawn(lambda *counts: sign * (b(*counts) - a(*counts)), [a, b], len(samples))
        low, high = bootstrap_interval(difference, draws)
    dataset, split, protocol = pair.place
    where = (dataset, split, protocol, pair.label_a, pair.label_b)
    return SetChange(*where, info, value_a, value_b, difference, low, high, len(samples))


def _prepared(run: Run, metric: str, sets: Sets, samples: Sequence[str]) -> Prepared:
    found = sets.of_run(run.place, metric)
    assert found is not None
    return Prepared.of(found, samples, samples)

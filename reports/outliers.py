"""Name the samples of a run whose scores stand out, by the median absolute deviation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from brushbench.core.errors import one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.layout import Column
from brushbench.reports.sample_scores import SampleScores, sample_scores
from brushbench.runs.folder import Run

LIMIT = 3.5
"""Deviations from the median beyond which a score is an outlier: Iglewicz and Hoaglin, 1993."""
CONSISTENT, MEAN_CONSISTENT = 1.4826, 1.2533
"""Factors that make the median and the mean absolute deviation of normal scores their standard deviation."""
FEWEST = 5
"""Fewer scores have no outliers."""
SHOWN = 5
"""Most samples named for each run."""
RULE = (
    f"Outliers: scores over {LIMIT:g} deviations from the median of their run, a deviation being {CONSISTENT} x the "
    f"median absolute deviation, or if that is 0, {MEAN_CONSISTENT} x the mean absolute deviation."
)
Values = Float64[np.ndarray, " n"]


@dataclass(frozen=True, slots=True)
class Outlier:
    """A sample that stands out in at least one metric."""

    sample: str
    scores: tuple[tuple[str, float, float], ...]
    """Metric, score, and the score's deviation from the median, the largest first."""


def deviations(values: Values) -> Values:
    """Return the distance of each score from the median, in deviations as `RULE` says; 0 if nothing varies."""
    distances: Values = values - np.median(values)
    spread = CONSISTENT * np.median(np.abs(distances)) or MEAN_CONSISTENT * np.abs(distances).mean()
    return distances / spread if spread else np.zeros_like(distances)


def outliers_in(scores: SampleScores) -> list[Outlier]:
    """Return the outliers of a run, the sample with the largest deviation first."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for metric in scores.metrics:
        column = scores.values[metric].dropna()
        if len(column) >= FEWEST:
            names, scored = [str(name) for name in column.index], column.to_numpy(np.float64)
            for name, value, far in zip(names, scored.tolist(), deviations(scored).tolist(), strict=True):
                if abs(far) > LIMIT:
                    found.setdefault(name, []).append((metric, value, far))
    made = [Outlier(sample, tuple(sorted(own, key=lambda each: -abs(each[2])))) for sample, own in found.items()]
    return sorted(made, key=lambda each: (-abs(each.scores[0][2]), each.sample))


def outlier_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the rule, then the outliers of each run; nothing if no run has any."""
    told = False
    for run in runs:
        scores = sample_scores(run)
        found = outliers_in(scores)
        if found and not told:
            yield RULE
        told = told or bool(found)
        if found:
            yield f"  {one_line(run.place, 1000)}: {len(found)} of {len(scores.values)} samples"
        yield from (f"    {one_line(_named(each, scores.metrics), 1000)}" for each in found[:SHOWN])
        if len(found) > SHOWN:
            yield f"    and {len(found) - SHOWN} more"


def _named(outlier: Outlier, metrics: dict[str, MetricInfo]) -> str:
    told = [
        f"{metric} {Column('', '', metrics[metric]).printed(value)} ({'low' if far < 0 else 'high'})"
        for metric, value, far in outlier.scores
    ]
    return f"{outlier.sample}: {', '.join(told)}"

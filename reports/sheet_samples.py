"""Choose the samples of a sheet: some evenly spaced, named ones, or the worst."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.reports.comparison import USUAL
from brushbench.reports.sample_scores import sample_scores
from brushbench.runs.folder import Run


@dataclass(frozen=True, slots=True)
class Worst:
    """So many samples, the worst in a metric first."""

    count: int
    metric: str | None = None
    """None: text alignment if it is scored, else PSNR, else the first metric."""


Wanted = int | Sequence[str] | Worst
"""A number of samples evenly spaced, the ids of samples, or the worst."""


def worst_samples(runs: Sequence[Run], wanted: Worst, among: Sequence[str]) -> dict[str, str]:
    """Return the worst samples of runs on one split, each with its mean score in words, the worst first.

    The mean is over the runs, of the scores as they count in reports; only samples that all of them have scores of,
    and that are `among` these, are ranked. Raises `UserError` for a metric that isn't scored.
    """
    scores = [sample_scores(run) for run in runs]
    shared = [name for name in scores[0].metrics if all(name in each.metrics for each in scores)]
    metric = wanted.metric or next((name for name in USUAL if name in shared), shared[0] if shared else "")
    if metric not in shared:
        raise unknown("metric", wanted.metric or "", shared) if wanted.metric else _unscored(runs)
    table = pd.concat([each.values[metric].rename(place) for place, each in enumerate(scores)], axis=1)
    means = table.dropna().mean(axis=1)
    means = means[means.index.isin(set(among))]
    ranked = means.sort_values(ascending=scores[0].metrics[metric].higher_is_better, kind="stable")
    info = scores[0].metrics[metric]
    named, unit = f"mean {metric}" if len(runs) > 1 else metric, f" {info.unit}" if info.unit else ""
    return {str(name): f"{named} {value * info.scale:.4g}{unit}" for name, value in ranked.head(wanted.count).items()}


def _unscored(runs: Sequence[Run]) -> UserError:
    return UserError(
        one_line(f"--worst: no metric is scored in all of the {len(runs)} runs; run `brushbench score RUN`")
    )

"""The scores of a run sample by sample, as they count in reports."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import counted
from brushbench.runs.folder import Run
from brushbench.runs.scores import note_column, read_scores, status_column

NOT_SCORED = "not scored"


@dataclass(frozen=True, slots=True)
class SampleScores:
    """Scores by sample (index) and metric (columns)."""

    values: pd.DataFrame
    """The scores as they count, see `counting.counted`; NaN where there is none."""
    statuses: pd.DataFrame
    """Why there is no score; `identical` for a score that counts as the metric's ceiling."""
    notes: pd.DataFrame
    """What a metric says about a score; a column only for metrics that say something."""
    metrics: dict[str, MetricInfo]

    def value(self, sample: str, metric: str) -> float:
        """Return a sample's score as it counts; NaN if there is none."""
        return float(self.values[metric].get(sample, np.nan)) if metric in self.values else np.nan

    def reason(self, sample: str, metric: str) -> str:
        """Say why a sample has no score; empty if it has one."""
        if not np.isnan(self.value(sample, metric)):
            return ""
        stated = self.statuses[metric].get(sample, "") if metric in self.statuses else ""
        return str(stated) or NOT_SCORED

    def percentile(self, sample: str, metric: str) -> float:
        """The share of the run's scores that a score is better than, equal ones counting half, in percent.

        NaN for a sample without a score.
        """
        values = self.values[metric].dropna().to_numpy(np.float64)
        own = self.value(sample, metric)
        if np.isnan(own):
            return np.nan
        worse = values < own if self.metrics[metric].higher_is_better else values > own
        return 100 * float(worse.mean() + (values == own).mean() / 2)


def sample_scores(run: Run) -> SampleScores:
    """Read the scores of a run; without any sample if it isn't scored. Raises `UserError` as `read_scores` does."""
    scores = read_scores(run)
    if scores is None:
        return SampleScores(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), {})
    index = scores.table.index.astype(str)
    values: dict[str, np.ndarray] = {}
    statuses: dict[str, np.ndarray] = {}
    notes: dict[str, np.ndarray] = {}
    for name, info in scores.metrics.items():
        given: Float64[np.ndarray, " n"] = scores.table[name].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        reasons = scores.table[status_column(name)].fillna("").to_numpy(object)
        values[name] = counted(given, reasons, info, run.record.identity.protocol)
        statuses[name] = reasons
        if note_column(name) in scores.table:
            notes[name] = scores.table[note_column(name)].fillna("").to_numpy(object)
    return SampleScores(
        pd.DataFrame(values, index=index),
        pd.DataFrame(statuses, index=index),
        pd.DataFrame(notes, index=index),
        scores.metrics,
    )

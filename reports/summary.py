"""A tidy frame to the numbers of the tables: means with their intervals, counts, and what a reader must know."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from brushbench.errors import UserError, one_line, unknown
from brushbench.metric_info import IDENTICAL, MetricInfo
from brushbench.score_file import Scores
from brushbench.store import MethodIdentity, Run
from reports.frame import (
    MASK_SIZE,
    datasets_of,
    frame_of,
    labels_of,
    metrics_of,
    scores_of,
    tags_of,
    unscored_of,
    versions_of,
)
from reports.run_notes import RunNote, notes_of
from reports.statistics import Estimate, balanced, mean_interval

GROUP = ["dataset", "split", "protocol"]
SECTION, STRATUM = "section", "stratum"
KEYS = [*GROUP, SECTION, "method", "metric"]
NUMBERS = ["mean", "low", "high", "standard_error", "n_scored", "n_asked", "n_identical"]
BOTH = "mean of inside and outside"
"""In the place of a split: the rows of the ablation tables."""
UNKNOWN = "unknown"
"""The section of samples without the tag."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the tables are made of."""

    rows: pd.DataFrame
    """Columns `KEYS` and `NUMBERS`, one row per group, section, method and metric; what can't be had is NaN."""
    tidy: pd.DataFrame
    """The frame behind it, with the columns `section` and `stratum`: the split, also where rows are of two."""
    metrics: dict[str, MetricInfo]
    unscored: dict[str, str]
    """Usual metrics that couldn't be computed, each with the reason."""
    versions: dict[str, tuple[str, ...]]
    """Metrics of which there are two versions in these runs."""
    notes: pd.DataFrame
    """Columns of `GROUP`, `metric`, `note` and `count`: what a reader must know of so many of the scores."""
    methods: dict[tuple[str, str, str], MethodIdentity]
    """What the labels mean, by data set, protocol and label."""
    asked: dict[str, int]
    """Of every run, by its folder, how many samples it is to have; not all need have been scored yet."""
    not_scored: tuple[str, ...] = ()
    """Runs without any score, to read."""
    left_out: tuple[str, ...] = ()
    """Methods of which the rows can't be had."""
    by: str = ""
    """The tag whose values are the sections; empty: there is one section without a name."""
    run_notes: tuple[RunNote, ...] = ()
    """What a reader must know of how the images were made."""


def summarise(runs: Sequence[Run], by: str = "") -> Summary:
    """Mean, 95 % interval and standard error over the scored samples of each run and metric, in sections by a tag.

    Raises `UserError` if two runs would share a row, if none is scored, or if no sample has the tag.
    """
    scores = scores_of(runs)
    tidy = frame_of(runs, scores)
    if tidy.empty:
        raise UserError("none of these runs is scored; run `brushbench score RUN` first")
    keys = [*GROUP, "method", "metric"]
    shared = tidy[[*keys, "run"]].drop_duplicates().duplicated(keys)
    if shared.any():
        first = tidy[[*keys, "run"]].drop_duplicates()[shared].iloc[0]
        place = f"{first['method']} on {first['dataset']}/{first['split']}"
        raise UserError(one_line(f"two runs are of {place}: one is {first['run']}"))
    tidy[SECTION], tidy[STRATUM] = _sections(tidy, by), tidy["split"]
    asked = {str(run.path): run.record.asked for run in runs} if not by else {}
    return Summary(
        rows=_means(tidy, asked, by),
        tidy=tidy,
        metrics=metrics_of(runs, scores),
        unscored=unscored_of(scores),
        versions=versions_of(scores),
        notes=_notes(tidy),
        methods=_methods(runs),
        asked=asked,
        not_scored=tuple(_not_scored(runs, scores)),
        by=by,
        run_notes=notes_of(runs),
    )


def both_splits(summary: Summary) -> Summary:
    """The mean of the inside and the outside rows, of the methods that have both; clustered by image.

    Each method's numbers are there for the metrics scored on both splits; the interval is that of
    `statistics.balanced`.
    """
    tidy = summary.tidy[summary.tidy["split"].isin(["inside", "outside"])]
    keys = ["dataset", "protocol", SECTION, "method", "metric"]
    records = []
    for key, scores in tidy.groupby(keys, sort=False):
        if scores["split"].nunique() == 2:
            found = scores.dropna(subset="value")
            # A mean of one row would be no mean of both.
            found = found if found["split"].nunique() == 2 else found.iloc[:0]
            values = balanced(found["value"].to_numpy(np.float64), found["split"].to_numpy(str))
            estimate = mean_interval(values, found["sample"].to_numpy(str))
            records.append(
                dict(zip(keys, key, strict=True)) | {"split": BOTH} | _numbers(scores, estimate, summary.asked)
            )
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    left_out = [method for method in summary.tidy["method"].unique() if method not in set(rows["method"])]
    notes = summary.notes[summary.notes["split"].isin(["inside", "outside"])]
    together = notes.assign(split=BOTH).groupby([*GROUP, "metric", "note"], sort=False)["count"].sum().reset_index()
    return replace(summary, rows=rows, tidy=tidy.assign(split=BOTH), notes=together, left_out=tuple(map(str, left_out)))


def _not_scored(runs: Sequence[Run], scores: Sequence[Scores | None]) -> Iterator[str]:
    for run, label, own in zip(runs, labels_of(runs), scores, strict=True):
        if own is None or not own.metrics:
            yield f"{label} on {run.record.identity.dataset.name}/{run.record.identity.dataset.split}"


def _methods(runs: Sequence[Run]) -> dict[tuple[str, str, str], MethodIdentity]:
    return {
        (dataset, run.record.identity.protocol, label): run.record.identity.method
        for run, dataset, label in zip(runs, datasets_of(runs), labels_of(runs), strict=True)
    }


def _sections(tidy: pd.DataFrame, by: str) -> pd.Series:
    if not by:
        return pd.Series("", tidy.index)
    column = by.replace("-", "_") if by.replace("-", "_") == MASK_SIZE else by
    if column not in tags_of(tidy):
        valid = [tag.replace("_", "-") if tag == MASK_SIZE else tag for tag in tags_of(tidy)]
        if column == MASK_SIZE:
            raise UserError("the sizes of the masks aren't known of these runs; run `brushbench score RUN` once more")
        raise unknown("tag", by, valid)
    return tidy[column].fillna(UNKNOWN).astype("str")


def _means(tidy: pd.DataFrame, asked: Mapping[str, int], by: str) -> pd.DataFrame:
    records = []
    for key, scores in tidy.groupby(KEYS, sort=False):
        estimate = mean_interval(scores["value"].dropna().to_numpy(np.float64))
        records.append(dict(zip(KEYS, key, strict=True)) | _numbers(scores, estimate, asked))
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    # Sections in the order of their names, that of no name last; without a tag the order is that of the runs.
    return rows.sort_values(SECTION, key=_section_order, kind="stable") if by else rows


def _section_order(sections: pd.Series) -> pd.Series:
    known = {"small": "0", "medium": "1", "large": "2", UNKNOWN: "\U0010ffff"}
    return sections.map(lambda name: known.get(name, f"3{name}"))


def _numbers(scores: pd.DataFrame, estimate: Estimate, asked: Mapping[str, int]) -> dict[str, float]:
    rows = scores["run"].value_counts().to_dict()
    return {
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": estimate.standard_error,
        "n_scored": estimate.count,
        "n_asked": sum(max(count, asked.get(str(run), 0)) for run, count in rows.items()),
        "n_identical": int((scores["status"] == IDENTICAL).sum()),
    }


def _notes(tidy: pd.DataFrame) -> pd.DataFrame:
    noted = tidy[tidy["note"].fillna("") != ""]
    return noted.groupby([*GROUP, "metric", "note"], sort=False).size().rename("count").reset_index()

"""Turn a tidy frame into the numbers of the tables: means with intervals, counts, and what a reader must know."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import IDENTICAL, MetricInfo
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.frame import (
    datasets_of,
    frame_of,
    labels_of,
    metrics_of,
    scores_of,
    tags_of,
    unscored_of,
    versions_of,
)
from brushbench.reports.intervals import table_interval
from brushbench.reports.mask_sizes import MASK_SIZE
from brushbench.reports.mean_error import with_psnr_of_mean
from brushbench.reports.roles import role_of
from brushbench.reports.run_notes import RunNote, notes_of
from brushbench.reports.selection import selected
from brushbench.reports.statistics import Estimate, balanced
from brushbench.reports.storage import SplitKey, Stored, stored_of
from brushbench.runs.folder import Run
from brushbench.runs.record import RunRecord
from brushbench.runs.scores import Scores

V = TypeVar("V")
GROUP = ["dataset", "split", "protocol"]
SECTION, STRATUM = "section", "stratum"
KEYS = [*GROUP, SECTION, "method", "metric"]
NUMBERS = ["mean", "low", "high", "standard_error", "n_scored", "n_asked", "n_capped", "n_identical", "role"]
CAPPED, ROLE, FEWER = "capped", "role", "fewer_samples"
BOTH = "mean of inside and outside"
"""Stands for the split in rows of ablation tables."""
UNKNOWN = "unknown"
"""Section of the samples without the tag."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers that tables are made of."""

    rows: pd.DataFrame
    """Columns `KEYS`, `NUMBERS` and `fewer_samples`, one row per group, section, method and metric; NaN for numbers
    that cannot be computed. `n_scored` counts the samples in the mean, `n_capped` those of them that count as the
    metric's ceiling, and `n_identical` those without a score because nothing differs. `fewer_samples` says whether the
    mean lacks a sample that one of the contenders has in the same column."""
    tidy: pd.DataFrame
    """The frame behind the rows, with values as they count (`counting.counted`), and the columns `section`, `stratum`
    (the split, also if rows combine two), `capped` (the value is the metric's ceiling) and `role`."""
    metrics: dict[str, MetricInfo]
    unscored: dict[str, str]
    """Usual metrics that could not be computed, each with the reason."""
    versions: dict[str, tuple[str, ...]]
    """Metrics that have several versions in these runs."""
    notes: pd.DataFrame
    """Columns of `GROUP`, `metric`, `note` and `count`: what a reader must know about that many scores."""
    records: Mapping[SplitKey, RunRecord]
    """Record of the run behind each label."""
    asked: dict[str, int]
    """Number of samples requested of every run, by its folder; not all need have been scored yet."""
    not_scored: tuple[str, ...] = ()
    """Descriptions of runs without any score."""
    left_out: tuple[str, ...] = ()
    """Methods whose rows cannot be computed."""
    by: str = ""
    """The tag whose values are the sections; empty for a single section without a name."""
    stored: Mapping[SplitKey, Stored] = field(default_factory=dict)
    """Formats and sizes of each run's images."""
    run_notes: tuple[RunNote, ...] = ()
    """What a reader must know about how the images were made."""


def summarise(runs: Sequence[Run], by: str = "", methods: Sequence[str] = (), splits: Sequence[str] = ()) -> Summary:
    """Compute mean, 95 % interval and standard error of each run and metric over its scored samples, by tag.

    Only these methods and splits are in it, if there are any; a method stands for all its rows. Raises `UserError` if
    two runs would share a row, if none is scored, or if there is no such tag, method or split.
    """
    everything, all_scores = runs, scores_of(runs)
    tidy = frame_of(runs, all_scores)
    if tidy.empty:
        raise UserError("none of these runs is scored; run `brushbench score RUN` first")
    places = selected(runs, methods, splits)
    runs, scores = [everything[place] for place in places], [all_scores[place] for place in places]
    tidy = tidy[tidy["run"].isin([str(run.path) for run in runs])].reset_index(drop=True)
    if tidy.empty:
        raise UserError("none of these rows is scored; run `brushbench score RUN` first")
    keys = [*GROUP, "method", "metric"]
    shared = tidy[[*keys, "run"]].drop_duplicates().duplicated(keys)
    if shared.any():
        first = tidy[[*keys, "run"]].drop_duplicates()[shared].iloc[0]
        place = f"{first['method']} on {first['dataset']}/{first['split']}"
        raise UserError(one_line(f"two runs are {place}: one is {first['run']}"))
    tidy[SECTION], tidy[STRATUM] = _sections(tidy, by), tidy["split"]
    tidy[ROLE] = tidy["run"].map({str(run.path): role_of(run) for run in runs})
    metrics, labels = metrics_of(runs, scores), set(tidy["method"])
    tidy = _as_counted(tidy, metrics)
    asked = {str(run.path): run.record.asked for run in runs} if not by else {}
    rows, with_derived = with_psnr_of_mean(_means(tidy, metrics, asked, by), metrics)
    return Summary(
        rows=rows,
        tidy=tidy,
        metrics=with_derived,
        unscored=unscored_of(scores),
        versions=versions_of(scores),
        notes=_notes(tidy),
        records=_by_place(everything, [run.record for run in everything], labels),
        asked=asked,
        not_scored=tuple(_not_scored(everything, places, scores)),
        by=by,
        stored=_by_place(everything, list(map(stored_of, everything, all_scores)), labels),
        run_notes=tuple(note for note in notes_of(everything) if note.method in labels),
    )


def _by_place(runs: Sequence[Run], values: Sequence[V], labels: Container[str]) -> dict[SplitKey, V]:
    """Return the value of each run with one of these labels, by its place in the tables."""
    places = zip(runs, datasets_of(runs), labels_of(runs), values, strict=True)
    return {
        (dataset, run.record.identity.dataset.split, run.record.identity.protocol, label): value
        for run, dataset, label, value in places
        if label in labels
    }


def both_splits(summary: Summary) -> Summary:
    """Average the inside and outside rows of the methods that have both, clustered by image.

    A method has numbers for the metrics that are scored on both splits; the interval is that of the values of
    `statistics.balanced`.
    """
    tidy = summary.tidy[summary.tidy["split"].isin(["inside", "outside"])]
    keys = ["dataset", "protocol", SECTION, "method", "metric"]
    records = []
    for key, scores in tidy.groupby(keys, sort=False):
        if scores["split"].nunique() == 2:
            found = scores.dropna(subset="value")
            # One row alone has no mean of both.
            found = found if found["split"].nunique() == 2 else found.iloc[:0]
            values = balanced(found["value"].to_numpy(np.float64), found["split"].to_numpy(str))
            place = dict(zip(keys, map(str, key), strict=True))
            info, clusters = summary.metrics[place["metric"]], found["sample"].to_numpy(str)
            estimate = table_interval(values, clusters, info, place["protocol"])
            records.append({**place, "split": BOTH, **_numbers(scores, estimate, summary.asked)})
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    left_out = [method for method in summary.tidy["method"].unique() if method not in set(rows["method"])]
    notes = summary.notes[summary.notes["split"].isin(["inside", "outside"])]
    together = notes.assign(split=BOTH).groupby([*GROUP, "metric", "note"], sort=False)["count"].sum().reset_index()
    tidy = tidy.assign(split=BOTH)
    rows = rows.assign(**{FEWER: _fewer(rows, tidy)})
    return replace(summary, rows=rows, tidy=tidy, notes=together, left_out=tuple(map(str, left_out)))


def _not_scored(runs: Sequence[Run], places: Sequence[int], scores: Sequence[Scores | None]) -> Iterator[str]:
    labels = labels_of(runs)
    for place, own in zip(places, scores, strict=True):
        if own is None or not own.metrics:
            dataset = runs[place].record.identity.dataset
            yield f"{labels[place]} on {dataset.name}/{dataset.split}"


def _sections(tidy: pd.DataFrame, by: str) -> pd.Series:
    if not by:
        return pd.Series("", tidy.index)
    column = by.replace("-", "_") if by.replace("-", "_") == MASK_SIZE else by
    if column not in tags_of(tidy):
        valid = [tag.replace("_", "-") if tag == MASK_SIZE else tag for tag in tags_of(tidy)]
        if column == MASK_SIZE:
            raise UserError("the mask sizes of these runs are not known; run `brushbench score RUN` again")
        raise unknown("tag", by, valid)
    return tidy[column].fillna(UNKNOWN).astype("str")


def _as_counted(tidy: pd.DataFrame, metrics: Mapping[str, MetricInfo]) -> pd.DataFrame:
    values, capped = tidy["value"].to_numpy(np.float64, copy=True), np.zeros(len(tidy), dtype=bool)
    statuses = tidy["status"].fillna("").to_numpy(object)
    for (metric, protocol), rows in tidy.reset_index(drop=True).groupby(["metric", "protocol"], sort=False):
        places = rows.index.to_numpy()
        given = values[places], statuses[places], metrics[str(metric)], str(protocol)
        values[places], capped[places] = counted(*given), is_capped(*given)
    return tidy.assign(**{"value": values, CAPPED: capped})


def _means(tidy: pd.DataFrame, metrics: Mapping[str, MetricInfo], asked: Mapping[str, int], by: str) -> pd.DataFrame:
    records = []
    for key, scores in tidy.groupby(KEYS, sort=False):
        place = dict(zip(KEYS, map(str, key), strict=True))
        values = scores["value"].dropna().to_numpy(np.float64)
        estimate = table_interval(values, None, metrics[place["metric"]], place["protocol"])
        records.append({**place, **_numbers(scores, estimate, asked)})
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    rows = rows.assign(**{FEWER: _fewer(rows, tidy)})
    # Sections are ordered by name, the unnamed one last; without a tag the order is that of the runs.
    return rows.sort_values(SECTION, key=_section_order, kind="stable") if by else rows


def _section_order(sections: pd.Series) -> pd.Series:
    known = {"small": "0", "medium": "1", "large": "2", UNKNOWN: "\U0010ffff"}
    return sections.map(lambda name: known.get(name, f"3{name}"))


def _fewer(rows: pd.DataFrame, tidy: pd.DataFrame) -> list[bool]:
    """Tell for each row whether its mean lacks a sample that one of the contenders has in its column."""
    keys = [*GROUP, SECTION, "metric"]
    scored = tidy[tidy["value"].notna() & tidy["method"].isin(set(rows["method"]))]
    column = scored.groupby(keys, sort=False).ngroup().to_numpy()
    sample = scored.groupby(["sample", STRATUM], sort=False).ngroup().to_numpy()
    place = column * (sample.max(initial=0) + 1) + sample
    # Without contenders, the rows are compared with each other.
    competes = (scored[ROLE] == "contender").to_numpy()
    competes = competes | ~np.isin(column, column[competes])
    first = scored.assign(place=place)[competes].drop_duplicates("place")
    everything = first.groupby(keys, sort=False).size().to_dict()
    shared = scored.assign(shared=np.isin(place, first["place"])).groupby([*keys, "method"], sort=False)["shared"].sum()
    own = shared.to_dict()
    places = rows[[*keys, "method"]].itertuples(index=False, name=None)
    # A row without any score has no mean.
    return [key in own and own[key] < everything[key[:-1]] for key in places]


def _numbers(scores: pd.DataFrame, estimate: Estimate, asked: Mapping[str, int]) -> dict[str, float | str]:
    rows = Counter(scores["run"])
    identical = (scores["status"].to_numpy(object) == IDENTICAL) & scores["value"].isna().to_numpy()
    return {
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": estimate.standard_error,
        "n_scored": estimate.count,
        "n_asked": sum(max(count, asked.get(str(run), 0)) for run, count in rows.items()),
        "n_capped": int(scores[CAPPED].sum()),
        "n_identical": int(identical.sum()),
        "role": str(scores[ROLE].iloc[0]),
    }


def _notes(tidy: pd.DataFrame) -> pd.DataFrame:
    noted = tidy[tidy["note"].fillna("") != ""]
    return noted.groupby([*GROUP, "metric", "note"], sort=False).size().rename("count").reset_index()

"""Turn a tidy frame into the numbers of the tables: means with intervals, counts, and what a reader must know."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from brushbench.core.errors import UserError, unknown
from brushbench.core.metric_info import IDENTICAL, MetricInfo
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.frame import (
    COLUMNS,
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
from brushbench.reports.seeds import SEED, SEEDS, STRATUM, check_distinct, sample_means, sample_values, seeds_in
from brushbench.reports.selection import selected
from brushbench.reports.set_columns import is_of_set, with_sets
from brushbench.reports.set_values import IN_SET, Sets
from brushbench.reports.statistics import Estimate, balanced
from brushbench.reports.storage import SplitKey, Stored, stored_of, together
from brushbench.runs.folder import Run
from brushbench.runs.record import RunRecord
from brushbench.runs.scores import Scores

GROUP = ["dataset", "split", "protocol"]
SECTION = "section"
KEYS = [*GROUP, SECTION, "method", "metric"]
NUMBERS = ["mean", "low", "high", "standard_error", "n_scored", "n_asked", "n_capped", "n_identical", "role", SEEDS]
CAPPED, ROLE, FEWER = "capped", "role", "fewer_samples"
BEHIND = ["run", "sample", STRATUM, "value", "status", CAPPED, ROLE, SEED]
"""Columns of the frame that a row's numbers are computed from."""
BOTH = "mean of inside and outside"
"""Stands for the split in rows of ablation tables."""
UNKNOWN = "unknown"
"""Section of the samples without the tag."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers that tables are made of."""

    rows: pd.DataFrame
    """Columns `KEYS`, `NUMBERS` and `fewer_samples`, one row per group, section, method and metric; NaN for numbers
    that cannot be computed. `n_scored` counts the scores in the mean, `n_capped` those of them that count as the
    metric's ceiling, and `n_identical` those without a score because nothing differs: one for each sample and seed.
    `seeds` lists the seeds as a text. `fewer_samples` says whether the mean lacks a sample that one of the contenders
    has in the same column."""
    tidy: pd.DataFrame
    """The frame behind the rows, with values as they count (`counting.counted`), and the columns `section`, `stratum`
    (the split, also if rows combine two), `capped` (the value is the metric's ceiling), `role` and `seed`."""
    metrics: dict[str, MetricInfo]
    unscored: dict[str, str]
    """Usual metrics that could not be computed, each with the reason."""
    versions: dict[str, tuple[str, ...]]
    """Metrics that have several versions in these runs."""
    notes: pd.DataFrame
    """Columns of `GROUP`, `metric`, `note` and `count`: what a reader must know about that many scores."""
    records: Mapping[SplitKey, RunRecord]
    """Record of the run behind each label; with several seeds, of the last one."""
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
    set_notes: Mapping[str, str] = field(default_factory=dict)
    """What a reader must know about each set metric."""
    run_notes: tuple[RunNote, ...] = ()
    """What a reader must know about how the images were made."""


def summarise(
    runs: Sequence[Run],
    by: str = "",
    methods: Sequence[str] = (),
    splits: Sequence[str] = (),
    *,
    over_seeds: bool = False,
) -> Summary:
    """Compute mean, 95 % interval and standard error of each run and metric over its scored samples, by tag.

    Only these methods and splits are in it, if there are any; a method stands for all its rows. With `over_seeds`, runs
    that differ only in their seed are one row, the mean over samples and seeds (`seeds`). Raises `UserError` if
    two runs would share a row, if none is scored, or if there is no such tag, method or split.
    """
    everything, sets = runs, Sets(runs)
    all_scores = [with_sets(run, own, sets) for run, own in zip(runs, scores_of(runs), strict=True)]
    tidy = frame_of(runs, all_scores, over_seeds=over_seeds, described=bool(by))
    if tidy.empty:
        raise UserError("none of these runs is scored; run `brushbench score RUN` first")
    places = selected(runs, methods, splits, over_seeds=over_seeds)
    runs, scores = [everything[place] for place in places], [all_scores[place] for place in places]
    if len(runs) < len(everything):
        tidy = tidy[tidy["run"].isin([run.place for run in runs])].reset_index(drop=True)
    if tidy.empty:
        raise UserError("none of these rows is scored; run `brushbench score RUN` first")
    tidy[SECTION], tidy[STRATUM] = _sections(tidy, by), tidy["split"]
    tidy = tidy[[*COLUMNS, SECTION, STRATUM]] if by else tidy
    tidy[ROLE] = _of_runs(tidy["run"], {run.place: role_of(run) for run in runs}, "category")
    tidy[SEED] = _of_runs(tidy["run"], {run.place: run.record.identity.seed for run in runs})
    check_distinct(tidy, [*GROUP, "method", "metric"])
    metrics, labels = metrics_of(runs, scores), set(tidy["method"])
    tidy = _as_counted(tidy, metrics)
    asked = {run.place: run.record.asked for run in runs} if not by else {}
    places_of = _by_place(everything, labels_of(everything, over_seeds=over_seeds), labels)
    rows, with_derived = with_psnr_of_mean(_means(tidy, metrics, asked, sets, by), metrics)
    return Summary(
        rows=rows,
        tidy=tidy,
        metrics=with_derived,
        unscored=unscored_of(scores),
        versions=versions_of(scores),
        notes=_notes(tidy),
        records={place: everything[own[-1]].record for place, own in places_of.items()},
        asked=asked,
        not_scored=tuple(_not_scored(everything, places, scores)),
        by=by,
        stored={
            place: together(stored_of(everything[one], all_scores[one]) for one in own)
            for place, own in places_of.items()
        },
        set_notes={name: sets.note(name) for name, info in metrics.items() if is_of_set(info)},
        run_notes=tuple(note for note in notes_of(everything, over_seeds=over_seeds) if note.method in labels),
    )


def _by_place(runs: Sequence[Run], labels: Sequence[str], wanted: Container[str]) -> dict[SplitKey, list[int]]:
    """Return which runs have one of these labels, by their place in the tables; under several seeds they share it."""
    found: dict[SplitKey, list[int]] = {}
    for index, (run, dataset, label) in enumerate(zip(runs, datasets_of(runs), labels, strict=True)):
        if label in wanted:
            identity = run.record.identity
            found.setdefault((dataset, identity.dataset.split, identity.protocol, label), []).append(index)
    return found


def both_splits(summary: Summary) -> Summary:
    """Average the inside and outside rows of the methods that have both, clustered by image.

    A method has numbers for the metrics that are scored on both splits; the interval is that of the values of
    `statistics.balanced`.
    """
    tidy = summary.tidy[summary.tidy["split"].isin(["inside", "outside"])]
    keys = ["dataset", "protocol", SECTION, "method", "metric"]
    records = []
    for key, scores in tidy.groupby(keys, sort=False, observed=True):
        if scores["split"].nunique() == 2:
            found = sample_means(scores)
            # One row alone has no mean of both.
            found = found if found[STRATUM].nunique() == 2 else found.iloc[:0]
            values = balanced(found["value"].to_numpy(np.float64), found[STRATUM].to_numpy(str))
            place = dict(zip(keys, map(str, key), strict=True))
            info, clusters = summary.metrics[place["metric"]], found["sample"].to_numpy(str)
            estimate = table_interval(values, clusters, info, place["protocol"])
            records.append({**place, "split": BOTH, **_numbers(scores, estimate, summary.asked)})
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    left_out = [method for method in summary.tidy["method"].unique() if method not in set(rows["method"])]
    notes = summary.notes[summary.notes["split"].isin(["inside", "outside"])]
    together = (
        notes.assign(split=BOTH)
        .groupby([*GROUP, "metric", "note"], sort=False, observed=True)["count"]
        .sum()
        .reset_index()
    )
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
        return pd.Series(
            pd.Categorical.from_codes(np.zeros(len(tidy), dtype=np.int64), dtype=pd.CategoricalDtype([""])), tidy.index
        )
    column = by.replace("-", "_") if by.replace("-", "_") == MASK_SIZE else by
    if column not in tags_of(tidy):
        valid = [tag.replace("_", "-") if tag == MASK_SIZE else tag for tag in tags_of(tidy)]
        if column == MASK_SIZE:
            raise UserError("the mask sizes of these runs are not known; run `brushbench score RUN` again")
        raise unknown("tag", by, valid)
    return tidy[column].fillna(UNKNOWN).astype("str")


def _of_runs(column: pd.Series, facts: Mapping[str, str | int], kind: str | None = None) -> pd.Series:
    """Return what belongs to the run of each row; a run is compared once, as its folder is a long text."""
    own = column.cat.remove_unused_categories().cat
    known = pd.Series([facts[str(run)] for run in own.categories], dtype=kind)
    return known.take(own.codes.to_numpy()).set_axis(column.index)


def _as_counted(tidy: pd.DataFrame, metrics: Mapping[str, MetricInfo]) -> pd.DataFrame:
    values, capped = tidy["value"].to_numpy(np.float64, copy=True), np.zeros(len(tidy), dtype=bool)
    statuses = tidy["status"].fillna("").to_numpy(object)
    # Each group is a copy of its rows, so they have only the columns that are needed here, and in `_means`.
    keys = tidy[["metric", "protocol"]].reset_index(drop=True)
    for (metric, protocol), rows in keys.groupby(["metric", "protocol"], sort=False, observed=True):
        places = rows.index.to_numpy()
        given = values[places], statuses[places], metrics[str(metric)], str(protocol)
        values[places], capped[places] = counted(*given), is_capped(*given)
    return tidy.assign(**{"value": values, CAPPED: capped})


def _means(
    tidy: pd.DataFrame, metrics: Mapping[str, MetricInfo], asked: Mapping[str, int], sets: Sets, by: str
) -> pd.DataFrame:
    records = []
    for key, scores in tidy[[*KEYS, *BEHIND]].groupby(KEYS, sort=False, observed=True):
        place = dict(zip(KEYS, map(str, key), strict=True))
        info = metrics[place["metric"]]
        if is_of_set(info):
            estimate = sets.value(info.name, _in_set(scores)).estimate(info)
        else:
            estimate = table_interval(sample_values(scores), None, info, place["protocol"])
        records.append({**place, **_numbers(scores, estimate, asked)})
    rows = pd.DataFrame(records, columns=[*KEYS, *NUMBERS])
    rows = rows.assign(**{FEWER: _fewer(rows, tidy)})
    # Sections are ordered by name, the unnamed one last; without a tag the order is that of the runs.
    return rows.sort_values(SECTION, key=_section_order, kind="stable") if by else rows


def _in_set(scores: pd.DataFrame) -> dict[str, list[str]]:
    """Return the samples that count in a set, by run."""
    counting = scores[scores["status"].to_numpy(object) == IN_SET]
    found = counting.groupby(counting["run"].astype("str"), sort=False)["sample"]
    return {str(run): list(map(str, samples)) for run, samples in found}


def _section_order(sections: pd.Series) -> pd.Series:
    known = {"small": "0", "medium": "1", "large": "2", UNKNOWN: "\U0010ffff"}
    return sections.map(lambda name: known.get(name, f"3{name}"))


def _fewer(rows: pd.DataFrame, tidy: pd.DataFrame) -> list[bool]:
    """Tell for each row whether its mean lacks a sample that one of the contenders has in its column."""
    keys = [*GROUP, SECTION, "metric"]
    kept = (tidy["value"].notna() | (tidy["status"] == IN_SET)) & tidy["method"].isin(set(rows["method"]))
    columns = tidy.loc[kept, keys].groupby(keys, sort=False, observed=True)
    column = columns.ngroup().to_numpy()
    sample = (
        tidy.loc[kept, ["sample", STRATUM]].groupby(["sample", STRATUM], sort=False, observed=True).ngroup().to_numpy()
    )
    method, methods = pd.factorize(tidy.loc[kept, "method"])
    # Numbers stand for what is compared, as copies of the frame's texts would take most of the memory of a report.
    samples, order = sample.max(initial=0) + 1, {key: number for number, key in enumerate(columns.size().index)}
    place = column * samples + sample
    # Without contenders, the rows are compared with each other.
    competes = (tidy.loc[kept, ROLE] == "contender").to_numpy()
    competes = competes | ~np.isin(column, column[competes])
    first = np.unique(place[competes])
    everything = np.bincount(first // samples, minlength=len(order))
    # A sample that is scored under several seeds is one sample.
    total = len(order) * samples
    each = np.unique(method * total + place)
    cells = len(order) * len(methods)
    scored = np.bincount(each // samples, minlength=cells)
    shared = np.bincount(each[np.isin(each % total, first)] // samples, minlength=cells)
    of_method = {name: number * len(order) for number, name in enumerate(methods)}
    found = []
    for *key, name in rows[[*keys, "method"]].itertuples(index=False, name=None):
        number = order.get(tuple(key), -1)
        cell = of_method[name] + number if number >= 0 and name in of_method else -1
        # A row without any score has no mean.
        found.append(cell >= 0 and bool(scored[cell]) and bool(shared[cell] < everything[number]))
    return found


def _numbers(scores: pd.DataFrame, estimate: Estimate, asked: Mapping[str, int]) -> dict[str, float | str]:
    rows = scores["run"].value_counts()
    identical = (scores["status"].to_numpy(object) == IDENTICAL) & scores["value"].isna().to_numpy()
    return {
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": estimate.standard_error,
        "n_scored": int((scores["value"].notna() | (scores["status"] == IN_SET)).sum()) if estimate.count else 0,
        "n_asked": sum(max(int(count), asked.get(str(run), 0)) for run, count in rows.items() if count),
        "n_capped": int(scores[CAPPED].sum()),
        "n_identical": int(identical.sum()),
        "role": str(scores[ROLE].iloc[0]),
        SEEDS: seeds_in(scores),
    }


def _notes(tidy: pd.DataFrame) -> pd.DataFrame:
    noted = tidy[tidy["note"].fillna("") != ""]
    return noted.groupby([*GROUP, "metric", "note"], sort=False, observed=True).size().rename("count").reset_index()

"""The summary table: methods x metrics, mean with its standard error, for each data set, split and protocol."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

from brushbench.errors import UserError, unknown
from brushbench.metric_info import IDENTICAL, MetricInfo
from brushbench.store import Run
from reports.frame import frame_of, metrics_of, unscored_of

GROUP = ["dataset", "split", "protocol"]
SUMMARY_COLUMNS = [*GROUP, "method", "metric", "mean", "standard_error", "n_scored", "n_asked", "n_identical"]


@dataclass(frozen=True)
class Summary:
    """What the tables are made of."""

    rows: pd.DataFrame
    """Columns `SUMMARY_COLUMNS`, one row per group, method and metric; a missing mean or error is NaN."""
    metrics: dict[str, MetricInfo]
    unscored: dict[str, str]
    """Usual metrics that couldn't be computed, each with the reason."""
    notes: pd.DataFrame
    """Columns of `GROUP`, `metric`, `note` and `count`: what a reader must know of so many of the scores."""


def summarise(runs: Sequence[Run]) -> Summary:
    """Mean and standard error (s / sqrt(n), s with n - 1) over the scored samples of each run and metric.

    Raises `UserError` if two runs would share a row, or if none is scored.
    """
    tidy = frame_of(runs)
    if tidy.empty:
        raise UserError("none of these runs is scored; run `brushbench score RUN` first")
    keys = [*GROUP, "method", "metric"]
    shared = tidy[[*keys, "run"]].drop_duplicates().duplicated(keys)
    if shared.any():
        first = tidy[[*keys, "run"]].drop_duplicates()[shared].iloc[0]
        raise UserError(
            f"two runs are of {first['method']} on {first['dataset']}/{first['split']}: one is {first['run']}"
        )
    tidy["identical"] = tidy["status"] == IDENTICAL
    samples = tidy.groupby(keys, sort=False)
    rows = samples.agg(
        mean=("value", "mean"),
        standard_error=("value", "sem"),
        n_scored=("value", "count"),
        n_asked=("value", "size"),
        n_identical=("identical", "sum"),
    ).reset_index()
    noted = tidy[tidy["note"].fillna("") != ""]
    notes = noted.groupby([*GROUP, "metric", "note"], sort=False).size().rename("count").reset_index()
    return Summary(rows[SUMMARY_COLUMNS], metrics_of(runs), unscored_of(runs), notes)


def render(summary: Summary, table_format: str) -> str:
    """The table as `text`, `markdown`, `csv` or `json`, without a line break at its end."""
    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    return FORMATS[table_format](summary)


def _text(summary: Summary) -> str:
    return "\n\n".join(_group_table(group, rows, summary, "simple") for group, rows in _groups(summary))


def _markdown(summary: Summary) -> str:
    return "\n\n".join(_group_table(group, rows, summary, "pipe") for group, rows in _groups(summary))


def _csv(summary: Summary) -> str:
    return summary.rows.to_csv(index=False, lineterminator="\n").rstrip("\n")


def _json(summary: Summary) -> str:
    # A mean over no sample is null, not NaN.
    records = summary.rows.astype(object).where(summary.rows.notna(), None).to_dict(orient="records")
    return json.dumps(records, ensure_ascii=False, allow_nan=False, indent=2)


FORMATS: dict[str, Callable[[Summary], str]] = {"text": _text, "markdown": _markdown, "csv": _csv, "json": _json}


def _groups(summary: Summary) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    return [
        (tuple(map(str, key)) if isinstance(key, tuple) else (str(key),), rows)
        for key, rows in summary.rows.groupby(GROUP, sort=False)
    ]


def _group_table(group: tuple[str, ...], rows: pd.DataFrame, summary: Summary, style: str) -> str:
    dataset, split, protocol = group
    metrics = summary.metrics
    cells = {(row["method"], row["metric"]): _cell(row, metrics[row["metric"]]) for row in rows.to_dict("records")}
    present = [name for name in metrics if name in set(rows["metric"])]
    lines = [
        [_escaped(method, style), _counts(rows[rows["method"] == method])]
        + [cells.get((method, name), "-") for name in present]
        for method in dict.fromkeys(rows["method"])
    ]
    header = ["method", "scored/asked", *(_heading(metrics[name]) for name in present)]
    title = f"{dataset}, split {split}, protocol {protocol}"
    table = tabulate(lines, header, tablefmt=style, disable_numparse=True, stralign="left")
    heading = f"**{_escaped(title, style)}**" if style == "pipe" else title
    notes = ["mean ± standard error over the scored samples; ↑ higher is better, ↓ lower is better"]
    if (rows["n_identical"] > 0).any():
        notes.append(
            "identical: samples without any difference to the source there; they have no PSNR, no part in its mean"
        )
    notes += [*_remarks(summary, group), *_not_scored(summary.unscored)]
    return "\n\n".join([heading, table, "\n".join(notes)])


def _remarks(summary: Summary, group: tuple[str, ...]) -> list[str]:
    """What the metrics say of single scores, counted."""
    rows = summary.notes[(summary.notes[GROUP] == list(group)).all(axis=1)]
    return [f"{row['metric']}: {row['count']} of the scores: {row['note']}" for row in rows.to_dict("records")]


def _not_scored(unscored: dict[str, str]) -> list[str]:
    """The usual metrics that are missing from the table, by reason."""
    names: dict[str, list[str]] = {}
    for name, reason in unscored.items():
        names.setdefault(reason, []).append(name)
    return [f"not scored: {', '.join(metrics)}: {reason}" for reason, metrics in names.items()]


def _counts(rows: pd.DataFrame) -> str:
    """Samples with at least one score / samples asked for."""
    return f"{(rows['n_scored'] + rows['n_identical']).max()}/{rows['n_asked'].max()}"


def _heading(info: MetricInfo) -> str:
    name, _, region = info.name.partition("@")
    scale = f"x{info.scale:g}".replace("1000", "1e3") if info.scale != 1 else ""
    arrow = "↑" if info.higher_is_better else "↓"
    return " ".join(filter(None, [f"{name.upper()} {region or info.region}", scale, info.unit, arrow]))


# Any: a row of `Summary.rows`.
def _cell(row: Mapping[Hashable, Any], info: MetricInfo) -> str:
    scored, identical = row["n_scored"], row["n_identical"]
    parts = [f"{row[part] * info.scale:.{_digits(info)}f}" for part in ("mean", "standard_error")[: min(scored, 2)]]
    text = " ± ".join(parts)
    if identical:
        text += f" ({identical} identical)"
    if scored + identical < row["n_asked"]:
        text += f" [{scored + identical}/{row['n_asked']}]"
    return text.strip() or "-"


def _digits(info: MetricInfo) -> int:
    return 2 if info.unit or info.scale != 1 else 4


def _escaped(text: str, style: str) -> str:
    if style != "pipe":
        return text
    return "".join(f"\\{character}" if character in "\\|*_`<>[]" else character for character in text)

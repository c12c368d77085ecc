"""Put published numbers beside measured ones: table rows with both and their difference, or why there is none.

A difference is printed if the measured run agrees with the published one in everything that the registry knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from brushbench.core.registry import metric_info
from brushbench.reports.intervals import printed_interval
from brushbench.reports.layout import Cell, Column, TableRow
from brushbench.reports.published.likeness import Unlike, unlike
from brushbench.reports.published.lint import dominated_rows
from brushbench.reports.published.matching import Benchmarked, Registry
from brushbench.reports.published.registry import CONFIDENCE, Published
from brushbench.reports.storage import SplitKey, Stored
from brushbench.reports.summary import BOTH, Summary
from brushbench.runs.record import MethodIdentity, RunRecord

NEVER = Stored((), ())
NAMED = 3
"""How many of the things that differ are named in the row itself."""
READ = {"A", "P"}
"""Confidence of a number without a mark: read in the full text of a paper."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The mean of a cell, unscaled, with its interval; NaN for what cannot be computed."""

    mean: float
    low: float
    high: float
    scored: int
    """Number of samples in the mean."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The published numbers for one table."""

    summary: Summary
    dataset: str
    """Name of the data set in the summary's rows, with a digest if needed."""
    protocol: str
    registry: Registry = field(default_factory=Registry)

    def rows(
        self, method: str, columns: Sequence[Column], measured: Mapping[tuple[str, str], Measured]
    ) -> tuple[TableRow, ...]:
        """Return the published numbers of a method, and the differences of `measured` (by split and metric) to them."""
        found = [
            (column, self._find(method, column.split, column.info.name), measured.get((column.split, column.info.name)))
            for column in columns
        ]
        called = dict.fromkeys(number.called for _, number, _ in found if number)
        if not called:
            return ()
        numbers = tuple(_published(number) for _, number, _ in found)
        compared = {
            (column.split, column.info.name): self._unlike(method, column.split, own)
            for column, number, own in found
            if number and own
        }
        differences = tuple(
            _difference(number, column, own)
            if number and own and not compared[column.split, column.info.name]
            else Cell("-")
            for column, number, own in found
        )
        names = list(dict.fromkeys(one.name for others in compared.values() for one in others))
        compares = any(not others for others in compared.values())
        label = "measured - published" if compares else f"not compared, differs in {_some(names)}"
        return (
            TableRow(f"published {' and '.join(called)}", numbers, "published"),
            TableRow(label, differences, "difference"),
        )

    def records(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a summary with the published numbers, unscaled as well."""
        return rows.assign(**pd.DataFrame([self._record(row) for row in _records(rows)], rows.index, dtype="object"))

    def notes(self, rows: pd.DataFrame) -> Iterator[str]:
        """Say where the published numbers are from, how to read a difference, and why some have none."""
        places = [(str(row["method"]), str(row["split"]), str(row["metric"]), _measured(row)) for row in _records(rows)]
        numbers = [number for method, split, metric, _ in places if (number := self._find(method, split, metric))]
        if numbers:
            yield f"published in {', '.join(dict.fromkeys(source for one in numbers for source in one.sources))}"
        for mark, meaning in CONFIDENCE.items():
            if mark not in READ and mark in {number.confidence for number in numbers}:
                yield f"({mark}): {meaning}"
        yield from self._few_images(numbers)
        yield from self._differences(places)
        for reason in dict.fromkeys(self._obstacle(method, split) for method, split, *_ in places):
            if reason:
                yield f"no published numbers: {reason}"

    def _differences(self, places: Sequence[tuple[str, str, str, Measured]]) -> Iterator[str]:
        """Say how to read a difference, if there is one, and for which methods there is none, with all that differs."""
        found: dict[tuple[str, str], dict[str, list[str]]] = {}
        for method, split, metric, own in places:
            if self._find(method, split, metric) and not np.isnan(own.mean):
                reason = "; ".join(one.text for one in self._unlike(method, split, own))
                found.setdefault((method, split), {}).setdefault(reason, []).append(metric)
        if any("" in reasons for reasons in found.values()):
            yield (
                "measured - published has the 95 % interval of the measured mean; within: the published number, which "
                "has no interval of its own, is inside it"
            )
        told: dict[str, list[str]] = {}
        for (method, split), reasons in found.items():
            for reason, metrics in reasons.items():
                which = "" if len(reasons) == 1 else f": {', '.join(metrics)}"
                told.setdefault(reason, []).append(f"{method} ({split}{which})")
        for reason, methods in told.items():
            if reason:
                yield f"no difference is printed for {', '.join(methods)}, whose set-up differs: {reason}"

    def _few_images(self, numbers: Sequence[Published]) -> Iterator[str]:
        gaps = dominated_rows(self.registry.numbers.values())
        for row in dict.fromkeys(number.row for number in numbers if number.metric == "MSE"):
            if row in gaps:
                called = next(number.called for number in numbers if number.row == row)
                yield (
                    f"published {called} ({row[1]}): the mean PSNR is {gaps[row]:.1f} dB above that of the mean MSE, "
                    "which a few images dominate"
                )

    def _record(self, row: Mapping[str, float | str]) -> dict[str, object]:
        method, split, metric = (str(row[name]) for name in ("method", "split", "metric"))
        number, own = self._find(method, split, metric), _measured(row)
        if number is None:
            return dict.fromkeys(PUBLISHED)
        info = metric_info(metric)
        value = number.value / (info.scale if info else 1.0)
        others = self._unlike(method, split, own)
        compared = not (others or np.isnan(own.mean))
        ends = compared and not np.isnan(own.low)
        found = (
            value,
            number.confidence,
            number.source,
            own.mean - value if compared else None,
            own.low - value if ends else None,
            own.high - value if ends else None,
            own.low <= value <= own.high if ends else None,
            "; ".join(one.text for one in others) or None,
        )
        return dict(zip(PUBLISHED, found, strict=True))

    def _unlike(self, method: str, split: str, own: Measured) -> list[Unlike]:
        runs = self._runs(method, split)
        # A mean over both splits has the same number of samples of each.
        scored = own.scored // max(len(runs), 1)
        found = [
            one for key, record in runs.items() for one in unlike(record, self.summary.stored.get(key, NEVER), scored)
        ]
        return list(dict.fromkeys(found))

    def _runs(self, method: str, split: str) -> dict[SplitKey, RunRecord]:
        splits = ("inside", "outside") if split == BOTH else (split,)
        keys = [(self.dataset, one, self.protocol, method) for one in splits]
        return {key: self.summary.records[key] for key in keys if key in self.summary.records}

    def _identity(self, method: str, split: str) -> MethodIdentity:
        return next(iter(self._runs(method, split).values())).identity.method

    def _find(self, method: str, split: str, metric: str) -> Published | None:
        return self.registry.find(self._place(split), self._identity(method, split), metric)

    def _obstacle(self, method: str, split: str) -> str:
        return self.registry.obstacle(self._place(split), self._identity(method, split))

    def _place(self, split: str) -> Benchmarked:
        return Benchmarked(self.dataset.partition("@")[0], self.protocol, split)


PUBLISHED = (
    "published",
    "published_confidence",
    "published_source",
    "published_difference",
    "published_difference_low",
    "published_difference_high",
    "published_is_within",
    "published_unlike",
)
"""Columns that a record gets."""


def measured(rows: pd.DataFrame) -> dict[tuple[str, str], Measured]:
    """Return the cells of one method, by split and metric."""
    return {(str(row["split"]), str(row["metric"])): _measured(row) for row in _records(rows)}


def _records(rows: pd.DataFrame) -> list[dict[str, float | str]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _measured(row: Mapping[str, float | str]) -> Measured:
    return Measured(float(row["mean"]), float(row["low"]), float(row["high"]), int(row["n_scored"]))


def _some(names: Sequence[str]) -> str:
    """Join the first few names; the footnote has all of them, and a longer label would widen the table."""
    more = len(names) - NAMED
    return f"{', '.join(names[:NAMED])} and {more} more" if more > 0 else ", ".join(names)


def _published(number: Published | None) -> Cell:
    if number is None:
        return Cell("-")
    return Cell(f"{number.value:.2f}", remark="" if number.confidence in READ else f"({number.confidence})")


def _difference(number: Published, column: Column, own: Measured) -> Cell:
    """Return the cell of a difference: `+0.12 ± 0.30 within`."""
    if np.isnan(own.mean):
        return Cell("-")
    value = number.value / column.info.scale
    ends = own.mean - value, own.low - value, own.high - value
    # In the digits of the published number, whatever those of the table are.
    text = f"{float(replace(column, decimals=None).printed(own.mean)) - number.value:+.2f}"
    if np.isnan(own.low):
        return Cell(text)
    within = "within" if own.low <= value <= own.high else "not within"
    return Cell(text, remark=within, interval=printed_interval(*ends, column.printed))

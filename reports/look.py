"""Apply a style to a summary: its names, its columns with their decimals, and the order of its rows."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from brushbench.core.errors import unknown
from brushbench.core.lengths import is_one_column
from brushbench.core.method_info import ROLES
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.layout import PAPER, Column, Dress
from brushbench.reports.style import LATEX, Names, Pairs, Style, by_method, checked_key, checked_latex, chosen
from brushbench.reports.summary import Summary

BY_NAME = "name"
Place = tuple[str, str]
"""A split, or nothing for every split, and a metric."""


@dataclass(frozen=True, slots=True)
class Look:
    """A style in the terms of one summary."""

    style: Style
    names: Names
    metrics: Mapping[str, MetricInfo]
    digits: Mapping[str, int]
    """Decimals by metric, under an empty name those of all others."""
    columns: tuple[Place, ...] = ()
    """The columns that were chosen; empty for the usual ones."""
    order: tuple[str, ...] = ()
    """Names of the rows that come first; or `BY_NAME`; or nothing."""
    by: Place | None = None
    """The means that order the rows, best first."""
    cites: Pairs = field(default_factory=dict)
    """Keys for `\\cite` by the name of a row, with its role if it has one."""

    def columns_of(self, split: str, present: Container[str], usual: Iterable[Column]) -> list[Column]:
        """Return the columns of a split, as they are to be printed: the chosen ones, or the usual ones."""
        if not self.columns:
            return [self._printed(column) for column in usual]
        groups = {column.info.name: column.group for column in usual}
        return [
            self._printed(Column(split, groups.get(name, ""), self.metrics[name]))
            for place, name in self.columns
            if place in ("", split) and name in present
        ]

    def ordered(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Put the rows of one section in order, contenders first; those that tie or are not named stay as they are."""
        if not (self.by or self.order):
            return rows
        ranks = self._ranks(rows)
        keyed = rows.assign(_beside=rows["role"] != "contender", _rank=rows["method"].map(ranks))
        return keyed.sort_values(["_beside", "_rank"], kind="stable").drop(columns=["_beside", "_rank"])

    def dress(self, columns: Sequence[Column], title: str) -> Dress:
        """Return what only LaTeX has for a table with these columns and this title."""
        raw = self.names.latex
        found = {self.names.of(name): source for name, source in raw.items()}
        found |= {column.name: raw[column.info.name] for column in columns if column.info.name in raw}
        caption = self.style.caption
        if caption.startswith(LATEX):
            found[title] = checked_latex(caption, "--caption")
        label = checked_key(self.style.label, "--label") if self.style.label else ""
        return Dress(label, found, self.cites, is_one_column(self.style.width))

    def _printed(self, column: Column) -> Column:
        name = column.info.name
        digits = self.digits.get(name, self.digits.get(""))
        return replace(column, called=self.names.texts.get(name, ""), decimals=digits)

    def _ranks(self, rows: pd.DataFrame) -> dict[str, int]:
        methods = [str(method) for method in dict.fromkeys(rows["method"])]
        if self.by:
            methods = self._by_mean(methods, rows, *self.by)
        elif self.order == (BY_NAME,):
            methods.sort(key=lambda method: (method.casefold(), method))
        else:
            first = [method for method in self.order if method in methods]
            methods = first + [method for method in methods if method not in first]
        return {method: rank for rank, method in enumerate(methods)}

    def _by_mean(self, methods: Sequence[str], rows: pd.DataFrame, split: str, metric: str) -> list[str]:
        own = rows[(rows["metric"] == metric) & ((rows["split"] == split) | (not split))]
        sign = -1 if self.metrics[metric].higher_is_better else 1
        means = {str(method): sign * float(np.mean(each)) for method, each in own.groupby("method")["mean"]}
        known = [method for method in methods if not np.isnan(means.get(method, np.nan))]
        return sorted(known, key=lambda method: means[method]) + [one for one in methods if one not in known]


def look_of(summary: Summary, style: Style) -> Look:
    """Return how to show a summary, whose methods are not yet renamed. Raises `UserError` for unknown names."""
    labels = [str(label) for label in summary.tidy["method"].unique()]
    splits = [str(split) for split in summary.rows["split"].unique()]
    methods = list(dict.fromkeys([*labels, *(label.partition(" ")[0] for label in labels)]))
    datasets = [str(dataset) for dataset in summary.rows["dataset"].unique()]
    names = style.names([*methods, *summary.metrics, *splits, *PAPER, *datasets], methods)
    known = [*summary.metrics, *(f"{split}/{metric}" for split in splits for metric in summary.metrics)]
    order, by = chosen("row or metric of --order", style.order or style.rows, [*methods, *known, BY_NAME]), None
    if len(order) == 1 and order[0] in known and order[0] not in methods:
        order, by = [], _place(order[0])
    elif stray := [name for name in order if name not in (*methods, BY_NAME)]:
        raise unknown("row of --order", stray[0], methods)
    return Look(
        style=style,
        names=names,
        metrics=summary.metrics,
        digits=style.digits(summary.metrics),
        columns=tuple(map(_place, chosen("column", style.columns, known))),
        order=tuple(called for name in order for called in _rows_of(name, labels, names)),
        by=by,
        cites={
            f"{names.of_method(label)}{role}": key
            for label in labels
            if (key := by_method(names.cites, label))
            for role in ("", *(f" ({role})" for role in ROLES))
        },
    )


def _place(name: str) -> Place:
    split, _, metric = name.rpartition("/")
    return split, metric


def _rows_of(name: str, labels: Sequence[str], names: Names) -> list[str]:
    """Return the names of the rows that a method stands for."""
    own = [label for label in labels if name in (label, label.partition(" ")[0])]
    return [names.of_method(label) for label in own] or [name]

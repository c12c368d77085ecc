"""Make the tables: methods x metrics for each data set and protocol, as the paper prints them or with everything.

`paper` has inside and outside side by side, in the groups image quality, masked-region preservation and text alignment;
`ablation` has the mean of the inside and outside rows; `summary` has every metric with its interval, split by split.
"""

from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_info import ROLES
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.brief import brief, headline, told_apart, usual_title
from brushbench.reports.footnotes import footnotes
from brushbench.reports.highlight import by_rank, by_significance
from brushbench.reports.intervals import printed_interval
from brushbench.reports.layout import PAPER, Cell, Column, Mark, Section, Table, TableRow, heading
from brushbench.reports.look import Look, look_of
from brushbench.reports.mean_error import is_derived
from brushbench.reports.published_columns import Beside, measured
from brushbench.reports.renaming import with_names
from brushbench.reports.seeds import has_several, is_over_seeds
from brushbench.reports.set_columns import is_of_set
from brushbench.reports.style import Names, Notes, Style, separated
from brushbench.reports.summary import FEWER, SECTION, Summary, both_splits, summarise
from brushbench.runs.folder import Run

SIDE_BY_SIDE = ("inside", "outside")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the requested table looks like."""

    table: str = "summary"
    by: str = ""
    """A tag, or `mask-size`, to split the table by; empty for none."""
    significant: bool = False
    """Mark every method that no other is significantly better than."""
    with_published: bool = False
    """Print the published numbers below the measured ones."""
    strict: bool = False
    """Refuse a table with missing scores."""
    style: Style = field(default_factory=Style)
    """Which columns and rows, under which names, and how they are set."""


@dataclass(frozen=True, slots=True)
class Report:
    """Tables with the numbers that they are made of."""

    tables: tuple[Table, ...]
    rows: pd.DataFrame
    """Rows of the summary that are printed, with `mark` (`best`, `second` or empty)."""
    metrics: Mapping[str, MetricInfo]
    by: str = ""
    notes: Notes = ""
    """How many notes to print below each table; empty for what is usual in the format."""
    names: Names = field(default_factory=Names)
    """What the rows are called."""


def make_report(runs: Sequence[Run], wanted: TableOptions) -> Report:
    """Make a report. Raises `UserError` for an unknown table or tag, runs that do not fit one table, or no rows."""
    if wanted.table not in TABLES:
        raise unknown("table", wanted.table, TABLES)
    if wanted.by and wanted.with_published:
        raise UserError("published numbers are for whole splits, so they cannot be shown in a table by tag")
    style = wanted.style
    summary = summarise(runs, wanted.by, style.rows, style.splits, over_seeds=is_over_seeds(style.seeds))
    if wanted.with_published and has_several(summary.rows):
        raise UserError("published numbers are of one seed, so they cannot be shown beside means; use --seeds rows")
    if wanted.strict:
        _check_complete(summary)
    combined = both_splits(summary) if wanted.table == "ablation" else summary
    if combined.rows.empty:
        raise UserError("an ablation table needs runs of one method on both inside and outside; there are none")
    look = look_of(combined, wanted.style)
    return _arranged(with_names(combined, look.names), wanted, look)


def _check_complete(summary: Summary) -> None:
    rows = summary.rows[~summary.rows["metric"].map(is_derived)]
    partial = rows[rows["n_scored"] + rows["n_identical"] < rows["n_asked"]]
    if len(partial):
        first = partial.iloc[0]
        where = f"{first['metric']} of {first['method']} on {first['dataset']}/{first['split']}"
        count = f"{first['n_scored'] + first['n_identical']} of {first['n_asked']} samples"
        raise UserError(one_line(f"--strict: {len(partial)} cells are incomplete, such as {where} ({count})"))


def _paper_columns(split: str, present: Container[str], metrics: Mapping[str, MetricInfo]) -> list[Column]:
    return [Column(split, group, metrics[name]) for group, names in PAPER.items() for name in names if name in present]


def _all_columns(split: str, present: Container[str], metrics: Mapping[str, MetricInfo]) -> list[Column]:
    return [Column(split, "", metrics[name]) for name in metrics if name in present]


TABLES: dict[str, Callable[[str, Container[str], Mapping[str, MetricInfo]], list[Column]]] = {
    "summary": _all_columns,
    "paper": _paper_columns,
    "ablation": _paper_columns,
}


def _arranged(summary: Summary, wanted: TableOptions, look: Look) -> Report:
    tables, printed = [], []
    for key, rows in summary.rows.groupby(["dataset", "protocol"], sort=False):
        place = str(key[0]), str(key[1])
        for splits in _side_by_side(list(rows["split"].unique()), look, paired=wanted.table == "paper"):
            own = rows[rows["split"].isin(splits)]
            columns = [column for split in splits for column in _columns(own, split, wanted.table, look)]
            if columns:
                maker = _Maker(summary, wanted, look, tuple(columns))
                table, records = maker.table(place, own)
                tables.append(table)
                printed.append(records)
    if not tables:
        names = ", ".join(name for _, name in look.columns) or ", ".join(
            name for each in PAPER.values() for name in each
        )
        raise UserError(f"none of the metrics of the requested table is scored in these runs: {names}")
    rows = pd.concat(printed, ignore_index=True)
    apart = told_apart(tables, wanted.table)
    return Report(apart, rows, summary.metrics, summary.by, wanted.style.notes, look.names)


def _columns(rows: pd.DataFrame, split: str, table: str, look: Look) -> list[Column]:
    present = set(rows[rows["split"] == split]["metric"])
    return look.columns_of(split, present, TABLES[table](split, present, look.metrics))


def _side_by_side(splits: Sequence[str], look: Look, *, paired: bool) -> list[list[str]]:
    """Put inside and outside in one table if `paired`; any other split has a table of its own."""
    order = separated(look.style.splits) or SIDE_BY_SIDE
    ordered = sorted(splits, key=lambda split: order.index(split) if split in order else len(order))
    together = [split for split in ordered if split in SIDE_BY_SIDE] if paired else []
    return [group for group in (together, *([split] for split in ordered if split not in together)) if group]


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes one table."""

    summary: Summary
    wanted: TableOptions
    look: Look
    columns: tuple[Column, ...]

    def table(self, place: tuple[str, str], rows: pd.DataFrame) -> tuple[Table, pd.DataFrame]:
        dataset, protocol = place
        rows = rows[self._is_printed(rows)]
        beside = self._beside(place) if self.wanted.with_published else None
        sections, marked = [], []
        for title in map(str, rows[SECTION].unique()):
            own = self.look.ordered(rows[rows[SECTION] == title])
            marks = self._marks(own, place)
            groups = [self._rows(group, marks, beside) for group in _by_role(own)]
            sections.append(Section(f"{self.summary.by}: {title}" if title else "", *groups))
            keys = zip(own["method"], own["split"], own["metric"], strict=True)
            marked.append(own.assign(mark=[marks.get(key, "") for key in keys]))
        splits = list(dict.fromkeys(column.split for column in self.columns))
        where = usual_title(self.look, dataset, splits, protocol)
        title = headline(self.look, where)
        table = Table(
            title=title,
            columns=self.columns,
            headings=tuple(heading(one.info, one.name, place=self.wanted.table == "summary") for one in self.columns),
            sections=tuple(sections),
            notes=(*footnotes(self.summary, rows, self.wanted.table), *(beside.notes(rows) if beside else ())),
            legend=self._legend(sections),
            place=where,
            brief=brief(rows, self.wanted.table),
            names=self.look.names.texts,
            dress=self.look.dress(self.columns, title),
        )
        records = pd.concat(marked)
        return table, beside.records(records) if beside else records

    def _beside(self, place: tuple[str, str]) -> Beside:
        return Beside(self.summary, *place)

    def _legend(self, sections: Sequence[Section]) -> tuple[tuple[Mark, str], ...]:
        used = {cell.mark for section in sections for row in section.rows for cell in row.cells}
        meanings: dict[Mark, str] = {"best": "best", "second": "second best"}
        if self.wanted.significant:
            meanings["best"] = "best, or no other is significantly better (all pairs, max-t over joint sign flips, 5 %)"
        return tuple((mark, meaning) for mark, meaning in meanings.items() if mark in used)

    def _is_printed(self, rows: pd.DataFrame) -> pd.Series:
        wanted = {(column.split, column.info.name) for column in self.columns}
        keys = zip(rows["split"], rows["metric"], strict=True)
        return pd.Series([key in wanted for key in keys], rows.index)

    def _marks(self, rows: pd.DataFrame, place: tuple[str, str]) -> dict[tuple[str, str, str], Mark]:
        """Return marks by method, split and metric: of contenders, and by rank only of means over all samples."""
        found: dict[tuple[str, str, str], Mark] = {}
        contenders = rows[rows["role"] == "contender"]
        for column in self.columns:
            own = contenders[(contenders["split"] == column.split) & (contenders["metric"] == column.info.name)]
            ranked = own if self.wanted.significant else own[~own[FEWER]]
            means = dict(zip(ranked["method"], ranked["mean"], strict=True))
            if not self.wanted.significant:
                marks = by_rank(means, column)
            elif len(means) > 1 and not is_derived(column.info.name) and not is_of_set(column.info):
                marks = by_significance(means, column, self._scores(place, own))
            else:
                marks = {}
            found |= {(method, column.split, column.info.name): mark for method, mark in marks.items()}
        return found

    def _scores(self, place: tuple[str, str], own: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the frame behind the contenders' cells of one column of one section."""
        tidy, first = self.summary.tidy, own.iloc[0]
        chosen = (tidy["dataset"] == place[0]) & (tidy["protocol"] == place[1]) & (tidy["metric"] == first["metric"])
        chosen &= (tidy[SECTION] == first[SECTION]) & (tidy["split"] == first["split"])
        scores: pd.DataFrame = tidy.loc[chosen & tidy["method"].isin(own["method"])]
        return scores

    def _rows(
        self, rows: pd.DataFrame, marks: Mapping[tuple[str, str, str], Mark], beside: Beside | None
    ) -> tuple[TableRow, ...]:
        records = {(row["method"], row["split"], row["metric"]): row for row in rows.to_dict("records")}
        found: list[TableRow] = []
        for method in dict.fromkeys(rows["method"]):
            keys = [(method, column.split, column.info.name) for column in self.columns]
            cells = [
                self._cell(records[key], column, marks.get(key, "")) if key in records else Cell("-")
                for key, column in zip(keys, self.columns, strict=True)
            ]
            role = records[next(key for key in records if key[0] == method)]["role"]
            found.append(TableRow(str(method) if role == "contender" else f"{method} ({role})", tuple(cells)))
            if beside:
                found += beside.rows(method, self.columns, measured(rows[rows["method"] == method]))
        return tuple(found)

    # Any: a row of the summary.
    def _cell(self, row: Mapping[Hashable, Any], column: Column, mark: Mark) -> Cell:
        known = row["n_scored"]
        if not known:
            return Cell("-", remark=_remark(row) if self.wanted.table == "summary" else "")
        all_capped = row["n_capped"] == known
        text = column.ceiling(row["mean"]) if all_capped else column.printed(row["mean"])
        if self.wanted.table != "summary":
            return Cell(text, mark, fewer=row[FEWER])
        interval = "" if all_capped else printed_interval(row["mean"], row["low"], row["high"], column.printed)
        return Cell(text, mark, _remark(row), interval, fewer=row[FEWER])


# Any: a row of the summary.
def _remark(row: Mapping[Hashable, Any]) -> str:
    """Say how many samples count as the ceiling, have no score because nothing differs, or are missing."""
    remarks = []
    if row["n_capped"] and not is_derived(row["metric"]):
        remarks.append(f"({row['n_capped']} at the cap)")
    if row["n_identical"]:
        remarks.append(f"({row['n_identical']} identical)")
    scored = row["n_scored"] + row["n_identical"]
    if scored < row["n_asked"]:
        remarks.append(f"[{scored}/{row['n_asked']}]")
    return " ".join(remarks)


def _by_role(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into contenders, and references followed by floors."""
    others = rows[rows["role"] != "contender"]
    ordered = others.sort_values("role", key=lambda roles: roles.map(ROLES.index), kind="stable")
    return rows[rows["role"] == "contender"], ordered

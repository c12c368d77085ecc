"""Fit tables to a width: without intervals, then with methods as columns, then with few methods side by side."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from brushbench.reports.formats.escaping import plain
from brushbench.reports.formats.grid import Grid, Shade, Slot
from brushbench.reports.layout import AT_LEAST, FEWER, Cell, Column, Mark, Section, Table, TableRow, scaled

SHORT = {"papercut-clip": "CLIP", "clip": "CLIP", "psnr-of-mean-mse": "PSNR(MSE)"}
"""Heads that are shorter than the names elsewhere."""
PLACES = {"known": "known region", "painted": "painted region", "whole": "whole image", "border": "border of the mask"}
LONGEST = 18
"""Widest name of a method above a column; of a wider one only the beginning and a number is printed."""
MARKS: dict[Mark, str] = {"": "{}", "best": "*{}*", "second": "_{}_"}
_COUNT = re.compile(r"\[\d+/\d+\]")
"""Scored of requested samples, which a note below says as well."""


@dataclass(frozen=True, slots=True)
class Fitter:
    """Lays out the tables of one report in the same way."""

    heads: Mapping[str, str]
    """Short heads by metric."""
    labels: Mapping[str, str]
    """Names of rows as they are above columns, by label."""
    has_styles: bool = True
    """Whether the terminal has bold and underlined letters; if not, signs mark the best."""

    def rows(self, table: Table, *, intervals: bool) -> Grid:
        """Return a grid with methods as rows."""
        found: list[tuple[Slot, ...]] = [
            (Slot("method"), *(Slot(self.heads[one.info.name]) for one in table.columns)),
            (),
        ]
        for section in table.sections:
            found += [(Slot(f"{plain(section.title)}:"),)] if section.title else []
            for place, group in enumerate(section.groups):
                found += [()] if place else []
                for row in group:
                    shade: Shade = "aside" if place else ""
                    cells = [
                        self._piece(row, *pair, place, intervals=intervals)
                        for pair in zip(row.cells, table.columns, strict=True)
                    ]
                    found.append((Slot(self.labels.get(row.label, plain(row.label)), shade), *cells))
        levels = [level for level in table.levels() if any(title for title, _ in level)]
        levels = levels if intervals else levels[: len(table.levels()) - 1]
        return Grid(
            tuple(found),
            tuple(tuple((plain(title), count) for title, count in level) for level in levels),
            not intervals,
        )

    def columns(self, table: Table, width: int) -> list[tuple[str, list[Grid]]]:
        """Return for each section its title and grids with methods as columns, as many side by side as fit."""
        return [(plain(section.title), self._blocks(table, section, width)) for section in table.sections]

    def _blocks(self, table: Table, section: Section, width: int) -> list[Grid]:
        found = [(place, row) for place, group in enumerate(section.groups) for row in group]
        grids: list[Grid] = []
        while found:
            count = next(
                (n for n in range(len(found), 1, -1) if self._block(table, found[:n]).width() <= width),
                1,
            )
            grids.append(self._block(table, found[:count]))
            found = found[count:]
        return grids

    def _block(self, table: Table, rows: Sequence[tuple[int, TableRow]]) -> Grid:
        names = [Slot(self.labels[row.label], "aside" if place else "") for place, row in rows]
        lines: list[tuple[Slot, ...]] = [(Slot(""), *names), ()]
        several = len({column.split for column in table.columns}) > 1
        split = ""
        for index, column in enumerate(table.columns):
            if several and column.split != split:
                lines.append((Slot(f"{plain(table.called(column.split))}:"),))
            split = column.split
            cells = [self._piece(row, row.cells[index], column, place, intervals=False) for place, row in rows]
            lines.append((Slot(self.heads[column.info.name]), *cells))
        return Grid(tuple(lines), is_right=True)

    def _piece(self, row: TableRow, cell: Cell, column: Column, place: int, *, intervals: bool) -> Slot:
        text = f"{cell.text}{FEWER if cell.fewer else ''}"
        told = [cell.interval, cell.remark] if intervals else [cell.remark] if row.kind == "published" else []
        after = "".join(f" {part}" for part in map(plain, told) if part)
        if row.kind == "difference":
            return Slot(text, _change(cell, column), after)
        if place or row.kind == "published":
            return Slot(text, "aside", after)
        if not self.has_styles:
            return Slot(
                f"{MARKS[cell.mark].format(cell.text.replace(AT_LEAST, '>='))}{FEWER if cell.fewer else ''}", "", after
            )
        return Slot(cell.text, cell.mark, (FEWER if cell.fewer else "") + after)


def _change(cell: Cell, column: Column) -> Shade:
    """Tell whether a difference to a published number is a change for the better; neither if it may be none."""
    if cell.remark != "not within":
        return ""
    return "better" if cell.text.startswith("+") == column.info.higher_is_better else "worse"


def heads_of(tables: Iterable[Table]) -> dict[str, str]:
    """Return short heads by metric, with the region where two would be the same."""
    columns = {column.info.name: column for table in tables for column in table.columns}
    found = {}
    for name, column in columns.items():
        base = name.partition("@")[0]
        found[name] = plain(column.called or SHORT.get(base, column.name))
    for name in [name for name in found if list(found.values()).count(found[name]) > 1]:
        found[name] = f"{found[name]} {columns[name].info.region}"
    # Two metrics of one region that are called alike have their whole names.
    taken = list(found.values())
    return {name: head if taken.count(head) == 1 else plain(name) for name, head in found.items()}


def brief_labels(tables: Iterable[Table], longest: int) -> tuple[dict[str, str], list[str]]:
    """Return names of rows that are not too wide, and what the numbers in them stand for."""
    found: dict[str, str] = {}
    told: list[str] = []
    for table in tables:
        for row in [row for section in table.sections for row in section.rows + section.beside]:
            label = plain(row.label)
            if row.label not in found and cell_len(label) > longest:
                told.append(f"[{len(told) + 1}] {label}")
                number = f" [{len(told)}]"
                found[row.label] = set_cell_size(label, longest - len(number)).rstrip() + number
            found.setdefault(row.label, label)
    return found, told


def head_key(tables: Iterable[Table], heads: Mapping[str, str]) -> list[str]:
    """Return what the short heads leave out: regions, units, scales, and where better values are."""
    regions: dict[str, dict[str, None]] = {}
    for column in {column.info.name: column for table in tables for column in table.columns}.values():
        info, head = column.info, heads[column.info.name]
        name = "" if column.called or head.startswith(column.name) else f"= {column.name}"
        arrow = "↑" if info.higher_is_better else "↓"
        told = " ".join(filter(None, [head, plain(name), scaled(info.scale), info.unit, arrow]))
        regions.setdefault(info.region, {})[told] = None
    return ["; ".join(f"{PLACES.get(region, region)}: {', '.join(own)}" for region, own in regions.items())]


def left_out(table: Table, heads: Mapping[str, str]) -> list[str]:
    """Return the remarks that cells without their intervals have no room for."""
    found = []
    for row in [row for section in table.sections for row in section.rows + section.beside if row.kind == "measured"]:
        told: dict[str, list[str]] = {}
        for cell, column in zip(row.cells, table.columns, strict=True):
            if remark := _COUNT.sub("", cell.remark).strip():
                told.setdefault(remark, []).append(heads[column.info.name])
        found += [f"{row.label}: {', '.join(dict.fromkeys(names))} {remark}" for remark, names in told.items()]
    return ["; ".join(found)] if found else []

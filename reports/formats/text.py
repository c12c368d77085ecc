"""Render tables for a terminal: aligned columns, with headings over those that belong together."""

from collections.abc import Sequence

from brushbench.core.columns import GAP, aligned, widths_of
from brushbench.reports.formats.escaping import plain, words
from brushbench.reports.layout import AT_LEAST, FEWER, Cell, Mark, Section, Table, TableRow

MARKS: dict[Mark, str] = {"": "{}", "best": "*{}*", "second": "_{}_"}


def text_tables(tables: Sequence[Table]) -> str:
    """Render all tables, separated by empty lines."""
    return "\n\n".join(map(_table, tables))


def _table(table: Table) -> str:
    names = ("method", *map(plain, table.headings))
    rows = [_cells(row) for section in table.sections for group in section.groups for row in group]
    widths = widths_of([names, *rows])
    spans = [spans for spans in table.levels() if any(title for title, _ in spans)]
    for level in spans:
        _widen(widths, level)
    lines = [_spans(level, widths) for level in spans]
    lines += [aligned(names, widths), _rule(widths)]
    lines += [line for section in table.sections for line in _section(section, widths)]
    legend = ", ".join(f"{MARKS[mark].format('1.23')}: {meaning}" for mark, meaning in table.legend)
    notes = [*filter(None, [legend]), *map(words, table.notes)]
    below = ("; " if table.is_brief else "\n").join(notes)
    return "\n\n".join(filter(None, [words(table.title), "\n".join(lines), below]))


def _section(section: Section, widths: Sequence[int]) -> list[str]:
    lines = [f"{plain(section.title)}:"] if section.title else []
    for place, group in enumerate(section.groups):
        lines += [_rule(widths)] if place else []
        lines += [aligned(_cells(row), widths) for row in group]
    return lines


def _rule(widths: Sequence[int]) -> str:
    return GAP.join("-" * width for width in widths)


def _cells(row: TableRow) -> tuple[str, ...]:
    return (plain(row.label), *map(_marked, row.cells))


def _marked(cell: Cell) -> str:
    number = MARKS[cell.mark].format(cell.text.replace(AT_LEAST, ">="))
    return " ".join(filter(None, [f"{number}{FEWER if cell.fewer else ''}", cell.interval, cell.remark]))


def _widen(widths: list[int], spans: Sequence[tuple[str, int]]) -> None:
    """Widen the last column below every heading until the heading fits."""
    start = 1
    for title, count in spans:
        widths[start + count - 1] += max(0, len(plain(title)) - _across(widths[start : start + count]))
        start += count


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _spans(spans: Sequence[tuple[str, int]], widths: Sequence[int]) -> str:
    parts, start = [" " * widths[0]], 1
    for title, count in spans:
        parts.append(plain(title).ljust(_across(widths[start : start + count])))
        start += count
    return GAP.join(parts).rstrip()

"""Render tables in GitHub's Markdown, which has only one line of headings."""

from collections.abc import Sequence

from brushbench.reports.formats.escaping import each_word, markdown
from brushbench.reports.layout import BESIDE, FEWER, Cell, Mark, Table, TableRow

# GitHub drops <u>, but underlines <ins>.
MARKS: dict[Mark, str] = {"": "{}", "best": "**{}**", "second": "<ins>{}</ins>"}
NAMES: dict[Mark, str] = {"best": "bold", "second": "underlined"}


def markdown_tables(tables: Sequence[Table]) -> str:
    """Render all tables, separated by empty lines."""
    return "\n\n".join(map(_table, tables))


def _table(table: Table) -> str:
    several = len({column.split for column in table.columns}) > 1
    heads = [
        markdown(f"{table.called(column.split)}: {heading}" if several else heading)
        for column, heading in zip(table.columns, table.headings, strict=True)
    ]
    lines = [_line(["method", *heads]), _line([":---", *["---:"] * len(heads)])]
    for section in table.sections:
        if section.title:
            lines.append(_line([f"**{markdown(section.title)}**", *[" "] * len(heads)]))
        for place, group in enumerate(section.groups):
            # A Markdown table has only one rule, below its heading.
            lines += [_line([f"*{BESIDE}*", *[" "] * len(heads)])] if place else []
            lines += map(_row, group)
    notes = [f"{MARKS[mark].format(NAMES[mark])}: {meaning}" for mark, meaning in table.legend]
    notes += [*_groups(table), *(each_word(markdown, note) for note in table.notes)] if table.notes else []
    notes = ["; ".join(notes)] if table.is_brief else notes
    parts = [f"**{each_word(markdown, table.title)}**", "\n".join(lines), "\n".join(f"* {note}" for note in notes)]
    return "\n\n".join(filter(None, parts))


def _groups(table: Table) -> list[str]:
    names: dict[str, dict[str, None]] = {}
    for column in table.columns:
        names.setdefault(table.called(column.group), {})[column.name] = None
    groups = [f"{group}: {', '.join(map(markdown, own))}" for group, own in names.items() if group]
    return ["; ".join(groups)] if groups else []


def _row(row: TableRow) -> str:
    return _line([markdown(row.label), *map(_marked, row.cells)])


def _marked(cell: Cell) -> str:
    number = f"{MARKS[cell.mark].format(cell.text)}{FEWER if cell.fewer else ''}"
    return " ".join(filter(None, [number, *map(markdown, (cell.interval, cell.remark))]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

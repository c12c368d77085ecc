"""Render listings as text, Markdown, LaTeX, HTML, CSV and JSON, and for a terminal."""

import json
import math
import sys
from collections.abc import Callable

from rich.console import Console
from tabulate import tabulate

from brushbench.core.errors import unknown
from brushbench.reports.evidence.listing import ListedTable, ListedTables
from brushbench.reports.formats import is_terminal
from brushbench.reports.formats.escaping import each_word, latex, markdown, plain, words
from brushbench.reports.formats.grid import Slot, grids_within
from brushbench.reports.formats.html import TEMPLATES, templates_in
from brushbench.reports.formats.latex import BEGIN, END, Tabular, fitted_tabular
from brushbench.reports.formats.records import DIGITS, Value, csv_of
from brushbench.reports.formats.terminal import print_grids, print_sentences, without_spaces


def printed_listing(found: ListedTables, table_format: str) -> str:
    """Render a listing for standard output: text in a terminal is fitted to its width.

    Raises `UserError` for an unknown format.
    """
    if table_format == "text" and is_terminal():
        return terminal_listing(found)
    return render_listing(found, table_format)


def render_listing(found: ListedTables, table_format: str) -> str:
    """Render a listing without a final line break. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    return FORMATS[table_format](found)


def terminal_listing(found: ListedTables, console: Console | None = None) -> str:
    """Render a listing for a terminal; in one that is too narrow for its rows, they become columns."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        for table in found.tables:
            rows = [[Slot(plain(cell)) for cell in row] for row in table.rows]
            print_sentences(console, [words(table.title)])
            print_grids(console, grids_within(table.heads, rows, console.width))
            console.print()
        print_sentences(console, [words(note) for note in found.notes])
    return without_spaces(captured.get())


def _text(found: ListedTables) -> str:
    return _told(found, "simple", plain, words)


def _markdown(found: ListedTables) -> str:
    return _told(found, "pipe", markdown, lambda text: f"* {each_word(markdown, text)}")


def _told(found: ListedTables, style: str, cell: Callable[[str], str], note: Callable[[str], str]) -> str:
    parts = []
    for table in found.tables:
        rows = [list(map(cell, row)) for row in table.rows]
        heads = list(map(cell, table.heads))
        told = tabulate(rows, heads, tablefmt=style, disable_numparse=True, colalign=["left"] * len(heads))
        parts += [each_word(cell, table.title), told]
    return "\n\n".join([*parts, "\n".join(map(note, found.notes))])


def _latex(found: ListedTables) -> str:
    parts = [_latex_table(table, found, place) for place, table in enumerate(found.tables)]
    return "\n\n".join([BEGIN, *parts, END])


def _latex_table(table: ListedTable, found: ListedTables, place: int) -> str:
    """Return a table; the notes stand below the last one."""
    is_last = place == len(found.tables) - 1
    lines = [
        " & ".join(map(latex, table.heads)) + r" \\",
        r"\midrule",
        *(" & ".join(map(latex, row)) + r" \\" for row in table.rows),
    ]
    return fitted_tabular(
        Tabular(
            caption=f"{each_word(latex, table.title)}.",
            label=found.label if not place else f"{found.label}-{place + 1}",
            columns="l" * len(table.heads),
            lines=lines,
            notes=[rf"{each_word(latex, note)}.\par" for note in found.notes] if is_last else [],
        )
    )


def _html(found: ListedTables) -> str:
    page = templates_in(TEMPLATES).get_template("listing.html")
    return page.render(tables=found.tables, notes=found.notes).rstrip("\n")


def _records(found: ListedTables) -> list[dict[str, Value]]:
    return [{name: _same_everywhere(value) for name, value in record.items()} for record in found.records]


def _same_everywhere(value: Value) -> Value:
    """Drop the last digits, which depend on the processor; no number is None."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


FORMATS: dict[str, Callable[[ListedTables], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": lambda found: csv_of(_records(found)),
    "json": lambda found: json.dumps(_records(found), allow_nan=False, indent=2),
    "html": _html,
}

"""Render tables as text, Markdown, LaTeX, HTML, CSV and JSON."""

import sys
from collections.abc import Callable

from brushbench.core.errors import unknown
from brushbench.reports.brief import noted
from brushbench.reports.formats.html import html_page
from brushbench.reports.formats.latex import latex_document
from brushbench.reports.formats.markdown import markdown_tables
from brushbench.reports.formats.records import csv_lines, json_records
from brushbench.reports.formats.text import text_tables
from brushbench.reports.layout import Table
from brushbench.reports.style import Notes
from brushbench.reports.tables import Report

FORMATS: dict[str, Callable[[Report], str]] = {
    "text": lambda report: text_tables(shown(report)),
    "markdown": lambda report: markdown_tables(shown(report)),
    "latex": lambda report: latex_document(shown(report, "brief")),
    "csv": csv_lines,
    "json": json_records,
    "html": lambda report: html_page(shown(report)),
}


def shown(report: Report, usual: Notes = "full") -> list[Table]:
    """Return the tables of a report with as many notes as are wished for, or as are usual in a format."""
    return [noted(table, report.notes or usual) for table in report.tables]


def render(report: Report, table_format: str) -> str:
    """Render a report without a final line break. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    return FORMATS[table_format](report)


def printed(report: Report, table_format: str = "text") -> str:
    """Render a report for standard output: text in a terminal is styled and fitted to its width."""
    if table_format == "text" and is_terminal():
        from brushbench.reports.formats.terminal import terminal_tables

        return terminal_tables(shown(report))
    return render(report, table_format)


def is_terminal() -> bool:
    """Tell whether what is printed goes to a terminal, not to a file or another program."""
    return bool(sys.stdout and sys.stdout.isatty())

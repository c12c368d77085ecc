"""Rows of cells as lines of text, in columns."""

from collections.abc import Iterable, Sequence

GAP = "  "
"""Between two columns."""


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """A line for each row, every column as wide as its longest cell. Nothing follows a row's last words."""
    found = list(rows)
    widths = widths_of(found)
    return [aligned(row, widths) for row in found]


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """Characters of the longest cell of every column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row as a line."""
    return GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

"""Print rows of cells as aligned columns of text."""

from collections.abc import Iterable, Sequence

GAP = "  "
"""What separates two columns."""


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """One line for each row, without trailing spaces; every column is as wide as its longest cell."""
    found = list(rows)
    widths = widths_of(found)
    return [aligned(row, widths) for row in found]


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """The length in characters of the longest cell of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row as a line, its cells padded to these widths, without trailing spaces."""
    return GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

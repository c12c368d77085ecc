"""Cells in aligned columns, for a terminal: each with a style, none ever wrapped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

Shade = Literal["", "best", "second", "aside", "better", "worse", "rule"]
STYLES: dict[Shade, str] = {
    "": "",
    "best": "bold",
    "second": "underline",
    "aside": "bright_black",
    "better": "green",
    "worse": "red",
    "rule": "bright_black",
}
GAP = 2
"""Number of spaces between two columns."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Text with one shade, and text after it that is plain."""

    text: str
    shade: Shade = ""
    after: str = ""

    @property
    def width(self) -> int:
        """Return the number of columns in a terminal, where some letters take two."""
        return cell_len(self.text) + cell_len(self.after)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of pieces. A row without pieces is a rule, and a row with a single one is a title across all columns."""

    rows: tuple[tuple[Slot, ...], ...]
    levels: tuple[tuple[tuple[str, int], ...], ...] = ()
    """Lines above: titles with the number of columns that each spans, the first column having none."""
    is_right: bool = False
    """Whether all columns but the first are aligned at their right."""

    def widths(self) -> list[int]:
        """Return the width of every column."""
        own = [row for row in self.rows if len(row) > 1]
        found = [max(piece.width for piece in column) for column in zip(*own, strict=True)]
        for level in self.levels:
            start = 1
            for title, count in level:
                found[start + count - 1] += max(0, cell_len(title) - _across(found[start : start + count]))
                start += count
        return found

    def width(self) -> int:
        """Return the width of the whole grid."""
        return _across(self.widths())

    def lines(self) -> list[Text]:
        """Return the lines, without spaces at their ends."""
        widths = self.widths()
        return [*(_spans(level, widths) for level in self.levels), *(self._line(row, widths) for row in self.rows)]

    def _line(self, row: Sequence[Slot], widths: Sequence[int]) -> Text:
        if not row:
            return Text((" " * GAP).join("─" * width for width in widths), STYLES["rule"])
        line = Text()
        for place, piece in enumerate(row):
            if place:
                line.append(" " * GAP)
            space = " " * (widths[place] - piece.width) if len(row) > 1 else ""
            right = self.is_right and place > 0
            line.append(space * right).append(piece.text, STYLES[piece.shade])
            # References are grey to the end of the cell.
            line.append(piece.after, STYLES[piece.shade] if piece.shade == "aside" else "").append(space * (not right))
        line.rstrip()
        return line


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _spans(level: Sequence[tuple[str, int]], widths: Sequence[int]) -> Text:
    line, start = Text(" " * widths[0]), 1
    for title, count in level:
        width = _across(widths[start : start + count])
        line.append(" " * GAP + title + " " * (width - cell_len(title)))
        start += count
    line.rstrip()
    return line


def grids_within(heads: Sequence[str], rows: Sequence[Sequence[Slot]], width: int) -> list[Grid]:
    """Return one grid with these rows, if it fits; else grids with as many of them side by side, as columns, as do."""
    first = tuple(map(Slot, heads))
    whole = Grid((first, (), *map(tuple, rows)))
    if whole.width() <= width:
        return [whole]
    found, rest = [], list(rows)
    while rest:
        fits = (_upright(first, rest[:count]) for count in range(len(rest), 0, -1))
        grid = next((grid for grid in fits if grid.width() <= width), _upright(first, rest[:1]))
        found.append(grid)
        rest = rest[len(grid.rows[0]) - 1 :]
    return found


def _upright(heads: Sequence[Slot], rows: Sequence[Sequence[Slot]]) -> Grid:
    first, *lines = zip(heads, *rows, strict=True)
    return Grid((first, (), *lines), is_right=True)

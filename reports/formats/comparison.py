"""Print a comparison of runs in a terminal: better in green, worse in red, fitted to its width."""

import sys
from collections.abc import Sequence

from rich.console import Console

from brushbench.reports.comparison import Change, Comparison
from brushbench.reports.comparison_tables import COUNTS, HEADINGS, comparison_notes, comparison_row, groups_of
from brushbench.reports.formats.escaping import words
from brushbench.reports.formats.grid import Grid, Shade, Slot
from brushbench.reports.formats.terminal import print_sentences, without_spaces

HEADS = (*HEADINGS, *COUNTS)
VERDICT = HEADS.index("B is")
CHANGED = (HEADS.index("change (positive = better)"), VERDICT)
"""Cells that are coloured if the change is one for the better or for the worse."""


def terminal_comparison(comparison: Comparison, console: Console | None = None) -> str:
    """Render a comparison for a terminal; in one that is too narrow for rows of metrics, metrics are columns."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        for title, changes in groups_of(comparison):
            print_sentences(console, [words(title)])
            for grid in _grids([_slots(change) for change in changes], console.width):
                console.print()
                console.print(*grid.lines(), sep="\n", soft_wrap=True, highlight=False)
            console.print()
        print_sentences(console, [words(note) for note in comparison_notes(comparison)])
    return without_spaces(captured.get())


def _slots(change: Change) -> list[Slot]:
    cells = comparison_row(change, words)
    shade: Shade = "better" if "better" in cells[VERDICT] else "worse" if "worse" in cells[VERDICT] else ""
    return [Slot(cell, shade if place in CHANGED else "") for place, cell in enumerate(cells)]


def _grids(rows: Sequence[list[Slot]], width: int) -> list[Grid]:
    """Return one grid with a row of each metric, if it fits; else grids with as many metrics side by side as do."""
    heads = [Slot(head) for head in HEADS]
    whole = Grid((tuple(heads), (), *map(tuple, rows)))
    if whole.width() <= width:
        return [whole]
    found, rest = [], list(rows)
    while rest:
        fits = (_upright(heads, rest[:count]) for count in range(len(rest), 0, -1))
        grid = next((grid for grid in fits if grid.width() <= width), _upright(heads, rest[:1]))
        found.append(grid)
        rest = rest[len(grid.rows[0]) - 1 :]
    return found


def _upright(heads: Sequence[Slot], rows: Sequence[list[Slot]]) -> Grid:
    first, *lines = zip(heads, *rows, strict=True)
    return Grid((first, (), *lines), is_right=True)

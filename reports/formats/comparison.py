"""Print a comparison of runs in a terminal: better in green, worse in red, fitted to its width."""

import sys

from rich.console import Console

from brushbench.reports.comparison import Change, Comparison
from brushbench.reports.comparison_tables import (
    COUNTS,
    HEADINGS,
    SET_HEADINGS,
    comparison_notes,
    comparison_row,
    groups_of,
    groups_of_sets,
    set_row,
)
from brushbench.reports.formats.escaping import words
from brushbench.reports.formats.grid import Shade, Slot, grids_within
from brushbench.reports.formats.terminal import print_grids, print_sentences, without_spaces

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
            print_grids(console, grids_within(HEADS, [_slots(change) for change in changes], console.width))
            console.print()
        for title, own in groups_of_sets(comparison):
            print_sentences(console, [words(title)])
            rows = [[Slot(cell) for cell in set_row(change, words)] for change in own]
            print_grids(console, grids_within(SET_HEADINGS, rows, console.width))
            console.print()
        print_sentences(console, [words(note) for note in comparison_notes(comparison)])
    return without_spaces(captured.get())


def _slots(change: Change) -> list[Slot]:
    cells = comparison_row(change, words)
    shade: Shade = "better" if "better" in cells[VERDICT] else "worse" if "worse" in cells[VERDICT] else ""
    return [Slot(cell, shade if place in CHANGED else "") for place, cell in enumerate(cells)]

"""Print variance components in a terminal, fitted to its width."""

import sys

from rich.console import Console

from brushbench.reports.formats.escaping import words
from brushbench.reports.formats.grid import Slot, grids_within
from brushbench.reports.formats.terminal import print_grids, print_sentences, without_spaces
from brushbench.reports.variance_tables import HEADS, Variances, variance_notes, variance_tables


def terminal_variances(found: Variances, console: Console | None = None) -> str:
    """Render components for a terminal; in one that is too narrow for rows of metrics, metrics are columns."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        for title, rows in variance_tables(found, words):
            print_sentences(console, [words(title)])
            print_grids(console, grids_within(HEADS, [list(map(Slot, row)) for row in rows], console.width))
            console.print()
        print_sentences(console, [words(note) for note in variance_notes(found)])
    return without_spaces(captured.get())

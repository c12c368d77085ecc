"""Print counted votes in a terminal, fitted to its width."""

import sys
from collections.abc import Sequence

from rich.console import Console

from brushbench.reports.formats.escaping import plain, words
from brushbench.reports.formats.grid import Slot, grids_within
from brushbench.reports.formats.terminal import print_grids, print_sentences, without_spaces
from brushbench.reports.preference_tables import vote_notes, vote_tables
from brushbench.reports.votes import Vote


def terminal_votes(votes: Sequence[Vote], console: Console | None = None) -> str:
    """Render votes for a terminal; in one that is too narrow for a row of each pair, pairs are columns."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        for heads, rows in vote_tables(votes, plain):
            print_grids(console, grids_within(heads, [list(map(Slot, row)) for row in rows], console.width))
        print_sentences(console, ["", *(words(note) for note in vote_notes(votes))])
    return without_spaces(captured.get()).lstrip("\n")

"""Print what the gate found in a terminal: fitted to its width, better in green, worse in red, the verdict in bold."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from brushbench.reports.baseline import Baseline
from brushbench.reports.formats.escaping import words
from brushbench.reports.formats.grid import STYLES, Grid, Shade, Slot, grids_within
from brushbench.reports.formats.terminal import own_notes, print_grids, print_sentences, shared_notes, without_spaces
from brushbench.reports.gate_formats import (
    BASELINE_HEADER,
    HEADER,
    Outcome,
    baseline_rows,
    gate_notes,
    gate_row,
    gate_title,
    judged,
)
from brushbench.reports.regression import Checked, MetricChange

CHANGE, BOUND, VERDICT = 3, HEADER.index("95 % bound"), len(HEADER) - 1
HEADS = (*HEADER[:CHANGE], "change", *HEADER[CHANGE + 1 : VERDICT], "verdict")
"""Shorter than `HEADER`; a note says what is positive."""
Cell = TypeVar("Cell")
SHADES: dict[str, Shade] = {"passed": "better", "FAILED": "worse", "failed": "worse", "improved": "better"}


def terminal_gate(outcome: Outcome, console: Console | None = None) -> str:
    """Render an outcome for a terminal; in a narrow one without bounds, in a narrower one with metrics as columns."""
    console = console or Console(file=sys.stdout)
    grids, needed = _fitted(outcome.checked, console.width)
    notes = [_notes(part, needed) for part in outcome.checked if part.findings]
    tables = iter(range(len(notes)))
    with console.capture() as captured:
        print_sentences(console, list(_head(outcome)))
        for part, own in zip(outcome.checked, grids, strict=True):
            print_sentences(console, ["", words(gate_title(part))])
            print_grids(console, own)
            told = own_notes(notes, next(tables)) if own else []
            print_sentences(console, ["", *told] if told else [])
        print_sentences(console, ["", *shared_notes(notes)])
    return without_spaces(captured.get())


def terminal_baseline(baseline: Baseline, console: Console | None = None) -> str:
    """Render for a terminal what a baseline holds, with a table for each run."""
    console = console or Console(file=sys.stdout)
    rows, notes = baseline_rows(baseline)
    with console.capture() as captured:
        for run, own in groupby(rows, key=lambda row: row[0]):
            print_sentences(console, [words(run)])
            print_grids(
                console, grids_within(BASELINE_HEADER[1:], [list(map(Slot, row[1:])) for row in own], console.width)
            )
            console.print()
        print_sentences(console, [words(note) for note in notes])
    return without_spaces(captured.get())


def _head(outcome: Outcome) -> Iterator[Text]:
    verdict = outcome.verdict
    line = Text(outcome.summary())
    line.stylize(f"bold {STYLES[SHADES.get(verdict, '')]}".strip(), 0, len(verdict))
    yield line
    for part in outcome.checked:
        for word, told in judged(part):
            yield Text().append(word, STYLES[SHADES.get(word, "")]).append(words(f": {told}"))


def _fitted(checked: Sequence[Checked], width: int) -> tuple[list[list[Grid]], int]:
    """Lay out the tables of all runs in the same way; return also the width that bounds need, if they are left out."""
    rows = [[_slots(finding) for finding in part.findings] for part in checked]
    whole = [_rows(HEADS, own) for own in rows]
    needed = max((grid.width() for own in whole for grid in own), default=0)
    if needed <= width:
        return whole, 0
    short = [_rows(_unbound(HEADS), [_unbound(row) for row in own]) for own in rows]
    if all(grid.width() <= width for own in short for grid in own):
        return short, needed
    return [grids_within(HEADS, own, width) if own else [] for own in rows], 0


def _rows(heads: Sequence[str], rows: Sequence[Sequence[Slot]]) -> list[Grid]:
    return [Grid((tuple(map(Slot, heads)), (), *map(tuple, rows)))] if rows else []


def _unbound(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for place, cell in enumerate(cells) if place != BOUND]


def _slots(finding: MetricChange) -> list[Slot]:
    verdict = finding.result.verdict
    change: Shade = "better" if finding.improved else "worse" if verdict == "worse" else ""
    shades: dict[int, Shade] = {CHANGE: change, VERDICT: "best" if verdict == "undecided" else change}
    return [Slot(words(cell), shades.get(place, "")) for place, cell in enumerate(gate_row(finding))]


def _notes(part: Checked, needed: int) -> list[str]:
    room = [f"the 95 % bound takes a terminal of {needed} columns, a pipe or a file"] if needed else []
    return [words(note) for note in ["change: positive is better", *gate_notes(part), *room]]

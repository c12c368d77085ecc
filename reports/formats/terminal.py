"""Print tables in a terminal: styled, fitted to its width, with the notes that all tables share once below."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from brushbench.reports.footnotes import READING
from brushbench.reports.formats.escaping import words
from brushbench.reports.formats.fitted import LONGEST, MARKS, Fitter, brief_labels, head_key, heads_of, left_out
from brushbench.reports.formats.grid import STYLES, Grid
from brushbench.reports.layout import Mark, Table

NAMES: dict[Mark, str] = {"best": "bold", "second": "underlined"}
Blocks = list[tuple[str, list[Grid]]]
"""Titles of sections, empty if there is only one, with the grids of each."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The tables as they fit, and what must be said about it."""

    blocks: list[Blocks]
    """Of each table."""
    has_intervals: bool
    needed: int
    """Columns that a terminal must have for the intervals."""
    told: Sequence[str]
    """What the numbers in brief_labels names stand for."""


def terminal_tables(tables: Sequence[Table], console: Console | None = None) -> str:
    """Render all tables for a terminal, that of this process unless there is a `console`."""
    console = console or Console(file=sys.stdout)
    has_styles = console.color_system is not None
    heads = heads_of(tables)
    fitted = _fitted(tables, heads, console.width, has_styles=has_styles)
    notes = [_notes(table, heads, fitted) for table in tables]
    with console.capture() as captured:
        for place, (table, blocks) in enumerate(zip(tables, fitted.blocks, strict=True)):
            print_sentences(console, [Text(words(table.title))])
            for title, grids in blocks:
                for grid in grids:
                    console.print()
                    print_sentences(console, [Text(f"{title}:")] if title else [])
                    console.print(*grid.lines(), sep="\n", soft_wrap=True, highlight=False)
            own = own_notes(notes, place)
            print_sentences(console, [Text(), *map(Text, own)] if own else [])
            console.print()
        legend = _legend(tables, has_styles=has_styles)
        shared = [*([legend] if legend else []), *map(Text, [*shared_notes(notes), *fitted.told])]
        print_sentences(console, shared)
    return without_spaces(captured.get())


def _fitted(tables: Sequence[Table], heads: Mapping[str, str], width: int, *, has_styles: bool) -> _Fitted:
    """Lay out all tables in the same way, the first that fits."""
    labels, told = brief_labels(tables, LONGEST)
    whole, short = Fitter(heads, {}, has_styles), Fitter(heads, labels, has_styles)
    had = any(
        cell.interval for table in tables for section in table.sections for row in section.rows for cell in row.cells
    )
    full = [whole.rows(table, intervals=True) for table in tables]
    needed = max(grid.width() for grid in full)
    plans: list[tuple[Fitter, bool, Sequence[str]]] = [(whole, True, ()), (whole, False, ()), (short, False, told)]
    for fitter, intervals, own in plans:
        grids = [fitter.rows(table, intervals=intervals) for table in tables]
        if max(grid.width() for grid in grids) <= width:
            return _Fitted([[("", [grid])] for grid in grids], intervals or not had, needed, own)
    return _Fitted([short.columns(table, width) for table in tables], not had, needed, told)


def _notes(table: Table, heads: Mapping[str, str], fitted: _Fitted) -> list[str]:
    """Return the notes of a table: what its heads mean, what it says, and what had no room."""
    if not table.notes:
        return []
    notes = [words(note) for note in table.notes]
    if not fitted.has_intervals:
        room = f"mean; its 95 % interval takes a terminal of {fitted.needed} columns, a pipe or a file"
        notes = [note.replace(READING["summary"], room) for note in notes]
        notes += map(words, left_out(table, heads))
    return [*head_key([table], heads), *notes]


def own_notes(notes: Sequence[Sequence[str]], place: int) -> list[str]:
    """Return the notes that only this one of several tables has."""
    others = {note for other, own in enumerate(notes) if other != place for note in own}
    return [note for note in notes[place] if note not in others] if len(notes) > 1 else []


def shared_notes(notes: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each note that several tables have, or that the only table has, once."""
    for note in dict.fromkeys(note for own in notes for note in own):
        places = [place + 1 for place, own in enumerate(notes) if note in own]
        if len(places) == len(notes):
            yield note
        elif len(places) > 1:
            yield f"tables {', '.join(map(str, places))}: {note}"


def _legend(tables: Sequence[Table], *, has_styles: bool) -> Text:
    meanings = {mark: meaning for table in tables for mark, meaning in table.legend}
    parts = [
        Text(NAMES[mark], STYLES[mark]).append(f": {meaning}", "not bold not underline")
        if has_styles
        else Text(f"{MARKS[mark].format('1.23')}: {meaning}")
        for mark, meaning in meanings.items()
    ]
    return Text(", ").join(parts)


def print_sentences(console: Console, lines: Sequence[Text | str]) -> None:
    """Print titles and notes, which may be folded between their words."""
    for line in lines:
        console.print(line, highlight=False, markup=False)


def print_grids(console: Console, grids: Iterable[Grid]) -> None:
    """Print grids, each below an empty line."""
    for grid in grids:
        console.print()
        console.print(*grid.lines(), sep="\n", soft_wrap=True, highlight=False)


def styled(lines: Iterable[Text], console: Console | None = None) -> str:
    """Return lines with their styles, none of them folded."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        console.print(*lines, sep="\n", soft_wrap=True, highlight=False)
    return without_spaces(captured.get())


def folded(text: str, console: Console | None = None) -> str:
    """Return sentences folded between their words."""
    console = console or Console(file=sys.stdout)
    with console.capture() as captured:
        print_sentences(console, [Text(text)])
    return without_spaces(captured.get())


def without_spaces(text: str) -> str:
    """Return lines without spaces and empty lines at their ends."""
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))

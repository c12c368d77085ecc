"""Tables whose rows are facts of one kind, not methods x metrics: heads, rows of cells, notes, and records."""

from collections.abc import Mapping
from dataclasses import dataclass

from brushbench.reports.formats.records import Value


@dataclass(frozen=True, slots=True)
class ListedTable:
    """One table; nothing in it is escaped yet."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells below the heads."""


@dataclass(frozen=True, slots=True)
class ListedTables:
    """Tables of one kind with what a reader must know, and the same numbers for other programs."""

    tables: tuple[ListedTable, ...]
    notes: tuple[str, ...]
    records: tuple[Mapping[str, Value], ...]
    """Numbers in the metrics' units, not scaled, None for what isn't known; all have the same keys."""
    label: str = "tab:evidence"
    """Key for LaTeX's `\\label`; each further table has its number behind it."""

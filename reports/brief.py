"""Write what is above and below a table of a paper: caption, label, and one line of notes."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from brushbench.core.errors import one_line
from brushbench.reports.footnotes import counts, seeds_note
from brushbench.reports.layout import FEWER as MARK
from brushbench.reports.layout import Table
from brushbench.reports.look import Look
from brushbench.reports.style import LATEX, Notes
from brushbench.reports.summary import BOTH, FEWER

TOY = "PaperCut is a toy benchmark"
PREFIX = "tab:"
SMALL = ("split", "splits", "and", "protocol", "of")
"""Words of a title that a label has not."""


def usual_title(look: Look, dataset: str, splits: Sequence[str], protocol: str) -> str:
    """Return the usual title of a table: `papercut, splits inside and outside, protocol strict`."""
    called = [look.names.of(split) for split in splits]
    told = f"split{'s' * (len(called) > 1)} {' and '.join(called)}" if list(splits) != [BOTH] else called[0]
    return f"{look.names.of(dataset)}, {told}, protocol {protocol}"


def headline(look: Look, place: str) -> str:
    """Return the caption, if there is one, else the usual title."""
    caption = look.style.caption
    return place if caption.startswith(LATEX) else one_line(caption) or place


def brief(rows: pd.DataFrame, table: str) -> str:
    """Return what must be known to read a table, as one line."""
    protocol, dataset = str(rows.iloc[0]["protocol"]), str(rows.iloc[0]["dataset"])
    seeds = seeds_note(rows)
    told = [
        {"summary": "mean with 95 % interval", "ablation": "mean of inside and outside"}.get(table, ""),
        counts(rows).replace("scored/requested: ", "samples x seeds: " if seeds else "samples: "),
        seeds,
        f"protocol {protocol}",
        f"{MARK}: fewer samples, not ranked" if rows[FEWER].any() else "",
        TOY if dataset.partition("@")[0] == "papercut" else "",
    ]
    return "; ".join(filter(None, told))


def noted(table: Table, notes: Notes) -> Table:
    """Return a table with all of its notes, one line of them, or none."""
    if notes == "none":
        return replace(table, notes=(), legend=())
    if notes == "brief":
        # Without the name of the test.
        legend = tuple((mark, meaning.partition(" (")[0]) for mark, meaning in table.legend)
        return replace(table, notes=(table.brief,), legend=legend, is_brief=True)
    return table


def told_apart(tables: Sequence[Table], kind: str) -> tuple[Table, ...]:
    """Give every table a label of its own, and the place to titles that several have."""
    titles, labels = [table.title for table in tables], Counter[str]()
    found = []
    for table in tables:
        title = table.title if titles.count(table.title) == 1 else f"{table.title} ({table.place})"
        label = table.dress.label or f"{PREFIX}{_slug(f'{table.place} {kind}')}"
        labels[label] += 1
        numbered = label if labels[label] == 1 else f"{label}-{labels[label]}"
        found.append(replace(table, title=title, dress=replace(table.dress, label=numbered)))
    return tuple(found)


def _slug(text: str) -> str:
    words = re.sub("[^a-z0-9]+", " ", text.lower()).split()
    return "-".join(word for word in words if word not in SMALL)

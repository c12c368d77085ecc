"""A comparison as text, Markdown, CSV or JSON."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from itertools import groupby

import pandas as pd
from tabulate import tabulate

from brushbench.errors import unknown
from reports.comparison import Change, Comparison, Pair, improvements
from reports.formats.escaping import each_word, markdown, plain, words
from reports.formats.records import csv_of
from reports.layout import Column, heading
from reports.statistics import DRAWS

HEADINGS = ("metric", "A", "B", "B - A", "95 % interval", "p bootstrap", "p Wilcoxon", "B is")
COUNTS = ("better/same/worse", "only A/only B", "detectable")
Value = str | int | float | bool | None


def render(comparison: Comparison, table_format: str) -> str:
    """Without a line break at its end. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    return FORMATS[table_format](comparison)


def extremes(pair: Pair, metric: str, count: int) -> str:
    """The samples that improved most, and those that got worst, as lines."""
    changes = improvements(pair, metric)
    best, worst = ends(changes, count)
    dataset, split, _ = pair.place
    title = f"{metric} from {pair.label_a} to {pair.label_b} on {dataset}/{split}"
    lines = [f"{words(title)}, improvement by sample; {len(changes)} samples that both have"]
    for name, own in (("best", best), ("worst", worst)):
        shown = ", ".join(f"{plain(str(sample))} {value:+.4g}" for sample, value in own.items())
        lines.append(f"{name}: {shown or 'none'}")
    return "\n".join(lines)


def ends(changes: pd.Series, count: int) -> tuple[pd.Series, pd.Series]:
    """The best that improved, and the worst, worst first, that got worse: at most so many of each."""
    return changes[changes > 0].head(count), changes[changes < 0].iloc[::-1].head(count)


def _text(comparison: Comparison) -> str:
    return _told(comparison, "simple", words)


def _markdown(comparison: Comparison) -> str:
    return _told(comparison, "pipe", lambda text: each_word(markdown, text))


def _told(comparison: Comparison, style: str, escape: Callable[[str], str]) -> str:
    parts = []
    for _, changes in groupby(comparison.changes, key=lambda one: (one.dataset, one.split, one.protocol, one.a, one.b)):
        own = list(changes)
        first = own[0]
        title = f"A: {first.a}, B: {first.b}; {first.dataset}, {first.split}, protocol {first.protocol}"
        table = tabulate(
            [_row(change, escape) for change in own], [*HEADINGS, *COUNTS], tablefmt=style, disable_numparse=True
        )
        parts.append(f"{escape(title)}\n\n{table}")
    notes = "\n".join(f"* {escape(note)}" if style == "pipe" else escape(note) for note in _notes(comparison))
    return "\n\n".join([*parts, notes])


def _row(change: Change, escape: Callable[[str], str]) -> list[str]:
    column, difference = Column(change.split, "", change.info), change.difference
    interval = f"[{_number(difference.low, column)}, {_number(difference.high, column)}]"
    return [
        escape(heading(change.info, column.name, place=True)),
        _number(change.mean_a, column),
        _number(change.mean_b, column),
        _number(difference.mean, column),
        interval if not math.isnan(difference.low) else "-",
        _p(change.bootstrap_holm) if change.tested else "-",
        _p(change.wilcoxon_holm) if change.tested else "-",
        change.verdict or "-",
        f"{change.better}/{change.same}/{change.worse}",
        f"{change.only_a}/{change.only_b}",
        _number(change.detectable, column),
    ]


def _number(value: float, column: Column) -> str:
    return "-" if math.isnan(value) else column.printed(value)


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _notes(comparison: Comparison) -> list[str]:
    changes = comparison.changes
    count = sum(change.tested for change in changes)
    notes = [
        "on the samples that both have a score for; only A/only B: left out, as the other side has none",
        f"p-values: corrected by Holm for {count} metrics x methods; B is better or worse: p bootstrap is at most 5 %",
        f"paired bootstrap: {DRAWS} draws, seed {comparison.seed}; interval: Student's; detectable: the smallest true "
        "difference found with a power of 80 % at 5 %, uncorrected",
    ]
    if any(change.difference.count != change.difference.clusters for change in changes):
        notes.append("where inside and outside are together, the two masks of an image are one cluster")
    if any(change.neither for change in changes):
        each = {f"{one.info.name} {one.neither}": None for one in changes if one.neither}
        notes.append(f"scored by neither (failed, or identical to the source): {', '.join(each)}")
    return [*notes, *comparison.remarks]


def _records(comparison: Comparison) -> list[dict[str, Value]]:
    return [
        {
            "dataset": one.dataset,
            "split": one.split,
            "protocol": one.protocol,
            "a": one.a,
            "b": one.b,
            "metric": one.info.name,
            "higher_is_better": one.info.higher_is_better,
            "scale": one.info.scale,
            "mean_a": _finite(one.mean_a),
            "mean_b": _finite(one.mean_b),
            "difference": _finite(one.difference.mean),
            "low": _finite(one.difference.low),
            "high": _finite(one.difference.high),
            "p_bootstrap": one.bootstrap,
            "p_wilcoxon": one.wilcoxon,
            "p_bootstrap_holm": one.bootstrap_holm,
            "p_wilcoxon_holm": one.wilcoxon_holm,
            "verdict": one.verdict,
            "better": one.better,
            "same": one.same,
            "worse": one.worse,
            "detectable": _finite(one.detectable),
            "n_shared": one.difference.count,
            "n_only_a": one.only_a,
            "n_only_b": one.only_b,
            "n_neither": one.neither,
        }
        for one in comparison.changes
    ]


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _csv(comparison: Comparison) -> str:
    return csv_of(_records(comparison))


def _json(comparison: Comparison) -> str:
    content = {"seed": comparison.seed, "changes": _records(comparison), "remarks": list(comparison.remarks)}
    return json.dumps(content, allow_nan=False, indent=2)


FORMATS: dict[str, Callable[[Comparison], str]] = {"text": _text, "markdown": _markdown, "csv": _csv, "json": _json}


def file_name(pair: Pair, metric: str) -> str:
    """Of the pair's picture: nothing but letters, digits and a few signs."""
    dataset, split, _ = pair.place
    parts: Sequence[str] = (dataset, split, pair.label_a, "to", pair.label_b, metric)
    name = "-".join(part.replace(" ", "_") for part in parts)
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "-._=" else "_" for c in name)[:160]
    # What had to be changed might be another's name then.
    digest = "" if safe == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}{digest}.png"

"""Render a comparison as text, Markdown, CSV or JSON."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import pandas as pd
from tabulate import tabulate

from brushbench.core.errors import unknown
from brushbench.reports.comparison import Change, Comparison, improvements
from brushbench.reports.formats.escaping import each_word, markdown, plain, words
from brushbench.reports.formats.records import csv_of
from brushbench.reports.layout import Column, heading
from brushbench.reports.pairing import RunPair
from brushbench.reports.set_comparison import SetChange
from brushbench.reports.set_values import DRAWS
from brushbench.reports.verdicts import FEWEST_OF_ANY, floor_of, primary

P_VALUES = "p bootstrap: raw, corrected", "p Wilcoxon: raw, corrected"
HEADINGS = ("metric", "A", "B", "change (positive = better)", "95 % interval", *P_VALUES, "B is")
COUNTS = ("better/same/worse", "only A/only B", "detectable")
SET_HEADINGS = ("metric of the set", "A", "B", "change (positive = better)", "95 % interval", "B is", "images")
FIELDS = (
    *("dataset", "split", "protocol", "a", "b", "metric", "higher_is_better", "scale", "mean_a", "mean_b"),
    *("positive_is", "compared", "difference", "low", "high", "ratio", "ratio_low", "ratio_high"),
    *("p_bootstrap", "p_wilcoxon", "p_bootstrap_holm", "p_wilcoxon_holm", "family", "verdict", "no_verdict"),
    *("better", "same", "worse", "detectable", "n_shared", "n_only_a", "n_only_b", "n_neither"),
    *("n_capped_a", "n_capped_b"),
)
"""The fields of a record, in CSV and JSON."""
Value = str | int | float | bool | None


def render_comparison(comparison: Comparison, table_format: str) -> str:
    """Render a comparison without a final line break. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    return FORMATS[table_format](comparison)


def extremes(pair: RunPair, metric: str, count: int) -> str:
    """List the samples that improved most and those that worsened most, as lines."""
    changes = improvements(pair, metric)
    best, worst = ends(changes, count)
    dataset, split, _ = pair.place
    title = f"{metric} from {pair.label_a} to {pair.label_b} on {dataset}/{split}"
    lines = [f"{words(title)}: improvement by sample, over {len(changes)} shared samples"]
    for name, own in (("best", best), ("worst", worst)):
        shown = ", ".join(f"{plain(str(sample))} {value:+.4g}" for sample, value in own.items())
        lines.append(f"{name}: {shown or 'none'}")
    return "\n".join(lines)


def ends(changes: pd.Series, count: int) -> tuple[pd.Series, pd.Series]:
    """Return the samples that improved most and those that worsened most, worst first, at most `count` of each."""
    return changes[changes > 0].head(count), changes[changes < 0].iloc[::-1].head(count)


def _text(comparison: Comparison) -> str:
    return _told(comparison, "simple", words)


def _markdown(comparison: Comparison) -> str:
    return _told(comparison, "pipe", lambda text: each_word(markdown, text))


def _told(comparison: Comparison, style: str, escape: Callable[[str], str]) -> str:
    parts = []
    for title, own in groups_of(comparison):
        table = tabulate(
            [comparison_row(change, escape) for change in own],
            [*HEADINGS, *COUNTS],
            tablefmt=style,
            disable_numparse=True,
        )
        parts.append(f"{escape(title)}\n\n{table}")
    for title, rows in groups_of_sets(comparison):
        table = tabulate(
            [set_row(change, escape) for change in rows], SET_HEADINGS, tablefmt=style, disable_numparse=True
        )
        parts.append(f"{escape(title)}\n\n{table}")
    notes = "\n".join(f"* {escape(note)}" if style == "pipe" else escape(note) for note in comparison_notes(comparison))
    return "\n\n".join([*parts, notes])


def groups_of(comparison: Comparison) -> list[tuple[str, list[Change]]]:
    """Return the changes of each pair of runs, with the title of their table."""
    return [(title, list(own)) for title, own in groupby(comparison.changes, key=_title)]


def groups_of_sets(comparison: Comparison) -> list[tuple[str, list[SetChange]]]:
    """Return the changes of set metrics of each pair of runs, with the title of their table."""
    return [(title, list(own)) for title, own in groupby(comparison.sets, key=_title)]


def _title(one: Change | SetChange) -> str:
    return f"A: {one.a}, B: {one.b}; {one.dataset}, {one.split}, protocol {one.protocol}"


def set_row(change: SetChange, escape: Callable[[str], str]) -> list[str]:
    """Return the cells of one set metric, below `SET_HEADINGS`."""
    column = Column(change.split, "", change.info)
    told = _number(change.difference, column)
    interval = f"[{_number(change.low, column)}, {_number(change.high, column)}]"
    return [
        escape(heading(change.info, column.name, place=True)),
        _number(change.value_a, column),
        _number(change.value_b, column),
        told if told.startswith("-") else f"+{told}",
        _known(interval, change.low),
        f"({change.verdict})" if change.verdict in ("better", "worse") else change.verdict or "-",
        str(change.count),
    ]


def comparison_row(change: Change, escape: Callable[[str], str]) -> list[str]:
    """Return the cells of one metric, below `HEADINGS` and `COUNTS`."""
    column = Column(change.split, "", change.info)
    told, interval, detectable = _differences(change, column) if change.ratio is None else _ratios(change)
    shown = change.tested and not change.unsafe
    return [
        escape(heading(change.info, column.name, place=True)),
        _number(change.mean_a, column),
        _number(change.mean_b, column),
        told,
        interval,
        f"{_p(change.bootstrap)}, {_p(change.bootstrap_holm)}" if shown else "-",
        f"{_p(change.wilcoxon)}, {_p(change.wilcoxon_holm)}" if shown else "-",
        f"({change.verdict})" if change.verdict and not (change.family or change.unsafe) else change.verdict or "-",
        f"{change.better}/{change.same}/{change.worse}",
        f"{change.only_a}/{change.only_b}",
        detectable,
    ]


def _differences(change: Change, column: Column) -> tuple[str, str, str]:
    """Return the cells of improvement, interval and detectable change."""
    found = change.difference
    told = _number(found.mean, column)
    interval = f"[{_number(found.low, column)}, {_number(found.high, column)}]"
    signed = told if told.startswith("-") else f"+{told}"
    return signed, _known(interval, found.low), _number(change.detectable, column)


def _ratios(change: Change) -> tuple[str, str, str]:
    """Return these cells for a metric that is compared by the ratio of geometric means: `x0.930 (+7.0 %)`."""
    ratio, low, high = change.ratio or (math.nan,) * 3
    percent = (ratio - 1) * (100 if change.info.higher_is_better else -100)
    told = _known(f"x{_factor(ratio)} ({percent + 0.0:+.1f} %)", ratio)
    detectable = _known(f"x{_factor(math.exp(change.detectable))}", change.detectable)
    return told, _known(f"x[{_factor(low)}, {_factor(high)}]", low), detectable


def _known(text: str, value: float) -> str:
    return "-" if math.isnan(value) else text


def _factor(ratio: float) -> str:
    return f"{ratio:.3f}" if 0.1 <= ratio < 1000 else f"{ratio:.3g}"


def _number(value: float, column: Column) -> str:
    return "-" if math.isnan(value) else column.printed(value)


def _p(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return the notes below all tables."""
    if not comparison.changes:
        return [*_set_notes(comparison), *comparison.remarks]
    changes = comparison.changes
    notes = [
        "change: B minus A, signed so that positive is better, over the samples scored on both sides; "
        "only A/only B: left out, as the other side has no score",
        *_ratio_notes(changes),
        *_family_notes(changes),
        f"p and interval: paired bootstrap-t, {comparison.draws} draws, seed {comparison.seed}; detectable: the "
        "smallest true change found with 80 % power at the corrected level; same: equal in the printed digits",
    ]
    if any(change.difference.count != change.difference.clusters for change in changes):
        notes.append("for the mean of inside and outside, the two masks of an image are one cluster")
    for reason, names in _by_reason(changes).items():
        notes.append(f"no verdict on {', '.join(names)}: {reason}")
    if any(change.neither for change in changes):
        each = {f"{one.info.name} {one.neither}": None for one in changes if one.neither}
        notes.append(f"scored on neither side: {', '.join(each)}")
    return [*notes, *_set_notes(comparison), *comparison.remarks]


def _set_notes(comparison: Comparison) -> Iterator[str]:
    if comparison.sets:
        yield (
            "metric of the set: one number for all images that both sides have, and the 95 % interval of its change by "
            f"a paired bootstrap over images, {DRAWS} draws; outside the family, not corrected; no verdict below "
            f"{FEWEST_OF_ANY} images"
        )


def _ratio_notes(changes: Sequence[Change]) -> Iterator[str]:
    infos = {one.info.name: (one.info, one.protocol) for one in changes if one.ratio is not None}
    if infos:
        floors = ", ".join(
            f"{name} {floor_of(info, protocol) * info.scale:g}" for name, (info, protocol) in infos.items()
        )
        yield (
            "xR: geometric mean of B / geometric mean of A, tested on the log scale (scores count as at least "
            f"{floors}); for ↓, below x1 is better; A and B are arithmetic means, which a few large values move"
        )


def _family_notes(changes: Sequence[Change]) -> Iterator[str]:
    families = {primary(one.dataset): one.family for one in changes if one.family}
    for names, size in families.items():
        yield (
            f"corrected: by Holm within each pair for its {size} primary metrics, scored or not ({', '.join(names)}); "
            "B is better or worse if the corrected p bootstrap is at most 5 %"
        )
    if any(not one.family for one in changes):
        yield "(better), (worse): outside the family, p not corrected"


def _by_reason(changes: Sequence[Change]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for one in changes:
        if one.unsafe:
            found.setdefault(one.unsafe, {})[one.info.name] = None
    return {reason: list(names) for reason, names in found.items()}


def _records(comparison: Comparison) -> list[dict[str, Value]]:
    return [*map(_record, comparison.changes), *map(_set_record, comparison.sets)]


def _set_record(one: SetChange) -> dict[str, Value]:
    """Return the fields of `_record` for a set metric; those that only samples have are null."""
    return {
        **dict.fromkeys(FIELDS),
        "dataset": one.dataset,
        "split": one.split,
        "protocol": one.protocol,
        "a": one.a,
        "b": one.b,
        "metric": one.info.name,
        "higher_is_better": one.info.higher_is_better,
        "scale": one.info.scale,
        "mean_a": _finite(one.value_a),
        "mean_b": _finite(one.value_b),
        "positive_is": "better",
        "compared": "set",
        "difference": _finite(one.difference),
        "low": _finite(one.low),
        "high": _finite(one.high),
        "family": 0,
        "verdict": one.verdict,
        "n_shared": one.count,
    }


def _record(one: Change) -> dict[str, Value]:
    ratio, ratio_low, ratio_high = one.ratio or (math.nan,) * 3
    p_values: dict[str, Value] = {
        "p_bootstrap": one.bootstrap,
        "p_wilcoxon": one.wilcoxon,
        "p_bootstrap_holm": _finite(one.bootstrap_holm),
        "p_wilcoxon_holm": _finite(one.wilcoxon_holm),
    }
    return {
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
        "positive_is": "better",
        "compared": one.info.compared,
        "difference": _finite(one.difference.mean),
        "low": _finite(one.difference.low),
        "high": _finite(one.difference.high),
        "ratio": _finite(ratio),
        "ratio_low": _finite(ratio_low),
        "ratio_high": _finite(ratio_high),
        # A p-value that cannot be trusted is left out.
        **(dict.fromkeys(p_values) if one.unsafe else p_values),
        "family": one.family,
        "verdict": one.verdict,
        "no_verdict": one.unsafe,
        "better": one.better,
        "same": one.same,
        "worse": one.worse,
        "detectable": _finite(one.detectable),
        "n_shared": one.difference.count,
        "n_only_a": one.only_a,
        "n_only_b": one.only_b,
        "n_neither": one.neither,
        "n_capped_a": one.capped_a,
        "n_capped_b": one.capped_b,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _csv(comparison: Comparison) -> str:
    return csv_of(_records(comparison))


def _json(comparison: Comparison) -> str:
    content = {"seed": comparison.seed, "changes": _records(comparison), "remarks": list(comparison.remarks)}
    return json.dumps(content, allow_nan=False, indent=2)


FORMATS: dict[str, Callable[[Comparison], str]] = {"text": _text, "markdown": _markdown, "csv": _csv, "json": _json}


def file_name(pair: RunPair, metric: str) -> str:
    """Return the file name of the pair's picture, made only of letters, digits and a few signs."""
    dataset, split, _ = pair.place
    parts: Sequence[str] = (dataset, split, pair.label_a, "to", pair.label_b, metric)
    name = "-".join(part.replace(" ", "_") for part in parts)
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "-._=" else "_" for c in name)[:160]
    # Two names may become the same, so a changed one gets a digest.
    digest = "" if safe == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}{digest}.png"

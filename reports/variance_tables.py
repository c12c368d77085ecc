"""Render variance components as text, Markdown, CSV or JSON."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tabulate import tabulate

from brushbench.core.errors import unknown
from brushbench.reports.formats.escaping import each_word, markdown, plain, words
from brushbench.reports.formats.records import Value, csv_of
from brushbench.reports.layout import Column, heading
from brushbench.reports.look import Look, look_of
from brushbench.reports.renaming import with_names
from brushbench.reports.style import Style
from brushbench.reports.summary import summarise
from brushbench.reports.variance_components import Components, Varied, single_seeds, varied_of
from brushbench.runs.folder import Run

HEADS = ("method", "metric", "seeds", "images", "between images", "between seeds", "rest", "sd of a seed's mean")
BELOW_ZERO = "0 (negative)"


@dataclass(frozen=True, slots=True)
class Variances:
    """The components of runs, and what a reader of them must know."""

    varied: Sequence[Varied]
    single: Sequence[str]
    """Methods, with their splits, that have only one seed."""
    look: Look


def variances_of(runs: Sequence[Run], style: Style) -> Variances:
    """Estimate the components under the names of a style. Raises `UserError` if no method has several seeds."""
    summary = summarise(runs, "", style.rows, style.splits, over_seeds=True)
    look = look_of(summary, style)
    summary = with_names(summary, look.names)
    return Variances(varied_of(summary), single_seeds(summary), look)


def render_variances(found: Variances, table_format: str) -> str:
    """Render components without a final line break. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format for variance components", table_format, FORMATS)
    return FORMATS[table_format](found)


def variance_tables(found: Variances, escape: Callable[[str], str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the title of each data set, split and protocol, with its rows of cells."""
    for (dataset, split, protocol), group in groupby(
        found.varied, key=lambda one: (one.dataset, one.split, one.protocol)
    ):
        title = f"{found.look.names.of(dataset)}, split {found.look.names.of(split)}, protocol {protocol}"
        yield title, [_row(one, found.look, escape) for one in group]


def variance_notes(found: Variances) -> Iterator[str]:
    """Yield the notes below the tables."""
    yield (
        "shares of the variance of scores: between images, between seeds (what a seed does to all images alike), and "
        "the rest; random effects of image and seed, crossed without interaction, by the method of moments"
    )
    yield "sd of a seed's mean: standard deviation of the mean over these images under another seed"
    if any(one.components and one.components.negative for one in found.varied):
        yield f"{BELOW_ZERO}: the estimate is negative and counts as 0"
    if few := [one for one in found.varied if one.left_out]:
        told = dict.fromkeys(f"{one.left_out} for {one.info.name} of {one.method} on {one.split}" for one in few)
        yield f"images left out, without a score under one of the seeds: {', '.join(told)}"
    if found.single:
        yield f"only one seed: {', '.join(found.single)}"


def _row(one: Varied, look: Look, escape: Callable[[str], str]) -> list[str]:
    digits = look.digits.get(one.info.name, look.digits.get(""))
    column = Column(one.split, "", one.info, look.names.texts.get(one.info.name, ""), digits)
    head = heading(one.info, column.name, place=True)
    facts = [escape(one.method), escape(head), str(len(one.seeds))]
    if one.components is None:
        return [*facts, "-", "-", "-", "-", "-"]
    return [*facts, str(one.components.count), *_shares(one.components), column.printed(one.components.seed_deviation)]


def _shares(found: Components) -> list[str]:
    named = zip(("images", "seeds", "rest"), found.shares, strict=True)
    return [
        "-" if math.isnan(share) else BELOW_ZERO if name in found.negative else f"{100 * share:.1f} %"
        for name, share in named
    ]


def _text(found: Variances) -> str:
    return _told(found, "simple", plain, words)


def _markdown(found: Variances) -> str:
    return _told(found, "pipe", lambda text: each_word(markdown, text), lambda text: f"* {each_word(markdown, text)}")


def _told(found: Variances, style: str, cell: Callable[[str], str], note: Callable[[str], str]) -> str:
    parts = []
    for title, rows in variance_tables(found, cell):
        table = tabulate(rows, HEADS, tablefmt=style, disable_numparse=True, colalign=["left"] * len(HEADS))
        parts += [cell(title), table]
    return "\n\n".join([*parts, "\n".join(map(note, variance_notes(found)))])


def _records(found: Variances) -> list[dict[str, Value]]:
    """Return a record for each method and metric, in the metric's unit, not scaled; null for what isn't known."""
    return [_record(one) for one in found.varied]


def _record(one: Varied) -> dict[str, Value]:
    parts = one.components
    numbers: dict[str, Value] = dict.fromkeys(("variance_images", "variance_seeds", "variance_rest", "seed_sd"))
    if parts:
        numbers = {
            "variance_images": parts.images,
            "variance_seeds": parts.seeds,
            "variance_rest": parts.rest,
            "seed_sd": parts.seed_deviation,
        }
    return {
        "dataset": one.dataset,
        "protocol": one.protocol,
        "split": one.split,
        "method": one.method,
        "metric": one.info.name,
        "seeds": " ".join(map(str, one.seeds)),
        "n_images": parts.count if parts else 0,
        "n_left_out": one.left_out,
        **numbers,
        "negative": " ".join(parts.negative) if parts else "",
        "unit": one.info.unit,
        "scale": one.info.scale,
    }


FORMATS: dict[str, Callable[[Variances], str]] = {
    "text": _text,
    "markdown": _markdown,
    "csv": lambda found: csv_of(_records(found)),
    "json": lambda found: json.dumps(_records(found), allow_nan=False, indent=2),
}

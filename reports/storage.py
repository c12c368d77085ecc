"""Find the format and size of a run's images, which decide what a table may say of its protocol."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brushbench.core.errors import SampleError, UserError
from brushbench.core.protocol import protocol_named
from brushbench.imaging.images import SUFFIX_OF, image_size
from brushbench.runs.folder import Run
from brushbench.runs.scores import SIZE, Scores

OFFICIAL_SIZE = "512x512"
SplitKey = tuple[str, str, str, str]
"""Data set, split, protocol and method of a row, as in a table."""
OTHERWISE = {
    "paper": "protocol paper: squared errors x3, as in the official script, which stores JPEG; images that are stored "
    "otherwise cannot be compared with published tables",
    "strict": "protocol strict: means over pixels and channels; not comparable with published tables",
}
_FORMATS = {suffix: name for name, suffix in SUFFIX_OF.items()} | {".jpeg": "JPEG"}


@dataclass(frozen=True, slots=True)
class Stored:
    """Formats and sizes of one run's images; empty if unknown."""

    formats: tuple[str, ...]
    """`PNG`, `JPEG` or `WEBP`, sorted."""
    sizes: tuple[str, ...]
    """Height x width of the samples, sorted."""


def stored_of(run: Run, scores: Scores | None) -> Stored:
    """Read formats and sizes from ledger and scores or, if an older version scored the run, from image headers."""
    try:
        done = [entry for entry in run.ledger().values() if entry.status == "done" and entry.image]
    except UserError:
        # Code that needs the ledger itself says what is wrong with it.
        done = []
    suffixes = {Path(entry.image or "").suffix.lower() for entry in done}
    formats = {_FORMATS.get(suffix, suffix) for suffix in suffixes}
    sizes = set(map(str, scores.table[SIZE].dropna())) if scores and SIZE in scores.table else set()
    if not sizes and run.record.identity.protocol == "paper":
        sizes = set(_sizes(run.image_path(entry) for entry in done))
    return Stored(tuple(sorted(formats)), tuple(sorted(sizes)))


def _sizes(paths: Iterator[Path]) -> Iterator[str]:
    for path in paths:
        try:
            height, width = image_size(path)
        except SampleError:
            continue
        yield f"{height}x{width}"


def protocol_notes(lead: str, protocol: str, stored: Mapping[str, Stored]) -> Iterator[str]:
    """Yield what a table says of its protocol, given its methods' storage; `lead` if all is stored as usual."""
    usual = protocol_named(protocol).image_format
    formats = {method: own.formats for method, own in stored.items() if own.formats}
    if all(own == (usual,) for own in formats.values()):
        yield lead
    else:
        yield OTHERWISE[protocol]
        yield f"stored as {_each(formats)}"
    sizes = {method: own.sizes for method, own in stored.items() if own.sizes}
    if protocol == "paper" and any(own != (OFFICIAL_SIZE,) for own in sizes.values()):
        yield (
            f"images of {_each(sizes)}: the official script is undefined for them, as its masks are always "
            f"{OFFICIAL_SIZE}; its formulas are applied at the images' own size"
        )


def together(each: Iterable[Stored]) -> Stored:
    """Return the formats and sizes of several runs."""
    all_of = list(each)
    formats, sizes = {name for one in all_of for name in one.formats}, {name for one in all_of for name in one.sizes}
    return Stored(tuple(sorted(formats)), tuple(sorted(sizes)))


def _each(found: Mapping[str, Sequence[str]]) -> str:
    """Return `PNG` or, if methods differ, `JPEG (telea, copy), PNG (mine)`."""
    methods: dict[str, list[str]] = {}
    for method, values in found.items():
        methods.setdefault(" and ".join(values), []).append(method)
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{value} ({', '.join(own)})" for value, own in methods.items())


def of_rows(stored: Mapping[SplitKey, Stored], rows: pd.DataFrame) -> dict[str, Stored]:
    """Return the storage of the runs behind the rows of a summary, by method; rows of two splits have that of both."""
    dataset, protocol = (str(rows.iloc[0][name]) for name in ("dataset", "protocol"))
    methods, splits = set(rows["method"]), set(rows["split"])
    own = {key: one for key, one in stored.items() if (key[0], key[2]) == (dataset, protocol) and key[3] in methods}
    if splits & {key[1] for key in own}:
        own = {key: one for key, one in own.items() if key[1] in splits}
    found: dict[str, Stored] = {}
    for key, one in own.items():
        found[key[3]] = together([found.get(key[3], Stored((), ())), one])
    return found

"""What the images of runs are stored as, and how large they are: what a table may say of its protocol."""

from collections.abc import Iterator, Mapping, Sequence
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
"""Data set, split, protocol and method, as in a table."""
OTHERWISE = {
    "paper": "protocol paper: x3 squared errors, as the official script, which stores JPEG; not all is stored so here, "
    "and what isn't can't be held against published tables",
    "strict": "protocol strict: means over pixels and channels; not comparable with published tables",
}
_FORMATS = {suffix: name for name, suffix in SUFFIX_OF.items()} | {".jpeg": "JPEG"}


@dataclass(frozen=True, slots=True)
class Stored:
    """What one run's images are stored as, and how large; empty where nobody knows."""

    formats: tuple[str, ...]
    """`PNG`, `JPEG`, `WEBP`, sorted."""
    sizes: tuple[str, ...]
    """Height x width of the samples, sorted."""


def stored_of(run: Run, scores: Scores | None) -> Stored:
    """By the run's ledger and its scores; of runs that were scored by an older version the images' headers tell."""
    try:
        done = [entry for entry in run.ledger().values() if entry.status == "done" and entry.image]
    except UserError:
        # Whoever needs the ledger itself says what is wrong with it.
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
    """What a table says of its protocol, whose runs are these, by method; `lead` where all is stored as it says."""
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
            f"images of {_each(sizes)}: the official script is undefined there, as its masks are always "
            f"{OFFICIAL_SIZE}; here its formulas are applied at the images' own size"
        )


def _each(found: Mapping[str, Sequence[str]]) -> str:
    """`PNG`, or `JPEG (telea, copy), PNG (mine)`."""
    methods: dict[str, list[str]] = {}
    for method, values in found.items():
        methods.setdefault(" and ".join(values), []).append(method)
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{value} ({', '.join(own)})" for value, own in methods.items())


def of_rows(stored: Mapping[SplitKey, Stored], rows: pd.DataFrame) -> dict[str, Stored]:
    """The storage of the runs behind the rows of a summary, by method; of rows of two splits, that of both."""
    dataset, protocol = (str(rows.iloc[0][name]) for name in ("dataset", "protocol"))
    methods, splits = set(rows["method"]), set(rows["split"])
    own = {key: one for key, one in stored.items() if (key[0], key[2]) == (dataset, protocol) and key[3] in methods}
    if splits & {key[1] for key in own}:
        own = {key: one for key, one in own.items() if key[1] in splits}
    found: dict[str, Stored] = {}
    for key, one in own.items():
        before = found.get(key[3], Stored((), ()))
        formats, sizes = {*before.formats, *one.formats}, {*before.sizes, *one.sizes}
        found[key[3]] = Stored(tuple(sorted(formats)), tuple(sorted(sizes)))
    return found

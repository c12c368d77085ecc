"""Convert a data set into another format, completely or not at all."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from brushbench.core import atomic
from brushbench.core.errors import UserError, doing, one_line, unknown
from brushbench.core.options import Value
from brushbench.core.progress import ProgressCallback, silent
from brushbench.core.registry import short_name
from brushbench.curation.rows import rows_of, tag_names
from brushbench.curation.sources import find_meant, needed_splits, open_splits, splits_of
from brushbench.curation.targets import FORMATS, Format
from brushbench.datasets.parquet import SUFFIX

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to convert, and to what."""

    target: Path
    dataset: str | None = None
    """Name of the data set; None for the one found in `root`."""
    root: Path | None = None
    splits: Sequence[str] | None = None
    """None for all splits that the format can hold."""
    to: str | None = None
    """A name in `FORMATS`; None to choose by the target's suffix."""
    force: bool = False
    """Replace an existing target."""
    skip_damaged: bool = False
    options: Mapping[str, Value] = field(default_factory=dict)
    """Options of the data set."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The result of a conversion."""

    name: str
    """Name of the data set."""
    splits: Sequence[str]
    to: str
    count: int
    """Number of samples written."""
    damaged: Sequence[str]
    """Ids of the samples that were left out."""
    unchanged: bool
    """Whether the target already existed, byte for byte the same."""


def convert_dataset(request: Conversion, watch: ProgressCallback = silent) -> Converted:
    """Convert a data set; if this is killed midway, the target stays as it was.

    Raises `UserError` for a data set that cannot be read, for a format that cannot hold it, and for an existing target
    that differs, unless `force` is set. A folder that holds something else is never replaced.
    """
    to = request.to or ("parquet" if request.target.suffix == SUFFIX else "brushbench")
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    name, root = find_meant(request.dataset, request.root)
    splits = _splits(name, root, request.splits, to)
    _check_target(request.target, root, FORMATS[to], to)
    datasets = open_splits(name, root, splits, request.options)
    damaged: list[str] = []
    partial = request.target.absolute().with_name(f".{request.target.absolute().name}.partial")
    # Left over from a conversion that was killed.
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows = rows_of(datasets, watch, damaged if request.skip_damaged else None)
        with doing("converting to", request.target):
            count = FORMATS[to].write(partial, rows, tag_names(datasets[splits[0]]))
        if not count:
            raise UserError("no sample could be converted: all are damaged")
        unchanged = request.target.exists() and _same(partial, request.target)
        if not unchanged:
            _put(partial, request.target, force=request.force)
    finally:
        _remove(partial)
    return Converted(short_name(name), splits, to, count, damaged, unchanged)


def _splits(name: str, root: Path | None, requested: Sequence[str] | None, to: str) -> Sequence[str]:
    one = FORMATS[to].one_split
    splits = splits_of(name, root, requested) if requested else needed_splits(name, root)[: 1 if one else None]
    if len(splits) > 1 and (one or (to == "brushbench" and set(splits) != {"inside", "outside"})):
        valid = "one split" if one else "inside,outside or one split"
        raise UserError(one_line(f"{to} holds {valid}, not --split {','.join(splits)}"))
    return splits


def _check_target(target: Path, root: Path | None, form: Format, to: str) -> None:
    """Raise `UserError` for a target that is known to be wrong before any work is done."""
    if root is not None and target.exists() and root.resolve().is_relative_to(target.resolve()):
        raise UserError(one_line(f"{target} is or contains the data set itself; give another --output"))
    if target.exists() and target.is_dir() != bool(form.holds):
        raise UserError(one_line(f"{target} exists and is not a {'folder' if form.holds else 'file'}, which {to} is"))
    others = [path.name for path in _children(target) if not any(fnmatchcase(path.name, each) for each in form.holds)]
    if others:
        raise UserError(one_line(f"{target} has other files, which are never replaced: {', '.join(sorted(others))}"))


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _put(partial: Path, target: Path, *, force: bool) -> None:
    """Replace the target by the new file or folder."""
    empty = target.is_dir() and not _children(target)
    if target.exists() and not (empty or force):
        raise UserError(one_line(f"{target} exists and is different; use --force to replace it"))
    old = partial.with_suffix(".old")
    _remove(old)
    if target.is_dir():
        # A folder can't be renamed over another that isn't empty.
        target.rename(old)
    atomic.sync(partial)
    partial.replace(target)
    atomic.sync(target.absolute().parent)
    _remove(old)


def _same(first: Path, second: Path) -> bool:
    """Tell whether two files, or all files of two folders, are the same byte for byte."""
    if first.is_file() and second.is_file():
        return first.stat().st_size == second.stat().st_size and _equal(first, second)
    files = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (first, second)]
    return files[0] == files[1] and all(_same(first / name, second / name) for name in files[0])


def _equal(first: Path, second: Path) -> bool:
    with first.open("rb") as one, second.open("rb") as other:
        return all(chunk == other.read(_CHUNK) for chunk in iter(lambda: one.read(_CHUNK), b""))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

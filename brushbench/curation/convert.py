"""From one format into another, completely or not at all."""

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
    """None: the one that is in `root`."""
    root: Path | None = None
    splits: Sequence[str] | None = None
    """None: all that the format has room for."""
    to: str | None = None
    """A name in `FORMATS`; None: by the target's suffix."""
    force: bool = False
    """Put it in the place of what is there."""
    skip_damaged: bool = False
    options: Mapping[str, Value] = field(default_factory=dict)
    """The data set's options."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it."""

    name: str
    """The data set's name."""
    splits: Sequence[str]
    to: str
    count: int
    """Samples that were written."""
    damaged: Sequence[str]
    """Ids of those that were left out."""
    unchanged: bool
    """The target was there already, the same byte by byte."""


def convert_dataset(asked: Conversion, watch: ProgressCallback = silent) -> Converted:
    """Convert a data set; killed midway, the target is as it was.

    Raises `UserError` for a data set that can't be read, for a format that can't hold it, and for a target that is
    there and is something else, unless it may be replaced; a folder that holds other things never is.
    """
    to = asked.to or ("parquet" if asked.target.suffix == SUFFIX else "brushbench")
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    name, root = find_meant(asked.dataset, asked.root)
    splits = _splits(name, root, asked.splits, to)
    _check_target(asked.target, root, FORMATS[to], to)
    datasets = open_splits(name, root, splits, asked.options)
    damaged: list[str] = []
    partial = asked.target.absolute().with_name(f".{asked.target.absolute().name}.partial")
    # Of one that was killed.
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows = rows_of(datasets, watch, damaged if asked.skip_damaged else None)
        with doing("converting to", asked.target):
            count = FORMATS[to].write(partial, rows, tag_names(datasets[splits[0]]))
        if not count:
            raise UserError("no sample could be converted: all are damaged")
        unchanged = asked.target.exists() and _same(partial, asked.target)
        if not unchanged:
            _put(partial, asked.target, force=asked.force)
    finally:
        _remove(partial)
    return Converted(short_name(name), splits, to, count, damaged, unchanged)


def _splits(name: str, root: Path | None, asked: Sequence[str] | None, to: str) -> Sequence[str]:
    one = FORMATS[to].one_split
    splits = splits_of(name, root, asked) if asked else needed_splits(name, root)[: 1 if one else None]
    if len(splits) > 1 and (one or (to == "brushbench" and set(splits) != {"inside", "outside"})):
        valid = "one split" if one else "inside,outside or one split"
        raise UserError(one_line(f"{to} holds {valid}: --split {','.join(splits)} is too much"))
    return splits


def _check_target(target: Path, root: Path | None, form: Format, to: str) -> None:
    """What can be known before any work is done."""
    if root is not None and target.exists() and root.resolve().is_relative_to(target.resolve()):
        raise UserError(one_line(f"{target} is or holds the data set itself: valid is another --output"))
    if target.exists() and target.is_dir() != bool(form.holds):
        raise UserError(one_line(f"{target} is there and is no {'folder' if form.holds else 'file'}, which {to} is"))
    others = [path.name for path in _children(target) if not any(fnmatchcase(path.name, each) for each in form.holds)]
    if others:
        raise UserError(one_line(f"{target} holds other things, which are never replaced: {', '.join(sorted(others))}"))


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _put(partial: Path, target: Path, *, force: bool) -> None:
    """The new thing in place of the old one."""
    empty = target.is_dir() and not _children(target)
    if target.exists() and not (empty or force):
        raise UserError(one_line(f"{target} is there and is something else: --force replaces it"))
    old = partial.with_suffix(".old")
    _remove(old)
    if target.is_dir():
        # A folder can't be renamed over another that has something in it.
        target.rename(old)
    atomic.sync(partial)
    partial.replace(target)
    atomic.sync(target.absolute().parent)
    _remove(old)


def _same(first: Path, second: Path) -> bool:
    """Whether two files, or all files of two folders, are the same byte by byte."""
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

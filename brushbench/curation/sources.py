"""Find which data set a folder holds, and which splits it has."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from brushbench.core.dataset_info import STROKES
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.options import Value
from brushbench.core.registry import check_name, dataset_info, is_built_in, load_class
from brushbench.core.types import Dataset
from brushbench.datasets.brushbench import find_mapping_file
from brushbench.datasets.folder import CAPTION_FILES
from brushbench.datasets.locate import locate
from brushbench.datasets.open import open_dataset
from brushbench.datasets.parquet import SUFFIX, find_parquet, splits_in
from brushbench.datasets.places import holds
from brushbench.datasets.plug_in import info_of
from brushbench.datasets.source import check_split

STORED = ("inside", "outside")
"""Splits whose masks are part of the data."""
MADE = (STROKES,)
"""Splits whose masks are drawn when they are read, not stored."""


def find_meant(name: str | None, root: str | Path | None) -> tuple[str, Path | None]:
    """Return name and folder of the data set that is meant; without a name, the one found in `root`.

    Raises `UserError` for an unknown name, and for a folder that does not exist or holds no data set.
    """
    if name is not None:
        check_name("dataset", name)
    folder = Path(root) if root is not None else None
    if folder is not None and not folder.exists():
        raise UserError(one_line(f"no such folder: {folder}"))
    return locate(_kind_of(folder) if name is None and folder else name, folder)


def open_splits(
    name: str, root: Path | None, splits: Sequence[str], options: Mapping[str, Value]
) -> dict[str, Dataset]:
    """Open the data set, with its options, once for each split."""
    return {split: open_dataset(name, root, split, options).data for split in splits}


def splits_of(name: str, root: Path | None, requested: Sequence[str] | None) -> Sequence[str]:
    """Return the requested splits, or all whose masks are stored. Raises `UserError` for an unknown split."""
    if not is_built_in("dataset", name):
        stated = info_of(name, load_class("dataset", name)).splits
        for split in requested or ():
            if stated:
                check_split(split, stated)
        return tuple(dict.fromkeys(requested or stated or STORED[:1]))
    stored = splits_in(root) if name == "parquet" and root else STORED
    valid = dict.fromkeys((*stored, *STORED, *(MADE if _has_strokes(name, root) else ())))
    for split in requested or ():
        if split not in valid:
            raise unknown("split", split, valid)
    return tuple(dict.fromkeys(requested or stored))


def needed_splits(name: str, root: Path | None) -> Sequence[str]:
    """Return the splits from which all others can be derived."""
    if dataset_info(name).complement and not _has_strokes(name, root):
        return STORED[:1]
    return splits_of(name, root, None)


def _has_strokes(name: str, root: Path | None) -> bool:
    return STROKES in dataset_info(name).splits or (
        name == "folder" and root is not None and (root.is_file() or bool(find_mapping_file(root)))
    )


def _kind_of(root: Path) -> str:
    if root.suffix == SUFFIX:
        return "parquet"
    if holds(root, "editbench"):
        return "editbench"
    if root.is_file() or find_mapping_file(root):
        return "brushbench"
    if (root / "images").is_dir() and (root / "masks").is_dir():
        return "folder"
    if find_parquet(root):
        return "parquet"
    own = f"images/, masks/ and {' or '.join(CAPTION_FILES)}"
    valid = f"mapping_file.json and images/, the tables of EditBench, *{SUFFIX}, or {own}"
    raise UserError(one_line(f"{root}: no data set found; valid: {valid}"))

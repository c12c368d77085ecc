"""List a data set's samples without reading pictures, and check a sample in the ways that all formats share."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.options import Value
from brushbench.datasets.defects import DataFinding, DefectError, Report
from brushbench.datasets.names import check_id, one_form
from brushbench.datasets.source import check_caption, check_mask_size, inside_root
from brushbench.imaging.images import Size, read_mask
from brushbench.imaging.masks import decode_rle

INSIDE, OUTSIDE = "inside", "outside"
_OF_RUNS = {"out of bounds": "rle-out-of-bounds", "overlap": "rle-overlap"}
"""Kinds of defects, by words in the errors of `decode_rle`."""


@runtime_checkable
class Listable(Protocol):
    """The class of a data set whose files can be listed without opening it."""

    def listed(
        self, root: Path | None, splits: Sequence[str], options: Mapping[str, Value], report: Report
    ) -> "DataListing | None":
        """List what the files describe and report each defect; None for a layout that can't be listed."""
        ...


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as run lengths, which aren't checked yet."""

    numbers: list[object] | np.ndarray

    def drawn(self, size: Size) -> Bool[Tensor, "h w"]:
        """Draw the mask at this size. Raises `DefectError` if the run lengths are damaged."""
        try:
            return decode_rle(self.numbers, *size)
        except UserError as error:
            kind = next((kind for words, kind in _OF_RUNS.items() if words in str(error)), "rle-malformed")
            raise DefectError(str(error), kind) from error


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask that is stored as a picture."""

    name: str
    """The file, relative to the data set's folder."""
    inverted: bool = False
    """Whether the mask is the complement of the picture."""
    read: Callable[[Path], Bool[Tensor, "1 h w"]] = read_mask


@dataclass(frozen=True, slots=True)
class ListedSample:
    """A sample as described by its data set's files. A field that is None is missing, and has a defect."""

    id: str
    root: Path
    """The data set's folder."""
    image: str | None
    """The image file, relative to that folder."""
    caption: str | None
    masks: Mapping[str, Runs | MaskFile]
    """The masks by split."""
    tags: Mapping[str, str]
    defects: Sequence[DataFinding] = ()

    def failure(self) -> str:
        """Why the sample can't be used, as far as known before its pictures are read; empty if nothing is known."""
        return next((defect.failure for defect in self.defects if defect.failure), "")

    def checked_caption(self) -> str:
        """The caption. Raises `SampleError` for the first defect of the sample, except those of its pictures."""
        check_id(self.id)
        if failure := self.failure():
            raise SampleError(failure)
        caption = self.caption or ""
        check_caption(caption)
        return caption

    def image_file(self) -> Path:
        """The image file. Raises `DefectError` if it is outside the data set's folder."""
        return inside_root(self.root, self.image or "")

    def image_or_none(self) -> Path | None:
        """The image file; None if it is missing from the entry, or outside the data set's folder."""
        try:
            return None if self.image is None else self.image_file()
        except DefectError:
            return None

    def drawn(self, split: str, size: Size) -> Bool[Tensor, "h w"]:
        """The mask of a split, for an image of this size. Raises `SampleError` if it can't be made."""
        source = self.masks[split]
        if isinstance(source, Runs):
            return source.drawn(size)
        mask = source.read(inside_root(self.root, source.name))[0]
        check_mask_size(mask, size)
        return ~mask if source.inverted else mask

    def mask_file(self, split: str) -> Path | None:
        """The file of a split's mask; None if it has none. Raises `DefectError` if it is outside the folder."""
        source = self.masks.get(split)
        return inside_root(self.root, source.name) if isinstance(source, MaskFile) else None


@dataclass(frozen=True, slots=True)
class DataListing:
    """All samples of a data set."""

    files: Sequence[Path]
    """The files that describe the data set."""
    samples: Sequence[ListedSample]
    further: Callable[[], Iterable[DataFinding]]
    """Finds defects of the whole data set that opening it doesn't check for."""
    notes: Sequence[str] = ()
    """Facts worth knowing that aren't defects."""
    one_size: bool = False
    """Whether all images must have the same size, because masks are valid for one size only."""


def stored_split(splits: Collection[str]) -> str:
    """The split to list if masks are stored only for the inside: `outside` if only that is requested."""
    return OUTSIDE if OUTSIDE in splits and INSIDE not in splits else INSIDE


def repeated(where: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names that occur more than once, each with the error for opening the data set, about the most frequent one."""
    counts = Counter(names)
    for name, count in counts.items():
        if count > 1:
            yield name, one_line(f"{where}: {counts.most_common(1)[0][0]!r} occurs twice")


def id_findings(ids: Sequence[str]) -> Iterator[DataFinding]:
    """Find ids that can't be file names, and ids that are the same if case is ignored."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in ids:
        alike[one_form(name).casefold()].append(name)
        try:
            check_id(name)
        except DefectError as error:
            yield error.found_in(name)
    for names in alike.values():
        for name in names[1:]:
            yield DataFinding("ids-alike", name, f"like {names[0]}")


def extra_files(folder: Path, named: set[Path], kind: str, root: Path) -> Iterator[DataFinding]:
    """Find files below a folder that no sample names; hidden files are ignored."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.resolve() not in named and not any(part.startswith(".") for part in inside.parts):
            yield DataFinding(kind, path.relative_to(root).as_posix())

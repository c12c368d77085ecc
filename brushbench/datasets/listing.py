"""What a data set says it has, before any picture is read; and the checks of one sample that all formats share."""

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
from brushbench.datasets.names import one_form
from brushbench.datasets.source import check_caption, check_id, check_mask_size, inside_root
from brushbench.imaging.images import Size, read_mask
from brushbench.imaging.masks import decode_rle

INSIDE, OUTSIDE = "inside", "outside"
_OF_RUNS = {"out of bounds": "rle-out-of-bounds", "overlap": "rle-overlap"}
"""By what `decode_rle` says."""


@runtime_checkable
class Listable(Protocol):
    """The class of a data set whose files can be listed without opening it."""

    def listed(
        self, root: Path | None, splits: Sequence[str], options: Mapping[str, Value], report: Report
    ) -> "DataListing | None":
        """What the files say, each defect reported; None for a layout that only its reader knows."""
        ...


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as run lengths, unchecked."""

    numbers: list[object] | np.ndarray

    def drawn(self, size: Size) -> Bool[Tensor, "h w"]:
        """The mask on an image of this size. Raises `DefectError` if they are damaged."""
        try:
            return decode_rle(self.numbers, *size)
        except UserError as error:
            kind = next((kind for words, kind in _OF_RUNS.items() if words in str(error)), "rle-malformed")
            raise DefectError(str(error), kind) from error


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask that is made from a picture."""

    name: str
    """Below the data set's folder."""
    inverted: bool = False
    """The mask is what the picture leaves."""
    read: Callable[[Path], Bool[Tensor, "1 h w"]] = read_mask


@dataclass(frozen=True, slots=True)
class ListedSample:
    """A sample as the files that describe its data set have it. What is None is missing, and among the defects."""

    id: str
    root: Path
    """The data set's folder."""
    image: str | None
    """The name of its file below that folder."""
    caption: str | None
    masks: Mapping[str, Runs | MaskFile]
    """By split."""
    tags: Mapping[str, str]
    defects: Sequence[DataFinding] = ()

    def failure(self) -> str:
        """Why it can't be used, of what is known before a picture is read; empty if it may be."""
        return next((defect.failure for defect in self.defects if defect.failure), "")

    def checked_caption(self) -> str:
        """Raises `SampleError` for the first thing that is wrong with the sample, but for its pictures."""
        check_id(self.id)
        if failure := self.failure():
            raise SampleError(failure)
        caption = self.caption or ""
        check_caption(caption)
        return caption

    def image_file(self) -> Path:
        """Raises `DefectError` if it is outside of the data set's folder."""
        return inside_root(self.root, self.image or "")

    def image_or_none(self) -> Path | None:
        """None if it has none that it may have."""
        try:
            return None if self.image is None else self.image_file()
        except DefectError:
            return None

    def drawn(self, split: str, size: Size) -> Bool[Tensor, "h w"]:
        """The mask of one of its splits, for an image of this size. Raises `SampleError`."""
        source = self.masks[split]
        if isinstance(source, Runs):
            return source.drawn(size)
        mask = source.read(inside_root(self.root, source.name))[0]
        check_mask_size(mask, size)
        return ~mask if source.inverted else mask

    def mask_file(self, split: str) -> Path | None:
        """The file that a mask is made from, None if it is none. Raises `DefectError` for one that is elsewhere."""
        source = self.masks.get(split)
        return inside_root(self.root, source.name) if isinstance(source, MaskFile) else None


@dataclass(frozen=True, slots=True)
class DataListing:
    """All samples of a data set."""

    files: Sequence[Path]
    """The files that describe the data set."""
    samples: Sequence[ListedSample]
    further: Callable[[], Iterable[DataFinding]]
    """Looks for what is wrong with all of it that opening it doesn't ask for."""
    notes: Sequence[str] = ()
    """What a reader wants to know that isn't wrong."""
    one_size: bool = False
    """All images must have the same size, because the masks mean nothing on another."""


def stored_split(splits: Collection[str]) -> str:
    """Where masks are stored for the inside alone: the one of these splits that they are looked at for."""
    return OUTSIDE if OUTSIDE in splits and INSIDE not in splits else INSIDE


def repeated(where: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names that occur more than once, each with why the data set can't be opened: for the most frequent one."""
    counts = Counter(names)
    for name, count in counts.items():
        if count > 1:
            yield name, one_line(f"{where}: {counts.most_common(1)[0][0]!r} occurs twice")


def id_findings(ids: Sequence[str]) -> Iterator[DataFinding]:
    """Ids that can't be file names, and such as are one name on a system where case doesn't count."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in ids:
        alike[one_form(name).casefold()].append(name)
        try:
            check_id(name)
        except DefectError as error:
            yield error.found_in(name)
    for names in alike.values():
        for name in names[1:]:
            yield DataFinding("ids-alike", name, f"as {names[0]}")


def extra_files(folder: Path, named: set[Path], kind: str, root: Path) -> Iterator[DataFinding]:
    """Files below a folder that aren't among those that samples name; hidden ones don't count."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.resolve() not in named and not any(part.startswith(".") for part in inside.parts):
            yield DataFinding(kind, path.relative_to(root).as_posix())

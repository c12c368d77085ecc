"""Read EditBench: 240 pictures with masks and three kinds of prompts (Imagen Editor, arXiv:2212.06909, section 4)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, final

from PIL import Image
from pydantic import Field

from brushbench.core.concurrency import THREADS
from brushbench.core.errors import UserError, one_line
from brushbench.core.options import Value
from brushbench.core.types import Sample
from brushbench.datasets.brushbench import BRUSH, BrushBench, brush_mask
from brushbench.datasets.defects import Report
from brushbench.datasets.editbench_layouts import ALL, FOLDER, PROMPTS, AnnotationTable, find_layout, read_tables
from brushbench.datasets.editbench_masks import closed, isolated_share
from brushbench.datasets.listing import DataListing
from brushbench.datasets.mapping import read_mapping
from brushbench.datasets.source import Indexed, check_painted, check_split, digest_of_parts, existing_folder, iterate
from brushbench.imaging.pictures import resized_image, resized_mask

SPLITS = ("inside", "outside", BRUSH)
MAX_SIDE = 4096
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EditBenchOptions:
    """Which part of EditBench is read, and how. The defaults are the settings of BrushNet's paper."""

    prompt: Literal["full", "mask-simple", "mask-rich"] = "full"
    """What the caption describes: the whole picture, or an object in the mask, alone or with its attributes."""
    subset: Literal["all", "natural", "generated"] = "all"
    """Which pictures are read: photographs (`natural`), pictures of text-to-image models, or all."""
    close_holes: Annotated[int, Field(ge=0)] = 0
    """Fill holes of up to this many pixels in a mask, before it is resized. Unit: pixels."""
    size: Annotated[int, Field(ge=8, le=MAX_SIDE, multiple_of=8)] = 512
    """Side of images and masks. Layout C, which is already resized, is reduced if it is larger, but never enlarged.
    Unit: pixels."""


class _StoredSamples(Indexed, Protocol):
    """The stored samples of all subsets, with the masks of the split `inside`."""

    def tags(self) -> Mapping[str, Mapping[str, str]]: ...

    def digest(self) -> str: ...


@final
class EditBench:
    """One split of EditBench, in any of the layouts that it circulates in.

    `inside` uses the masks as stored, `outside` their complement, and `brush` draws strokes as for BrushBench. Pictures
    are resized bicubically and masks by nearest neighbours; a picture that isn't square is stretched.
    """

    Options = EditBenchOptions

    def __init__(self, source: _StoredSamples, split: str, options: EditBenchOptions, *, enlarge: bool) -> None:
        check_split(split, SPLITS)
        self.name = "editbench"
        self.split = split
        self._source = source
        self._options = options
        self._enlarge = enlarge
        self._tags = source.tags()
        wanted = options.subset
        self._kept = [index for index, name in enumerate(source.ids) if wanted in ("all", self._subset_of(name))]
        self._ids = tuple(source.ids[index] for index in self._kept)
        if not self._kept:
            found = sorted({subset for name in source.ids if (subset := self._subset_of(name))})
            raise UserError(
                f"data set 'editbench': no {wanted} pictures in this copy; valid: {', '.join(['all', *found])}"
            )

    @staticmethod
    def listed(
        root: Path | None, splits: Sequence[str], options: Mapping[str, Value], report: Report
    ) -> DataListing | None:
        """See `Listable`."""
        layout, subset = find_layout(root) if root else None, str(options.get("subset", ALL))
        if layout and layout.kind != "C":
            return read_tables(layout, str(options.get("prompt", PROMPTS[0])), splits, report, subset)
        # With a subset of layout C, the files of the other subset would be reported as extra.
        return read_mapping(layout.files[0], splits, report) if layout and subset == ALL else None

    @classmethod
    def open(cls, root: str | Path | None, split: str, options: EditBenchOptions) -> "EditBench":
        """Open EditBench; `root` is its folder, the folder above it, a mapping file, or a table of layout B.

        Raises `UserError` for a folder without EditBench, for a damaged table, and for prompts that the copy lacks.
        Logs a warning if masks are made from black pixels, or if the archive has only one subset.
        """
        path = existing_folder(root, "editbench")
        layout = find_layout(path)
        if layout is None:
            valid = "annotations_*.csv, a table with masked_image_path, or mapping_file.json"
            raise UserError(one_line(f"{path}: found EditBench neither here nor in {FOLDER}/; valid: {valid}"))
        if layout.kind == "C":
            if options.prompt != "full":
                raise UserError(one_line(f"{layout.files[0]} has no prompts {options.prompt!r}; valid: full"))
            return cls(BrushBench(layout.files[0], "inside", name="editbench"), split, options, enlarge=False)
        if layout.kind == "A":
            if len(layout.files) == 1 and options.subset == "all":
                _LOG.warning(one_line(f"editbench: half of the data set is missing: found only {layout.files[0]}"))
            return cls(AnnotationTable(layout, options.prompt), split, options, enlarge=True)
        table = AnnotationTable(layout, options.prompt)
        dataset = cls(table, split, options, enlarge=True)
        if split != BRUSH:
            _LOG.warning(dataset.warning_of_black(table))
        return dataset

    @property
    def ids(self) -> Sequence[str]:
        """`natural-<aos>` and `generated-<aos>`; the keys of the mapping file in layout C."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """`subset`, and what else the tables say of a picture, as `attribute`, `object` or `scene`."""
        return {name: self._tags[name] for name in self.ids}

    def digest(self) -> str:
        """Hash of the options, and of every table, image and mask."""
        return digest_of_parts([repr(self._options).encode(), self._source.digest().encode()])

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        stored = self._source[self._kept[index]]
        image, mask = stored.image, closed(stored.mask, self._options.close_holes)
        size = self._options.size
        if self._enlarge or max(image.shape[1:]) > size:
            image, mask = resized_image(image, size, size, Image.Resampling.BICUBIC), resized_mask(mask, size, size)
        if self.split == BRUSH:
            mask = brush_mask(stored.id, image.shape[1], image.shape[2])[None]
        elif self.split == "outside":
            mask = ~mask
        check_painted(mask)
        return Sample(stored.id, image, mask, stored.caption, stored.tags)

    def warning_of_black(self, table: AnnotationTable) -> str:
        """Say in one line how reliable the masks of layout B are. Decodes every masked image once."""
        files = {table.ids[index]: table.mask_file(index) for index in self._kept}
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(lambda file: file and isolated_share(file), files.values())
            shares = {name: share for name, share in zip(files, found, strict=True) if share is not None}
        if not shares:
            return "editbench: masks are the black pixels of masked images, but none of these can be read"
        worst = max(shares, key=lambda name: shares[name])
        mean = sum(shares.values()) / len(shares)
        return one_line(
            "editbench: masks are the black pixels of masked images, so black parts of a picture count as masked: "
            f"{mean:.2%} of the mask pixels are isolated, up to {shares[worst]:.2%} in {worst}; "
            "--data-option close_holes=N fills holes of up to N pixels"
        )

    def _subset_of(self, name: str) -> str | None:
        return self._tags[name].get("subset")

"""Read BrushBench and other data sets in its format: `images/`, and a mapping file with captions and masks."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import final

from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import interpolate

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.options import Value
from brushbench.core.types import Sample
from brushbench.datasets.defects import Report, refuse
from brushbench.datasets.listing import DataListing, ListedSample
from brushbench.datasets.mapping import COMPLETE, MAPPING_FILES, MASK_KEYS, MISSPELT, read_mapping
from brushbench.datasets.source import check_painted, check_split, digest_of_parts, existing_folder, iterate, usual_size
from brushbench.imaging.images import Size, read_image, size_or_none
from brushbench.imaging.masks import brush_strokes

FOLDERS = (".", "BrushBench", MISSPELT)
"""Folders below the root that may contain the mapping file; the last is misspelt in the authors' README."""
BRUSH = "brush"
MAX_ATTEMPTS = 100
STROKE_SIDE = 512
"""Brush strokes are drawn at this size, and resized for pictures of another size."""


@final
class BrushBench:
    """One split of a data set in BrushBench's format.

    A damaged mapping file raises `UserError` when it is opened; a damaged entry raises `SampleError` when its sample
    is requested. All images of a data set must have the size that most of them have, as the masks' run lengths are
    valid only for that size. Tags come from the entries and from `tags.csv`.
    """

    def __init__(self, mapping_file: Path, split: str, name: str = "brushbench") -> None:
        check_split(split, (*MASK_KEYS, BRUSH))
        self.name = name
        self.split = split
        self._mapping_file = mapping_file
        self._samples = read_mapping(mapping_file, [split], refuse).samples
        self._ids = tuple(sample.id for sample in self._samples)

    @staticmethod
    def listed(
        root: Path | None, splits: Sequence[str], _options: Mapping[str, Value], report: Report
    ) -> DataListing | None:
        """See `Listable`; for BrushBench itself, the notes also say whether the copy is complete."""
        mapping_file = root if root is None or root.is_file() else find_mapping_file(root)
        return read_mapping(mapping_file, splits, report, COMPLETE) if mapping_file else None

    @classmethod
    def open(cls, root: str | Path | None, split: str) -> "BrushBench":
        """`root` is the folder with the mapping file, the folder above it, or the file itself."""
        path = existing_folder(root, "brushbench")
        mapping_file = path if path.is_file() else find_mapping_file(path)
        if mapping_file is None:
            raise UserError(one_line(f"no {' or '.join(MAPPING_FILES)} in {path}"))
        return cls(mapping_file, split)

    @property
    def ids(self) -> Sequence[str]:
        """The keys of the mapping file in its order, in Unicode's form NFC."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags from the mapping file and from `tags.csv`, which overrides the mapping file."""
        return {sample.id: sample.tags for sample in self._samples}

    def image_file(self, index: int) -> Path | None:
        """See `OnDisk`."""
        return _image_of(self._samples[index])

    def digest(self) -> str:
        """Hash of the mapping file and of every image that it names."""
        return digest_of_parts([self._mapping_file, *map(_image_of, self._samples)])

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples[index]
        caption = sample.checked_caption()
        image = read_image(sample.image_file())
        height, width = image.shape[1:]
        if (height, width) != self._size:
            expected = "x".join(map(str, self._size or ()))
            raise SampleError(one_line(f"{sample.image}: {height}x{width}, the data set is {expected}"))
        mask = brush_mask(sample.id, height, width) if self.split == BRUSH else self._drawn(sample, (height, width))
        return Sample(sample.id, image, mask[None], caption, sample.tags)

    def _drawn(self, sample: ListedSample, size: Size) -> Bool[Tensor, "h w"]:
        key = MASK_KEYS[self.split]
        if self.split not in sample.masks:
            raise SampleError(f"mapping file: {key}: a list of runs is required")
        mask = sample.drawn(self.split, size)
        check_painted(mask, key)
        return mask

    @cached_property
    def _size(self) -> Size | None:
        return usual_size(map(size_or_none, map(_image_of, self._samples)))


def find_mapping_file(root: Path) -> Path | None:
    """The mapping file in `root` or in the data set's folder below it; None if there is none."""
    candidates = (root / folder / name for folder in FOLDERS for name in MAPPING_FILES)
    return next((path for path in candidates if path.is_file()), None)


def _image_of(sample: ListedSample) -> Path | None:
    """The image file of a sample; None for a damaged entry and for a file outside the data set's folder."""
    return None if sample.failure() else sample.image_or_none()


def brush_mask(sample_id: str, height: int, width: int) -> Bool[Tensor, "h w"]:
    """Draw a sample's mask for the brush split, from the first seed made from its id that gives any stroke."""
    for attempt in range(MAX_ATTEMPTS):
        seed = int.from_bytes(hashlib.sha256(f"brush:{sample_id}:{attempt}".encode()).digest()[:4])
        strokes = brush_strokes(STROKE_SIDE, STROKE_SIDE, seed)
        if (height, width) != strokes.shape:
            strokes = interpolate(strokes[None, None].float(), size=(height, width))[0, 0] > 0
        if strokes.numpy().any():
            return strokes
    raise SampleError(f"no brush stroke covers a pixel of a {height}x{width} picture")

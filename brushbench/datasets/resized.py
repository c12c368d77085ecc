"""Bring samples of any size to one size: `--size`, and the options `size` and `fit` of a folder of one's own."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from pydantic import BeforeValidator
from torch import Tensor

from brushbench.core.errors import SampleError, UserError
from brushbench.core.sizes import LARGEST, SMALLEST, checked_size
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.source import digest_of_parts, iterate
from brushbench.imaging.padding import mirrored
from brushbench.imaging.pictures import resized_image, resized_mask

LANCZOS = Image.Resampling.LANCZOS
_SIZE = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?")


def _size(value: object) -> object:
    """Normalise a size: `512`, `512x512` and the number 512 all become `512`."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ValueError(f"valid: N, a square, and WIDTHxHEIGHT, with sides of {SMALLEST} to {LARGEST} pixels")
    return str(width) if width == height else f"{width}x{height}"


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How pictures are brought to one size. Without `size`, they keep theirs."""

    size: Annotated[str, BeforeValidator(_size)] | None = None
    """Side of a square, or `WIDTHxHEIGHT`. Unit: pixels."""
    fit: Literal["crop", "pad", "stretch"] | None = None
    """`crop` (the default): scale the shorter side to the size, and keep the middle of the longer one. `pad`: scale the
    longer side, and mirror the image at the right or bottom, where it counts as known. `stretch`: scale both sides."""

    def __post_init__(self) -> None:
        if self.size is None and self.fit is not None:
            raise UserError(f"fit={self.fit} needs a size; valid: size=N or size=WIDTHxHEIGHT with it")
        if self.size is not None and self.fit is None:
            # Stored explicitly: a run records what was done, and is the same whether or not `fit=crop` is given.
            object.__setattr__(self, "fit", "crop")

    @property
    def target(self) -> tuple[int, int]:
        """The size as (height, width)."""
        width, _, height = str(self.size).partition("x")
        return int(height or width), int(width)


def resized(data: Dataset, size: int) -> "Resized":
    """A data set whose samples are squares of this size: the shorter side is scaled, and the middle is kept."""
    return Resized(data, squares(size))


def squares(size: int) -> FolderOptions:
    """The options for squares of a size. Raises `UserError` for a size that isn't valid."""
    return FolderOptions(size=str(checked_size(size)))


@final
class Resized:
    """A data set with all samples resized to one size: images by a Lanczos filter, masks by nearest neighbours."""

    def __init__(self, inner: Dataset, options: FolderOptions) -> None:
        self.name = inner.name
        self.split = inner.split
        self._inner = inner
        self._options = options

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in order."""
        return self._inner.ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of every id."""
        return self._inner.tags()

    def digest(self) -> str:
        """Hash of the options and of every byte of the data set."""
        return digest_of_parts([repr(self._options).encode(), self._inner.digest().encode()])

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        return resized_sample(self._inner[index], self._options)


def resized_sample(sample: Sample, options: FolderOptions) -> Sample:
    """Resize one sample to the size of the options. Raises `SampleError` if nothing is left of its mask."""
    image, mask = fitted(sample.image, sample.mask, options)
    if not mask.any():
        height, width = options.target
        raise SampleError(f"mask is empty at {height}x{width}: there is nothing to inpaint")
    return Sample(sample.id, image, mask, sample.caption, sample.tags)


def fitted(
    image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"], options: FolderOptions
) -> tuple[UInt8[Tensor, "3 H W"], Bool[Tensor, "1 H W"]]:
    """Resize an image and its mask to the size of the options."""
    height, width = options.target
    old_height, old_width = image.shape[1:]
    scales = height / old_height, width / old_width
    if options.fit == "crop":
        # Crop first: a very long picture, enlarged as a whole, could fill the memory. The crop starts at a whole pixel.
        part_height, part_width = (min(old_height, height / max(scales)), min(old_width, width / max(scales)))
        top, left = int((old_height - part_height) / 2), int((old_width - part_width) / 2)
        box = (left, top, left + part_width, top + part_height)
        return resized_image(image, height, width, LANCZOS, box), resized_mask(mask, height, width, box)
    box = (0, 0, old_width, old_height)
    if options.fit == "stretch":
        return resized_image(image, height, width, LANCZOS, box), resized_mask(mask, height, width, box)
    # No side may be rounded to 0.
    inner_height, inner_width = (max(1, round(side * min(scales))) for side in (old_height, old_width))
    known = torch.zeros(1, height, width, dtype=torch.bool)
    known[:, :inner_height, :inner_width] = resized_mask(mask, inner_height, inner_width, box)
    rows, columns = mirrored(inner_height, height), mirrored(inner_width, width)
    return resized_image(image, inner_height, inner_width, LANCZOS, box)[:, rows][:, :, columns], known

"""Samples of any size brought to one: what the options `size` and `fit` of a folder of one's own do."""

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
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.source import digest_of_parts, iterate
from brushbench.imaging.padding import mirrored
from brushbench.imaging.pictures import resized_image, resized_mask

SMALLEST, LARGEST = 8, 4096
LANCZOS = Image.Resampling.LANCZOS
_SIZE = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?")


def _size(value: object) -> object:
    """`512`, `512x512` and the number 512 are one size, with one text."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ValueError(f"valid are N, a square, and WIDTHxHEIGHT, with sides of {SMALLEST} to {LARGEST} pixels")
    return str(width) if width == height else f"{width}x{height}"


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """What becomes of pictures of any size. With no `size`, nothing."""

    size: Annotated[str, BeforeValidator(_size)] | None = None
    """Side of a square, or `WIDTHxHEIGHT`, pixels."""
    fit: Literal["crop", "pad", "stretch"] | None = None
    """`crop` (None): the shorter side is brought to the size, and of the longer one the middle is taken. `pad`: the
    longer side is, and the image is mirrored at the right or the bottom, where it is known. `stretch`: both are."""

    def __post_init__(self) -> None:
        if self.size is None and self.fit is not None:
            raise UserError(f"fit={self.fit} needs a size; valid: size=N or size=WIDTHxHEIGHT with it")
        if self.size is not None and self.fit is None:
            # So that a run says what was done, and is the same run as one for which it was named.
            object.__setattr__(self, "fit", "crop")

    @property
    def target(self) -> tuple[int, int]:
        """(height, width)."""
        width, _, height = str(self.size).partition("x")
        return int(height or width), int(width)


@final
class Resized:
    """A data set whose samples are brought to one size: images by Lanczos' filter, masks by nearest neighbours."""

    def __init__(self, inner: Dataset, options: FolderOptions) -> None:
        self.name = inner.name
        self.split = inner.split
        self._inner = inner
        self._options = options

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the folder's samples."""
        return self._inner.ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of the folder's samples, by id."""
        return self._inner.tags()

    def digest(self) -> str:
        """Hash of the options and of every byte of the data set."""
        return digest_of_parts([repr(self._options).encode(), self._inner.digest().encode()])

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        stored = self._inner[index]
        image, mask = fitted(stored.image, stored.mask, self._options)
        if not mask.any():
            height, width = self._options.target
            raise SampleError(f"mask is empty at {height}x{width}: there is nothing to paint")
        return Sample(stored.id, image, mask, stored.caption, stored.tags)


def fitted(
    image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"], options: FolderOptions
) -> tuple[UInt8[Tensor, "3 H W"], Bool[Tensor, "1 H W"]]:
    """Image and mask at the size of the options."""
    height, width = options.target
    old_height, old_width = image.shape[1:]
    scales = height / old_height, width / old_width
    if options.fit == "crop":
        # Cut before it is enlarged: of a very long picture, the whole would fill the memory. Whole pixels are left out.
        part_height, part_width = (min(old_height, height / max(scales)), min(old_width, width / max(scales)))
        top, left = int((old_height - part_height) / 2), int((old_width - part_width) / 2)
        box = (left, top, left + part_width, top + part_height)
        return resized_image(image, height, width, LANCZOS, box), resized_mask(mask, height, width, box)
    box = (0, 0, old_width, old_height)
    if options.fit == "stretch":
        return resized_image(image, height, width, LANCZOS, box), resized_mask(mask, height, width, box)
    # Rounded, no side may vanish.
    inner_height, inner_width = (max(1, round(side * min(scales))) for side in (old_height, old_width))
    known = torch.zeros(1, height, width, dtype=torch.bool)
    known[:, :inner_height, :inner_width] = resized_mask(mask, inner_height, inner_width, box)
    rows, columns = mirrored(inner_height, height), mirrored(inner_width, width)
    return resized_image(image, inner_height, inner_width, LANCZOS, box)[:, rows][:, :, columns], known

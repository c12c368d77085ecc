"""Pad images for methods that need sides of a multiple of some number, and crop the results."""

from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Batch

ATTRIBUTE = "side_multiple"
"""The attribute in which a method states the number that both sides of its images must be multiples of."""
LARGEST = 1024


# Any: the class of a method, and its object, of which nothing else is known here.
def side_multiple(name: str, cls: Any, method: Any) -> int:
    """The number that both sides of a method's images must be multiples of; 1 if the method states none.

    Raises `UserError` for anything but a whole number from 1 to `LARGEST`.
    """
    stated = getattr(method, ATTRIBUTE, getattr(cls, ATTRIBUTE, 1))
    if not isinstance(stated, int) or isinstance(stated, bool) or not 1 <= stated <= LARGEST:
        raise UserError(
            one_line(f"method {name!r}: its {ATTRIBUTE} is {stated!r}; valid: whole numbers from 1 to {LARGEST}")
        )
    return stated


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Height and width, each rounded up to a multiple."""
    return height + -height % multiple, width + -width % multiple


def padded(batch: Batch, multiple: int) -> Batch:
    """Pad a batch at the right and the bottom to the next multiples, by mirroring.

    The mask is mirrored with the image. If the padding counted as known, a hole that reaches the edge would end at the
    edge, and the method would see the mirrored content of the hole, which is part of the answer. With a mirrored mask
    the hole continues, and the boundary between known and painted pixels crosses the edge without a corner.

    An image smaller than its padding is mirrored back and forth; a single pixel is repeated.
    """
    height, width = batch.images.shape[2:]
    new_height, new_width = padded_size(height, width, multiple)
    if (new_height, new_width) == (height, width):
        return batch
    rows, columns = mirrored(height, new_height), mirrored(width, new_width)
    images, masks = (tensor[:, :, rows][:, :, :, columns] for tensor in (batch.images, batch.masks))
    return Batch(batch.ids, images, masks, batch.captions)


def cut_back(images: UInt8[Tensor, "n 3 H W"], batch: Batch) -> UInt8[Tensor, "n 3 h w"]:
    """Crop the images for a padded batch to the size of the original batch."""
    height, width = batch.images.shape[2:]
    return images[:, :, :height, :width].contiguous()


def mirrored(side: int, new_side: int) -> list[int]:
    """For each row of the padded image, the index of the row that it copies; columns work alike."""
    return [int(row) for row in np.pad(np.arange(side), (0, new_side - side), mode="reflect")]

"""Pictures of any size for methods that paint only multiples of some number: padded, painted, and cut back."""

from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Batch

ATTRIBUTE = "side_multiple"
"""What a method calls the number that both sides of its images must be multiples of."""
LARGEST = 1024


# Any: the class of a method and an object of it, of which nothing else is known here.
def side_multiple(name: str, cls: Any, method: Any) -> int:
    """What both sides of a method's images must be multiples of, as it states; 1 for one that takes any size.

    Raises `UserError` for something else than a whole number from 1 to `LARGEST`.
    """
    stated = getattr(method, ATTRIBUTE, getattr(cls, ATTRIBUTE, 1))
    if not isinstance(stated, int) or isinstance(stated, bool) or not 1 <= stated <= LARGEST:
        raise UserError(
            one_line(f"method {name!r}: its {ATTRIBUTE} is {stated!r}; valid are whole numbers from 1 to {LARGEST}")
        )
    return stated


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Height and width, each raised to the next multiple."""
    return height + -height % multiple, width + -width % multiple


def padded(batch: Batch, multiple: int) -> Batch:
    """The batch, mirrored beyond the right and the bottom edge up to the next multiples.

    The mask is mirrored with the image. Were the padding known, a hole that reaches the edge would end there, and the
    method would be shown what lies mirrored inside the hole: part of the answer. Mirrored, the hole goes on, and the
    boundary between known and painted pixels crosses the edge without a corner.

    A picture that is smaller than its padding is mirrored to and fro; one pixel is repeated.
    """
    height, width = batch.images.shape[2:]
    new_height, new_width = padded_size(height, width, multiple)
    if (new_height, new_width) == (height, width):
        return batch
    rows, columns = mirrored(height, new_height), mirrored(width, new_width)
    images, masks = (tensor[:, :, rows][:, :, :, columns] for tensor in (batch.images, batch.masks))
    return Batch(batch.ids, images, masks, batch.captions)


def cut_back(images: UInt8[Tensor, "n 3 H W"], batch: Batch) -> UInt8[Tensor, "n 3 h w"]:
    """What was painted on a padded batch, at the size of the batch as it was."""
    height, width = batch.images.shape[2:]
    return images[:, :, :height, :width].contiguous()


def mirrored(side: int, new_side: int) -> list[int]:
    """Which row of the picture each row of the padded one is."""
    return [int(row) for row in np.pad(np.arange(side), (0, new_side - side), mode="reflect")]

"""Make EditBench's masks from black pixels, and fill their small holes."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.imaging.images import read_image

BLACK = 15
"""A pixel counts as black if the sum of its red, green and blue is below this."""


def black_mask(path: Path) -> Bool[Tensor, "1 h w"]:
    """The black pixels of a masked image. Raises `SampleError` if it can't be read."""
    return (read_image(path).sum(dim=0, dtype=torch.int16) < BLACK)[None]


def isolated_share(path: Path) -> float | None:
    """The share of a masked image's black pixels that touch no other black pixel, not even at a corner.

    None if the image can't be read, or has no black pixel.
    """
    try:
        return _isolated_share(path, path.stat().st_mtime_ns)
    except (OSError, SampleError):
        return None


@cache
def _isolated_share(path: Path, _changed: int) -> float | None:
    black = black_mask(path)[0].numpy()
    if not black.any():
        return None
    framed = np.pad(black, 1)
    beside = framed[:, :-2] | framed[:, 2:]
    row = beside | framed[:, 1:-1]
    near = row[:-2] | row[2:] | beside[1:-1]
    return float((black & ~near).sum() / black.sum())


def closed(mask: Bool[Tensor, "1 h w"], largest: int) -> Bool[Tensor, "1 h w"]:
    """Fill a mask's holes of up to `largest` pixels: known parts that don't reach the border.

    Pixels that touch only at a corner are not connected.
    """
    if largest == 0:
        return mask
    # Imported here, because the import takes longer than most commands.
    from scipy import ndimage

    parts, count = ndimage.label(~mask[0].numpy())
    hole = np.bincount(parts.ravel(), minlength=count + 1) <= largest
    # Part 0 is the mask itself.
    hole[[0, *parts[0], *parts[-1], *parts[:, 0], *parts[:, -1]]] = False
    return mask | torch.from_numpy(hole[parts])[None]

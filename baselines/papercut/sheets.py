"""Sheets of pictures that show what a part has learned."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.utils import make_grid

from brushbench.core.types import Batch, Method
from brushbench.imaging.masks import erase


def grid(rows: Sequence[UInt8[Tensor, "n 3 h w"]]) -> UInt8[Tensor, "3 H W"]:
    """One picture with a row for each batch of images."""
    return make_grid(torch.cat(list(rows)), nrow=len(rows[0]), padding=2, pad_value=255)


def sheet_of(method: Method, batch: Batch) -> UInt8[Tensor, "3 H W"]:
    """Rows of scenes, masked scenes and the method's results."""
    return grid([batch.images, erase(batch.images, batch.masks), method(batch, range(len(batch)))])

"""Convert tensors to Pillow images, and resize them with Pillow."""

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

Number = int | float
Box = tuple[Number, Number, Number, Number]
"""Left, top, right and bottom of a part, in pixels."""


def to_picture(image: UInt8[Tensor, "3 h w"]) -> Image.Image:
    """The tensor as a Pillow image with the same pixels."""
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def resized_image(
    image: UInt8[Tensor, "3 h w"], height: int, width: int, resampling: Image.Resampling, box: Box | None = None
) -> UInt8[Tensor, "3 H W"]:
    """Resize an image, or the part in `box`. Pillow widens its filters when it reduces, which prevents aliasing."""
    pixels = np.array(to_picture(image).resize((width, height), resampling, box))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def resized_mask(mask: Bool[Tensor, "1 h w"], height: int, width: int, box: Box | None = None) -> Bool[Tensor, "1 H W"]:
    """Resize a mask, or the part in `box`, by nearest neighbours."""
    picture = Image.fromarray(mask[0].numpy().astype(np.uint8))
    return torch.from_numpy(np.array(picture.resize((width, height), Image.Resampling.NEAREST, box)) > 0)[None]

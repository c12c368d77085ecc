"""Crop pictures to what surrounds the mask, and enlarge the crop so that single pixels can be seen."""

from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from brushbench.imaging.pictures import to_picture
from brushbench.imaging.sheets import LARGEST

MARGIN = 1 / 8
"""Width of the surroundings on every side, as a share of the longer side of the mask's box."""
LEAST = 8
"""Least width of the surroundings in pixels."""


def surroundings(image: UInt8[Tensor, "3 _ _"], mask: Bool[Tensor, "1 h w"]) -> UInt8[Tensor, "3 _ _"]:
    """The image cropped to the box of the mask with a margin; whole if it has another size or the mask is empty."""
    rows, columns = mask[0].any(dim=1).nonzero(), mask[0].any(dim=0).nonzero()
    if not len(rows) or image.shape[1:] != mask.shape[1:]:
        return image
    ends = [(int(found[0]), int(found[-1]) + 1) for found in (rows, columns)]
    margin = max(LEAST, round(MARGIN * max(last - first for first, last in ends)))
    (top, bottom), (left, right) = ((max(0, first - margin), last + margin) for first, last in ends)
    return image[:, top:bottom, left:right]


def enlarged(image: UInt8[Tensor, "3 h w"], longest: int = LARGEST) -> Image.Image:
    """Convert an image to a picture whose longer side is `longest`; pixels of a smaller image stay sharp squares."""
    height, width = image.shape[1:]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return to_picture(image).resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)

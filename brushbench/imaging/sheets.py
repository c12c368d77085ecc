"""What sheets of pictures are drawn with: colours, distances, pictures made smaller, lines of text that fit."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFont
from torch import Tensor

from brushbench.core.errors import one_line

LARGEST = 256
"""Longer sides are reduced to it, pixels."""
GAP, LINE, TEXT = 6, 17, 13
"""Pixels between pictures, between lines of text, and the height of a letter."""
PAPER, INK, GREY = (255, 255, 255), (40, 40, 40), (120, 120, 120)


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """So many of them, from the first to the last; all, if there are no more."""
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, min(count, len(indices)))]


def reduced(image: UInt8[Tensor, "3 h w"]) -> Image.Image:
    """As a picture, no side longer than `LARGEST`."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """One line without control characters, cut with dots where it would be too long."""
    line = one_line(text)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."

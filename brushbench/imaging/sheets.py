"""Sheets of pictures with lines of text: functions lay them out, and `draw` draws the result."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from brushbench.core.errors import one_line
from brushbench.core.types import Sample
from brushbench.imaging.fonts import Font, font_for
from brushbench.imaging.masks import erase
from brushbench.imaging.pictures import to_picture

LARGEST = 256
"""The longest side of a picture, in pixels; larger pictures are reduced."""
TEXT, LEADING = 11, 6
"""The font size, and the additional height of a line of text, in pixels."""
LINE = TEXT + LEADING
GAP, WIDE = 6, 18
"""The gap between pictures, and between samples beside each other, in pixels."""
CAPTION_LINES = 3
PAPER, INK, GREY, FRAME = (255, 255, 255), (40, 40, 40), (120, 120, 120), (200, 200, 200)
"""RGB. `FRAME` is for the line of one pixel around each picture, as a picture may be white."""
Colour = tuple[int, int, int]
SOURCE_AND_INPUT = ("source", "masked input")
Row = tuple[Sequence[Image.Image], str]
"""A sample's pictures and its caption."""


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A picture and its top left corner."""

    left: int
    top: int
    image: Image.Image


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A line of text, cut to fit, and the left end of its base line."""

    left: int
    base: int
    text: str
    colour: Colour
    font: Font


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures and lines of text with their positions, in pixels from the top left corner."""

    width: int
    height: int
    pictures: tuple[PlacedPicture, ...] = ()
    texts: tuple[PlacedText, ...] = ()


def table(title: str, names: Sequence[str], rows: Sequence[Row], across: int = 1) -> Sheet:
    """Lay out a title, the names of the columns, and a row of pictures for each sample with its caption below.

    `across` is the number of samples beside each other.
    """
    width = max(image.width for images, _ in rows for image in images)
    whole = len(names) * (width + GAP) - GAP
    samples = [
        below([beside([framed(each, width) for each in images]), text(told, whole, most=CAPTION_LINES)])
        for images, told in rows
    ]
    heading = beside([text(name, width, GREY) for name in names])
    columns = beside([heading] * min(across, len(rows)), WIDE)
    return bordered(below([text(title, columns.width), columns, grid(samples, across, WIDE)]))


def grid(parts: Sequence[Sheet], across: int, gap: int, down: int = GAP) -> Sheet:
    """Lay out parts of equal width in rows of `across`, aligned at the top."""
    return below([beside(parts[start : start + across], gap) for start in range(0, len(parts), across)], down)


def beside(parts: Sequence[Sheet], gap: int = GAP) -> Sheet:
    """Lay out parts from left to right."""
    lefts = accumulate((part.width + gap for part in parts), initial=0)
    return _together([(left, 0, part) for left, part in zip(lefts, parts, strict=False)])


def below(parts: Sequence[Sheet], gap: int = 0) -> Sheet:
    """Lay out parts from top to bottom."""
    tops = accumulate((part.height + gap for part in parts), initial=0)
    return _together([(0, top, part) for top, part in zip(tops, parts, strict=False)])


def bordered(part: Sheet, gap: int = GAP) -> Sheet:
    """Add a border of `gap` pixels on every side."""
    return _together([(gap, gap, part)], gap)


def framed(image: Image.Image, width: int = 0) -> Sheet:
    """Place a picture at the left of its column, which may be wider."""
    return Sheet(max(width, image.width), image.height, (PlacedPicture(0, 0, image),))


def text(words: str, width: int, colour: Colour = INK, size: int = TEXT, most: int = 1) -> Sheet:
    """Lay out a text in at most `most` lines, in a font that has its letters."""
    line = one_line(words)
    font, step = font_for(line, size), size + LEADING
    placed = enumerate(wrapped(line, font, width, most))
    texts = tuple(PlacedText(0, place * step + size + 1, each, colour, font) for place, each in placed)
    return Sheet(width, step * len(texts), texts=texts)


def draw(sheet: Sheet) -> Image.Image:
    """Draw the sheet; each picture keeps its size."""
    drawn = Image.new("RGB", (sheet.width, sheet.height), PAPER)
    pen = ImageDraw.Draw(drawn)
    for each in sheet.pictures:
        right, bottom = each.left + each.image.width, each.top + each.image.height
        pen.rectangle((each.left - 1, each.top - 1, right, bottom), outline=FRAME)
        drawn.paste(each.image, (each.left, each.top))
    for line in sheet.texts:
        pen.text((line.left, line.base), line.text, fill=line.colour, font=line.font, anchor="ls")
    return drawn


def png(sheet: Sheet) -> bytes:
    """Draw the sheet and encode it as PNG."""
    buffer = io.BytesIO()
    draw(sheet).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """Choose `count` indices, evenly spaced from the first to the last; all if there are fewer."""
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, min(count, len(indices)))]


def reduced(image: UInt8[Tensor, "3 h w"], longest: int = LARGEST) -> Image.Image:
    """Convert an image to a picture with no side longer than `longest`."""
    picture = to_picture(image)
    picture.thumbnail((longest, longest))
    return picture


def source_and_input(sample: Sample, longest: int = LARGEST) -> list[Image.Image]:
    """A sample's image, and the masked image as a method sees it."""
    return [reduced(sample.image, longest), reduced(erase(sample.image[None], sample.mask[None])[0], longest)]


def wrapped(line: str, font: Font, width: int, most: int) -> list[str]:
    """Break a text into at most `most` lines, between words if possible; the last line is cut with dots."""
    lines: list[str] = []
    rest = line
    while rest and len(lines) < most - 1:
        end = _fit(rest, font, width)
        if end < len(rest) and (space := rest.rfind(" ", 1, end + 1)) > 0:
            end = space
        lines.append(rest[:end].strip())
        rest = rest[end:].strip()
    return [*lines, fitting(rest, font, width)] if rest else lines


def fitting(words: str, font: Font, width: int) -> str:
    """Return a text as one line without control characters, cut with dots if it is too long."""
    line = one_line(words)
    return line if font.getlength(line) <= width else f"{line[: _fit(line, font, width, '...')]}..."


def _fit(line: str, font: Font, width: int, end: str = "") -> int:
    """The number of characters, at least one, that fit into a line before `end`."""
    counts = range(len(line) + 1)
    return max(1, bisect_right(counts, float(width), key=lambda count: font.getlength(line[:count] + end)) - 1)


def _together(parts: Sequence[tuple[int, int, Sheet]], border: int = 0) -> Sheet:
    """Merge parts, each given with its top left corner, and add `border` pixels on the right and at the bottom."""
    return Sheet(
        max((left + part.width for left, _, part in parts), default=0) + border,
        max((top + part.height for _, top, part in parts), default=0) + border,
        tuple(replace(each, left=x + each.left, top=y + each.top) for x, y, part in parts for each in part.pictures),
        tuple(replace(each, left=x + each.left, base=y + each.base) for x, y, part in parts for each in part.texts),
    )

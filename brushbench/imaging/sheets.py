"""Sheets of pictures with lines of text: first described, as what stands where, then drawn in one place."""

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
"""Longer sides are reduced to it, pixels."""
TEXT, LEADING = 11, 6
"""The size of letters, and what a line of text has besides, pixels."""
LINE = TEXT + LEADING
GAP, WIDE = 6, 18
"""Pixels between pictures, and between samples that stand beside each other."""
CAPTION_LINES = 3
PAPER, INK, GREY, FRAME = (255, 255, 255), (40, 40, 40), (120, 120, 120), (200, 200, 200)
"""The frame is one pixel around a picture, which may be white."""
Colour = tuple[int, int, int]
SOURCE_AND_INPUT = ("source", "masked input")
Row = tuple[Sequence[Image.Image], str]
"""The pictures of a sample, and its caption."""


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A picture and its top left corner."""

    left: int
    top: int
    image: Image.Image


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A line of text, cut to its place, and the left end of its base line."""

    left: int
    base: int
    text: str
    colour: Colour
    font: Font


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures and lines of text in their places, pixels from the top left corner."""

    width: int
    height: int
    pictures: tuple[PlacedPicture, ...] = ()
    texts: tuple[PlacedText, ...] = ()


def table(title: str, names: Sequence[str], rows: Sequence[Row], across: int = 1) -> Sheet:
    """Under a title and the names of the columns the samples' pictures, each row with its caption below.

    With `across`, so many samples stand beside each other.
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
    """Parts of one width in rows of so many, their tops in a line."""
    return below([beside(parts[start : start + across], gap) for start in range(0, len(parts), across)], down)


def beside(parts: Sequence[Sheet], gap: int = GAP) -> Sheet:
    """From left to right."""
    lefts = accumulate((part.width + gap for part in parts), initial=0)
    return _together([(left, 0, part) for left, part in zip(lefts, parts, strict=False)])


def below(parts: Sequence[Sheet], gap: int = 0) -> Sheet:
    """From top to bottom."""
    tops = accumulate((part.height + gap for part in parts), initial=0)
    return _together([(0, top, part) for top, part in zip(tops, parts, strict=False)])


def bordered(part: Sheet, gap: int = GAP) -> Sheet:
    """With so many pixels on every side."""
    return _together([(gap, gap, part)], gap)


def framed(image: Image.Image, width: int = 0) -> Sheet:
    """A picture at the left of its column, which may be wider."""
    return Sheet(max(width, image.width), image.height, (PlacedPicture(0, 0, image),))


def text(words: str, width: int, colour: Colour = INK, size: int = TEXT, most: int = 1) -> Sheet:
    """At most so many lines, in a font that has the letters."""
    line = one_line(words)
    font, step = font_for(line, size), size + LEADING
    placed = enumerate(wrapped(line, font, width, most))
    texts = tuple(PlacedText(0, place * step + size + 1, each, colour, font) for place, each in placed)
    return Sheet(width, step * len(texts), texts=texts)


def draw(sheet: Sheet) -> Image.Image:
    """Every picture in its own pixels."""
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
    """The sheet as a file."""
    buffer = io.BytesIO()
    draw(sheet).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """So many of them, from the first to the last; all, if there are no more."""
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, min(count, len(indices)))]


def reduced(image: UInt8[Tensor, "3 h w"], longest: int = LARGEST) -> Image.Image:
    """The image as a picture, with no side longer than `longest`."""
    picture = to_picture(image)
    picture.thumbnail((longest, longest))
    return picture


def source_and_input(sample: Sample, longest: int = LARGEST) -> list[Image.Image]:
    """A sample's picture, and what a method sees of it."""
    return [reduced(sample.image, longest), reduced(erase(sample.image[None], sample.mask[None])[0], longest)]


def wrapped(line: str, font: Font, width: int, most: int) -> list[str]:
    """At most so many lines, broken between words, or anywhere in a text without spaces; the last is cut with dots."""
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
    """One line without control characters, cut with dots where it would be too long."""
    line = one_line(words)
    return line if font.getlength(line) <= width else f"{line[: _fit(line, font, width, '...')]}..."


def _fit(line: str, font: Font, width: int, end: str = "") -> int:
    """How many characters, one at least, go into a line before `end`."""
    counts = range(len(line) + 1)
    return max(1, bisect_right(counts, float(width), key=lambda count: font.getlength(line[:count] + end)) - 1)


def _together(parts: Sequence[tuple[int, int, Sheet]], border: int = 0) -> Sheet:
    """Each with its top left corner, and so many pixels on the right and at the bottom."""
    return Sheet(
        max((left + part.width for left, _, part in parts), default=0) + border,
        max((top + part.height for _, top, part in parts), default=0) + border,
        tuple(replace(each, left=x + each.left, top=y + each.top) for x, y, part in parts for each in part.pictures),
        tuple(replace(each, left=x + each.left, base=y + each.base) for x, y, part in parts for each in part.texts),
    )

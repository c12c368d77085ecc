"""Draw a sheet of a data set: some of its samples, with the outlines of their masks and their captions."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from brushbench.core import atomic
from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.options import Value
from brushbench.core.registry import short_name
from brushbench.core.types import Dataset, Sample
from brushbench.curation.fonts import Font, covered, font_for
from brushbench.curation.sources import find_meant, open_splits, splits_of
from brushbench.imaging.sheets import GREY, INK, PAPER, evenly, fitting

SUFFIX = ".png"
SIDE = 320
"""Longest side of a picture in the sheet, in pixels."""
GAP, SPACE, LINE, TEXT, SMALL = 14, 4, 19, 15, 12
"""In pixels: gap between samples, space below a caption, height of a line, and the two sizes of letters."""
CAPTION_LINES = 3
DOTS = "..."
LONGEST = 120
"""Most characters of a line, before it is cut to its width."""
ACROSS = 4
BRIGHT, DARK = (255, 226, 0), (0, 0, 0)
"""The outline is a bright line between two dark ones, so that it shows on any picture."""
FRAME = (200, 200, 200)
"""Colour of the frame around a picture, which may itself be white."""
BRIGHT_WIDTH, DARK_WIDTH = 2, 1


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that was drawn."""

    file: Path
    name: str
    """Name of the data set."""
    shown: int
    left_out: Mapping[str, str]
    """Why each unreadable sample was left out, by id."""
    no_font: Sequence[str]
    """Ids of samples whose caption has letters that no font on this machine has."""


def write_sheet(
    name: str | None,
    root: str | Path | None,
    splits: Sequence[str] | None,
    count: int,
    file: Path | None,
    options: Mapping[str, Value] | None = None,
) -> Sheet:
    """Draw `count` samples, evenly spaced from the first to the last, once for each split.

    Without a name, the data set found in `root` is drawn; without a file, the sheet is NAME-SPLIT.png in the current
    folder. `options` are those of the data set. Raises `UserError` if the file is not a PNG file, and if none of these
    samples can be read.
    """
    name, folder = find_meant(name, root)
    splits = splits_of(name, folder, splits or ["inside"])
    shown_name = short_name(name)
    file = file or Path(f"{shown_name}-{'-'.join(splits)}{SUFFIX}")
    if file.suffix.lower() != SUFFIX:
        raise UserError(one_line(f"{file}: a sheet must be a {SUFFIX} file"))
    if not file.absolute().parent.is_dir():
        raise UserError(one_line(f"{file}: no such folder: {file.parent}"))
    datasets = open_splits(name, folder, splits, options or {})
    samples, left_out = _samples(datasets, count)
    if not samples:
        raise UserError(one_line(f"none of these samples can be read: {next(iter(left_out.values()))}"))
    total = len(next(iter(datasets.values())))
    title = f"{shown_name}, {' and '.join(splits)}: {len(samples) // len(splits)} of {total} samples"
    buffer = io.BytesIO()
    draw_preview(samples, title).save(buffer, format="PNG", optimize=True)
    atomic.write(file.absolute(), buffer.getvalue())
    no_font = [sample.id for _, sample in samples if not covered(one_line(sample.caption), TEXT)]
    return Sheet(file, shown_name, len(samples) // len(splits), left_out, tuple(dict.fromkeys(no_font)))


def draw_preview(samples: Sequence[tuple[str, Sample]], title: str) -> Image.Image:
    """Draw every sample with the name of its split, at most `ACROSS` in a row."""
    blocks = [_block(sample, split) for split, sample in samples]
    across = min(ACROSS, len(blocks), max(1, math.ceil(math.sqrt(len(blocks)))))
    rows = [blocks[start : start + across] for start in range(0, len(blocks), across)]
    heights = [max(block.height for block in row) for row in rows]
    top = 2 * GAP + LINE
    sheet = Image.new("RGB", (GAP + across * (SIDE + GAP), top + sum(heights) + GAP * len(rows)), PAPER)
    title = one_line(title, LONGEST)
    font = font_for(title, TEXT)
    ImageDraw.Draw(sheet).text((GAP, GAP), fitting(title, font, sheet.width - 2 * GAP), fill=INK, font=font)
    for row, height in zip(rows, heights, strict=True):
        for column, block in enumerate(row):
            sheet.paste(block, (GAP + column * (SIDE + GAP), top))
        top += height + GAP
    return sheet


def outlined(image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"]) -> Image.Image:
    """Scale an image to at most `SIDE` and draw the outline of its mask, just inside the painted region."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    if (times := SIDE // max(picture.size)) > 1:
        picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((SIDE, SIDE))
    shares = Image.fromarray(mask[0].numpy().astype(np.uint8) * np.uint8(255)).resize(
        picture.size, Image.Resampling.BOX
    )
    # A region that is now smaller than a pixel is shown as one pixel.
    small = np.array(shares) >= 128
    small = small if small.any() else np.array(shares) > 0
    pixels = np.array(picture)
    lines = np.zeros_like(small)
    for width, colour in ((DARK_WIDTH, DARK), (BRIGHT_WIDTH, BRIGHT), (DARK_WIDTH, DARK)):
        inner = _eroded(small & ~lines, width)
        pixels[small & ~lines & ~inner] = colour
        lines = small & ~inner
    pixels[_specks(small)] = BRIGHT
    framed = Image.fromarray(pixels)
    ImageDraw.Draw(framed).rectangle((0, 0, framed.width - 1, framed.height - 1), outline=FRAME)
    return framed


def _eroded(region: np.ndarray, pixels: int) -> np.ndarray:
    """Return a region without its outermost pixels; nothing beyond the edge of the picture belongs to it."""
    square = np.ones((3, 3), dtype=np.uint8)
    eroded = cv2.erode(
        region.astype(np.uint8), square, iterations=pixels, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(eroded > 0)


def _specks(region: np.ndarray) -> np.ndarray:
    """Return the parts that have no room for three lines; they are the ones that a reader looks for."""
    count, labels = cv2.connectedComponents(region.astype(np.uint8))
    inner = np.bincount(labels[_eroded(region, DARK_WIDTH)], minlength=count)
    return np.asarray(region & (inner[labels] == 0))


def _samples(datasets: Mapping[str, Dataset], count: int) -> tuple[list[tuple[str, Sample]], dict[str, str]]:
    first = next(iter(datasets.values()))
    found: list[tuple[str, Sample]] = []
    left_out: dict[str, str] = {}
    for index in evenly(range(len(first)), count):
        try:
            found += [(split, dataset[index]) for split, dataset in datasets.items()]
        except SampleError as error:
            left_out[first.ids[index]] = one_line(f"{first.ids[index]}: {error}")
    return found, left_out


def _block(sample: Sample, split: str) -> Image.Image:
    picture = outlined(sample.image, sample.mask)
    height, width = sample.image.shape[1:]
    about = f"{split}, {100 * float(sample.mask.float().mean()):.0f} % painted, {width}x{height}"
    tags = ", ".join(f"{key}: {value}" for key, value in sample.tags.items())
    text = one_line(sample.caption, 4 * SIDE)
    caption = _wrapped(text, font_for(text, TEXT))
    small = [(one_line(sample.id), INK), (about, GREY), *([(one_line(tags, LONGEST), GREY)] if tags else [])]
    block = Image.new("RGB", (SIDE, picture.height + GAP // 2 + SPACE + LINE * (len(caption) + len(small))), PAPER)
    block.paste(picture, ((SIDE - picture.width) // 2, 0))
    pen, top = ImageDraw.Draw(block), picture.height + GAP // 2
    for line in caption:
        pen.text((0, top), line, fill=INK, font=font_for(line, TEXT))
        top += LINE
    top += SPACE
    for line, colour in small:
        font = font_for(line, SMALL)
        pen.text((0, top), fitting(line, font, SIDE), fill=colour, font=font)
        top += LINE
    return block


def _wrapped(text: str, font: Font) -> list[str]:
    """Break a text into at most `CAPTION_LINES` lines, between words or, if it has no spaces, anywhere."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < CAPTION_LINES:
        end = _fit(rest, font, "")
        if end < len(rest) and len(lines) == CAPTION_LINES - 1:
            lines.append(f"{rest[: _fit(rest, font, DOTS)]}{DOTS}")
            break
        if end < len(rest) and (space := rest.rfind(" ", 1, end + 1)) > 0:
            end = space
        lines.append(rest[:end].strip())
        rest = rest[end:].strip()
    return lines


def _fit(text: str, font: Font, end: str) -> int:
    """Return how many characters, at least one, fit in a line before `end`."""
    low, high = 1, min(len(text), SIDE)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle] + end) <= SIDE else (low, middle - 1)
    return low

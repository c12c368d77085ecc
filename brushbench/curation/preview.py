"""Draw a sheet of a data set: some of its samples, with the outlines of their masks and their captions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from brushbench.core import atomic
from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.options import Value
from brushbench.core.registry import short_name
from brushbench.core.types import Dataset, Sample
from brushbench.curation.sources import find_meant, open_splits, splits_of
from brushbench.imaging.fonts import covered
from brushbench.imaging.pictures import to_picture
from brushbench.imaging.sheets import CAPTION_LINES, GREY, Sheet, below, bordered, evenly, framed, grid, png, text

SUFFIX = ".png"
SIDE = 320
"""Longer sides are reduced to it, pixels."""
GAP, SPACE, TEXT = 14, 4, 13
"""Pixels between samples, above and below a caption, and the size of its letters."""
ACROSS = 4
BRIGHT, DARK = (255, 226, 0), (0, 0, 0)
"""The outline is a bright line between two dark ones, so that it shows on any picture."""
BRIGHT_WIDTH, DARK_WIDTH = 2, 1


@dataclass(frozen=True, slots=True)
class Preview:
    """What was drawn."""

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
) -> Preview:
    """Draw `count` samples, evenly from the first to the last, once for each split.

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
    atomic.write(file.absolute(), png(preview_sheet(samples, title)))
    no_font = [sample.id for _, sample in samples if not covered(one_line(sample.caption), TEXT)]
    return Preview(file, shown_name, len(samples) // len(splits), left_out, tuple(dict.fromkeys(no_font)))


def preview_sheet(samples: Sequence[tuple[str, Sample]], title: str) -> Sheet:
    """Every sample with its split's name, `ACROSS` of them in a row at most."""
    parts = [_part(sample, split) for split, sample in samples]
    across = min(ACROSS, max(1, math.ceil(math.sqrt(len(parts)))))
    body = grid(parts, across, GAP, GAP)
    return bordered(below([text(title, body.width, size=TEXT), body], GAP), GAP)


def outlined(image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"]) -> Image.Image:
    """Scale an image to at most `SIDE` and draw the outline of its mask, just inside the painted region."""
    picture = to_picture(image)
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
    return Image.fromarray(pixels)


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


def _part(sample: Sample, split: str) -> Sheet:
    height, width = sample.image.shape[1:]
    about = f"{split}, {100 * float(sample.mask.float().mean()):.0f} % masked, {width}x{height}"
    tags = ", ".join(f"{key}: {value}" for key, value in sample.tags.items())
    caption = text(sample.caption, SIDE, size=TEXT, most=CAPTION_LINES)
    small = below([text(sample.id, SIDE), text(about, SIDE, GREY), text(tags, SIDE, GREY)])
    return below([framed(outlined(sample.image, sample.mask), SIDE), caption, small], SPACE)

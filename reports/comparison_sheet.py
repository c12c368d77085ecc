"""Draw methods side by side: source, masked input and each method's image, for some samples of every split."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Sample
from brushbench.imaging.images import read_image
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import GAP, GREY, INK, LINE, PAPER, TEXT, evenly, fitting, reduced
from brushbench.reports.figures import FONT, check_suffix, readable, write_figure
from brushbench.reports.frame import labels_of
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import DatasetIdentity

Finished = Sequence[tuple[Run, Mapping[str, LedgerEntry]]]
"""Runs, each with its finished samples."""
LETTERS = TEXT - 2
"""Height of a letter, in pixels."""
DOTS = 100
"""Pixels of a sheet per inch of SVG and PDF."""
LONGEST = 2000
"""Most characters of a text, before it is cut to its width."""


@dataclass(frozen=True, slots=True)
class _Text:
    left: int
    top: int
    text: str
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Part:
    """Pictures and texts at their positions, in pixels from the top left corner."""

    width: int
    height: int
    pictures: list[tuple[int, int, Image.Image]]
    texts: list[_Text]


def write_comparison(runs: Sequence[Run], file: Path, count: int) -> None:
    """Draw, for each data set and split, `count` samples evenly spaced among those that all of its runs have.

    The file is PNG, or SVG or PDF with every picture at its own resolution and text as outlines. Raises `UserError` for
    any other format, for data that have changed or cannot be read, and if no sample is in all runs.
    """
    suffix = check_suffix(file)
    groups: dict[DatasetIdentity, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.record.identity.dataset, []).append(run)
    parts = [_part(f"{data.name}, split {data.split}", together, count) for data, together in groups.items()]
    sheet = _stacked(parts)
    if suffix == ".png":
        atomic.write(file, _png(sheet))
    else:
        write_figure(file, lambda: _vector(sheet))


def _part(title: str, runs: Sequence[Run], count: int) -> _Part:
    dataset, finished = dataset_of(runs[0]), [(run, run.intact()) for run in runs]
    shared = [index for index, name in enumerate(dataset.ids) if all(name in entries for _, entries in finished)]
    if not shared:
        raise UserError(one_line(f"{title}: no sample has an image in all of the {len(runs)} runs"))
    names = ["source", "masked input", *labels_of(runs)]
    samples = [dataset[index] for index in evenly(shared, count)]
    rows = [_row(sample, finished) for sample in samples]
    width, height = (max(picture.size[axis] for row in rows for picture in row) for axis in (0, 1))
    step = height + LINE + GAP
    part = _Part(GAP + len(names) * (width + GAP), GAP + 2 * LINE + len(rows) * step, [], [])
    part.texts.append(_text(GAP, GAP, title, part.width - GAP, INK))
    for column, name in enumerate(names):
        part.texts.append(_text(GAP + column * (width + GAP), GAP + LINE, name, width, GREY))
    for place, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        top = GAP + 2 * LINE + place * step
        part.pictures.extend((GAP + column * (width + GAP), top, picture) for column, picture in enumerate(row))
        part.texts.append(_text(GAP, top + height, f"{sample.id}: {sample.caption}", part.width - GAP, INK))
    return part


def _text(left: int, top: int, text: str, width: int, colour: tuple[int, int, int]) -> _Text:
    shown = readable(text, LONGEST).replace(r"\$", "$")
    return _Text(left, top, fitting(shown, ImageFont.truetype(FONT, LETTERS), width), colour)


def _stacked(parts: Sequence[_Part]) -> _Part:
    """Stack the parts below each other."""
    sheet = _Part(max(part.width for part in parts), sum(part.height for part in parts), [], [])
    top = 0
    for part in parts:
        sheet.pictures.extend((left, top + down, picture) for left, down, picture in part.pictures)
        sheet.texts.extend(replace(text, top=top + text.top) for text in part.texts)
        top += part.height
    return sheet


def _png(sheet: _Part) -> bytes:
    image = Image.new("RGB", (sheet.width, sheet.height), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, LETTERS)
    for left, top, picture in sheet.pictures:
        image.paste(picture, (left, top))
    for text in sheet.texts:
        pen.text((text.left, text.top), text.text, fill=text.colour, font=font)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _vector(sheet: _Part) -> Figure:
    figure = Figure(figsize=(sheet.width / DOTS, sheet.height / DOTS))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    for left, top, picture in sheet.pictures:
        extent = (left, left + picture.width, top + picture.height, top)
        axis.imshow(np.asarray(picture), extent=extent, interpolation="none", origin="upper")
    for text in sheet.texts:
        colour = tuple(part / 255 for part in text.colour)
        # Letters are sized in points, 72 per inch.
        axis.text(
            text.left, text.top + 2, text.text.replace("$", r"\$"), color=colour, fontsize=LETTERS * 72 / DOTS, va="top"
        )
    axis.set_xlim(0, sheet.width)
    axis.set_ylim(sheet.height, 0)
    axis.set_aspect("auto")
    return figure


def _row(sample: Sample, finished: Finished) -> list[Image.Image]:
    masked = erase(sample.image[None], sample.mask[None])[0]
    painted = [read_image(run.image_path(entries[sample.id])) for run, entries in finished]
    return [reduced(picture) for picture in (sample.image, masked, *painted)]

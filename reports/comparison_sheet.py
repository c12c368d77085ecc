"""Methods side by side: source, masked input and what each method painted there, for some samples of every split."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from brushbench import atomic
from brushbench.errors import UserError, one_line
from brushbench.images import read_image
from brushbench.loading import dataset_of
from brushbench.masks import erase
from brushbench.store import DatasetIdentity, Entry, Run
from brushbench.types import Sample
from reports.contact_sheet import GAP, GREY, INK, LINE, PAPER, TEXT, evenly, fitting, reduced
from reports.frame import labels_of

SUFFIX = ".png"
Finished = Sequence[tuple[Run, Mapping[str, Entry]]]
"""Runs, each with what it has painted."""


def write_comparison(runs: Sequence[Run], file: Path, count: int) -> None:
    """Write the picture: for each data set and split `count` samples, evenly from those that all its runs have.

    Raises `UserError` for another format than PNG, for data that isn't what it was or can't be read, and if no sample
    is in all runs.
    """
    if file.suffix != SUFFIX:
        raise UserError(one_line(f"{file}: a sheet is a {SUFFIX} file"))
    groups: dict[DatasetIdentity, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.record.identity.dataset, []).append(run)
    parts = [_part(f"{data.name}, split {data.split}", together, count) for data, together in groups.items()]
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    atomic.write(file, buffer.getvalue())


def _part(title: str, runs: Sequence[Run], count: int) -> Image.Image:
    dataset, finished = dataset_of(runs[0]), [(run, run.intact()) for run in runs]
    shared = [index for index, name in enumerate(dataset.ids) if all(name in entries for _, entries in finished)]
    if not shared:
        raise UserError(one_line(f"{title}: no sample has an image in all of the {len(runs)} runs"))
    names = ["source", "masked input", *labels_of(runs)]
    samples = [dataset[index] for index in evenly(shared, count)]
    rows = [_row(sample, finished) for sample in samples]
    font, small = ImageFont.load_default(TEXT), ImageFont.load_default(TEXT - 1)
    width, height = (max(picture.size[axis] for row in rows for picture in row) for axis in (0, 1))
    step = height + LINE + GAP
    part = Image.new("RGB", (GAP + len(names) * (width + GAP), GAP + 2 * LINE + len(rows) * step), PAPER)
    pen = ImageDraw.Draw(part)
    pen.text((GAP, GAP), fitting(title, font, part.width - GAP), fill=INK, font=font)
    for column, name in enumerate(names):
        pen.text((GAP + column * (width + GAP), GAP + LINE), fitting(name, small, width), fill=GREY, font=small)
    for place, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        top = GAP + 2 * LINE + place * step
        for column, picture in enumerate(row):
            part.paste(picture, (GAP + column * (width + GAP), top))
        caption = fitting(f"{sample.id}: {sample.caption}", font, part.width - GAP)
        pen.text((GAP, top + height), caption, fill=INK, font=font)
    return part


def _row(sample: Sample, finished: Finished) -> list[Image.Image]:
    masked = erase(sample.image[None], sample.mask[None])[0]
    painted = [read_image(run.image_path(entries[sample.id])) for run, entries in finished]
    return [reduced(picture) for picture in (sample.image, masked, *painted)]

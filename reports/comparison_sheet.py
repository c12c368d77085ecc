"""Methods side by side: source, masked input and what each method painted there, for some samples of every split."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brushbench import atomic
from brushbench.errors import UserError, one_line
from brushbench.images import read_image
from brushbench.loading import load_dataset
from brushbench.masks import erase
from brushbench.store import Run
from brushbench.types import Dataset, Sample
from reports.contact_sheet import GAP, GREY, INK, LINE, PAPER, TEXT, fitting, reduced
from reports.frame import labels_of

SUFFIX = ".png"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_comparison(runs: Sequence[Run], file: Path, count: int) -> None:
    """Write the picture: for each data set and split `count` samples, evenly from those that all its runs have.

    Raises `UserError` for another format than PNG, for data that isn't where it was, and if no sample is in all runs.
    """
    if file.suffix != SUFFIX:
        raise UserError(one_line(f"{file}: a sheet is a {SUFFIX} file"))
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        identity = run.record.identity.dataset
        groups.setdefault((identity.name, identity.split), []).append(run)
    parts = [_part(f"{name}, split {split}", together, count) for (name, split), together in groups.items()]
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    atomic.write(file, buffer.getvalue())


def _part(title: str, runs: Sequence[Run], count: int) -> Image.Image:
    identity, root = runs[0].record.identity.dataset, runs[0].record.provenance.get("root")
    dataset = load_dataset(identity.name, root=root, split=identity.split)
    if dataset.digest() != identity.digest:
        raise UserError(one_line(f"{identity.name} is not the data set that {runs[0].path} was made with"))
    names = ["source", "masked input", *labels_of(runs)]
    rows = [_row(dataset[index], runs) for index in _chosen(title, dataset, runs, count)]
    font, small = ImageFont.load_default(TEXT), ImageFont.load_default(TEXT - 1)
    width, height = (max(picture.size[axis] for _, pictures in rows for picture in pictures) for axis in (0, 1))
    step = height + LINE + GAP
    part = Image.new("RGB", (GAP + len(names) * (width + GAP), GAP + 2 * LINE + len(rows) * step), PAPER)
    pen = ImageDraw.Draw(part)
    pen.text((GAP, GAP), fitting(title, font, part.width - GAP), fill=INK, font=font)
    for column, name in enumerate(names):
        pen.text((GAP + column * (width + GAP), GAP + LINE), fitting(name, small, width), fill=GREY, font=small)
    for row, (sample, pictures) in enumerate(rows):
        top = GAP + 2 * LINE + row * step
        for column, picture in enumerate(pictures):
            part.paste(picture, (GAP + column * (width + GAP), top))
        caption = fitting(f"{sample.id}: {sample.caption}", font, part.width - GAP)
        pen.text((GAP, top + height), caption, fill=INK, font=font)
    return part


def _chosen(title: str, dataset: Dataset, runs: Sequence[Run], count: int) -> list[int]:
    shared = set.intersection(*(set(run.intact()) for run in runs))
    finished = [index for index, name in enumerate(dataset.ids) if name in shared]
    if not finished:
        raise UserError(one_line(f"{title}: no sample has an image in all of the {len(runs)} runs"))
    return [finished[round(place)] for place in np.linspace(0, len(finished) - 1, min(count, len(finished)))]


def _row(sample: Sample, runs: Sequence[Run]) -> tuple[Sample, list[Image.Image]]:
    masked = erase(sample.image[None], sample.mask[None])[0]
    painted = [read_image(run.image_path(run.intact()[sample.id])) for run in runs]
    return sample, [reduced(picture) for picture in (sample.image, masked, *painted)]

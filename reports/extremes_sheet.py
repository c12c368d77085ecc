"""Draw the samples that changed most between two runs: source, masked input, A and B as thumbnails."""

import io
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from brushbench.core import atomic
from brushbench.core.errors import SampleError, UserError
from brushbench.core.types import Dataset
from brushbench.imaging.images import read_image
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import GAP, GREY, INK, LINE, PAPER, TEXT, fitting, reduced
from brushbench.reports.comparison import improvements
from brushbench.reports.comparison_tables import ends
from brushbench.reports.pairing import RunPair
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run

SIDE = 144
"""Longer side of a thumbnail, in pixels."""
NAMES = ("source", "masked input")


def write_extremes(pair: RunPair, metric: str, file: Path, count: int) -> bool:
    """Draw the samples best for B on the left, the worst on the right; return whether there was anything to draw.

    Raises `UserError` if the data set is missing or has changed.
    """
    dataset = dataset_of(pair.a)
    best, worst = ends(improvements(pair, metric), count)
    title = f"{metric}: {pair.label_a} (A) to {pair.label_b} (B), {dataset.name}/{dataset.split}"
    parts = [
        _part(f"{name} for B. {title}", own, pair, dataset)
        for name, own in (("best", best), ("worst", worst))
        if len(own)
    ]
    if not parts:
        return False
    size = sum(part.width for part in parts) + GAP * (len(parts) - 1), max(part.height for part in parts)
    sheet = Image.new("RGB", size, PAPER)
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(file, buffer.getvalue())
    return True


def _part(title: str, changes: pd.Series, pair: RunPair, dataset: Dataset) -> Image.Image:
    font, small = ImageFont.load_default(TEXT), ImageFont.load_default(TEXT - 1)
    step = SIDE + LINE + GAP
    part = Image.new("RGB", (GAP + 4 * (SIDE + GAP), 2 * LINE + GAP + len(changes) * step), PAPER)
    pen = ImageDraw.Draw(part)
    pen.text((GAP, GAP), fitting(title, small, part.width - GAP), fill=INK, font=small)
    for column, name in enumerate((*NAMES, f"A: {pair.label_a}", f"B: {pair.label_b}")):
        pen.text((GAP + column * (SIDE + GAP), GAP + LINE), fitting(name, small, SIDE), fill=GREY, font=small)
    indices = {name: index for index, name in enumerate(dataset.ids)}
    for place, (sample_id, change) in enumerate(changes.items()):
        top = GAP + 2 * LINE + place * step
        caption, pictures = _pictures(str(sample_id), dataset, indices, pair)
        for column, picture in enumerate(pictures):
            picture.thumbnail((SIDE, SIDE))
            part.paste(picture, (GAP + column * (SIDE + GAP), top))
        line = fitting(f"{change:+.4g}  {sample_id}: {caption}", font, part.width - GAP)
        pen.text((GAP, top + SIDE), line, fill=INK, font=font)
    return part


def _pictures(
    sample_id: str, dataset: Dataset, indices: dict[str, int], pair: RunPair
) -> tuple[str, list[Image.Image]]:
    """Return the caption and four pictures; those that can no longer be read are grey."""
    try:
        sample = dataset[indices[sample_id]]
    except SampleError as error:
        return str(error), [_missing()] * 4
    masked = erase(sample.image[None], sample.mask[None])[0]
    painted = [_painted(run, sample_id) for run in (pair.a, pair.b)]
    return sample.caption, [reduced(sample.image), reduced(masked), *painted]


def _painted(run: Run, sample_id: str) -> Image.Image:
    entry = run.ledger().get(sample_id)
    try:
        return reduced(read_image(run.image_path(entry))) if entry else _missing()
    except UserError:
        # Scores may outlive images.
        return _missing()


def _missing() -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), GREY)

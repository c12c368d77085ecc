"""Draw methods side by side: source, masked input and each method's image, for some samples of every split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from PIL import Image

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Sample
from brushbench.imaging.images import read_image
from brushbench.imaging.sheets import (
    FRAME,
    SOURCE_AND_INPUT,
    PlacedText,
    Sheet,
    below,
    evenly,
    png,
    reduced,
    source_and_input,
    table,
)
from brushbench.reports.figures import check_suffix, readable, write_figure
from brushbench.reports.frame import labels_of
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import DatasetIdentity

Finished = Sequence[tuple[Run, Mapping[str, LedgerEntry]]]
"""Runs, each with its images."""
DOTS = 100
"""Pixels of a sheet in an inch of SVG and PDF."""


def write_comparison(runs: Sequence[Run], file: Path, count: int) -> None:
    """Draw, for each data set and split, `count` samples evenly spaced among those that all of its runs have.

    The file is PNG, or SVG or PDF with every picture at its own resolution and text as outlines. Raises `UserError` for
    any other format, for data that have changed or cannot be read, and if no sample is in all runs.
    """
    suffix = check_suffix(file)
    groups: dict[DatasetIdentity, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.record.identity.dataset, []).append(run)
    sheet = below([_part(f"{data.name}, split {data.split}", own, count) for data, own in groups.items()])
    if suffix == ".png":
        atomic.write(file, png(sheet))
    else:
        write_figure(file, lambda: _vector(sheet))


def _part(title: str, runs: Sequence[Run], count: int) -> Sheet:
    dataset, finished = dataset_of(runs[0]), [(run, run.intact()) for run in runs]
    shared = [index for index, name in enumerate(dataset.ids) if all(name in entries for _, entries in finished)]
    if not shared:
        raise UserError(one_line(f"{title}: no sample has an image in all of the {len(runs)} runs"))
    samples = [dataset[index] for index in evenly(shared, count)]
    rows = [(_pictures(sample, finished), f"{sample.id}: {sample.caption}") for sample in samples]
    return table(title, [*SOURCE_AND_INPUT, *labels_of(runs)], rows)


def _pictures(sample: Sample, finished: Finished) -> list[Image.Image]:
    painted = (read_image(run.image_path(entries[sample.id])) for run, entries in finished)
    return [*source_and_input(sample), *map(reduced, painted)]


def _vector(sheet: Sheet) -> Figure:
    figure = Figure(figsize=(sheet.width / DOTS, sheet.height / DOTS))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    for left, top, image in ((each.left, each.top, each.image) for each in sheet.pictures):
        extent = (left, left + image.width, top + image.height, top)
        axis.imshow(np.asarray(image), extent=extent, interpolation="none", origin="upper")
        corner, sides = (left - 0.5, top - 0.5), (image.width + 1, image.height + 1)
        axis.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=np.divide(FRAME, 255), linewidth=72 / DOTS))
    for line in sheet.texts:
        place = Affine2D().scale(1, -1).translate(line.left, line.base) + axis.transData
        axis.add_patch(PathPatch(_outlines(line), transform=place, facecolor=np.divide(line.colour, 255), linewidth=0))
    axis.set_xlim(0, sheet.width)
    axis.set_ylim(sheet.height, 0)
    axis.set_aspect("auto")
    return figure


def _outlines(line: PlacedText) -> TextPath:
    """The outlines of a line's letters, since not every font can be embedded in a PDF."""
    file = str(line.font.path)
    shown = readable(line.text, len(line.text), file)
    return TextPath((0, 0), shown, size=line.font.size, prop=FontProperties(fname=file))

"""Draw methods side by side: source, masked input and each method's image, for some samples of every split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from PIL import Image
from torch import Tensor

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_text
from brushbench.core.types import Dataset, Sample
from brushbench.imaging.crops import enlarged, surroundings
from brushbench.imaging.images import read_image
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import (
    FRAME,
    GREY,
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
from brushbench.reports.sheet_samples import Wanted, Worst, worst_samples
from brushbench.reports.style import Names
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import DatasetIdentity

Finished = Sequence[tuple[Run, Mapping[str, LedgerEntry]]]
"""Runs, each with its images."""
DOTS = 100
"""Pixels of a sheet in an inch of SVG and PDF."""


def ids_in(file: Path) -> list[str]:
    """Return the ids in a file, one on each line, each once. Raises `UserError` if it cannot be read or has none."""
    lines = read_text(file).removeprefix("\ufeff").split("\n")
    found = list(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not found:
        raise UserError(one_line(f"{file} contains no id; valid: an id on each line"))
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """What a table calls the runs, splits and data sets of a sheet."""

    runs: Mapping[Path, str]
    """By the folder of the run."""
    names: Names
    """Of splits and data sets."""


def write_comparison(
    runs: Sequence[Run], file: Path, wanted: Wanted, crop: str = "", named: Named | None = None
) -> None:
    """Draw samples of each data set and split: a number evenly spaced among those that all of its runs have, these,
    or the worst. With `crop`, only what surrounds the mask is shown. `named` is None for labels as in tables.

    A run that has no image of a sample that is named has a grey picture in its place. Raises `UserError` for a name
    that is in none of the data sets.

    The file is PNG, or SVG or PDF with every picture at its own resolution and text as outlines. Raises `UserError` for
    any other format, for data that have changed or cannot be read, and if no sample is in all runs.
    """
    suffix = check_suffix(file)
    groups: dict[DatasetIdentity, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.record.identity.dataset, []).append(run)
    of = named.names.of if named else str
    parts = [
        _Part(
            f"{of(data.name)}, split {of(data.split)}",
            own,
            dataset_of(own[0]),
            bool(crop),
            [named.runs[run.path] for run in own] if named else labels_of(own),
        )
        for data, own in groups.items()
    ]
    if isinstance(wanted, int):
        sheet = below([part.spaced(wanted) for part in parts])
    elif isinstance(wanted, Worst):
        sheet = below([part.worst(wanted) for part in parts])
    else:
        _check_known(wanted, parts)
        sheet = below([part.named(wanted) for part in parts if part.has_any(wanted)])
    if suffix == ".png":
        atomic.write(file, png(sheet))
    else:
        write_figure(file, lambda: _vector(sheet))


@dataclass(frozen=True, slots=True)
class _Part:
    """The runs on one split of one data set."""

    title: str
    runs: Sequence[Run]
    dataset: Dataset
    crop: bool
    heads: Sequence[str]
    """Names of the columns of the runs."""

    def spaced(self, count: int) -> Sheet:
        """So many samples, evenly spaced among those that all runs have."""
        finished = self._finished()
        names = self.dataset.ids
        shared = [index for index, name in enumerate(names) if all(name in entries for _, entries in finished)]
        if not shared:
            raise UserError(one_line(f"{self.title}: no sample has an image in all of the {len(self.runs)} runs"))
        return self._sheet(evenly(shared, count), finished)

    def worst(self, wanted: Worst) -> Sheet:
        """The worst samples among those that all runs have an image of."""
        finished = self._finished()
        places = {name: index for index, name in enumerate(self.dataset.ids)}
        among = [name for name in places if all(name in entries for _, entries in finished)]
        told = worst_samples(self.runs, wanted, among)
        if not told:
            raise UserError(one_line(f"{self.title}: no sample has a score and an image in all of its runs"))
        return self._sheet([places[name] for name in told], finished, told)

    def has_any(self, wanted: Sequence[str]) -> bool:
        """Whether any of these samples is in the data set."""
        return not set(wanted).isdisjoint(self.dataset.ids)

    def named(self, wanted: Sequence[str]) -> Sheet:
        """These samples, as far as they are in the data set, in their order."""
        places = {name: index for index, name in enumerate(self.dataset.ids)}
        return self._sheet([places[name] for name in wanted if name in places], self._finished())

    def _finished(self) -> Finished:
        return [(run, run.intact()) for run in self.runs]

    def _sheet(self, indices: Sequence[int], finished: Finished, told: Mapping[str, str] | None = None) -> Sheet:
        """`told` are words about samples, by id, for the line below their pictures."""
        samples = [self.dataset[index] for index in indices]
        before = {name: f"{words}, " for name, words in (told or {}).items()}
        rows = [
            (_pictures(sample, finished, self.crop), f"{before.get(sample.id, '')}{sample.id}: {sample.caption}")
            for sample in samples
        ]
        return table(self.title, [*SOURCE_AND_INPUT, *self.heads], rows)


def _check_known(wanted: Sequence[str], parts: Sequence[_Part]) -> None:
    known = {name for part in parts for name in part.dataset.ids}
    if missing := [name for name in wanted if name not in known]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(one_line(f"{missing[0]!r} is not the id of a sample of these runs{more}"))


def _pictures(sample: Sample, finished: Finished, crop: bool) -> list[Image.Image]:
    painted = [_painted(sample, run, entries.get(sample.id)) for run, entries in finished]
    if not crop:
        return [*source_and_input(sample), *map(reduced, painted)]
    masked = erase(sample.image[None], sample.mask[None])[0]
    return [enlarged(surroundings(image, sample.mask)) for image in (sample.image, masked, *painted)]


def _painted(sample: Sample, run: Run, entry: LedgerEntry | None) -> UInt8[Tensor, "3 _ _"]:
    """The image of a run, grey if it has none."""
    return read_image(run.image_path(entry)) if entry else torch.full_like(sample.image, GREY[0])


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

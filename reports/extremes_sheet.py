"""Draw the samples that changed most between two runs: source, masked input, A and B as thumbnails."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from brushbench.core import atomic
from brushbench.core.errors import SampleError, UserError
from brushbench.core.types import Dataset
from brushbench.imaging.images import read_image
from brushbench.imaging.sheets import GREY, SOURCE_AND_INPUT, Row, beside, png, reduced, source_and_input, table
from brushbench.reports.comparison import improvements
from brushbench.reports.comparison_tables import ends
from brushbench.reports.pairing import RunPair
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry

SIDE = 144
"""The longer side of the thumbnails, pixels."""
Entries = Mapping[str, LedgerEntry]
"""The last entry of each sample, by its id."""


def write_extremes(pair: RunPair, metric: str, file: Path, count: int) -> bool:
    """Draw the samples best for B on the left, the worst on the right; return whether there was anything to draw.

    Raises `UserError` if the data set is missing or has changed.
    """
    best, worst = ends(improvements(pair, metric), count)
    shown = [(name, own) for name, own in (("best", best), ("worst", worst)) if len(own)]
    wanted = {str(name) for _, own in shown for name in own.index}
    stored = [(run, run.entries_of(wanted)) for run in (pair.a, pair.b)]
    dataset = dataset_of(pair.a)
    title = f"{metric}: {pair.label_a} (A) to {pair.label_b} (B), {dataset.name}/{dataset.split}"
    parts = [
        table(
            f"{name} for B. {title}",
            (*SOURCE_AND_INPUT, f"A: {pair.label_a}", f"B: {pair.label_b}"),
            [_row(str(sample), float(change), stored, dataset) for sample, change in own.items()],
        )
        for name, own in shown
    ]
    if parts:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, png(beside(parts)))
    return bool(parts)


def _row(name: str, change: float, stored: Sequence[tuple[Run, Entries]], dataset: Dataset) -> Row:
    """Grey pictures for what can't be read any more."""
    about = f"{change:+.4g} {name}"
    try:
        sample = dataset[dataset.ids.index(name)]
    except SampleError as error:
        return [_missing()] * 4, f"{about}: {error}"
    images = [_painted(run, own.get(name)) for run, own in stored]
    return [*source_and_input(sample, SIDE), *images], f"{about}: {sample.caption}"


def _painted(run: Run, entry: LedgerEntry | None) -> Image.Image:
    try:
        return reduced(read_image(run.image_path(entry)), SIDE) if entry else _missing()
    except UserError:
        # Scores may outlive images.
        return _missing()


def _missing() -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), GREY)

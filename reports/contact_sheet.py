"""Draw a run at a glance: source, mask, masked input, result and caption of some of its samples."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.core.types import Dataset, Sample
from brushbench.imaging.images import read_image
from brushbench.imaging.sheets import Sheet, evenly, png, reduced, source_and_input, table
from brushbench.runs.folder import Run

NAME = "contact_sheet.png"
SHOWN = 12
ACROSS = 2
COLUMNS = ("source", "mask", "masked input", "result")
Shown = tuple[Sample, UInt8[Tensor, "3 _ _"]]
"""A sample and its result, which may have another size if it was made elsewhere."""


def write_contact_sheet(run: Run, dataset: Dataset) -> Path | None:
    """Write contact_sheet.png into the run folder, with samples evenly spaced among those that have an image.

    `dataset` is the data set of the run. Returns None if no sample has an image.
    """
    entries = run.intact()
    finished = [index for index, name in enumerate(dataset.ids) if name in entries]
    shown: list[Shown] = []
    for index in evenly(finished, SHOWN):
        try:
            shown.append((dataset[index], read_image(run.image_path(entries[dataset.ids[index]]))))
        except SampleError:
            # The sample or its image cannot be read; the ledger or the scores say why.
            continue
    return run.write_file(NAME, png(contact_sheet(shown, _title(run, len(finished))))) if shown else None


def contact_sheet(shown: Sequence[Shown], title: str) -> Sheet:
    """Every sample in the order given."""
    rows = [(_pictures(*each), f"{each[0].id}: {each[0].caption}") for each in shown]
    return table(title, COLUMNS, rows, ACROSS)


def _pictures(sample: Sample, result: UInt8[Tensor, "3 _ _"]) -> list[Image.Image]:
    source, masked = source_and_input(sample)
    mask, painted = reduced(sample.mask.expand(3, -1, -1).byte() * 255), reduced(result)
    painted.thumbnail(source.size)
    return [source, mask, masked, painted]


def _title(run: Run, finished: int) -> str:
    identity = run.record.identity
    data = f"{identity.dataset.name}, split {identity.dataset.split}, protocol {identity.protocol}"
    return f"{identity.method.name} on {data}: {min(SHOWN, finished)} of {finished} images"

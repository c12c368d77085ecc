"""Draw a run at a glance: source, mask, masked input, result and caption of some of its samples."""

import io
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.core.types import Dataset, Sample
from brushbench.imaging.images import read_image
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import GAP, GREY, INK, LINE, PAPER, TEXT, evenly, fitting, reduced
from brushbench.runs.folder import Run

NAME = "contact_sheet.png"
SHOWN = 12
"""Number of samples, two in a row."""
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
    if not shown:
        return None
    buffer = io.BytesIO()
    draw_sheet(shown, _title(run, len(finished))).save(buffer, format="PNG", optimize=True)
    return run.write_file(NAME, buffer.getvalue())


def draw_sheet(shown: Sequence[Shown], title: str) -> Image.Image:
    """Draw two samples in a row, each with its caption below."""
    font = ImageFont.load_default(TEXT)
    blocks = [_block(sample, result, font) for sample, result in shown]
    width, height = (max(sides) for sides in zip(*(block.size for block in blocks), strict=True))
    across = min(2, len(blocks))
    rows = -(-len(blocks) // 2)
    top = LINE + 2 * GAP
    sheet = Image.new("RGB", (across * (width + 3 * GAP), top + rows * (height + GAP)), PAPER)
    ImageDraw.Draw(sheet).text((GAP, GAP), fitting(title, font, sheet.width - 2 * GAP), fill=INK, font=font)
    for place, block in enumerate(blocks):
        sheet.paste(block, (place % 2 * (width + 3 * GAP) + GAP, top + place // 2 * (height + GAP)))
    return sheet


def _block(
    sample: Sample, result: UInt8[Tensor, "3 _ _"], font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    images, masks = sample.image[None], sample.mask[None]
    mask = masks[0].expand(3, -1, -1).byte() * 255
    pictures = [reduced(part) for part in (sample.image, mask, erase(images, masks)[0], result)]
    pictures[-1].thumbnail(pictures[0].size)
    width, height = pictures[0].width + GAP, pictures[0].height
    block = Image.new("RGB", (width * len(pictures) - GAP, height + 2 * LINE), PAPER)
    pen = ImageDraw.Draw(block)
    for column, (name, picture) in enumerate(zip(COLUMNS, pictures, strict=True)):
        pen.text((column * width, 0), fitting(name, font, width), fill=GREY, font=font)
        block.paste(picture, (column * width, LINE))
        pen.rectangle((column * width, LINE, column * width + picture.width - 1, LINE + height - 1), outline=GREY)
    pen.text((0, LINE + height), fitting(f"{sample.id}: {sample.caption}", font, block.width), fill=INK, font=font)
    return block


def _title(run: Run, finished: int) -> str:
    identity = run.record.identity
    data = f"{identity.dataset.name}, split {identity.dataset.split}, protocol {identity.protocol}"
    return f"{identity.method.name} on {data}: {min(SHOWN, finished)} of {finished} images"

"""Sheets of pictures that show what a part has learned."""

from collections.abc import Mapping, Sequence

from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.types import Batch, Method
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import Sheet, reduced, table


def sheet_of(columns: Mapping[str, UInt8[Tensor, "n 3 h w"]], captions: Sequence[str]) -> Sheet:
    """Every column of images with its heading, and a caption for each row."""
    pictures = zip(*(map(reduced, images) for images in columns.values()), strict=True)
    return table("", list(columns), list(zip(pictures, captions, strict=True)), max(2, 4 // len(columns)))


def filled(method: Method, batch: Batch) -> Sheet:
    """Scenes, what the method sees of them, and what it makes of that."""
    masked, results = erase(batch.images, batch.masks), method(batch, range(len(batch)))
    return sheet_of({"source": batch.images, "masked input": masked, "result": results}, batch.captions)

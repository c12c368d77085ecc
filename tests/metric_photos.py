"""The golden photographs, and batches rearranged."""

from pathlib import Path

import torch
from torch import Tensor

from brushbench.images import read_image, read_mask
from brushbench.types import Batch, Sample


def photo_pairs(golden: Path) -> tuple[Batch, Tensor]:
    """Two sources with their masks, and the images to be scored."""
    folder = golden / "metrics/photos"
    samples = [
        Sample(str(k), read_image(folder / f"src_{k}.png"), read_mask(folder / f"mask_{k}.png"), "") for k in (0, 1)
    ]
    return Batch.of(samples), torch.stack([read_image(folder / f"tgt_{k}.png") for k in (0, 1)])


def alone(pairs: tuple[Batch, Tensor]) -> list[tuple[Batch, Tensor]]:
    """Each sample as a batch of its own."""
    batch, images = pairs
    return [
        (
            Batch((batch.ids[k],), batch.images[k : k + 1], batch.masks[k : k + 1], (batch.captions[k],)),
            images[k : k + 1],
        )
        for k in range(len(batch))
    ]


def turned(pairs: tuple[Batch, Tensor]) -> tuple[Batch, Tensor]:
    """The same samples, the last one first."""
    batch, images = pairs
    return Batch(batch.ids[::-1], batch.images.flip(0), batch.masks.flip(0), batch.captions[::-1]), images.flip(0)


def single(image: Tensor, caption: str, mask: Tensor | None = None) -> tuple[Batch, Tensor]:
    """One image as a batch, its own source."""
    batch = Batch.of([Sample("one", image, image[:1] > 255 if mask is None else mask, caption)])
    return batch, batch.images

"""The golden photographs, and batches rearranged."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushbench.core.types import Batch, Metric, Sample
from brushbench.imaging.images import read_image, read_mask


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
    """The samples in reverse, the last one first."""
    batch, images = pairs
    return Batch(batch.ids[::-1], batch.images.flip(0), batch.masks.flip(0), batch.captions[::-1]), images.flip(0)


def assert_batch_is_its_samples(metric: Metric, pairs: tuple[Batch, Tensor]) -> None:
    """One by one, in another order, and as copies of one."""
    together = metric(*pairs)
    torch.testing.assert_close(torch.cat([metric(*pair) for pair in alone(pairs)]), together, atol=1e-5, rtol=0)
    torch.testing.assert_close(metric(*turned(pairs)).flip(0), together, atol=1e-5, rtol=0)
    batch, images = pairs
    copies = Batch.of([Sample(str(k), batch.images[0], batch.masks[0], batch.captions[0]) for k in range(3)])
    values = metric(copies, images[:1].repeat(3, 1, 1, 1))
    assert values.tolist() == pytest.approx([together[0].item()] * 3, abs=1e-5)
    assert values.max() - values.min() < 1e-6


def single(image: Tensor, caption: str, mask: Tensor | None = None) -> tuple[Batch, Tensor]:
    """One image as a batch, its own source."""
    batch = Batch.of([Sample("one", image, image[:1] > 255 if mask is None else mask, caption)])
    return batch, batch.images

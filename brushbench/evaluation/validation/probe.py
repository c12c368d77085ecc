"""A tiny batch to check plug-ins with: not square, and every sample has another picture, mask, caption and seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brushbench.core.types import Batch

COUNT, HEIGHT, WIDTH = 4, 64, 128
SEEDS = (7, 2**40 + 1, 0, 12345)
KEPT = 1
"""The place of the sample that stays when the rest of the batch is exchanged."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A batch and its seeds."""

    batch: Batch
    seeds: tuple[int, ...]

    def take(self, places: Sequence[int]) -> "Probe":
        """The probe with only these samples."""
        return Probe(self.batch.take(places), tuple(self.seeds[place] for place in places))


def probe() -> Probe:
    """Pictures of smooth colours; each mask is a disc of another size at another place."""
    down = torch.arange(HEIGHT)[:, None] / HEIGHT
    across = torch.arange(WIDTH)[None, :] / WIDTH
    images, masks = [], []
    for index in range(COUNT):
        waves = [torch.sin(6 * down + index + k) * torch.cos((5 + k) * across - index) for k in range(3)]
        images.append(((torch.stack(waves) + 1) * 127.5).to(torch.uint8))
        distance = (down - 0.4 - 0.05 * index) ** 2 + (2 * (across - 0.3 - 0.1 * index)) ** 2
        masks.append((distance < (0.2 + 0.05 * index) ** 2)[None])
    captions = tuple(f"a disc of colour, picture number {index}" for index in range(COUNT))
    ids = tuple(f"probe-{index}" for index in range(COUNT))
    return Probe(Batch(ids, torch.stack(images), torch.stack(masks), captions), SEEDS)


def with_other_neighbours(first: Probe) -> Probe:
    """The probe with every sample changed except the one at `KEPT`."""
    batch, kept = first.batch, torch.arange(COUNT) == KEPT
    ids, captions = (
        tuple(text if place == KEPT else f"another {text}" for place, text in enumerate(texts))
        for texts in (batch.ids, batch.captions)
    )
    images = torch.where(_wide(kept), batch.images, 255 - batch.images.flip(3))
    masks = torch.where(_wide(kept), batch.masks, batch.masks.flip(3))
    seeds = tuple(seed if place == KEPT else seed + 99 for place, seed in enumerate(first.seeds))
    return Probe(Batch(ids, images, masks, captions), seeds)


def copied(batch: Batch) -> Batch:
    """Copy a batch with its tensors."""
    return Batch(batch.ids, batch.images.clone(), batch.masks.clone(), batch.captions)


def is_changed(batch: Batch, before: Batch) -> bool:
    """Whether the tensors of a batch have other values than before."""
    return not (torch.equal(batch.images, before.images) and torch.equal(batch.masks, before.masks))


def describe_returned(found: object) -> str:
    """Describe what a plug-in returned, for a message."""
    if not isinstance(found, Tensor):
        return f"an object of type {type(found).__name__}"
    return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"


def _wide(places: Tensor) -> Tensor:
    return places[:, None, None, None]

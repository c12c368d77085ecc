"""A method without weights, whose fields are its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d, pad

from brushbench import Batch


@dataclass(frozen=True)
class DiffusionFill:
    """Diffuse colours from the known pixels into the masked ones, step by step, like heat."""

    steps: int = 50
    device: str = "cpu"
    """The device of the run; it is not an option."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> torch.Tensor:
        """The inpainted images, uint8 [n, 3, h, w]. Nothing is random, so the seeds aren't used."""
        known = batch.images.to(self.device, torch.float64)
        masks = batch.masks.to(self.device)
        pixels = torch.where(masks, 127.0, known)
        for _ in range(self.steps):
            pixels = torch.where(masks, avg_pool2d(pad(pixels, (1, 1, 1, 1), "replicate"), 3, stride=1), known)
        return pixels.round().to(torch.uint8)

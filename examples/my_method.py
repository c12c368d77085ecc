"""A method in a single file, explained in docs/add_a_method.md."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.ndimage import distance_transform_edt

from brushbench import Batch


@dataclass(frozen=True)
class NearestFill:
    """Give every masked pixel the colour of the nearest known pixel, with optional grain."""

    grain: float = 0.0
    """Standard deviation of the noise added to masked pixels, in levels."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> torch.Tensor:
        """The inpainted images, uint8 [n, 3, h, w]."""
        samples = zip(batch.images, batch.masks, seeds, strict=True)
        return torch.stack([self._fill(image, mask[0], seed) for image, mask, seed in samples])

    def _fill(self, image: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
        if mask.all():
            raise ValueError("there is no known pixel to take a colour from")
        nearest = distance_transform_edt(mask.numpy(), return_distances=False, return_indices=True)
        rows, columns = torch.from_numpy(nearest).long()
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        filled = (image[:, rows, columns] + noise * self.grain).round().clamp(0, 255)
        return torch.where(mask, filled.to(torch.uint8), image)

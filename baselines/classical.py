"""Methods without weights: floors, and what image processing did before diffusion models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, final

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from pydantic import Field
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.core.types import Batch

Radius = Annotated[float, Field(gt=0, le=256)]
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]


@final
@dataclass(frozen=True)
class Copy:
    """The source image, untouched. No method can preserve more, and none can follow the caption less."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """The images of the batch."""
        return batch.images.clone()


@final
@dataclass(frozen=True)
class MeanFill:
    """The painted region in the mean colour of the known pixels, rounded."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fails for a sample without known pixels."""
        return _each(batch, _mean_fill)


@final
@dataclass(frozen=True)
class Telea:
    """Fast marching from the border inwards: A. Telea, J. Graphics Tools 9(1), 2004; OpenCV's implementation."""

    radius: Radius = 3.0
    """Neighbourhood of each pixel, in pixels."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fails for a sample without known pixels."""
        return _each(batch, lambda image, mask: _opencv(image, mask, self.radius, cv2.INPAINT_TELEA))


@final
@dataclass(frozen=True)
class NavierStokes:
    """Isophotes continued like a fluid's: Bertalmio, Bertozzi, Sapiro, CVPR 2001; OpenCV's implementation."""

    radius: Radius = 3.0
    """Neighbourhood of each pixel, in pixels."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fails for a sample without known pixels."""
        return _each(batch, lambda image, mask: _opencv(image, mask, self.radius, cv2.INPAINT_NS))


@final
@dataclass(frozen=True)
class Biharmonic:
    """The smoothest surface through the known pixels: Damelin and Hoang 2018; scikit-image's implementation.

    It solves one sparse system over all painted pixels; at 512x512 with most of the image painted that takes minutes.
    """

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fails for a sample without known pixels."""
        return _each(batch, _biharmonic)


def _each(batch: Batch, paint: Paint) -> UInt8[Tensor, "n 3 h w"]:
    """`paint(image [h, w, 3], mask [h, w]) -> image` on every sample; known pixels stay exactly as they are."""
    images = []
    for name, image, mask in zip(batch.ids, batch.images, batch.masks, strict=True):
        if mask.all():
            raise SampleError(f"{name}: the mask covers the whole image, there is nothing to start from")
        painted = paint(image.permute(1, 2, 0).contiguous().numpy(), mask[0].numpy())
        images.append(torch.where(mask, torch.from_numpy(np.ascontiguousarray(painted)).permute(2, 0, 1), image))
    return torch.stack(images)


def _mean_fill(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    filled = image.copy()
    filled[mask] = image[~mask].mean(axis=0).round().astype(np.uint8)
    return filled


def _opencv(image: np.ndarray, mask: np.ndarray, radius: float, algorithm: int) -> np.ndarray:
    return np.asarray(cv2.inpaint(image, mask.astype(np.uint8), radius, algorithm))


def _biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    smooth = np.asarray(inpaint_biharmonic(image / 255, mask, channel_axis=-1))
    return np.asarray((np.clip(smooth, 0, 1) * 255).round(), dtype=np.uint8)

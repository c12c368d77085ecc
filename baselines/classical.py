"""Methods without weights: floors, and image processing from before diffusion models."""

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
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


@final
@dataclass(frozen=True)
class Copy:
    """The unchanged source image. No method can preserve more, and none can follow the caption less."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """A copy of the batch's images."""
        return batch.images.clone()


@final
@dataclass(frozen=True)
class MeanFill:
    """The masked region filled with the mean colour of the known pixels, rounded."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fill the masked pixels of each sample; fails for a sample without known pixels."""
        return _each(batch, _mean_fill)


@final
@dataclass(frozen=True)
class Telea:
    """Fast marching from the border inwards: Telea, J. Graphics Tools 9(1), 2004; OpenCV's implementation."""

    radius: Radius = 3.0
    """Radius of the neighbourhood of each pixel. Unit: pixels."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fill the masked pixels of each sample; fails for a sample without known pixels."""
        return _each(batch, lambda image, mask: _opencv(image, mask, self.radius, cv2.INPAINT_TELEA))


@final
@dataclass(frozen=True)
class NavierStokes:
    """Isophotes continued as by a fluid: Bertalmio, Bertozzi and Sapiro, CVPR 2001; OpenCV's implementation."""

    radius: Radius = 3.0
    """Radius of the neighbourhood of each pixel. Unit: pixels."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fill the masked pixels of each sample; fails for a sample without known pixels."""
        return _each(batch, lambda image, mask: _opencv(image, mask, self.radius, cv2.INPAINT_NS))


@final
@dataclass(frozen=True)
class Biharmonic:
    """The smoothest surface through the known pixels: Damelin and Hoang 2018; scikit-image's implementation.

    It solves one sparse system over all masked pixels; if most of a 512x512 image is masked, that takes minutes.
    """

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Fill the masked pixels of each sample; fails for a sample without known pixels."""
        return _each(batch, _biharmonic)


def _each(batch: Batch, fill: Fill) -> UInt8[Tensor, "n 3 h w"]:
    """Apply `fill(image [h, w, 3], mask [h, w]) -> image` to every sample; known pixels stay exactly as they are."""
    images = []
    for name, image, mask in zip(batch.ids, batch.images, batch.masks, strict=True):
        if mask.all():
            raise SampleError(f"{name}: the mask covers the whole image, so there is nothing to start from")
        filled = fill(image.permute(1, 2, 0).contiguous().numpy(), mask[0].numpy())
        images.append(torch.where(mask, torch.from_numpy(np.ascontiguousarray(filled)).permute(2, 0, 1), image))
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

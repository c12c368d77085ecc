"""Call a method on samples of one size as every image is made: padded if necessary, with a seed for each sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.errors import UserError
from brushbench.core.protocol import Protocol
from brushbench.core.types import Batch, Method, Sample
from brushbench.imaging.padding import cut_back, padded


@dataclass(frozen=True, slots=True)
class MethodCall:
    """A method with all that determines its images, apart from the samples and their number."""

    method: Method
    protocol: Protocol
    seed: int
    """The run's seed, from which each sample's seed follows."""
    side_multiple: int
    """The method needs images whose sides are multiples of it."""

    def __call__(self, samples: Sequence[Sample]) -> UInt8[Tensor, "n 3 h w"]:
        """The inpainted images of samples of one size.

        Raises `UserError` if the protocol doesn't pad them as necessary, or if the method returns something else.
        """
        given = Batch.of(samples)
        batch = padded(given, self._multiple_for(given))
        seeds = [self.protocol.sample_seed(self.seed, sample.id) for sample in samples]
        images = self.method(batch, seeds)
        if not isinstance(images, Tensor):
            raise UserError(
                f"the method returned {type(images).__name__}, must be a tensor: uint8 {list(batch.images.shape)}"
            )
        if images.dtype != torch.uint8 or images.shape != batch.images.shape:
            raise UserError(
                f"the method returned {images.dtype} {list(images.shape)}, must be uint8 {list(batch.images.shape)}"
            )
        return cut_back(images.cpu(), given)

    def _multiple_for(self, batch: Batch) -> int:
        """The multiple to pad both sides to. Raises `UserError` if padding is needed and the protocol doesn't pad."""
        (height, width), multiple = batch.images.shape[2:], self.side_multiple
        if not self.protocol.pads and (height % multiple or width % multiple):
            remedy = "valid: --protocol strict, which pads the picture and crops the result"
            raise UserError(f"{height}x{width}: both sides must be multiples of {multiple}; {remedy}")
        return multiple

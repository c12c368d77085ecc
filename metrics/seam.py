"""How visible the border of the mask is. Ours: no published table measures it, though coherence there is the claim."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor

from brushbench.metric_catalogue import CATALOGUE
from brushbench.metric_info import MetricInfo
from brushbench.types import Batch


@final
@dataclass(frozen=True, slots=True)
class Seam:
    """Steps across the border of the mask that stand out, and didn't in the source; lower is better, 0 is seamless.

    Wherever two neighbouring pixels (left and right, above and below) lie on different sides of the border, let t be
    the step between them (absolute difference, mean over the channels), and u and v the steps from each to the next
    pixel further away from the border, where that is on its own side. The step stands out by max(0, t - max(u, v)).
    What the source's step there stood out by is taken off, as the border may follow an object's edge:
    max(0, image - source). The score is the mean over all such pairs, in levels of 0..255.

    So it is 0 for an untouched image, grows with a step that is added along the border (a step of s levels between flat
    regions gives s), reads no pixel further than two from the border, and is the same for a mask and its complement.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where the mask has no border.
    """

    @property
    def info(self) -> MetricInfo:
        """In levels, up to 255."""
        return CATALOGUE["seam"]

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """See the class."""
        excess = torch.zeros(len(images), dtype=torch.int64)
        pairs = torch.zeros(len(images), dtype=torch.int64)
        for turn in (False, True):
            masks, own, source = (
                part.transpose(2, 3) if turn else part for part in (batch.masks, images, batch.images)
            )
            crossing = (masks[:, 0, :, 1:] != masks[:, 0, :, :-1]).nonzero().T
            extra = (_standing_out(own, masks, crossing) - _standing_out(source, masks, crossing)).clamp(min=0)
            excess.index_add_(0, crossing[0], extra)
            pairs += torch.bincount(crossing[0], minlength=len(images))
        # 0 / 0: a mask without a border has no seam to look at.
        return excess.double() / (3 * pairs).double()


def _standing_out(
    images: UInt8[Tensor, "n 3 h w"], masks: Bool[Tensor, "n 1 h w"], crossing: Int64[Tensor, "3 k"]
) -> Int64[Tensor, " k"]:
    """How far the step from each of these pixels (image, row, column) to its right neighbour stands out; all channels.

    The mask changes between the two.
    """
    image, row, column = crossing
    # Clamped, the last pixel is its own neighbour: there is no step.
    columns = (column + torch.arange(-1, 3)[:, None]).clamp(0, images.shape[3] - 1)
    steps: Tensor = images[image, :, row, columns].long().diff(dim=0).abs().sum(dim=2)
    # A step counts as a neighbour only if it lies on one side.
    sides = masks[image, 0, row, columns]
    neighbours = torch.maximum(steps[0] * (sides[0] == sides[1]), steps[2] * (sides[2] == sides[3]))
    return (steps[1] - neighbours).clamp(min=0)

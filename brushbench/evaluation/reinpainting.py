"""Re-inpainting consistency: inpaint an image again under other masks, and measure how much changes.

After arXiv:2405.16263, whose masks and number of repetitions aren't public in detail: those here are the suite's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from brushbench.core.metric_info import MetricInfo
from brushbench.core.types import Batch, Metric, Sample
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.patches import Patches
from brushbench.weights.metrics import Networked, sources_of
from brushbench.weights.sources import Source

CITATION = "after arXiv:2405.16263, with masks of this suite's own: docs/protocol.md"


@final
@dataclass(frozen=True, slots=True)
class Reinpainting:
    """The mean distance between an image and its re-inpainted versions; lower is better if the distance's is.

    Each version is inpainted from the image by one mask of `patches`, with the sample's own caption and a seed of its
    own. No source is needed, and copying it isn't rewarded; but blur is consistent, too.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where every second mask is empty.
    """

    name: str
    again: MethodCall
    patches: Patches
    distance: Metric
    version: str

    @property
    def info(self) -> MetricInfo:
        """The facts of the distance, under the name and version of the re-inpainting."""
        known = self.distance.info
        return MetricInfo(
            self.name,
            known.unit,
            higher_is_better=known.higher_is_better,
            region="whole",
            version=f"{self.version}, {known.name} {known.version}",
            scale=known.scale,
            citation=CITATION,
            licence=known.licence,
            ceiling=known.ceiling,
            lowest=known.lowest,
            highest=known.highest,
            compared=known.compared,
        )

    def weights(self) -> Sequence[Source]:
        """The sources of the distance's weights."""
        return sources_of(self.distance)

    def load_network(self) -> None:
        """Load the distance's network. Raises `UserError` if it can't be used."""
        if isinstance(self.distance, Networked):
            self.distance.load_network()

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        found = torch.stack([self._distances(batch, images, number) for number in range(self.patches.count)])
        return found.nanmean(dim=0)

    def _distances(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"], number: int) -> Float64[Tensor, " n"]:
        """The distances of all images for one of the second masks; NaN where it is empty."""
        samples = [
            Sample(f"{name}:{number}", image, self.patches(mask, name, number), caption)
            for name, image, mask, caption in zip(batch.ids, images, batch.masks, batch.captions, strict=True)
        ]
        places = [place for place, sample in enumerate(samples) if sample.mask.any()]
        distances = torch.full((len(samples),), torch.nan, dtype=torch.float64)
        if places:
            used = [samples[place] for place in places]
            distances[places] = self.distance(Batch.of(used), self.again(used))
        return distances

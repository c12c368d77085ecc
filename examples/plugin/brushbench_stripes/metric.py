"""A metric that can be computed on several regions."""

from dataclasses import dataclass
from typing import Literal

import torch

from brushbench import Batch, MetricInfo


@dataclass(frozen=True)
class ColourShift:
    """Euclidean distance between the mean colours of image and source in a region, in levels; lower is better."""

    region: Literal["known", "painted", "whole"] = "painted"

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; on another region, `named` makes the name `colour-shift@known`."""
        usual = MetricInfo(
            "colour-shift",
            "levels",
            higher_is_better=False,
            region="painted",
            version="1",
            citation="an example",
            licence="no weights",
            lowest=0.0,
        )
        return usual.named(self.region, "1")

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        """The scores, float64 [n]; NaN (nothing to score) where the region is empty."""
        chosen = {"known": ~batch.masks, "painted": batch.masks, "whole": torch.ones_like(batch.masks)}[self.region]
        difference = (images.double() - batch.images.double()) * chosen
        return (difference.sum(dim=(2, 3)) / chosen.sum(dim=(2, 3))).norm(dim=1)

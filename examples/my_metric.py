"""A metric in a single file, explained in docs/add_a_metric.md."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import avg_pool2d

from brushbench import Batch, MetricInfo


@dataclass(frozen=True)
class WorstPatch:
    """The largest mean absolute difference from the source over all square windows, within a region."""

    side: int = 8
    """Side of the windows, in pixels."""
    region: Literal["known", "painted", "whole"] = "known"

    @property
    def info(self) -> MetricInfo:
        """The metric's facts for tables. The side changes the numbers, so it is part of the version."""
        version = f"1, side {self.side}"
        usual = MetricInfo(
            "worst-patch",
            "levels",
            higher_is_better=False,
            region="known",
            version=version,
            citation="docs/add_a_metric.md",
            lowest=0.0,
            highest=255.0,
        )
        return usual.named(self.region, version)

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        """The scores, float64 [n]; NaN (nothing to score) where the region is empty."""
        counted = {"known": ~batch.masks, "painted": batch.masks, "whole": torch.ones_like(batch.masks)}[self.region]
        difference = (images.double() - batch.images.double()).abs().mean(dim=1, keepdim=True) * counted
        window = min(self.side, *images.shape[2:])
        worst = avg_pool2d(difference, window, stride=1).amax(dim=(1, 2, 3))
        return worst.where(counted.any(dim=3).any(dim=2).any(dim=1), torch.nan)

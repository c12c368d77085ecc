"""A metric of sets in a single file, explained in docs/add_a_metric.md."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from brushbench import Batch, MetricInfo


@dataclass(frozen=True)
class ColourGap:
    """How far the mean colour of all inpainted pictures is from that of their sources, in levels."""

    region: Literal["known", "painted", "whole"] = "painted"

    @property
    def info(self) -> MetricInfo:
        """The metric's facts for tables. The scope says that it has one number for all images."""
        usual = MetricInfo("colour-gap", "levels", higher_is_better=False, region="painted", version="1", scope="set")
        return usual.named(self.region, "1")

    def features(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        """The mean colour of each image, float [n, 3]; NaN where the region is empty, which leaves the image out."""
        counted = {"known": ~batch.masks, "painted": batch.masks, "whole": torch.ones_like(batch.masks)}[self.region]
        return (images * counted).double().sum(dim=(2, 3)) / counted.sum(dim=(2, 3))

    def distance(self, references: np.ndarray, images: np.ndarray) -> float:
        """The distance of the sets' means; the rows are what `features` returned."""
        return float(np.linalg.norm(references.mean(axis=0) - images.mean(axis=0)))

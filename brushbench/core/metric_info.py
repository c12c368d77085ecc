"""What a metric says of itself: all that reports need, without importing torch."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

Region = Literal["known", "painted", "whole"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""The regions that can be requested."""
ScoredRegion = Region | Literal["border"]
"""Where a metric looks: also the pixels along the border of the mask."""
Compared = Literal["difference", "ratio"]
IDENTICAL = "identical"
NOTHING = "nothing to score"
HOLDING = ("", IDENTICAL, NOTHING)
"""Statuses that say something of the image; with any other, scoring again may end differently."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a reader must know of a metric to read its numbers."""

    name: str
    """The name it was asked for by, with the region if it isn't the usual one: `psnr`, `ssim@whole`."""
    unit: str
    """For example `dB`; empty for a pure number."""
    higher_is_better: bool
    region: ScoredRegion
    """Which pixels count."""
    version: str
    """Changes whenever the number that the metric gives on the same pixels changes. With weights: also their digest."""
    scale: float = 1.0
    """Factor with which papers print the value."""
    citation: str = ""
    """The paper that defines it."""
    licence: str = ""
    """The licence of its weights, as their authors give it; empty for a metric without any."""
    ceiling: float | None = None
    """Means, tests and figures count a higher score, and `identical`, as this one; None: as it is, and not at all.

    The stored score stays what it is. Under `paper` there is none: see `counted`."""
    lowest: float | None = None
    """The smallest value that it can have, where there is one: intervals end there."""
    highest: float | None = None
    """The largest one, likewise."""
    compared: Compared = "difference"
    """How two methods are compared on it: by the mean difference, or by the ratio of the geometric means."""

    def same_numbers(self, other: "MetricInfo") -> bool:
        """Whether the two give the same number on the same pixels."""
        return (self.name, self.region, self.version) == (other.name, other.region, other.version)

    def named(self, region: ScoredRegion, version: str) -> "MetricInfo":
        """This metric on a region, by the name it is asked for then, and of a version."""
        name = self.name if region == self.region else f"{self.name}@{region}"
        return replace(self, name=name, region=region, version=version)


def parted(name: str) -> tuple[str, str]:
    """A metric's name and region: `psnr@painted` -> (`psnr`, `painted`); no region: empty."""
    base, separator, region = name.rpartition("@")
    # In a path to a file, the sign may be anywhere.
    return (base, region) if separator and not set(region) & set("/\\:") else (name, "")


def unscored(value: float) -> str:
    """Why a metric's value is not a score; empty for a score.

    Infinite is `identical` (nothing differs, so the ratio has no value); NaN is `nothing to score` (its region is
    empty).
    """
    if math.isnan(value):
        return NOTHING
    return IDENTICAL if math.isinf(value) else ""

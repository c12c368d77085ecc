"""The facts about a metric that reports need, without importing torch."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

Region = Literal["known", "painted", "whole"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""The regions that can be requested."""
ScoredRegion = Region | Literal["border"]
"""The regions that a metric can score, including the pixels along the border of the mask."""
Compared = Literal["difference", "ratio"]
Scope = Literal["image", "set"]
IDENTICAL = "identical"
NOTHING = "nothing to score"
HOLDING = ("", IDENTICAL, NOTHING)
"""Statuses that depend only on the image. After any other, scoring again may give a different result."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The facts about a metric that are needed to read its numbers."""

    name: str
    """The requested name, with the region unless it is the default one: `psnr`, `ssim@whole`."""
    unit: str
    """For example `dB`; empty for a number without a unit."""
    higher_is_better: bool
    region: ScoredRegion
    """The pixels that it scores."""
    version: str
    """Changes whenever the score of the same pixels changes. It includes the digest of the weights, if any."""
    scale: float = 1.0
    """The factor by which papers multiply the value."""
    citation: str = ""
    """The paper that defines it."""
    licence: str = ""
    """The licence of its weights, as their authors state it; empty for a metric without weights."""
    ceiling: float | None = None
    """In means, tests and figures, a higher score and `identical` count as this value. None: a score counts unchanged,
    and `identical` doesn't count.

    The stored score isn't changed. Under `paper` there is no ceiling: see `counted`."""
    lowest: float | None = None
    """The smallest possible value, where intervals end; None if there is none."""
    highest: float | None = None
    """The largest possible value, where intervals end; None if there is none."""
    compared: Compared = "difference"
    """How two methods are compared: by the mean difference, or by the ratio of the geometric means."""
    scope: Scope = "image"
    """Whether each image has a score, or only a set of images has one."""

    def same_numbers(self, other: "MetricInfo") -> bool:
        """Tell whether both give the same number for the same pixels."""
        return (self.name, self.region, self.version) == (other.name, other.region, other.version)

    def named(self, region: ScoredRegion, version: str) -> "MetricInfo":
        """This metric on another region and of another version, with the name that requests it."""
        name = self.name if region == self.region else f"{self.name}@{region}"
        return replace(self, name=name, region=region, version=version)


def parted(name: str) -> tuple[str, str]:
    """Split a metric's name from its region: `psnr@painted` -> (`psnr`, `painted`), `psnr` -> (`psnr`, ``)."""
    base, separator, region = name.rpartition("@")
    # The path of a file may contain an @.
    return (base, region) if separator and not set(region) & set("/\\:") else (name, "")


def unscored(value: float) -> str:
    """The reason why a metric's value is not a score; empty for a score.

    An infinite value means `identical` (nothing differs, so the ratio is undefined); NaN means `nothing to score` (the
    region is empty).
    """
    if math.isnan(value):
        return NOTHING
    return IDENTICAL if math.isinf(value) else ""

"""Find the part of an axis that shows most, where a few outliers would flatten all else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

FLAT = 4.0
"""How many times as long an axis may be for its outliers."""
ROOM = 0.06
"""Part of a clipped axis that is added at both ends."""
NEAR = 0.75
"""How far beyond the intervals a value may be that a clipped axis shows, relative to their length."""
RATIO = 20.0
"""A log axis needs values that differ at least so many times."""
Kind = Literal["linear", "log", "clipped"]
Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """How to draw an axis."""

    kind: Kind
    low: float = 0.0
    """Where a clipped axis begins and ends."""
    high: float = 0.0


def axis_of(whiskers: Sequence[Ends], values: Sequence[float], *, may_be_log: bool) -> Axis:
    """Return a linear axis unless outliers would make it over `FLAT` times as long as what most intervals need.

    A log axis shows everything, if all `values` are above 0 and are no logarithms; else the axis is clipped.
    It ends at the last value that is near to the intervals.
    """
    low, high = _without_outliers(whiskers)
    whole = float(np.min(values)), float(np.max(values))
    if whole[1] - whole[0] <= FLAT * (high - low) or high <= low:
        return Axis("linear")
    if may_be_log and whole[0] > 0 and whole[1] / whole[0] >= RATIO:
        return Axis("log")
    reach = NEAR * (high - low)
    near = [value for value in values if low - reach <= value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    room = ROOM * (high - low)
    return Axis("clipped", low - room, high + room)


def _without_outliers(intervals: Sequence[Ends]) -> Ends:
    """Return the ends of all intervals but those far from the others, of which there must be two."""
    kept = list(intervals)
    while len(kept) > 2:
        rest = min(([one for place, one in enumerate(kept) if place != out] for out in range(len(kept))), key=_length)
        # Intervals without any length say nothing about the axis.
        if not _length(rest) or _length(kept) <= FLAT * _length(rest):
            break
        kept = rest
    return _ends(kept)


def _ends(intervals: Sequence[Ends]) -> Ends:
    return float(np.min([low for low, _ in intervals])), float(np.max([high for _, high in intervals]))


def _length(intervals: Sequence[Ends]) -> float:
    low, high = _ends(intervals)
    return high - low

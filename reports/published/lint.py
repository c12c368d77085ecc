"""Find numbers of a registry that cannot be right.

The mean of squared errors cannot be below 10^(-mean PSNR / 10): PSNR is a convex function of the squared error, so by
Jensen's inequality PSNR(mean MSE) <= mean PSNR. This holds with any factor in the squared error, as long as PSNR has
the same factor. Tables with the columns MSE and LPIPS swapped, which are widely copied, violate it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from brushbench.reports.published.registry import CONFIDENCE, METRICS, OTHER_METRICS, Published, PublishedRow

ROUNDING = 0.005
"""Half a unit of the last printed digit."""
RANGES = {
    "IR": (-30.0, 30.0),
    "HPS": (0.0, 100.0),
    "AS": (0.0, 10.0),
    "PSNR": (0.0, 1000.0),
    "MSE": (0.0, 3000.0),
    "LPIPS": (0.0, 2000.0),
    "CLIP": (0.0, 100.0),
    "SSIM": (-100.0, 100.0),
    "HPSv3": (-20.0, 20.0),
    "GPT-4": (0.0, 100.0),
    "VQA": (0.0, 100.0),
    "localCLIP": (0.0, 100.0),
    "InpaintReward": (-10.0, 10.0),
    "LPIPS-box": (0.0, 2000.0),
    "Q-Align": (1.0, 5.0),
    "Q-Align-mask": (1.0, 5.0),
    "CLIPIQA-mask": (0.0, 1.0),
    "seconds": (0.0, 3600.0),
    "GB": (0.0, 100.0),
}
"""Range of printed values; squared errors sum three channels, and identical images have a PSNR of 1000."""
LARGEST_GAP = 3.0
"""Largest usual gap between the mean PSNR and the PSNR of the mean squared error, in dB; most rows have 1 to 2."""
SWAP = {"MSE": "LPIPS", "LPIPS": "MSE"}


def impossible_numbers(numbers: Iterable[Published]) -> list[str]:
    """Return a line for each number that cannot be right."""
    numbers = list(numbers)
    found = [problem for number in numbers if (problem := _alone(number))]
    counts = Counter((*number.row, number.metric) for number in numbers)
    found += [f"{_place(key)}: occurs {count} times" for key, count in counts.items() if count > 1]
    return found + _impossible_errors(numbers)


def swapped(numbers: Iterable[Published]) -> list[Published]:
    """Return the numbers with the columns MSE and LPIPS swapped, as they are widely copied."""
    return [replace(number, metric=SWAP.get(number.metric, number.metric)) for number in numbers]


def _alone(number: Published) -> str:
    place = _place((*number.row, number.metric))
    if number.metric not in (*METRICS, *OTHER_METRICS):
        return f"{place}: no such metric; valid: {', '.join((*METRICS, *OTHER_METRICS))}"
    low, high = RANGES[number.metric]
    if not (math.isfinite(number.value) and low <= number.value <= high):
        return f"{place}: {number.value:g} is not within {low:g} and {high:g}"
    if number.confidence not in CONFIDENCE:
        return f"{place}: confidence {number.confidence!r} is not one of {', '.join(CONFIDENCE)}"
    if not number.source:
        return f"{place}: has no source"
    if number.confidence == "A" and len(number.sources) < 2:
        return f"{place}: confidence A needs two sources, but the only one is {number.source}"
    return ""


def dominated(numbers: Iterable[Published]) -> list[str]:
    """Return a line for each row whose mean squared error a few images dominate: possible, but not the usual result.

    The PSNR of the mean error is then far below the mean PSNR. A few per cent of black images have this effect.
    """
    return [
        f"{_place(row)}: PSNR and MSE are {gap:.1f} dB apart: a few images dominate"
        for row, gap in dominated_rows(numbers).items()
    ]


def dominated_rows(numbers: Iterable[Published]) -> dict[PublishedRow, float]:
    """Return the gap between the two PSNRs, in dB, for each such row."""
    gaps = {
        row: values["PSNR"] - 10 * math.log10(1000 / max(values["MSE"], ROUNDING))
        for row, values in _with_both(numbers).items()
    }
    return {row: gap for row, gap in gaps.items() if gap > LARGEST_GAP}


def _impossible_errors(numbers: Sequence[Published]) -> list[str]:
    found = []
    for row, values in _with_both(numbers).items():
        # Both numbers may be off by their rounding.
        bound = 1000 * 10 ** (-(values["PSNR"] + ROUNDING) / 10)
        if values["MSE"] + ROUNDING < bound:
            found.append(
                f"{_place((*row, 'MSE'))}: {values['MSE']:.2f} is impossible: with a mean PSNR of "
                f"{values['PSNR']:.2f} it must be {bound:.2f} or more"
            )
    return found


def _with_both(numbers: Iterable[Published]) -> dict[PublishedRow, dict[str, float]]:
    """Return the values of rows that have both a PSNR and an MSE."""
    rows: dict[PublishedRow, dict[str, float]] = {}
    for number in numbers:
        rows.setdefault(number.row, {})[number.metric] = number.value
    return {row: values for row, values in rows.items() if {"PSNR", "MSE"} <= values.keys()}


def _place(key: Sequence[str]) -> str:
    return " ".join(filter(None, key))

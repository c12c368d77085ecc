"""The outline of a mask, which the gallery draws."""

import re

import numpy as np
import pytest

from brushbench.reports.gallery.outline import MOST, box_of, outline


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 5), (30, 20)])
def test_an_outline_is_the_mask_to_the_pixel(size: tuple[int, int]) -> None:
    draw = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.5, 0.9, 1.0):
        mask = draw.random(size) < share
        assert np.array_equal(filled(outline(mask), size), mask)
        found = np.argwhere(mask)
        box = [*found.min(axis=0)[::-1], *(found.max(axis=0)[::-1] + 1)] if len(found) else []
        assert box_of(mask) == box


def test_the_outline_of_noise_is_reduced() -> None:
    mask = np.random.default_rng(0).random((600, 500)) < 0.5
    path = outline(mask)
    assert path.count("h") + path.count("v") <= MOST
    assert np.all(np.array(re.findall(r"[hv](-?\d+)", path), dtype=int) % 2 == 0)


def filled(path: str, size: tuple[int, int]) -> np.ndarray:
    """What is inside a path of horizontal and vertical lines, by the even-odd rule."""
    inside = np.zeros(size, dtype=bool)
    for loop in path.split("z")[:-1]:
        x, y = first = tuple(map(int, re.match(r"M(\d+) (\d+)", loop).groups()))
        for kind, step in [*re.findall(r"([hv])(-?\d+)", loop), ("v", "")]:
            if kind == "h":
                x += int(step)
            else:
                end = y + int(step) if step else first[1]
                inside[min(y, end) : max(y, end), x:] ^= True
                y = end
    return inside

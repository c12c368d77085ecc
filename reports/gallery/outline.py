"""The border of a mask as an SVG path, to the pixel: sharp at every zoom, and cut out without a picture of its own.

A page from `file://` may use neither a canvas of pictures nor a picture as a mask, but it may clip to a path.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

Mask = Bool[np.ndarray, "h w"]
Points = Int[np.ndarray, "n 2"]
Point = tuple[int, int]
Side = tuple[Point, Point]
"""From where to where."""
MOST = 20000
"""Sides of a path; a mask of more is drawn at half its resolution, as often as it takes."""


def outline(mask: Mask) -> str:
    """Return the closed lines around the region to inpaint, in pixels; the rule for what is inside is even-odd.

    >>> outline(np.array([[False, True], [False, True]]))
    'M1 0h1v2h-1z'
    """
    scale = 1
    while (count := _corners(mask)) > MOST:
        mask, scale = _halved(mask), scale * 2
    return "".join(_loop(corners * scale) for corners in _loops(mask)) if count else ""


def box_of(mask: Mask) -> list[int]:
    """Return left, top, right and bottom of the region to inpaint, pixels; empty if there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _corners(mask: Mask) -> int:
    """Count the corners, a pixel that touches another by its corner only being two."""
    whole = np.pad(mask, 1).astype(np.int8)
    sums = whole[1:, 1:] + whole[1:, :-1] + whole[:-1, 1:] + whole[:-1, :-1]
    diagonal = (sums == 2) & (whole[1:, 1:] == whole[:-1, :-1])
    return int((sums % 2).sum() + 2 * diagonal.sum())


def _halved(mask: Mask) -> Bool[np.ndarray, "_ _"]:
    padded = np.pad(mask, [(0, side % 2) for side in mask.shape])
    height, width = padded.shape
    blocks = padded.reshape(height // 2, 2, width // 2, 2)
    found: Bool[np.ndarray, "_ _"] = blocks.sum(axis=(1, 3)) >= 2
    return found


def _loops(mask: Mask) -> Iterator[Points]:
    """Yield the corners of each closed line, which runs clockwise around the region, and the other way around a hole.

    Where two pixels touch by a corner, two lines meet, and whichever goes on is right.
    """
    across = _by_start(_sides(mask, 1))
    down = _by_start([((x, y), (to_x, to_y)) for (y, x), (to_y, to_x) in _sides(mask.T, -1)])
    while across:
        first = point = next(iter(across))
        corners: list[Point] = []
        while not corners or point != first:
            turned = _taken(across, point)
            corners += [point, turned]
            point = _taken(down, turned)
        yield np.array(corners)


def _sides(mask: Mask, forward: int) -> list[Side]:
    """Return the horizontal sides of the region: those above it go to the right, or to the left if `forward` is -1."""
    inner = np.pad(mask, [(1, 1), (0, 0)]).astype(np.int8)
    # Above the region 1, below it -1; the zeros at both ends of a line keep sides apart.
    edges = np.pad(np.diff(inner, axis=0), [(0, 0), (1, 1)])
    width = edges.shape[1]
    flat = edges.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    first, last = changes[:-1], changes[1:]
    kept = flat[first] != 0
    signs, rows = flat[first[kept]] * forward, first[kept] // width
    left, right = first[kept] % width - 1, last[kept] % width - 1
    begin, end = np.where(signs > 0, left, right), np.where(signs > 0, right, left)
    places = zip(begin.tolist(), end.tolist(), rows.tolist(), strict=True)
    return [((start, row), (stop, row)) for start, stop, row in places]


def _by_start(sides: list[Side]) -> dict[Point, list[Point]]:
    found: dict[Point, list[Point]] = {}
    for start, end in sides:
        found.setdefault(start, []).append(end)
    return found


def _taken(ends: dict[Point, list[Point]], start: Point) -> Point:
    """Take one of the sides that begin here."""
    found = ends[start]
    end = found.pop()
    if not found:
        del ends[start]
    return end


def _loop(corners: Points) -> str:
    """Write a closed line; its last side is the one that `z` draws."""
    steps = np.diff(corners, axis=0)
    sides = [f"h{dx}" if dx else f"v{dy}" for dx, dy in steps.tolist()]
    return f"M{corners[0][0]} {corners[0][1]}{''.join(sides)}z"

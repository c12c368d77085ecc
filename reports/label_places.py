"""Find places for labels beside points, so that no label covers another one or a point."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

GAP = 4.0
"""Points between a marker's centre and a label, about the radius of a marker."""
RADIUS = 3.0


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "Box") -> bool:
        """Tell whether both share a point inside."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def is_in(self, other: "Box") -> bool:
        """Tell whether this one is inside of the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


def places_of(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    panel: Box,
    others: Sequence[tuple[float, float]] = (),
) -> list[tuple[float, float] | None]:
    """Return the lower left corner of each label, in points relative to its point; None for one without a place.

    `sizes` are widths and heights of the labels; `others` are points that must not be covered either.
    """
    taken = [Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in [*points, *others]]
    found: list[tuple[float, float] | None] = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        for right, up in _around(width, height):
            box = Box(x + right, y + up, x + right + width, y + up + height)
            if box.is_in(panel) and not any(box.meets(other) for other in taken):
                taken.append(box)
                found.append((right, up))
                break
        else:
            found.append(None)
    return found


def _around(width: float, height: float) -> Iterator[tuple[float, float]]:
    """Yield the corners to try: near ones first, at the right, the left, above and below."""
    for far in (1.0, 2.0, 3.5, 5.0):
        out = far * GAP
        for up in (out / 2, -height / 2, -out / 2 - height):
            yield from ((out, up), (-out - width, up))
        for up in (out, -out - height):
            yield from ((-width / 2, up), (-width / 4, up), (-3 * width / 4, up))

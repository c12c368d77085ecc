"""PaperCut's twelve objects, each a list of cut pieces in its own coordinates.

x points right and y down, both from about -1 to 1, with the object around the origin. Each piece is drawn over the
previous ones, in a tone of the object's colour or in a fixed colour.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Number = int | float
Point = tuple[Number, Number]
Tone = str
"""A tone of the object's colour (`main`, `dark` or `light`), or the name of a `FIXED` colour."""
FIXED = {
    "cream": (250, 240, 214),
    "ink": (58, 52, 66),
    "wood": (134, 92, 58),
    "leaf": (84, 140, 70),
    "glass": (168, 216, 234),
    "flame": (250, 170, 60),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One cut piece of paper."""

    outline: tuple[Point, ...]
    tone: Tone = "main"


def ellipse(
    x: Number, y: Number, rx: Number, ry: Number, tone: Tone = "main", *, arc: tuple[Number, Number] = (0.0, 1.0)
) -> Piece:
    """An ellipse, or with `arc` (in turns, clockwise from the right) the segment between two of its points."""
    turns = [arc[0] + (arc[1] - arc[0]) * k / 48 for k in range(49)]
    return Piece(tuple((x + rx * math.cos(2 * math.pi * t), y + ry * math.sin(2 * math.pi * t)) for t in turns), tone)


def polygon(points: Iterable[Point], tone: Tone = "main") -> Piece:
    """A polygon."""
    return Piece(tuple(points), tone)


def box(left: Number, top: Number, right: Number, bottom: Number, tone: Tone = "main") -> Piece:
    """A rectangle."""
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)], tone)


def balloon() -> list[Piece]:
    """A hot-air balloon with stripes and a basket."""
    return [
        polygon([(-0.3, 0.42), (-0.27, 0.42), (-0.16, 0.78), (-0.19, 0.78)], "ink"),
        polygon([(0.3, 0.42), (0.27, 0.42), (0.16, 0.78), (0.19, 0.78)], "ink"),
        polygon([(-0.6, 0.0), (0.6, 0.0), (0.26, 0.5), (-0.26, 0.5)]),
        ellipse(0, -0.28, 0.7, 0.68),
        ellipse(0, -0.28, 0.42, 0.68, "light"),
        polygon([(-0.38, 0.0), (0.38, 0.0), (0.15, 0.5), (-0.15, 0.5)], "light"),
        ellipse(0, -0.28, 0.17, 0.68, "dark"),
        polygon([(-0.16, 0.0), (0.16, 0.0), (0.06, 0.5), (-0.06, 0.5)], "dark"),
        box(-0.21, 0.74, 0.21, 1.0, "wood"),
        box(-0.24, 0.72, 0.24, 0.8, "cream"),
    ]


def house() -> list[Piece]:
    """A house with a chimney, a door and two windows."""
    windows = [box(x, 0.16, x + 0.3, 0.46, "glass") for x in (-0.55, 0.25)]
    bars = [box(x + 0.13, 0.16, x + 0.17, 0.46, "cream") for x in (-0.55, 0.25)]
    return [
        box(0.3, -0.78, 0.52, -0.2, "dark"),
        box(-0.72, -0.06, 0.72, 0.9),
        polygon([(-0.92, -0.02), (0, -0.88), (0.92, -0.02)], "dark"),
        polygon([(-0.16, -0.3), (0, -0.46), (0.16, -0.3), (0, -0.14)], "cream"),
        *windows,
        *bars,
        box(-0.16, 0.38, 0.16, 0.9, "wood"),
        ellipse(0.09, 0.66, 0.035, 0.035, "cream"),
    ]


def tree() -> list[Piece]:
    """A round tree with fruit."""
    fruit = [ellipse(x, y, 0.08, 0.08, "cream") for x, y in ((-0.36, -0.3), (0.04, -0.58), (0.38, -0.2), (0.06, -0.04))]
    return [
        polygon([(-0.12, 0.1), (0.12, 0.1), (0.18, 0.98), (-0.18, 0.98)], "wood"),
        ellipse(-0.34, -0.1, 0.46, 0.42, "dark"),
        ellipse(0.36, -0.08, 0.46, 0.42, "dark"),
        ellipse(0, -0.42, 0.58, 0.52),
        ellipse(-0.16, -0.56, 0.24, 0.2, "light"),
        *fruit,
    ]


def boat() -> list[Piece]:
    """A sailing boat with two sails and a flag."""
    return [
        box(-0.05, -0.92, 0.03, 0.5, "wood"),
        polygon([(0.07, -0.8), (0.07, 0.36), (0.78, 0.36)], "light"),
        polygon([(0.07, -0.1), (0.07, 0.12), (0.64, 0.14), (0.5, -0.1)], "main"),
        polygon([(-0.1, -0.6), (-0.1, 0.36), (-0.66, 0.36)], "cream"),
        polygon([(0.03, -0.98), (0.3, -0.9), (0.03, -0.82)], "main"),
        polygon([(-0.9, 0.44), (0.92, 0.44), (0.6, 0.92), (-0.6, 0.92)]),
        polygon([(-0.86, 0.5), (0.88, 0.5), (0.8, 0.62), (-0.78, 0.62)], "cream"),
        *[ellipse(x, 0.76, 0.06, 0.06, "dark") for x in (-0.36, 0.0, 0.36)],
    ]


def star() -> list[Piece]:
    """A five-pointed star, folded along its rays."""
    tips = [(math.sin(2 * math.pi * k / 10), -math.cos(2 * math.pi * k / 10)) for k in range(10)]
    corners = [(0.98 * x, 0.98 * y) if k % 2 == 0 else (0.42 * x, 0.42 * y) for k, (x, y) in enumerate(tips)]
    folds = [polygon([(0, 0), corners[k], corners[(k + 1) % 10]], "dark") for k in range(0, 10, 2)]
    return [polygon(corners), *folds, ellipse(0, 0, 0.15, 0.15, "light")]


def heart() -> list[Piece]:
    """A heart with a light edge and three stitched dots."""

    def outline(scale: float) -> list[Point]:
        points = []
        for k in range(64):
            t = 2 * math.pi * k / 64
            x = 16 * math.sin(t) ** 3
            y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            points.append((scale * x / 17, -scale * (y + 2) / 16))
        return points

    dots = [ellipse(x, y, 0.06, 0.06, "cream") for x, y in ((-0.32, -0.2), (0.0, -0.02), (0.32, -0.2))]
    return [polygon(outline(1.0)), polygon(outline(0.8), "light"), polygon(outline(0.66)), *dots]


def mushroom() -> list[Piece]:
    """A toadstool with dots, and a small one beside it."""
    dots = [
        ellipse(x, y, r, 0.8 * r, "cream") for x, y, r in ((-0.4, -0.3, 0.13), (0.06, -0.52, 0.15), (0.44, -0.22, 0.11))
    ]
    return [
        polygon([(-0.2, 0.0), (0.2, 0.0), (0.28, 0.92), (-0.28, 0.92)], "cream"),
        ellipse(0, 0.06, 0.82, 0.14, "dark"),
        ellipse(0, 0.04, 0.84, 0.86, arc=(0.5, 1.0)),
        *dots,
        polygon([(0.5, 0.62), (0.62, 0.62), (0.65, 0.92), (0.47, 0.92)], "cream"),
        ellipse(0.56, 0.64, 0.26, 0.26, "main", arc=(0.5, 1.0)),
    ]


def fish() -> list[Piece]:
    """A fish with fins, stripes and an eye."""
    return [
        polygon([(0.5, 0.0), (0.98, -0.42), (0.86, 0.0), (0.98, 0.42)], "dark"),
        polygon([(-0.2, -0.36), (0.3, -0.72), (0.34, -0.2)], "dark"),
        polygon([(-0.1, 0.36), (0.22, 0.68), (0.26, 0.24)], "dark"),
        ellipse(-0.14, 0, 0.76, 0.46),
        ellipse(0.06, 0, 0.1, 0.42, "light"),
        ellipse(0.32, 0, 0.07, 0.34, "light"),
        ellipse(-0.56, -0.1, 0.13, 0.13, "cream"),
        ellipse(-0.58, -0.1, 0.06, 0.06, "ink"),
        polygon([(-0.24, 0.02), (0.0, 0.16), (-0.22, 0.24)], "dark"),
    ]


def rocket() -> list[Piece]:
    """A rocket with fins, a porthole and a flame."""
    return [
        polygon([(-0.2, 0.62), (0.2, 0.62), (0.08, 0.98), (0, 0.8), (-0.08, 0.98)], "flame"),
        polygon([(-0.28, 0.1), (-0.64, 0.72), (-0.26, 0.6)], "dark"),
        polygon([(0.28, 0.1), (0.64, 0.72), (0.26, 0.6)], "dark"),
        ellipse(0, 0.02, 0.34, 0.98, arc=(0.5, 1.0)),
        polygon([(-0.34, 0.0), (0.34, 0.0), (0.24, 0.66), (-0.24, 0.66)]),
        ellipse(0, -0.52, 0.24, 0.44, "cream", arc=(0.5, 1.0)),
        box(-0.3, 0.38, 0.3, 0.48, "cream"),
        ellipse(0, -0.12, 0.18, 0.18, "cream"),
        ellipse(0, -0.12, 0.12, 0.12, "glass"),
    ]


def umbrella() -> list[Piece]:
    """An open umbrella in two tones with a hooked handle."""
    handle = [box(-0.035, -0.2, 0.035, 0.74, "wood"), ellipse(0.1, 0.74, 0.135, 0.17, "wood", arc=(0.0, 0.5))]
    panels = [(-0.92, -0.46, "main"), (-0.46, 0.0, "light"), (0.0, 0.46, "main"), (0.46, 0.92, "light")]
    return [
        *handle,
        box(-0.03, -0.98, 0.03, -0.8, "wood"),
        *[polygon([(0, -0.84), *_arc(left), (right, 0.0), *_arc(right)[::-1]], tone) for left, right, tone in panels],
        *[ellipse((left + right) / 2, 0.0, 0.23, 0.09, tone) for left, right, tone in panels],
    ]


def _arc(edge: Number) -> list[Point]:
    """The points from an umbrella's tip to its rim at x = `edge`."""
    return [(edge * math.sin(math.pi / 2 * k / 12), -0.84 * math.cos(math.pi / 2 * k / 12)) for k in range(1, 13)]


def flower() -> list[Piece]:
    """A flower with six petals and two leaves."""
    turns = [2 * math.pi * k / 6 for k in range(6)]
    petals = [ellipse(0.36 * math.cos(t), -0.36 + 0.36 * math.sin(t), 0.26, 0.26) for t in turns]
    inner = [ellipse(0.24 * math.cos(t), -0.36 + 0.24 * math.sin(t), 0.1, 0.1, "light") for t in turns]
    return [
        box(-0.05, -0.2, 0.05, 0.98, "leaf"),
        polygon([(0, 0.78), (0.48, 0.36), (0.3, 0.74)], "leaf"),
        polygon([(0, 0.62), (-0.46, 0.24), (-0.28, 0.6)], "leaf"),
        *petals,
        *inner,
        ellipse(0, -0.36, 0.17, 0.17, "flame"),
    ]


def kite() -> list[Piece]:
    """A kite with a cross and a tail of bows."""
    bows = [
        polygon(
            [(x - 0.12, y - 0.07), (x, y), (x - 0.12, y + 0.07), (x + 0.12, y + 0.07), (x, y), (x + 0.12, y - 0.07)],
            tone,
        )
        for x, y, tone in ((0.1, 0.5, "light"), (-0.06, 0.7, "main"), (0.08, 0.9, "light"))
    ]
    tail = polygon(
        [(-0.02, 0.3), (0.1, 0.5), (-0.06, 0.7), (0.08, 0.92), (0.11, 0.9), (-0.02, 0.7), (0.14, 0.5), (0.02, 0.3)],
        "ink",
    )
    return [
        tail,
        *bows,
        polygon([(0, -0.98), (0.58, -0.4), (0, 0.36), (-0.58, -0.4)]),
        polygon([(0, -0.98), (0.58, -0.4), (0, -0.4)], "light"),
        polygon([(0, -0.4), (-0.58, -0.4), (0, 0.36)], "dark"),
        ellipse(0, -0.4, 0.1, 0.1, "cream"),
    ]


OBJECTS: dict[str, Callable[[], list[Piece]]] = {
    "balloon": balloon,
    "boat": boat,
    "fish": fish,
    "flower": flower,
    "heart": heart,
    "house": house,
    "kite": kite,
    "mushroom": mushroom,
    "rocket": rocket,
    "star": star,
    "tree": tree,
    "umbrella": umbrella,
}

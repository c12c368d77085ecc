"""Draw the suite's imports from its code: python docs/architecture.py > docs/architecture.svg

The layers of the contract in pyproject.toml stand from top to bottom, with their packages and modules. Modules of one
layer share a box, and so do those of neighbouring layers without a package. An arc leads from the importer to what it
imports.
"""

import ast
import html
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import sqrt
from pathlib import Path

from grimp import ImportGraph, build_graph

SUITE = "brushbench"
LEFT, WIDTH, GAP, LINE, PORT = 24, 470, 12, 16, 4.5
"""In pixels; PORT is the part of a box's side that an arc takes."""
HEAD = 92
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Box:
    """A package, or modules that are drawn together."""

    units: tuple[str, ...]
    """One package, or one or more modules."""
    size: int
    """Number of modules."""
    summary: str
    """First sentence of a package's docstring; else empty."""

    @property
    def title(self) -> str:
        """The names without the suite's."""
        return ", ".join(unit.removeprefix(f"{SUITE}.") for unit in self.units)

    def lines(self) -> list[str]:
        """The text of the box below its title."""
        return textwrap.wrap(self.summary, 68)

    def titles(self) -> list[str]:
        """The title in lines."""
        return textwrap.wrap(self.title, 62)


@dataclass(frozen=True)
class Picture:
    """Boxes from top to bottom, and how many imports lead from one to another."""

    boxes: tuple[Box, ...]
    imports: Counter[tuple[Box, Box]]

    def vocabulary(self) -> frozenset[Box]:
        """Boxes that at least four fifths of the boxes above import: their arcs would hide all other arcs."""
        places = {box: place for place, box in enumerate(self.boxes)}
        users = Counter(imported for _, imported in self.imports)
        return frozenset(box for box, count in users.items() if places[box] > 3 and count >= 0.8 * places[box])

    def arcs(self) -> dict[tuple[Box, Box], int]:
        """The arcs that are drawn."""
        return {edge: count for edge, count in self.imports.items() if edge[1] not in self.vocabulary()}


def picture(contract: list[list[str]]) -> Picture:
    """Make the picture from the code's imports. Raises `ValueError` for a module in no layer of the contract."""
    graph = build_graph(SUITE, exclude_type_checking_imports=True, cache_dir=None)
    boxes = tuple(_boxes(graph, contract))
    homes = {unit: box for box in boxes for unit in box.units}
    imports: Counter[tuple[Box, Box]] = Counter()
    for module in sorted(graph.modules - {SUITE}):
        for imported in sorted(graph.find_modules_directly_imported_by(module) - {SUITE}):
            ends = _home(homes, module, graph), _home(homes, imported, graph)
            if None not in ends and ends[0] != ends[1]:
                imports[ends] += 1
    return Picture(boxes, imports)


def contract() -> list[list[str]]:
    """Read the layers of the suite, from top to bottom, each with its packages and modules."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    first = tomllib.loads(text)["tool"]["importlinter"]["contracts"][0]
    return [[unit.strip() for unit in layer.split("|")] for layer in first["layers"]]


def _boxes(graph: ImportGraph, layers: list[list[str]]) -> Iterator[Box]:
    waiting: list[str] = []
    for layer in layers:
        packages = [unit for unit in layer if graph.find_children(unit)]
        modules = [unit for unit in layer if unit not in packages]
        if not packages:
            waiting += modules
            continue
        yield from _modules(waiting)
        yield from (_package(graph, unit) for unit in packages)
        yield from _modules(modules)
        waiting = []
    yield from _modules(waiting)


def _modules(units: list[str]) -> Iterator[Box]:
    if units:
        yield Box(tuple(units), len(units), "")


def _package(graph: ImportGraph, unit: str) -> Box:
    spec = find_spec(unit)
    assert spec is not None
    said = ast.get_docstring(ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))) or unit
    return Box((unit,), len(graph.find_descendants(unit)) + 1, said.splitlines()[0].replace("`", ""))


def _home(homes: dict[str, Box], module: str, graph: ImportGraph) -> Box | None:
    """Return a module's box; None for the `__init__` of a package whose modules are on several layers."""
    parts = module.split(".")
    for end in range(len(parts), 1, -1):
        if box := homes.get(".".join(parts[:end])):
            return box
    if graph.find_children(module):
        return None
    raise ValueError(f"{module} is in no layer of pyproject.toml's contract")


@dataclass(frozen=True)
class _Placed:
    """Where a box is, and where arcs leave it and reach it."""

    top: float
    height: float
    ports: dict[tuple[Box, Box], float]


def _place(picture: Picture) -> dict[Box, _Placed]:
    order = {box: place for place, box in enumerate(picture.boxes)}
    placed: dict[Box, _Placed] = {}
    top = float(HEAD)
    for box in picture.boxes:
        ins = sorted((edge for edge in picture.arcs() if edge[1] == box), key=lambda edge: -order[edge[0]])
        outs = sorted((edge for edge in picture.arcs() if edge[0] == box), key=lambda edge: -order[edge[1]])
        text = LINE * (len(box.titles()) + len(box.lines())) + 14
        height = max(text, PORT * (len(ins) + len(outs)) + 10)
        first = top + (height - PORT * (len(ins) + len(outs) - 1)) / 2
        placed[box] = _Placed(top, height, {edge: first + PORT * place for place, edge in enumerate([*ins, *outs])})
        top += height + GAP
    return placed


def svg(picture: Picture) -> str:
    """Draw the whole picture as SVG."""
    placed = _place(picture)
    last = placed[picture.boxes[-1]]
    height, width = last.top + last.height + 20, LEFT + WIDTH + _reach(last.top - HEAD) + 20
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' {FONT}>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='#ffffff'/>",
        f"<text x='{LEFT}' y='32' font-size='20' font-weight='bold' fill='#1b2733'>What imports what</text>",
        _told(54, "Imports only go down. The thicker an arc, the more of them."),
        _told(72, "Nearly all boxes above the yellow ones import from them; these arcs aren't drawn."),
    ]
    for edge, count in sorted(picture.arcs().items(), key=lambda each: (each[1], each[0][0].title, each[0][1].title)):
        lines.append(_arc(placed[edge[0]].ports[edge], placed[edge[1]].ports[edge], count, edge))
    for box in picture.boxes:
        lines += _drawn(box, placed[box], box in picture.vocabulary())
    return "\n".join([*lines, "</svg>"]) + "\n"


def _told(y: int, text: str) -> str:
    return f"<text x='{LEFT}' y='{y}' font-size='13' fill='#5b6875'>{html.escape(text)}</text>"


def _reach(distance: float) -> float:
    """Return how far an arc bends out."""
    return 26 + 11 * sqrt(distance)


def _arc(start: float, end: float, count: int, edge: tuple[Box, Box]) -> str:
    x, reach = LEFT + WIDTH, _reach(abs(end - start)) * 4 / 3
    colour, opacity = ("#c2410c", 0.9) if end < start else ("#1d5fa8", min(0.85, 0.16 + 0.09 * count))
    path = f"M{x} {start:.1f} C{x + reach:.1f} {start:.1f} {x + reach:.1f} {end:.1f} {x + 6} {end:.1f}"
    told = html.escape(f"{edge[0].title} imports {edge[1].title}: {count}")
    return (
        f"<path d='{path}' fill='none' stroke='{colour}' stroke-opacity='{opacity:.2f}' "
        f"stroke-width='{min(6.0, 0.7 + 0.45 * sqrt(count) * sqrt(sqrt(count))):.1f}'><title>{told}</title></path>"
        f"<path d='M{x} {end:.1f} l7 -2.6 v5.2 z' fill='{colour}' fill-opacity='{min(1.0, opacity + 0.2):.2f}'/>"
    )


def _drawn(box: Box, at: _Placed, vocabulary: bool) -> Iterator[str]:
    package = bool(box.summary)
    fill, stroke = ("#e8f1fb", "#1d5fa8") if package else ("#f6f7f9", "#aab4bf")
    if vocabulary:
        fill, stroke = "#fdf6dd", "#c9a227"
    yield (
        f"<rect x='{LEFT}' y='{at.top:.1f}' width='{WIDTH}' height='{at.height:.1f}' rx='5' fill='{fill}' "
        f"stroke='{stroke}'/>"
    )
    lines = [*((text, True) for text in box.titles()), *((text, False) for text in box.lines())]
    y = at.top + at.height / 2 - LINE * len(lines) / 2 + 12
    for place, (text, title) in enumerate(lines):
        weight, colour = ("font-weight='bold'", "#1b2733") if title and package else ("", "#3d4a57")
        size = (15 if package else 13) if title else 12
        yield (
            f"<text x='{LEFT + 12}' y='{y + LINE * place:.1f}' font-size='{size}' {weight} fill='{colour}'>"
            f"{html.escape(text)}</text>"
        )
    if package:
        yield (
            f"<text x='{LEFT + WIDTH - 12}' y='{y:.1f}' font-size='12' fill='#5b6875' text-anchor='end'>"
            f"{box.size} modules</text>"
        )


if __name__ == "__main__":
    print(svg(picture(contract())), end="")

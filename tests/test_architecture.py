"""ARCHITECTURE.md and its picture follow the code."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script that draws the picture."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    import architecture

    return architecture


def test_the_picture_is_that_of_the_code(drawing: ModuleType) -> None:
    drawn = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    found = drawing.svg(drawing.picture(drawing.contract()))
    assert found == drawn, "python docs/architecture.py > docs/architecture.svg"


def test_no_arc_goes_up(drawing: ModuleType) -> None:
    picture = drawing.picture(drawing.contract())
    places = {box: place for place, box in enumerate(picture.boxes)}
    assert picture.imports
    assert [edge for edge in picture.imports if places[edge[0]] > places[edge[1]]] == []


def test_a_module_that_no_layer_names_is_told(drawing: ModuleType) -> None:
    layers = [[unit for unit in layer if unit != "brushbench.core"] for layer in drawing.contract()]
    with pytest.raises(ValueError, match=r"^brushbench\.core\.\w+ is in no layer"):
        drawing.picture(layers)


def test_the_places_that_the_page_names_exist() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:brushbench|baselines|metrics|reports|docs|tests)/[\w./]*)`", page)
    assert len(named) > 20
    assert [place for place in named if not (ROOT / place).exists()] == []

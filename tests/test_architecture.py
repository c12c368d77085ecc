"""ARCHITECTURE.md and its picture follow the code."""

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from brushbench.core import registry

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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that counts what a reader of the source has to keep in mind."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import figures

    return figures


def test_the_house_stays_in_order(figures: ModuleType) -> None:
    found = figures.figures(ROOT)
    assert found["import layers"] <= 8
    assert found["modules in the root of brushbench/"] <= 4
    assert found["public names defined twice or more"] <= 10


def test_siblings_and_floors_are_the_ones_of_the_contract(drawing: ModuleType) -> None:
    """Nothing is excepted from the contract, and every package is on one of its floors."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "ignore_imports" not in text
    assert drawing.contract()[1] == ["brushbench.baselines", "brushbench.metrics", "brushbench.reports"]
    named = {unit for layer in drawing.contract() for unit in layer}
    packages = {path.parent.name for path in (ROOT / "brushbench").glob("*/__init__.py")}
    assert {f"brushbench.{name}" for name in packages} <= named


def test_a_run_resolves_everything_once(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One data set for two methods and the contact sheets; every class is imported once."""
    counted: Counter[tuple[str, ...]] = Counter()

    def counting(module: str, name: str) -> None:
        found = importlib.import_module(module)
        make = vars(found)[name]

        def count(*arguments: object, **options: object) -> object:
            counted[name, *map(str, arguments)] += 1
            return make(*arguments, **options)

        monkeypatch.setattr(found, name, count)

    counting("brushbench.datasets.open", "locate")
    counting("brushbench.evaluation.fetch", "open_dataset")
    counting("brushbench.evaluation.resolve", "select")
    counting("brushbench.evaluation.resolve", "find_method")
    counting("brushbench.core.registry", "_imported")
    registry._built_in_class.cache_clear()
    code, _, err = brushbench(
        *("run", "--method", "telea,mean-fill", "--dataset", "papercut", "--limit", 1, "--output", tmp_path)
    )
    assert code == 0, err
    calls = Counter(key[0] for key in counted.elements())
    assert (calls["locate"], calls["open_dataset"], calls["select"], calls["find_method"]) == (1, 1, 1, 2)
    imported = {key[1:]: count for key, count in counted.items() if key[0] == "_imported"}
    assert ("method", "telea") in imported
    assert ("dataset", "papercut") in imported
    assert set(imported.values()) == {1}

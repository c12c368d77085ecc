"""The examples of docs/add_a_*.md: the pages quote them, their commands work, and they do what they say."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_docs import ROOT, block, commands

import brushbench as library
from brushbench import Batch, Sample

EXAMPLES = ROOT / "examples"
PAGES = ["method", "metric", "dataset"]


@pytest.fixture(autouse=True)
def beside_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder has a copy of the examples, as a clone does."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)


def page(kind: str) -> str:
    return (ROOT / "docs" / f"add_a_{kind}.md").read_text(encoding="utf-8")


def sample(image: torch.Tensor, *painted: tuple[slice, slice]) -> Sample:
    mask = torch.zeros(1, *image.shape[1:], dtype=torch.bool)
    for rows, columns in painted:
        mask[:, rows, columns] = True
    return Sample("one", image, mask, "a caption")


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_quotes_its_example(kind: str) -> None:
    codes = [file.read_text(encoding="utf-8") for file in EXAMPLES.glob(f"my_*{kind}.py")]
    quoted = re.findall(r"```python\n(.*?)```", page(kind), re.DOTALL)
    assert quoted
    assert [text for text in quoted if not any(text in code for code in codes)] == []


@pytest.mark.parametrize(("kind", "which"), [*((kind, "commands") for kind in PAGES), ("metric", "commands of sets")])
def test_the_commands_of_a_page_work(kind: str, which: str, brushbench) -> None:
    shown = block(page(kind), which)
    made = commands(shown)
    assert len(made) == len(shown.splitlines())
    for command in made:
        code, out, err = brushbench(*command)
        assert code == 0, (command, out, err)


def test_the_method_takes_the_nearest_colour() -> None:
    halves = torch.zeros(3, 4, 8, dtype=torch.uint8)
    halves[:, :, 4:] = 200
    hole = (slice(1, 3), slice(2, 7))
    image = halves.clone()
    image[:, *hole] = 77
    method = library.load_method("examples/my_method.py:NearestFill")
    # The nearest known pixels are those above and below, of the same column.
    assert method(Batch.of([sample(image, hole)]), [1])[0].equal(halves)


def test_the_method_s_grain_is_the_sample_s_own() -> None:
    image = torch.full((3, 16, 16), 128, dtype=torch.uint8)
    one = sample(image, (slice(4, 12), slice(4, 12)))
    method = library.load_method("examples/my_method.py:NearestFill", grain=8.0)
    alone = method(Batch.of([one]), [7])
    beside = method(Batch.of([one, one]), [3, 7])
    assert beside[1].equal(alone[0])
    assert not beside[0].equal(alone[0])
    assert alone[0][:, ~one.mask[0]].eq(128).all()
    assert alone[0][:, one.mask[0]].double().std().item() == pytest.approx(8, rel=0.2)


def test_the_metric_is_the_worst_window() -> None:
    image = torch.full((3, 24, 24), 100, dtype=torch.uint8)
    damaged = image.clone()
    damaged[:, 3:11, 5:13] += 30
    damaged[:, 20, 20] += 90
    batch = Batch.of([sample(image, (slice(14, 20), slice(0, 24)))])
    for options, expected in (
        ({}, 30.0),
        ({"side": 1}, 90.0),
        ({"side": 16}, 30.0 / 4),
        ({"region": "painted"}, 0.0),
    ):
        metric = library.load_metric("examples/my_metric.py:WorstPatch", **options)
        assert metric(batch, damaged[None]).tolist() == [pytest.approx(expected)]


def test_the_metric_has_nothing_to_score_in_an_empty_region() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    batch = Batch.of([sample(image)])
    assert library.load_metric("examples/my_metric.py:WorstPatch@painted")(batch, batch.images).isnan().all()


def test_another_window_is_another_version_of_the_metric() -> None:
    versions = [library.load_metric("examples/my_metric.py:WorstPatch", side=side).info.version for side in (8, 16)]
    assert len(set(versions)) == 2


def test_the_data_set_s_mask_is_the_box() -> None:
    name = "examples/my_dataset.py:Boxes"
    inside = library.load_dataset(name, root="examples/boxes")[1]
    outside = library.load_dataset(name, root="examples/boxes", split="outside")[1]
    grown = library.load_dataset(name, root="examples/boxes", margin=12)[1]
    rows, columns = np.nonzero(inside.mask[0].numpy())
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (13, 9, 76, 73)
    assert outside.mask.equal(~inside.mask)
    rows, columns = np.nonzero(grown.mask[0].numpy())
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (1, 0, 88, 85)
    assert inside.tags == {"subject": "house"}


def test_the_data_set_s_digest_follows_its_files() -> None:
    def digest() -> str:
        return library.load_dataset("examples/my_dataset.py:Boxes", root="examples/boxes").digest()

    before = digest()
    table = Path("examples/boxes/boxes.csv")
    table.write_text(table.read_text().replace("a blue tree", "a green tree"))
    after = digest()
    shutil.copyfile("examples/boxes/tree.png", "examples/boxes/house.png")
    assert len({before, after, digest()}) == 3


def test_the_data_set_needs_its_folder(brushbench) -> None:
    code, out, err = brushbench("run", "--method", "telea", "--dataset", "examples/my_dataset.py:Boxes")
    assert (code, out) == (2, "")
    assert err == "brushbench: data set 'Boxes' needs a folder with boxes.csv; pass --root DIR\n"


@pytest.mark.parametrize("kind", PAGES)
def test_the_pages_are_found(kind: str) -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        assert f"docs/add_a_{kind}.md" in (ROOT / document).read_text(encoding="utf-8")

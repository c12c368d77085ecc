"""A gallery of several seeds: one column for each method, whose seeds can be flipped through."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Visit, until
from gallery_data import scripts, values
from seeded import NOISE
from support import suite

METRIC = "mse@painted"
IMAGES = "[...document.querySelectorAll('.cell[data-of=Noise] img')].map((image) => image.getAttribute('src'))"
SHOWN = f"Gallery.grid.rows.map((row) => Gallery.store.values('{METRIC}', 'Noise')[row.number])"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a method under three seeds and of one that ignores seeds, with their gallery."""
    place = tmp_path_factory.mktemp("seeds")
    (place / "noise.py").write_text(NOISE)
    data = ("--dataset", "papercut", "--limit", 5, "--batch-size", 1, "--metrics", f"{METRIC},psnr@painted")
    method = ("--method", f"{place / 'noise.py'}:Noise,telea", "--seeds", "2,10,1")
    assert suite("run", *method, *data, "--output", place / "runs", "--gallery") == 0
    return place


@pytest.fixture
def gallery(place: Path) -> Path:
    return place / "runs" / "gallery"


@pytest.fixture(scope="module")
def scores(place: Path) -> dict[int, pd.Series]:
    """The scores of each seed, by sample."""
    folders = {seed: place / "runs" / f"seed={seed}" / "papercut-inside" / "Noise" for seed in (1, 2, 10)}
    return {
        seed: pd.read_parquet(folder / "scores.parquet").set_index("id")[METRIC] for seed, folder in folders.items()
    }


def test_a_method_has_one_column_with_all_its_seeds(gallery: Path, scores: dict[int, pd.Series]) -> None:
    (about,) = scripts(gallery, "about")
    assert about["methods"] == ["Noise", "telea"]
    assert about["seeds"] == ["1", "2", "10"]
    runs = {(run["method"], run["seed"]): run for run in scripts(gallery, "run")}
    assert set(runs) == {("Noise", "1"), ("Noise", "2"), ("Noise", "10"), ("telea", "1234")}
    assert [key for key, run in runs.items() if run["any_seed"]] == [("telea", "1234")]
    for seed, own in scores.items():
        assert np.array_equal(values(runs["Noise", str(seed)], METRIC), own.to_numpy())
    page = (gallery / "index.html").read_text()
    assert "mean over 3 seeds (1, 2, 10) for Noise" in page
    assert "seed=" not in page.partition("<main")[2]


def test_every_seed_has_a_column_on_request(brushbench, place: Path, tmp_path: Path) -> None:
    code, _, err = brushbench("gallery", place / "runs", "-o", tmp_path / "page", "--seeds", "columns")
    assert code == 0, err
    (about,) = scripts(tmp_path / "page", "about")
    assert set(about["methods"]) == {"telea", "Noise seed=1", "Noise seed=2", "Noise seed=10"}
    assert about["seeds"] == []


def test_a_seed_without_some_image_is_named_in_the_banner(brushbench, place: Path, tmp_path: Path) -> None:
    method = ("--method", f"{place / 'noise.py'}:Noise", "--dataset", "papercut", "--limit", 2, "--seeds", "1,2")
    part = ("--output", tmp_path / "runs", "--batch-size", 1)
    assert brushbench("generate", *method, *part)[0] == 0
    shard = ("--output", tmp_path / "runs", "--batch-size", 1, "--seeds", "3", "--shard", "1/2", "--allow-partial")
    assert brushbench("generate", *method[:-2], *shard)[0] == 0
    assert brushbench("gallery", tmp_path / "runs", "-o", tmp_path / "page")[0] == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Partial run: Noise seed=3 on papercut, split inside has 1 of 2 images (1 not generated)." in page


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
class TestPage:
    @pytest.fixture
    def seen(self, visit: Callable[..., Visit], gallery: Path) -> Visit:
        return visit(file=gallery / "index.html")

    def test_the_scores_are_means_until_a_seed_is_chosen(
        self, seen: Visit, scores: dict[int, pd.Series], visit: Callable[..., Visit], gallery: Path
    ) -> None:
        page = seen.page
        page.evaluate("Gallery.state.change({sort: 'id'})")
        mean = sum(scores.values()) / 3
        first = page.evaluate(IMAGES)
        assert page.evaluate(SHOWN) == pytest.approx([mean[name] for name in self.ids(seen)])
        for draw, own in (("1", scores[1]), ("2", scores[2]), ("10", scores[10])):
            page.keyboard.press("n")
            until(page, f"Gallery.state.now.draw === '{draw}'")
            assert page.evaluate(SHOWN) == pytest.approx([own[name] for name in self.ids(seen)])
            assert (page.evaluate(IMAGES) == first) is (draw == "1")
        address = page.evaluate("Gallery.state.formatted()")
        assert "draw=10" in address
        again = visit(address, file=gallery / "index.html").page
        assert again.evaluate("Gallery.state.now.draw") == "10"
        assert again.evaluate("document.getElementById('draw').value") == "10"
        page.keyboard.press("n")
        assert page.evaluate("Gallery.state.now.draw") == ""
        page.keyboard.press("p")
        assert page.evaluate("Gallery.state.now.draw") == "10"

    def test_rows_are_sorted_by_the_mean_or_by_the_chosen_seed(self, seen: Visit, scores: dict[int, pd.Series]) -> None:
        page = seen.page
        page.evaluate(f"Gallery.state.change({{sort: 'score', metric: '{METRIC}', a: 'Noise'}})")
        mean = sum(scores.values()) / 3
        assert self.ids(seen) == list(mean.sort_values().index)
        page.select_option("#draw", "2")
        assert self.ids(seen) == list(scores[2].sort_values().index)

    def test_the_detail_shows_the_image_and_the_facts_of_the_seed(self, seen: Visit, place: Path) -> None:
        page = seen.page
        page.evaluate("Gallery.grid.open(0, 'method:Noise')")
        page.wait_for_selector("#detail[open] .pane")
        page.select_option("#detail-draw", "10")
        name = self.ids(seen)[0]
        stored = place / "runs" / "seed=10" / "papercut-inside" / "Noise" / "images" / f"{name}.png"
        until(page, "document.querySelector('#facts').textContent.includes('Noise seed 10')")
        source = page.locator(".layer.above img").get_attribute("src")
        assert (place / "runs" / "gallery" / source).read_bytes() == stored.read_bytes()
        assert "--seed 10" in page.locator("#facts").text_content()
        page.keyboard.press("p")
        until(page, "Gallery.state.now.draw === '2'")

    @staticmethod
    def ids(seen: Visit) -> list[str]:
        return seen.page.evaluate("Gallery.grid.rows.map((row) => row.id)")

    def test_a_gallery_of_single_runs_has_no_seeds(self, visit: Callable[..., Visit]) -> None:
        page = visit().page
        assert not page.locator("#draw").is_visible()
        page.keyboard.press("n")
        assert page.evaluate("Gallery.state.now.draw") == ""

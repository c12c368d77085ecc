"""The gallery's page with hostile texts, failures and few runs, and for those who see or read it otherwise."""

import json
from pathlib import Path

import pytest
from browser import until
from gallery_data import BROKEN
from gallery_pages import first
from support import suite

from brushbench import frame
from brushbench.runs.record import RunRecord

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
HOSTILE = "</script><img src=x onerror=alert(1)>"
CAPTION = "<img src=x onerror=\"document.title='hurt'\">"
AXE = Path(__file__).parent / "axe_core" / "axe.min.js"
VIOLATIONS = """axe.run({ preload: false }).then(({ violations }) => violations.map(({ id, impact, nodes }) =>
    [impact, id, nodes.map((node) => node.html.slice(0, 120))]))"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of a hostile caption, a method that fails, and one with a hostile name."""
    from conftest import write_benchmark

    place = tmp_path_factory.mktemp("hostile")
    root = write_benchmark(place / "bench", count=3)
    mapping = json.loads((root / "mapping_file.json").read_text())
    for entry in mapping.values():
        entry["caption"] = CAPTION
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    (place / "broken.py").write_text(BROKEN)
    options = ("--dataset", "brushbench", "--root", root, "--metrics", "psnr,mse", "--output", place / "runs")
    assert suite("run", "--method", f"{place / 'broken.py'}:Method", *options) == 3
    images = place / "runs" / "brushbench-inside" / "Method" / "images"
    assert suite("score", "--images", images, "--name", "mine", *options) in (0, 3)
    rename(place / "runs" / "brushbench-inside" / "mine", HOSTILE)
    assert suite("gallery", place / "runs", "-o", place / "gallery") == 0
    return place / "gallery" / "index.html"


def rename(run: Path, name: str) -> None:
    """Give the method of somebody's run a name that this suite would refuse."""
    record = RunRecord.model_validate_json((run / "run.json").read_text())
    method = record.identity.method.model_copy(update={"name": name})
    identity = record.identity.model_copy(update={"method": method})
    changed = record.model_copy(update={"identity": identity, "fingerprint": identity.fingerprint()})
    (run / "run.json").write_text(changed.model_dump_json())
    ledger = run / "samples.jsonl"
    ledger.write_text(ledger.read_text().replace(record.fingerprint, changed.fingerprint))


def test_hostile_texts_stay_texts(visit, hostile: Path) -> None:
    seen = visit(file=hostile)
    page = seen.page
    assert page.inner_text("#rows .words >> nth=0") == CAPTION
    assert HOSTILE in page.locator("#heads .name").all_inner_texts()
    assert HOSTILE in page.locator("tbody th").all_inner_texts()
    page.locator("[data-of=Method] .tile.failed").click()
    page.wait_for_selector("#detail[open] .traceback")
    assert page.inner_text("#detail-caption") == CAPTION
    assert "out of <b>paint</b>" in page.inner_text("#detail .traceback")
    page.keyboard.press("Escape")
    page.click("#make-figure")
    assert page.evaluate("[...document.images].filter((img) => img.getAttribute('src') === 'x').length") == 0
    assert page.title().startswith("Gallery:")


def test_a_failed_sample_is_a_tile_with_the_reason(visit, hostile: Path) -> None:
    seen = visit(file=hostile)
    tile = seen.page.locator("[data-of=Method][data-id='000000001'] .tile.failed")
    assert tile.inner_text().split("\n") == ["failed", "RuntimeError: out of <b>paint</b>"]
    seen.page.select_option("#status", "failed")
    assert seen.ids() == ["000000001"]
    seen.page.select_option("#status", "done")
    assert "000000001" not in seen.ids()


def test_a_failure_can_be_read_in_the_detail_and_leaves_room_for_the_scores(visit, hostile: Path) -> None:
    page = visit(file=hostile).page
    page.set_viewport_size({"width": 1000, "height": 500})
    page.locator("[data-of=Method] .tile.failed").click()
    page.wait_for_selector("#detail[open] .traceback")
    letter, scale, text = page.evaluate("""(() => {
        const tile = document.querySelector("#stage .tile.failed");
        const { fontSize } = getComputedStyle(tile);
        return [parseFloat(fontSize), tile.getBoundingClientRect().width / tile.offsetWidth, tile.innerText];
    })()""")
    assert scale > 2
    assert letter * scale == pytest.approx(14, rel=0.05)
    assert text.startswith("failed")
    # A row of the table for each of two metrics, and the head.
    assert page.locator("#facts .scores").bounding_box()["height"] > 60
    assert page.locator("#facts .scroll").bounding_box()["height"] > 60


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("act", ["", "detail", "all", "difference", "blind", "figure", "help"])
def test_axe_finds_nothing(visit, dark: bool, act: str) -> None:
    seen = visit(dark=dark)
    page = seen.page
    if act in ("detail", "all", "difference"):
        seen.open(f"#open={first(seen)}&mode={'slider' if act == 'detail' else act}")
        page.wait_for_selector("#detail[open] .pane")
        page.click("#facts summary >> nth=0")
    elif act:
        page.click({"blind": "#start-blind", "figure": "#make-figure", "help": "#show-help"}[act])
    # Not by a script element, which the page's policy forbids.
    page.evaluate(AXE.read_text())
    found = page.evaluate(VIOLATIONS)
    assert [each for each in found if each[0] in ("serious", "critical")] == []


def test_the_page_follows_the_system_s_colours(visit) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit().page.evaluate(colour), visit(dark=True).page.evaluate(colour)
    assert light == "rgb(255, 255, 255)"
    assert dark != light
    assert visit("#theme=light", dark=True).page.evaluate(colour) == light
    assert visit("#theme=dark").page.evaluate(colour) == dark


def test_runs_without_scores_can_be_looked_at(visit, tmp_path: Path) -> None:
    options = ("--dataset", "papercut", "--limit", 3, "--output", tmp_path / "runs")
    assert suite("generate", "--method", "mean-fill,copy", *options) == 0
    assert suite("gallery", tmp_path / "runs", "-o", tmp_path / "gallery") == 0
    seen = visit(file=tmp_path / "gallery" / "index.html")
    assert seen.ids() == ["000000000", "000000001", "000000002"]
    assert "No table" in seen.page.inner_text(".banner.scores")
    seen.page.keyboard.press("j")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#detail[open] .pane")
    assert "not scored" in seen.page.inner_text("#facts")


def test_two_splits_are_told_apart_and_filtered(visit, tmp_path: Path) -> None:
    options = ("--dataset", "papercut", "--limit", 4, "--split", "inside,outside", "--output", tmp_path / "runs")
    assert suite("run", "--method", "mean-fill,telea", "--metrics", "psnr,mse", *options) == 0
    assert suite("gallery", tmp_path / "runs", "-o", tmp_path / "gallery", "--link") == 0
    seen = visit(file=tmp_path / "gallery" / "index.html")
    assert len(seen.ids()) == 8
    assert seen.page.locator("table.report").count() == 2
    seen.page.select_option("#split", "outside")
    assert len(seen.ids()) == 4
    tidy = frame(tmp_path / "runs").drop_duplicates(["split", "sample"]).set_index(["split", "sample"])
    for split, sample, size in seen.page.evaluate(
        "Gallery.store.rows.map((row) => [row.place.split, row.id, row.sizeClass])"
    ):
        assert tidy.loc[(split, sample), "mask_size"] == size
    # Linked pictures lie outside of the gallery's folder.
    seen.page.keyboard.press("j")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#detail[open] .pane")
    until(seen.page, "[...document.querySelectorAll('.world img')].every((img) => img.naturalWidth === 128)")
    runs = (tmp_path / "runs").as_uri()
    assert any(request.startswith(runs) for request in seen.requests)
    seen.requests = [request for request in seen.requests if not request.startswith(runs)]

"""The gallery's page in a real browser, from `file://`: 3 methods on 40 scenes of PaperCut, and hostile ones."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Visit, started, until
from gallery_data import BROKEN
from playwright.sync_api import Browser

from brushbench import frame
from brushbench.cli.main import main
from brushbench.runs.record import RunRecord

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
METHODS = ["telea", "mean-fill", "copy"]
METRIC = "papercut-clip"
COUNT = 40
HOSTILE = "</script><img src=x onerror=alert(1)>"
CAPTION = "<img src=x onerror=\"document.title='hurt'\">"
AXE = Path(__file__).parent / "axe_core" / "axe.min.js"
VIOLATIONS = """axe.run({ preload: false }).then(({ violations }) => violations.map(({ id, impact, nodes }) =>
    [impact, id, nodes.map((node) => node.html.slice(0, 120))]))"""


def suite(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, and the gallery of them."""
    place = tmp_path_factory.mktemp("papercut")
    options = ("--dataset", "papercut", "--limit", COUNT, "--output", place / "runs")
    assert suite("run", "--method", ",".join(METHODS), *options) == 0
    assert suite("gallery", place / "runs", "-o", place / "gallery") == 0
    return place


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Callable[..., Visit]]:
    """Open the gallery; whatever goes wrong on the page fails the test."""
    open_: list[Visit] = []

    def make(hash_: str = "", *, dark: bool = False, file: Path | None = None) -> Visit:
        open_.append(Visit(browser, file or folder / "gallery" / "index.html", hash_=hash_, dark=dark))
        return open_[-1]

    yield make
    for each in open_:
        each.close()


@pytest.fixture(scope="module")
def scores(folder: Path) -> pd.DataFrame:
    """The scores of the usual metric, a row for each sample, a column for each method."""
    tidy = frame(folder / "runs")
    return tidy[tidy["metric"] == METRIC].pivot_table(index="sample", columns="method", values="value")


@pytest.fixture(scope="module")
def facts(folder: Path) -> pd.DataFrame:
    """Tags and mask sizes, by sample."""
    return frame(folder / "runs").drop_duplicates("sample").set_index("sample")


def ordered(values: pd.Series) -> list[str]:
    return list(values.sort_values(ascending=False, kind="stable", na_position="last").index)


def test_the_page_opens_without_an_error_and_asks_for_nothing_elsewhere(visit) -> None:
    page = visit().page
    assert page.inner_text("#count") == f"{COUNT} samples"
    assert "toy benchmark" in page.inner_text(".banner.data")
    assert "Protocol strict" in page.inner_text(".banner.protocol")
    until(page, "[...document.querySelectorAll('#rows img')].some((img) => img.naturalWidth === 128)")


def test_every_sort_gives_the_order_of_pandas(visit, scores: pd.DataFrame, facts: pd.DataFrame) -> None:
    seen = visit(f"#metric={METRIC}&a=telea&b=copy")
    difference = scores["telea"] - scores["copy"]
    deviations = pd.DataFrame({metric: standardised(own) for metric, own in frame_by_metric(seen).items()})
    expected = {
        "difference": difference.abs(),
        "advantage": difference,
        "score": scores["telea"],
        "methods": scores[METHODS].std(axis=1),
        "metrics": np.minimum(deviations.max(axis=1), -deviations.min(axis=1)),
        "mask": facts["mask_share"],
    }
    for sort, values in expected.items():
        seen.page.select_option("#sort", sort)
        assert seen.ids() == ordered(values), sort
        assert seen.shown() == seen.ids()[: len(seen.shown())]
        seen.page.check("#reverse")
        assert seen.ids() == ordered(-values), sort
        seen.page.uncheck("#reverse")
    seen.page.select_option("#sort", "id")
    assert seen.ids() == sorted(scores.index)


def standardised(gain: pd.Series) -> pd.Series:
    return (gain / gain.std()).where(gain != 0, 0.0)


def frame_by_metric(seen: Visit) -> dict[str, pd.Series]:
    """How much better telea is than copy by each metric, as the reports count scores."""
    tidy = frame(Path(seen.address.removeprefix("file://")).parent.parent / "runs")
    # An identical image counts as the cap of the PSNR.
    tidy["value"] = tidy["value"].where(tidy["status"] != "identical", 60.0)
    found = {}
    for metric, own in tidy.groupby("metric"):
        wide = own.pivot_table(index="sample", columns="method", values="value")
        found[str(metric)] = (wide["telea"] - wide["copy"]) * (-1 if metric == "mse" else 1)
    return found


def test_a_lower_error_is_better(visit, folder: Path) -> None:
    tidy = frame(folder / "runs")
    errors = tidy[(tidy["metric"] == "mse") & (tidy["method"] == "telea")].set_index("sample")["value"]
    assert visit("#metric=mse&sort=score&a=telea").ids() == ordered(-errors)


def test_filters_leave_the_rows_that_pandas_does(visit, scores: pd.DataFrame, facts: pd.DataFrame) -> None:
    seen = visit(f"#metric={METRIC}&a=telea&b=mean-fill&sort=id")
    page = seen.page

    def check(expected: pd.Series, act: Callable[[], object]) -> None:
        act()
        assert seen.ids() == sorted(expected[expected].index)
        assert 0 < expected.sum() < COUNT, "a filter that filters"
        page.click("#clear")
        assert len(seen.ids()) == COUNT

    check(facts["object"] == "tree", lambda: page.select_option("[data-tag=object]", "tree"))
    check(facts["mask_size"] == "medium", lambda: page.select_option("#mask", "medium"))
    check(scores["telea"] > scores["mean-fill"], lambda: page.select_option("#wins", "a"))
    check(scores["telea"] < scores["mean-fill"], lambda: page.select_option("#wins", "b"))
    captions = pd.Series(
        {
            row["id"]: row["caption"]
            for row in page.evaluate("Gallery.store.rows.map(({id, caption}) => ({id, caption}))")
        }
    )
    check(
        captions.str.contains("NIGHT", case=False) & captions.str.contains("tree"),
        lambda: page.fill("#words", "NIGHT tree"),
    )
    low, high = scores["telea"].quantile([0.25, 0.75])
    own = scores["telea"].between(low, high)
    page.select_option("#sort", "score")
    page.fill("#range-from", str(low))
    page.fill("#range-to", str(high))
    page.press("#range-to", "Tab")
    assert sorted(seen.ids()) == sorted(own[own].index)


def test_outliers_are_those_by_the_median_absolute_deviation(visit, scores: pd.DataFrame) -> None:
    centre = scores.median()
    spread = 1.4826 * (scores - centre).abs().median()
    is_outlier = ((scores - centre).abs() > 3.5 * spread).any(axis=1)
    assert sorted(visit(f"#metric={METRIC}&status=outlier").ids()) == sorted(is_outlier[is_outlier].index)


def test_brushing_the_charts_filters(visit, scores: pd.DataFrame) -> None:
    seen = visit(f"#metric={METRIC}&a=telea&b=copy&sort=score")
    box = seen.page.locator("#histogram").bounding_box()
    drag(seen, (box["x"] + box["width"] / 2, box["y"] + 10), (box["x"] + box["width"] - 1, box["y"] + 40))
    low, high = json.loads(f"[{seen.page.evaluate('Gallery.state.now.range.join()')}]")
    own = scores["telea"].between(low, high)
    assert sorted(seen.ids()) == sorted(own[own].index)
    assert 0 < len(seen.ids()) < COUNT
    assert "range=" in seen.hash()
    seen.page.mouse.click(box["x"] + 20, box["y"] + 20)
    assert len(seen.ids()) == COUNT
    seen.page.locator("#scatter").scroll_into_view_if_needed()
    box = seen.page.locator("#scatter").bounding_box()
    middle = (box["x"] + box["width"] / 3, box["y"] + box["height"] * 0.7)
    drag(seen, (box["x"] + 1, box["y"] + 1), middle)
    left, right, low, high = seen.page.evaluate("Gallery.state.now.region")
    own = scores["telea"].between(left, right) & scores["copy"].between(low, high)
    assert sorted(seen.ids()) == sorted(own[own].index)
    assert 0 < len(seen.ids()) < COUNT


def drag(seen: Visit, start: tuple[float, float], end: tuple[float, float]) -> None:
    seen.page.mouse.move(*start)
    seen.page.mouse.down()
    seen.page.mouse.move(*end, steps=4)
    seen.page.mouse.up()


def test_chips_are_tinted_by_the_paired_difference(visit, scores: pd.DataFrame) -> None:
    seen = visit(f"#metric={METRIC}&a=telea&b=mean-fill&ref=mean-fill&sort=advantage&chips={METRIC}")
    gain = scores["telea"] - scores["mean-fill"]
    for sample, expected in ((seen.ids()[0], "better"), (gain.idxmin(), "worse")):
        seen.open(f"#words={sample}&ref=mean-fill&chips={METRIC}&a=telea&b=mean-fill")
        chip = seen.page.locator(f'[data-of="telea"][data-id="{sample}"] .chip')
        assert expected in chip.get_attribute("class")
        assert f"{expected} than mean-fill by" in chip.get_attribute("title")
        assert {"better": "▲", "worse": "▼"}[expected] in chip.inner_text()
        # The reference itself has no tint.
        assert seen.page.locator(f'[data-of="mean-fill"][data-id="{sample}"] .chip').get_attribute("class") == "chip"
    errors = visit("#ref=telea&chips=mse&metric=mse&sort=id")
    assert errors.page.locator(".chip.worse, .chip.better").count() >= 1


def test_only_the_rows_in_view_exist(visit) -> None:
    seen = visit()
    assert 1 < len(seen.shown()) < COUNT / 2
    seen.page.evaluate("document.getElementById('scroller').scrollTop = 1e9")
    seen.until(f"document.querySelector('[aria-rowindex=\"{COUNT + 1}\"]')")
    assert seen.shown()[-1] == seen.ids()[-1]
    assert len(seen.shown()) < COUNT / 2
    assert seen.page.locator("#rows img").first.get_attribute("loading") == "lazy"


def test_columns_are_pinned_moved_and_hidden(visit) -> None:
    seen = visit()

    def heads() -> list[str]:
        return seen.page.locator("#heads .name").all_inner_texts()

    assert heads() == ["source", "masked input", "copy", "mean-fill", "telea"]
    seen.page.click("#heads [aria-label='Hide masked input']")
    seen.page.click("#heads [aria-label='Pin telea']")
    assert heads() == ["source", "telea", "copy", "mean-fill"]
    seen.page.locator("#heads .head").nth(3).drag_to(seen.page.locator("#heads .head").nth(2))
    assert heads() == ["source", "telea", "mean-fill", "copy"]
    seen.page.click("#column-list [aria-label='Move telea to the left']")
    assert heads() == ["telea", "source", "mean-fill", "copy"]
    assert seen.page.locator("#heads .head.pinned").count() == 2
    again = visit(seen.hash())
    assert again.page.locator("#heads .name").all_inner_texts() == heads()


def test_the_slider_moves_by_mouse_and_by_keys(visit) -> None:
    seen = visit("#a=telea&b=copy&open=" + first(visit()))
    page = seen.page
    page.wait_for_selector("#detail[open] .divider")
    clip = "getComputedStyle(document.querySelector('.layer.above')).clipPath"
    before = page.evaluate(clip)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Gallery.state.now.slider") == 52
    assert page.evaluate(clip) != before
    box = page.locator(".divider").bounding_box()
    pane = page.locator(".pane-view").bounding_box()
    drag(seen, (box["x"] + 12, box["y"] + 30), (pane["x"] + pane["width"] / 4, box["y"] + 30))
    assert page.evaluate("Gallery.state.now.slider") == pytest.approx(25, abs=1)
    assert page.locator(".edge").all_inner_texts() == ["A: telea", "B: copy"]


def first(seen: Visit) -> str:
    return seen.page.evaluate("Gallery.grid.nameOf(Gallery.store.rows[0])")


def opened(visit: Callable[..., Visit], more: str = "") -> Visit:
    seen = visit()
    seen.open(f"#open={first(seen)}{more}")
    seen.page.wait_for_selector("#detail[open] .pane")
    return seen


def test_the_slider_shows_a_on_the_left_and_b_on_the_right(visit, folder: Path) -> None:
    seen = opened(visit, "&a=telea&b=copy")
    for layer, method in (("above", "telea"), ("below", "copy")):
        name = seen.page.locator(f".layer.{layer} img").get_attribute("src")
        stored = folder / "runs" / "papercut-inside" / method / "images" / "000000000.png"
        assert (folder / "gallery" / name).read_bytes() == stored.read_bytes()


def test_blinking_shows_both_in_turn_and_stops(visit) -> None:
    page = opened(visit, "&a=telea&b=copy").page
    page.keyboard.press("b")
    for name in ("B: copy", "A: telea", "B: copy"):
        until(page, f"document.querySelector('.blink-name')?.textContent === {name!r}")
    page.keyboard.press("b")
    assert page.evaluate("Gallery.state.now.mode") == "slider"


def test_all_pictures_zoom_and_move_together_to_single_pixels(visit) -> None:
    page = opened(visit, "&mode=all").page
    worlds = "[...document.querySelectorAll('.world')].map((world) => world.style.transform)"
    before = page.evaluate(worlds)
    assert len(before) == 5
    pane = page.locator(".pane-view").nth(2).bounding_box()
    page.mouse.move(pane["x"] + 20, pane["y"] + 20)
    for _ in range(20):
        page.mouse.wheel(0, -100)
    until(page, "Gallery.state.now.view[0] === 64")
    after = page.evaluate(worlds)
    assert len(set(after)) == 1
    assert after[0] != before[0]
    assert page.locator(".world.pixelated").count() == 5
    page.keyboard.press("ArrowRight")
    assert len(set(page.evaluate(worlds))) == 1
    assert page.evaluate(worlds)[0] != after[0]
    page.keyboard.press("0")
    assert page.evaluate(worlds) == before


def test_the_crop_shows_the_mask_with_a_margin(visit) -> None:
    page = opened(visit).page
    page.keyboard.press("c")
    scale, x, y = page.evaluate("Gallery.state.now.view")
    left, top, right, bottom = page.evaluate("Gallery.store.rows[0].box")
    assert (x, y) == ((left + right) / 2, (top + bottom) / 2)
    pane = page.locator(".pane-view").bounding_box()
    assert scale * max((right - left) / pane["width"], (bottom - top) / pane["height"]) == pytest.approx(
        1 / 1.3, abs=0.01
    )


def test_the_mask_is_drawn_as_outline_fill_and_black(visit) -> None:
    page = opened(visit).page
    for kind in ("outline", "fill", "black"):
        page.keyboard.press("m")
        page.wait_for_selector(f".layer .overlay.{kind} path")
        assert page.locator(f".overlay.{kind} path").first.get_attribute("d").startswith("M")
    page.keyboard.press("m")
    until(page, "!document.querySelector('.layer .overlay')")


@pytest.mark.parametrize("gain", [1, 4, 16])
def test_the_difference_is_that_of_the_pixels(visit, folder: Path, gain: int) -> None:
    """A pixel of the screen, under a magnifying glass, is the difference that arrays give."""
    from PIL import Image

    page = opened(visit, f"&mode=difference&a=telea&b=copy&gain={gain}").page
    left, top, right, bottom = page.evaluate("Gallery.store.rows[0].box")
    x, y = (left + right) // 2, (top + bottom) // 2
    page.evaluate(f"Gallery.state.change({{ view: [32, {x + 0.5}, {y + 0.5}] }})")
    until(page, "[...document.querySelectorAll('.world img')].every((img) => img.complete)")
    images = folder / "runs" / "papercut-inside"
    with Image.open(images / "telea/images/000000000.png") as a, Image.open(images / "copy/images/000000000.png") as b:
        expected = np.minimum(np.abs(np.array(a, dtype=int) - np.array(b, dtype=int))[y, x] * gain, 255)
    shot = np.array(Image.open(io.BytesIO(page.locator(".pane-view").first.screenshot())))
    seen = shot[shot.shape[0] // 2, shot.shape[1] // 2, :3]
    assert np.abs(seen.astype(int) - expected).max() <= gain // 2 + 1


def test_regions_cut_the_pictures(visit) -> None:
    page = opened(visit).page
    for part, style in (("known", "clipPath"), ("painted", "clipPath"), ("border", "maskImage")):
        page.click(f"[data-set=part][data-value={part}]")
        page.wait_for_selector(f".world.part-{part}")
        assert f"cut-{part}" in page.evaluate(f"getComputedStyle(document.querySelector('.world')).{style}")


def test_the_detail_has_all_scores_with_percentiles(visit, scores: pd.DataFrame) -> None:
    page = opened(visit).page
    page.wait_for_selector("#facts table")
    cell = page.evaluate(
        """[...document.querySelectorAll("#facts tbody tr")].find((line) => line.textContent.includes("papercut-clip"))
        .querySelectorAll("td")[2].textContent"""
    )
    own = scores["telea"]
    share = ((own < own.iloc[0]).mean() + (own <= own.iloc[0]).mean()) / 2
    assert cell.endswith(f"{own.iloc[0]:.2f}{share * 100:.0f} %")
    page.click("#facts summary:has-text('telea')")
    text = page.inner_text("#facts details[open]")
    assert "radius" in text
    assert "seed of this image" in text
    assert "brushbench run --method telea -o radius=3.0" in text
    assert "--shard 1/200" in text


def test_everything_is_in_the_address(visit) -> None:
    seen = visit()
    page = seen.page
    page.select_option("#a", "telea")
    page.select_option("#sort", "score")
    page.select_option("#mask", "small")
    page.check("#reverse")
    page.fill("#words", "a")
    page.select_option("#size", "small")
    page.select_option("#theme", "dark")
    page.uncheck("[data-chip=psnr]")
    page.locator("#rows input[type=checkbox]").nth(1).check()
    page.keyboard.press("j")
    page.locator("#rows .cell .frame").nth(2).click()
    page.wait_for_selector("#detail[open] .pane")
    page.keyboard.press("m")
    page.click("#zoom-in")
    page.click("[data-set=part][data-value=painted]")
    page.wait_for_selector(".world.part-painted")
    state, rows = page.evaluate("structuredClone(Gallery.state.now)"), seen.ids()
    again = visit(seen.hash())
    again.page.wait_for_selector("#detail[open] .world.part-painted")
    assert again.page.evaluate("structuredClone(Gallery.state.now)") == state
    assert again.ids() == rows
    assert again.page.evaluate("document.documentElement.dataset.theme") == "dark"
    # Back to what the page is without a word.
    assert visit().hash() == ""


def test_an_address_of_another_gallery_does_no_harm(visit) -> None:
    seen = visit("#sort=nonsense&metric=x&a=nobody&open=x:y&columns=z&range=a,b&view=1&mode=x&chips=none&size=huge")
    assert len(seen.ids()) == COUNT
    assert seen.page.locator("#heads .head").count() == 5


def test_the_keyboard_is_enough(visit) -> None:
    seen = visit()
    page = seen.page
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.place") == "1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[document.activeElement.dataset.place, document.activeElement.dataset.column]") == ["2", "2"]
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail[open] .pane")
    ids = seen.ids()
    assert page.inner_text("#detail-title") == ids[1]
    for key, expected in (("j", ids[2]), ("j", ids[3]), ("k", ids[2])):
        page.keyboard.press(key)
        until(page, f"document.getElementById('detail-title').textContent === '{expected}'")
    page.keyboard.press("3")
    page.keyboard.press("Shift+Digit1")
    assert page.evaluate("Gallery.stage.pair()") == {"a": "telea", "b": "copy"}
    # What is looked at closely changes nothing of the grid.
    assert seen.ids() == ids
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    assert page.evaluate("document.activeElement.dataset.place") == "2"
    assert page.evaluate("Gallery.state.now.open") == ""


def test_the_table_links_to_its_samples(visit, scores: pd.DataFrame) -> None:
    seen = visit("#words=night")
    link = seen.page.locator("tr:has-text('telea') td").last.locator("a")
    link.click()
    seen.until(f"Gallery.grid.rows.length === {COUNT}")
    assert seen.ids() == ordered(scores["telea"])
    assert seen.page.input_value("#sort") == "score"


def test_a_selection_becomes_the_sheet_of_a_report(visit, folder: Path, tmp_path: Path, monkeypatch) -> None:
    seen = visit("#sort=id")
    for place in (2, 0):
        seen.page.locator("#rows input[type=checkbox]").nth(place).check()
    with seen.page.expect_download() as saved:
        seen.page.click("#save-selection")
    saved.value.save_as(tmp_path / "ids.txt")
    assert (tmp_path / "ids.txt").read_text() == "000000002\n000000000\n"
    seen.page.click("#make-figure")
    texts = seen.page.locator("#figure code").all_inner_texts()
    assert [text.rpartition(".")[2] for text in texts[:2]] == ["png", "pdf"]
    monkeypatch.chdir(tmp_path)
    for text, kind in zip(texts[:2], (b"\x89PNG", b"%PDF"), strict=True):
        words = text.split()
        assert suite(*words[1:]) == 0
        assert (tmp_path / words[-1]).read_bytes().startswith(kind)
    assert "\\includegraphics" in texts[2]


def test_blind_votes_are_nameless_and_count(visit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = visit("#a=telea&b=copy&sort=id&words=00000001")
    page = seen.page
    assert len(seen.ids()) == 11
    page.click("#start-blind")
    page.fill("#voter", "=cmd")
    page.locator("#blind-title").click()
    sides = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown", "ArrowLeft"):
        text = page.inner_text("#blind-vote").replace(page.inner_text("#contestants"), "")
        assert not [name for name in METHODS if name in text]
        assert not [name for name in METHODS if name in page.inner_html("#blind-stage")]
        sides.append(page.evaluate("[...document.querySelectorAll('#blind-stage img')].map((img) => img.src)"))
        page.keyboard.press(key)
    page.click("#undo")
    with page.expect_download() as saved:
        page.click("#save-votes")
    saved.value.save_as(tmp_path / "votes.csv")
    votes = list(csv.DictReader((tmp_path / "votes.csv").read_text().splitlines()))
    assert [vote["choice"] for vote in votes] == ["left", "right", "tie"]
    assert {vote["voter"] for vote in votes} == {"'=cmd"}
    assert all({vote["left"], vote["right"]} == {"telea", "copy"} for vote in votes)
    for vote, images in zip(votes, sides, strict=False):
        row = page.evaluate(f"Gallery.store.rows.find((row) => row.id === '{vote['sample']}').number")
        for side, image in (("left", images[0]), ("right", images[2])):
            full = page.evaluate(f"Gallery.store.image(Gallery.store.rows[{row}], {vote[side]!r}).full")
            assert image.endswith(full)
    # In another order than that of the data, and the same one in every window with this address.
    order = page.evaluate("Gallery.state.now.seed")
    assert f"seed={order}" in seen.hash()
    capsys.readouterr()
    assert suite("report", "--votes", tmp_path / "votes.csv") == 0
    assert "3 votes by 1 voter on 3 samples" in capsys.readouterr().out


def test_more_than_two_methods_can_be_voted_on(visit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = visit("#pick=all&blind=1&seed=5").page
    for _ in range(12):
        page.click("[data-vote=left]")
    with page.expect_download() as saved:
        page.click("#save-votes")
    saved.value.save_as(tmp_path / "votes.csv")
    capsys.readouterr()
    assert suite("report", "--votes", tmp_path / "votes.csv") == 0
    assert "Bradley and Terry" in capsys.readouterr().out


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

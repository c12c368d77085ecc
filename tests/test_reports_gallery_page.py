"""The grid of the gallery's page in a real browser, from `file://`: 3 methods on 40 scenes of PaperCut."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Visit, until
from gallery_pages import COUNT, METHODS, METRIC, drag, ordered, scores_in

from brushbench import frame

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def scores(papercut_gallery: Path) -> pd.DataFrame:
    return scores_in(papercut_gallery)


@pytest.fixture(scope="module")
def facts(papercut_gallery: Path) -> pd.DataFrame:
    """Tags and mask sizes, by sample."""
    return frame(papercut_gallery / "runs").drop_duplicates("sample").set_index("sample")


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


def test_a_lower_error_is_better(visit, papercut_gallery: Path) -> None:
    tidy = frame(papercut_gallery / "runs")
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

"""One sample in the detail of the gallery's page: slider, blinking, zoom, mask, difference, scores."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import until
from gallery_pages import drag, first, opened, scores_in

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def scores(papercut_gallery: Path) -> pd.DataFrame:
    return scores_in(papercut_gallery)


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


def test_the_slider_shows_a_on_the_left_and_b_on_the_right(visit, papercut_gallery: Path) -> None:
    seen = opened(visit, "&a=telea&b=copy")
    for layer, method in (("above", "telea"), ("below", "copy")):
        name = seen.page.locator(f".layer.{layer} img").get_attribute("src")
        stored = papercut_gallery / "runs" / "papercut-inside" / method / "images" / "000000000.png"
        assert (papercut_gallery / "gallery" / name).read_bytes() == stored.read_bytes()


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
def test_the_difference_is_that_of_the_pixels(visit, papercut_gallery: Path, gain: int) -> None:
    """A pixel of the screen, under a magnifying glass, is the difference that arrays give."""
    from PIL import Image

    page = opened(visit, f"&mode=difference&a=telea&b=copy&gain={gain}").page
    left, top, right, bottom = page.evaluate("Gallery.store.rows[0].box")
    x, y = (left + right) // 2, (top + bottom) // 2
    page.evaluate(f"Gallery.state.change({{ view: [32, {x + 0.5}, {y + 0.5}] }})")
    until(page, "[...document.querySelectorAll('.world img')].every((img) => img.complete)")
    images = papercut_gallery / "runs" / "papercut-inside"
    with Image.open(images / "telea/images/000000000.png") as a, Image.open(images / "copy/images/000000000.png") as b:
        expected = np.minimum(np.abs(np.array(a, dtype=int) - np.array(b, dtype=int))[y, x] * gain, 255)
    shot = np.array(Image.open(io.BytesIO(page.locator(".pane-view").first.screenshot())))
    seen = shot[shot.shape[0] // 2, shot.shape[1] // 2, :3]
    assert np.abs(seen.astype(int) - expected).max() <= gain // 2 + 1


@pytest.mark.parametrize("part", ["known", "painted", "border"])
def test_the_edge_of_a_region_is_no_difference(visit, part: str) -> None:
    """What is the same in both pictures is black, also where the cut is smooth."""
    from PIL import Image

    page = opened(visit, f"&mode=difference&a=copy&b=telea&gain=16&part={part}").page
    until(page, "[...document.querySelectorAll('.world img')].every((img) => img.complete)")
    page.mouse.move(0, 0)
    shot = np.array(Image.open(io.BytesIO(page.locator(".pane-view").first.screenshot())))[..., :3]
    # Without the round corners of the pane.
    assert shot[8:-8, 8:-8].max() == 0


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

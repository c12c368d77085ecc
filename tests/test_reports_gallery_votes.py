"""What the gallery's page saves: a selection of samples for a sheet, and blind votes."""

import csv
from pathlib import Path

import pytest
from gallery_pages import METHODS
from support import suite

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def test_a_selection_becomes_the_sheet_of_a_report(visit, papercut_gallery: Path, tmp_path: Path, monkeypatch) -> None:
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

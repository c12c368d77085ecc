"""Sheets: where pictures and text stand, in which font, and the same in every format."""

import json
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.ft2font import FT2Font
from PIL import Image
from support import run_on

import brushbench as library
from brushbench.curation.preview import preview_sheet
from brushbench.imaging import fonts
from brushbench.imaging.sheets import FRAME, INK, PAPER, Row, Sheet, below, beside, bordered, draw, framed, table, text
from brushbench.reports.contact_sheet import contact_sheet

CAPTIONS = ("", "a cat", "word " * 300, "x" * 2000, "东京" * 90, "قطة على الأريكة", "a\x1b[31m\nb", "gjpqy ÅÉ $x_1$")
TTF = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
Box = tuple[float, float, float, float]


def picture(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (1, 2, 3))


def boxes(sheet: Sheet) -> list[Box]:
    """Left, top, right and bottom of what is drawn, frames too."""
    pictures = [
        (each.left - 1, each.top - 1, each.left + each.image.width + 1, each.top + each.image.height + 1)
        for each in sheet.pictures
    ]
    letters = [(each.left, each.base, each.font.getbbox(each.text, anchor="ls")) for each in sheet.texts]
    return [*pictures, *((x + box[0], y + box[1], x + box[2], y + box[3]) for x, y, box in letters)]


def assert_tidy(sheet: Sheet) -> None:
    """Nothing is cut off, and nothing stands on anything else."""
    found = boxes(sheet)
    for left, top, right, bottom in found:
        assert 0 <= left <= right <= sheet.width
        assert 0 <= top <= bottom <= sheet.height
    for one, other in combinations(found, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


@pytest.mark.parametrize("across", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5, len(CAPTIONS)])
def test_nothing_overlaps_in_a_table(count: int, across: int) -> None:
    sizes = [(128, 128), (256, 90), (60, 256), (100, 100)]
    rows: list[Row] = [
        ([picture(*sizes[place % 4]), picture(100, 128)], f"{place}: {caption}")
        for place, caption in enumerate(CAPTIONS[:count])
    ]
    sheet = table("a title " * 90, ["source", "method " * 40], rows, across)
    assert len(sheet.pictures) == 2 * count
    assert_tidy(sheet)
    # Pictures of one column share their left side, and a caption stands below its own.
    lefts = {each.left for each in sheet.pictures}
    assert len(lefts) == 2 * min(across, count)
    assert {each.left for each in sheet.texts} <= lefts


def test_nothing_overlaps_in_a_preview() -> None:
    samples = []
    for place, caption in enumerate(CAPTIONS):
        image = torch.zeros(3, 100 + 40 * place, 200, dtype=torch.uint8)
        samples.append(
            ("inside", library.Sample(f"id {place} " * 20, image, image[:1] == 0, caption, {"k": "v" * 300}))
        )
    assert_tidy(preview_sheet(samples, "title " * 200))


def test_parts_beside_and_below_each_other() -> None:
    one, other = framed(picture(10, 20)), framed(picture(30, 5), 40)
    joined = bordered(below([beside([one, other], 3), one], 7), 2)
    assert [(each.left, each.top) for each in joined.pictures] == [(2, 2), (2 + 10 + 3, 2), (2, 2 + 20 + 7)]
    assert (joined.width, joined.height) == (2 + 10 + 3 + 40 + 2, 2 + 20 + 7 + 20 + 2)
    assert below([]) == Sheet(0, 0)


def test_a_picture_is_drawn_in_its_own_pixels_with_a_frame_around() -> None:
    pixels = np.array(draw(bordered(framed(picture(4, 3)), 2)))
    assert pixels.shape == (7, 8, 3)
    assert (pixels[2:5, 2:6] == (1, 2, 3)).all()
    assert (pixels[1, 1:7] == FRAME).all()
    assert (pixels[1:6, 6] == FRAME).all()
    assert (pixels[0] == PAPER).all()


def test_text_is_wrapped_between_words_and_then_cut() -> None:
    shown = [each.text for each in text("one two three " * 30, 100, most=3).texts]
    assert len(shown) == 3
    assert " ".join(shown).removesuffix("...") in "one two three " * 30
    assert shown[2].endswith("...")
    assert [each.text for each in text("one two", 100, most=3).texts] == ["one two"]
    assert text("", 100, most=3).height == 0


def test_the_usual_font_is_the_one_that_comes_with_matplotlib() -> None:
    assert fonts.OWN == TTF / "DejaVuSans.ttf"
    assert fonts.covered("a cat, кошка, γάτα, قطة", 11)


def test_a_caption_is_drawn_in_a_font_of_this_machine_that_has_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = "".join(map(chr, sorted(characters(TTF / "STIXGeneral.ttf") - characters(fonts.OWN))[2:6]))
    monkeypatch.setattr(fonts, "_installed", lambda: (TTF / "cmr10.ttf", TTF / "STIXGeneral.ttf"))
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    samples = [library.Sample(name, image, image[:1] == 0, caption) for name, caption in (("a", letters), ("b", "cat"))]
    for sheet in (
        contact_sheet([(each, image) for each in samples], "t"),
        preview_sheet([("", each) for each in samples], "t"),
    ):
        used = {each.text: Path(str(each.font.path)).name for each in sheet.texts if each.colour == INK}
        assert {name for shown, name in used.items() if letters in shown} == {"STIXGeneral.ttf"}
        assert {name for shown, name in used.items() if letters not in shown} == {"DejaVuSans.ttf"}


def characters(font: Path) -> set[int]:
    return set(FT2Font(str(font)).get_charmap())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_captions_from_anywhere_stand_on_every_format(
    suffix: str, brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings are errors: of letters that a font hasn't, and of dollars that would be a formula."""
    monkeypatch.setattr(fonts, "_installed", lambda: (TTF / "STIXGeneral.ttf",))
    root = write_bench(count=1)
    mapping = json.loads((root / "mapping_file.json").read_text())
    mapping["000000000"]["caption"] = "東 $x_1$ \\alpha $ 🍰 \u20e4 <b> %"
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    assert brushbench(*run_on(root, tmp_path / "runs", "--metrics", "psnr"))[0] == 0
    assert brushbench("report", tmp_path / "runs", "--sheet", tmp_path / f"s{suffix}")[0] == 0
    assert (tmp_path / f"s{suffix}").stat().st_size > 1000

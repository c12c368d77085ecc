"""`data show`: a picture to look at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import assert_one_line

from brushbench.core.types import Sample
from brushbench.curation.preview import BRIGHT, DARK, SIDE, outlined, preview_sheet
from brushbench.imaging.sheets import draw

GREYS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (120, 120, 120), "yellow": BRIGHT}


def sample(colour: tuple[int, int, int], caption: str = "a caption", name: str = "a") -> Sample:
    image = torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, SIDE, SIDE).contiguous()
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    mask[:, 50:150, 100:200] = True
    mask[:, 300, 300] = True
    return Sample(name, image, mask, caption)


@pytest.mark.parametrize("colour", GREYS)
def test_the_outline_shows_on_any_picture(colour: str) -> None:
    """Only the outline is drawn, apart from the frame."""
    drawn = sample(GREYS[colour])
    pixels = np.array(outlined(drawn.image, drawn.mask))[1:-1, 1:-1]
    mask = drawn.mask[0, 1:-1, 1:-1].numpy()
    background = np.array(GREYS[colour])
    changed = (pixels != background).any(axis=-1)
    assert not changed[~mask].any()
    contrast = np.abs(pixels.astype(int) - background).max(axis=-1)
    # From the middle of the region in every direction there is a line that stands out.
    for ray in (contrast[99, 99:200], contrast[99, :149], contrast[49:99, 149], contrast[99:149, 149]):
        assert ray.max() > 100
    assert not changed[60:140, 110:190].any()
    assert {tuple(pixel) for pixel in pixels[mask & changed].tolist()} <= {BRIGHT, DARK}


def test_a_speck_shows() -> None:
    drawn = sample((0, 0, 0))
    assert np.array(outlined(drawn.image, drawn.mask))[300, 300].tolist() == list(BRIGHT)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_every_sample_is_there(count: int) -> None:
    colours = [(10 + 20 * index, 200, 30) for index in range(count)]
    sheet = draw(preview_sheet([("inside", sample(colour, "word " * 400)) for colour in colours], "a\x1b[31m title"))
    found = {colour for _, colour in sheet.getcolors(sheet.width * sheet.height)}
    assert set(colours) <= found


def test_captions_in_many_scripts_are_drawn() -> None:
    captions = ["", "\u4e00\u53ea\u732b" * 90, "\u0642\u0637\u0629", "x" * 2000, "a\nb", "\U0001f408", "\u202eabc"]
    for caption in captions:
        assert draw(preview_sheet([("inside", sample((9, 9, 9), caption))], "")).height > SIDE


def test_the_command(brushbench, write_bench, tmp_path: Path) -> None:
    root, file = write_bench(), tmp_path / "sheet.png"
    code, out, _ = brushbench(
        "data", "show", "--root", root, "--samples", 3, "--split", "inside,brush", "--output", file
    )
    assert (code, out) == (0, f"{file}: 3 samples of brushbench\n")
    with Image.open(file) as sheet:
        assert sheet.width > 3 * SIDE
    (root / "images" / "000000000.png").unlink()
    code, out, err = brushbench("data", "show", "--root", root, "--output", file)
    assert (code, out) == (3, f"{file}: 3 samples of brushbench\n")
    assert err.startswith("left out: 000000000: image not found")


def test_by_default_the_file_has_the_name_of_the_data_set(brushbench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert brushbench("data", "show", "--dataset", "photos", "--samples", 1)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["photos-inside.png"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--output", "sheet.jpg"), "a sheet must be a .png file"),
        (("--output", "none/sheet.png"), "no such folder"),
        (("--samples", "0"), "0"),
        (("--split", "outsied"), "did you mean 'outside'"),
    ],
)
def test_wrong_usage_is_one_line(arguments, part: str, brushbench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(brushbench("data", "show", "--dataset", "photos", *arguments), part)


def test_a_data_set_of_which_nothing_can_be_read(brushbench, write_bench, tmp_path: Path) -> None:
    root = write_bench(count=1)
    (root / "images" / "000000000.png").unlink()
    assert_one_line(brushbench("data", "show", "--root", root, "--output", tmp_path / "x.png"), "image not found")
    assert not (tmp_path / "x.png").exists()

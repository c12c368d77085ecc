"""The contact sheet of a run: what is on it, and what can't be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import brushbench
from brushbench import RunConfig
from brushbench.imaging.images import read_image
from brushbench.imaging.sheets import GAP, LINE, draw
from brushbench.reports.contact_sheet import NAME, SHOWN, contact_sheet, write_contact_sheet
from brushbench.runs.folder import Run


def run_of(root: Path, output: Path, **more: object) -> tuple[Run, object]:
    config = RunConfig("mean-fill", "brushbench", root, output=output, **more)
    return brushbench.run(config), brushbench.load_dataset("brushbench", root=root)


def contains(sheet: np.ndarray, picture: torch.Tensor) -> int:
    """Count how often a picture of noise is on a sheet, pixel by pixel."""
    wanted = picture.permute(1, 2, 0).numpy()
    height, width = wanted.shape[:2]
    corners = np.argwhere((sheet[: 1 - height, : 1 - width] == wanted[1, 1]).all(axis=-1))
    found = [(top - 1, left - 1) for top, left in corners if top and left]
    # The frame around a picture covers its outermost pixels.
    return sum((sheet[t + 1 : t + height - 1, x + 1 : x + width - 1] == wanted[1:-1, 1:-1]).all() for t, x in found)


def test_every_picture_is_on_it(tmp_path: Path, write_bench) -> None:
    run, dataset = run_of(write_bench(count=3), tmp_path / "runs")
    path = write_contact_sheet(run, dataset)
    assert path == run.path / NAME
    sheet = np.array(Image.open(path))
    for sample in dataset:
        assert contains(sheet, sample.image) == 1
        assert contains(sheet, sample.image * ~sample.mask) == 1
        assert contains(sheet, read_image(run.path / "images" / f"{sample.id}.png")) == 1


def test_long_runs_are_shown_from_the_first_to_the_last(tmp_path: Path, write_bench) -> None:
    run, dataset = run_of(write_bench(count=3 * SHOWN), tmp_path / "runs")
    sheet = np.array(Image.open(write_contact_sheet(run, dataset)))
    shown = [index for index, sample in enumerate(dataset) if contains(sheet, sample.image)]
    assert len(shown) == SHOWN
    assert (shown[0], shown[-1]) == (0, 3 * SHOWN - 1)


def test_what_has_no_image_is_left_out(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=3, entries={"bad": {"image": "images/none.png", "caption": "nothing"}})
    run, dataset = run_of(root, tmp_path / "runs")
    (run.path / "images" / "000000001.png").write_bytes(b"damaged")
    sheet = np.array(Image.open(write_contact_sheet(run, dataset)))
    shown = [contains(sheet, read_image(root / "images" / f"{index:09d}.png")) for index in range(3)]
    assert shown == [1, 0, 1]
    for file in (run.path / "images").iterdir():
        file.unlink()
    assert write_contact_sheet(run, dataset) is None


@pytest.mark.parametrize("caption", ["", "x" * 2000, "東京タワー \u202e🍰\u202c", "two\nlines\x1b[31m"])
@pytest.mark.parametrize("size", [(8, 8), (40, 600), (700, 500)])
def test_any_size_and_any_caption(caption: str, size: tuple[int, int]) -> None:
    image = torch.zeros(3, *size, dtype=torch.uint8)
    sample = brushbench.Sample("a sample", image, image[:1].bool(), caption)
    sheet = draw(contact_sheet([(sample, image)], "title " * 200))
    longest = min(256, max(size))
    reduced = [max(1, round(side * longest / max(size))) for side in size]
    assert sheet.width == pytest.approx(4 * (reduced[1] + GAP) - GAP + 3 * GAP, abs=8)
    assert sheet.height >= reduced[0] + 3 * LINE

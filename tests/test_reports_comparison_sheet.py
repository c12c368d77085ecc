"""Methods side by side."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import assert_one_line, suite

from brushbench.imaging.images import read_image
from brushbench.imaging.sheets import GAP, LINE, Sheet
from brushbench.reports import comparison_sheet

SIDE = 128
PAPERCUT = ("--dataset", "papercut", "--metrics", "psnr,mse", "--limit", 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("sheet") / "runs"
    asked = ("run", "--method", "mean-fill,copy", "--dataset", "papercut", "--output", output)
    assert suite(*asked, "--split", "inside,brush", "--limit", 3) == 0
    return output


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "runs")


def test_every_picture_is_in_its_place(runs: Path, brushbench, tmp_path: Path) -> None:
    code, out, _ = brushbench("report", runs, "--sheet", tmp_path / "all.png", "--samples", 2)
    assert code == 0
    assert "mean-fill" in out
    sheet = np.asarray(Image.open(tmp_path / "all.png"))
    part = GAP + 2 * LINE + 2 * (SIDE + LINE + GAP)
    assert sheet.shape == (2 * part, GAP + 4 * (SIDE + GAP), 3)
    for group, split in enumerate(("brush", "inside")):
        for row, place in enumerate((0, 2)):
            for column, method in enumerate(("copy", "mean-fill"), start=2):
                stored = sorted((runs / f"papercut-{split}" / method / "images").iterdir())[place]
                top = group * part + GAP + 2 * LINE + row * (SIDE + LINE + GAP)
                left = GAP + column * (SIDE + GAP)
                shown = sheet[top : top + SIDE, left : left + SIDE]
                assert np.array_equal(shown.transpose(2, 0, 1), read_image(stored).numpy()), (split, place, method)


def test_one_sample_and_one_run_are_enough(runs: Path, brushbench, tmp_path: Path) -> None:
    one = runs / "papercut-inside" / "copy"
    assert brushbench("report", one, "--sheet", tmp_path / "one.png", "--samples", 1)[0] == 0
    sheet = np.asarray(Image.open(tmp_path / "one.png"))
    assert sheet.shape == (GAP + 3 * LINE + SIDE + GAP, GAP + 3 * (SIDE + GAP), 3)


def test_mistakes_are_one_line_and_leave_nothing(runs: Path, brushbench, tmp_path: Path) -> None:
    assert_one_line(
        brushbench("report", runs, "--sheet", tmp_path / "all.gif"),
        "all.gif: a figure must end in .png, .svg, .pdf",
    )
    other = brushbench("run", "--method", "copy", "--dataset", "photos", "--limit", 1, "--output", tmp_path / "photos")
    assert other[0] == 0
    for image in (runs / "papercut-inside" / "copy" / "images").iterdir():
        image.unlink()
    result = brushbench("report", runs, "--sheet", tmp_path / "all.png")
    assert_one_line(result, "split inside: no sample has an image in all of the 2 runs")
    assert not list(tmp_path.glob("*.png"))


def test_named_samples_are_drawn_in_their_order(runs: Path, brushbench, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\ufeff000000002\r\n\n000000000\n000000002\n")
    folder = runs / "papercut-inside"
    assert brushbench("report", folder, "--ids", tmp_path / "ids.txt", "--sheet", tmp_path / "two.png")[0] == 0
    sheet = np.asarray(Image.open(tmp_path / "two.png"))
    for row, sample in enumerate(("000000002", "000000000")):
        stored = read_image(folder / "copy" / "images" / f"{sample}.png").numpy()
        top, left = GAP + 2 * LINE + row * (SIDE + LINE + GAP), GAP + 2 * (SIDE + GAP)
        assert np.array_equal(sheet[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1), stored)


def test_a_named_sample_without_an_image_is_grey(runs: Path, brushbench, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("000000001\n")
    folder = runs / "papercut-inside"
    (folder / "mean-fill" / "images" / "000000001.png").unlink()
    assert brushbench("report", folder, "--ids", tmp_path / "ids.txt", "--sheet", tmp_path / "one.png")[0] == 3
    sheet = np.asarray(Image.open(tmp_path / "one.png"))
    top, left = GAP + 2 * LINE, GAP + 3 * (SIDE + GAP)
    assert np.unique(sheet[top : top + SIDE, left : left + SIDE].reshape(-1, 3), axis=0).tolist() == [[120, 120, 120]]


def test_mistakes_with_ids_are_one_line(runs: Path, brushbench, tmp_path: Path) -> None:
    sheet = ("--sheet", tmp_path / "all.png")
    for content, told in (("nobody\n", "'nobody' is not the id of a sample"), (" \n", "contains no id")):
        (tmp_path / "ids.txt").write_text(content)
        assert_one_line(brushbench("report", runs, "--ids", tmp_path / "ids.txt", *sheet), told)
    assert_one_line(brushbench("report", runs, "--ids", tmp_path / "none.txt", *sheet), "none.txt")
    assert_one_line(brushbench("report", runs, "--ids", tmp_path / "ids.txt"), "give --sheet FILE too")
    assert not list(tmp_path.glob("*.png"))


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The title and the heads of the columns of each part of a sheet, as they are drawn."""
    drawn: list[tuple[str, list[str]]] = []
    original = comparison_sheet.table

    def table(title: str, names: Sequence[str], *more: object) -> Sheet:
        drawn.append((title, list(names[2:])))
        return original(title, names, *more)

    monkeypatch.setattr(comparison_sheet, "table", table)
    return drawn


def test_heads_are_the_names_of_the_table(runs: Path, brushbench, tmp_path: Path, heads) -> None:
    (tmp_path / "paper.toml").write_text('[rename]\ncopy = "The source"\ninside = "Objects"\n')
    renames = ("--style", tmp_path / "paper.toml", "--rename", "mean-fill=A <b>mean</b>", "--rename", "papercut=PC")
    file = tmp_path / "all.svg"
    code, out, err = brushbench("report", runs, *renames, "--sheet", file, "--samples", 1, "--format", "csv")
    assert code == 0, err
    names = ["The source", "A <b>mean</b>"]
    assert heads == [("PC, split brush", names), ("PC, split Objects", names)]
    assert {line.split(",")[3] for line in out.splitlines()[1:]} == set(names)
    # Without names, as the table has them.
    heads.clear()
    assert brushbench("report", runs, "--sheet", file, "--samples", 1)[0] == 0
    assert [own for _, own in heads] == [["copy", "mean-fill"]] * 2


def test_latex_is_for_tables_alone(runs: Path, brushbench, tmp_path: Path, heads) -> None:
    renames = ("--rename", r"copy=latex:\textsc{Copy}", "--rename", "mean-fill=latex:$m$", "--rename", "mean-fill=Mean")
    assert brushbench("report", runs, *renames, "--sheet", tmp_path / "all.png", "--samples", 1)[0] == 0
    assert heads[0][1] == ["copy", "Mean"]


def test_a_sheet_has_the_rows_and_splits_of_the_table_in_its_order(
    runs: Path, brushbench, tmp_path: Path, heads
) -> None:
    asked = ("report", runs, "--sheet", tmp_path / "all.png", "--samples", 1)
    assert brushbench(*asked, "--rows", "mean-fill", "--splits", "inside,brush")[0] == 0
    assert heads == [(f"papercut, split {split}", ["mean-fill"]) for split in ("inside", "brush")]
    heads.clear()
    assert brushbench("run", "--method", "telea", *PAPERCUT, "--output", runs, "--split", "inside")[0] == 0
    # References stand before floors, as in the table.
    assert brushbench(*asked, "--order", "telea", "--splits", "inside")[0] == 0
    assert heads == [("papercut, split inside", ["copy", "telea", "mean-fill"])]


def test_every_seed_has_a_column_under_the_name_of_its_row(brushbench, tmp_path: Path, heads) -> None:
    for seed in (1, 2):
        asked = ("run", "--method", "telea", *PAPERCUT, "--split", "inside", "--seed", seed)
        for radius in (3, 9):
            assert (
                brushbench(*asked, "-o", f"radius={radius}", "--output", tmp_path / "runs" / f"{seed}-{radius}")[0] == 0
            )
    asked = ("report", tmp_path / "runs", "--seeds", "mean", "--samples", 1, "--sheet", tmp_path / "a.png")
    code, _, err = brushbench(
        *asked, "--rename", "telea radius=9.0=Wide", "--rows", "telea radius=9.0,telea radius=3.0"
    )
    assert code == 0, err
    narrow = [f"telea radius=3.0 seed={seed}" for seed in (1, 2)]
    assert heads == [("papercut, split inside", ["Wide seed=1", "Wide seed=2", *narrow])]

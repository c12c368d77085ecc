"""Data sets made to do harm: each is read as what it shows, or refused in one line."""

import json
import os
from pathlib import Path

import pytest
import torch
from hostile import DRAWN, HARMFUL, Change, first, make_directory, make_huge, refused, write
from PIL import Image, ImageFont
from support import assert_one_line, run_on

import brushbench
from brushbench.core.errors import SampleError
from brushbench.imaging.sheets import fitting


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound data set of one sample, `a`, whose image is images/a.png."""
    folder = tmp_path / "bench"
    (folder / "images").mkdir(parents=True)
    Image.fromarray(DRAWN).save(folder / "images/a.png")
    Image.fromarray(DRAWN).save(tmp_path / "secret.png")
    write(folder)
    return folder


@pytest.mark.parametrize(
    "image",
    [
        *("../secret.png", "images/../../secret.png", "/etc/passwd", "link.png", "round.png", "linked/secret.png", ""),
        *(
            "images",
            "pipe.png",
            "\0",
            "\x1b[31m",
            "x" * 300,
            "x/" * 3000,
            "images/a.png\0.png",
            "none.png",
            "C:\\a.png",
        ),
    ],
)
def test_images_that_are_no_files_of_the_data_set(image: str, root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "linked").symlink_to(root.parent)
    (root / "round.png").symlink_to(root / "round.png")
    os.mkfifo(root / "pipe.png")
    write(root, image=image)
    refused(lambda: first(root))


def test_links_that_stay_inside_are_followed(root: Path) -> None:
    (root / "link.png").symlink_to(root / "images/a.png")
    write(root, image="images/../link.png")
    assert (first(root).image.permute(1, 2, 0).numpy() == DRAWN).all()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "/etc/passwd", "a\\b", "a/b", "x" * 300, "a\nb", "\x1b[31m", "\u202ea", "\0", "a:b"],
)
def test_ids_that_are_no_file_names(name: str, root: Path) -> None:
    write(root, name)
    refused(lambda: first(root), "id can't be a file name")


@pytest.mark.parametrize(
    ("runs", "part"),
    [
        ([-3, 9], "out of bounds"),
        ([0, 1], "out of bounds"),
        ([5, -2], "out of bounds"),
        ([250, 8], "out of bounds"),
        ([1, 2**31], "out of bounds"),
        ([2**62, 2**62], "out of bounds"),
        ([2**64, 1], "whole numbers"),
        ([1, 10**400], "whole numbers"),
        ([1, 9, 5, 9], "overlap"),
        ([1, 9, 1, 9], "overlap"),
        ([1, 2, 3], "odd count"),
        ([1.5, 2], "whole numbers"),
        ([float("nan"), 2], "out of bounds"),
        ([float("inf"), 2], "out of bounds"),
        (["x" * 10**6, *["1"] * 9999], "whole numbers"),
        ([[1, 2]], "whole numbers"),
        ([[[[]]]], "whole numbers"),
        ([None, 1], "whole numbers"),
        ([], "empty"),
        ([1, 0], "empty"),
        ("1 2 3 4", "a list of runs"),
        ({"counts": [1, 2]}, "a list of runs"),
        (7, "a list of runs"),
        (None, "a list of runs"),
    ],
)
def test_damaged_runs(runs: object, part: str, root: Path) -> None:
    write(root, inpainting_mask=runs)
    refused(lambda: first(root), part)
    with pytest.raises(SampleError):
        first(root)
    assert first(root, "outside").mask.sum() == 14


@pytest.mark.parametrize("runs", [["1", "5", "40", "9"], [1.0, 5.0, 40.0, 9.0], [40, 9, 1, 5], [1, 2, 3, 3, 40, 9]])
def test_sound_runs_in_other_forms(runs: list[object], root: Path) -> None:
    expected = first(root).mask
    write(root, inpainting_mask=runs)
    assert torch.equal(first(root).mask, expected)


ENTRY = '{"image": "images/a.png", "caption": "noise", "inpainting_mask": [1, 5, 40, 9]}'


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "not JSON"),
        (b"\0", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"a": "\xe9"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"NaN", "must be a dict of samples or a list"),
        (b"null", "must be a dict of samples or a list"),
        (b"{}", "no samples"),
        (b"[]", "no samples"),
        (f'{{"a": {ENTRY}, "a": {ENTRY}}}'.encode(), "'a' occurs twice"),
        (f'{{"a": {ENTRY[:-1]}, "caption": "two"}}}}'.encode(), "'caption' occurs twice"),
        (b'[{"image_id": "a"}, {"image_id": "a"}]', "'a' occurs twice"),
    ],
)
def test_mapping_files_that_are_none(content: bytes, part: str, root: Path) -> None:
    (root / "mapping_file.json").write_bytes(content)
    refused(lambda: brushbench.load_dataset("brushbench", root=root), part)


@pytest.mark.parametrize("entry", ["7", "null", "[]", "NaN", '"text"', "{}", '{"image": 1, "caption": []}', "[[[[]]]]"])
def test_entries_that_are_none(entry: str, root: Path) -> None:
    (root / "mapping_file.json").write_text(f'{{"bad": {entry}, "a": {ENTRY}}}')
    refused(lambda: first(root), "mapping file")
    assert brushbench.load_dataset("brushbench", root=root)[1].id == "a"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_of_a_mapping_file(encoding: str, root: Path) -> None:
    (root / "mapping_file.json").write_bytes(f'{{"a": {ENTRY.replace("noise", "café ☃")}}}'.encode(encoding))
    assert first(root).caption == "café ☃"


@pytest.mark.parametrize("make", [make_directory, os.mkfifo, make_huge])
@pytest.mark.parametrize("name", ["mapping_file.json", "tags.csv"])
def test_files_that_cannot_be_read_whole(make: Change, name: str, root: Path) -> None:
    (root / name).unlink(missing_ok=True)
    make(root / name)
    refused(lambda: brushbench.load_dataset("brushbench", root=root), name)
    if name.endswith("json"):
        refused(lambda: brushbench.load_dataset("brushbench", root=root / name), name)


@pytest.mark.parametrize("root", ["x" * 300, "a/" * 3000, "\0", "\x1b[31m"])
@pytest.mark.parametrize("dataset", ["brushbench", "folder"])
def test_roots_that_cannot_be(dataset: str, root: str) -> None:
    refused(lambda: brushbench.load_dataset(dataset, root=root))


def test_a_harmful_caption_is_kept_for_the_model_and_shown_harmlessly(root: Path, tmp_path: Path, brushbench) -> None:
    write(root, caption=HARMFUL, tags={"subject\x1b[1m": "\u202e\x1b[31mred"})
    assert first(root).caption == HARMFUL
    code, out, err = brushbench(*run_on(root, tmp_path / "runs", "--metrics", "psnr"))
    assert code == 0, err
    for form in ("text", "markdown"):
        code, table, more = brushbench("report", tmp_path / "runs", "--format", form)
        assert code == 0, more
        assert all(c.isprintable() or c == "\n" for c in out + err + table + more)


def test_harmful_ids_fail_by_themselves_and_write_nothing_outside(root: Path, tmp_path: Path, brushbench) -> None:
    names = ("\x1b[31m", "../../out", "x" * 300, "\u202e", "a")
    (root / "mapping_file.json").write_text(json.dumps(dict.fromkeys(names, json.loads(ENTRY))))
    before = sorted(tmp_path.iterdir())
    code, out, err = brushbench(*run_on(root, tmp_path / "runs", "--metrics", "psnr"))
    assert code == 3
    assert all(c.isprintable() or c == "\n" for c in out + err)
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "runs"])
    assert [path.name for path in tmp_path.rglob("runs/**/images/*")] == ["a.png"]


def test_an_id_that_is_no_unicode(root: Path) -> None:
    write(root, "\ud800")
    refused(lambda: first(root), "lone surrogate")


def test_one_line_of_the_command_line_for_a_bad_mapping_file(root: Path, tmp_path: Path, brushbench) -> None:
    (root / "mapping_file.json").write_bytes(b"[" * 100_000)
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs")), "mapping_file.json", "not JSON")


def test_text_in_pictures_has_no_marks_that_turn_it() -> None:
    font = ImageFont.load_default(13)
    assert fitting(HARMFUL, font, 10_000) == "a cat god [31m 2J red over"
    assert len(fitting("x" * 100_000, font, 300)) < 100

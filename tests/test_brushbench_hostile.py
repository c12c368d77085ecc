"""Data sets made to do harm: each is read as what it shows, or refused in one line."""

import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont
from support import assert_one_line, run_on

import brushbench
from brushbench.datasets.tables import MAX_BYTES
from brushbench.errors import SampleError, UserError
from brushbench.images import image_size, read_image
from brushbench.images import MAX_BYTES as MAX_IMAGE_BYTES
from reports.contact_sheet import fitting

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fuzz_datasets import run as fuzz

SIDE = 16
DRAWN = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
RUNS = [1, 5, 40, 9]
Change = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound data set of one sample, `a`, whose image is images/a.png."""
    folder = tmp_path / "bench"
    (folder / "images").mkdir(parents=True)
    Image.fromarray(DRAWN).save(folder / "images/a.png")
    Image.fromarray(DRAWN).save(tmp_path / "secret.png")
    write(folder)
    return folder


def write(root: Path, name: str = "a", **changes: object) -> None:
    entry = {"image": "images/a.png", "caption": "noise", "inpainting_mask": RUNS, "outpainting_mask": RUNS}
    (root / "mapping_file.json").write_text(json.dumps({name: entry | changes}))


def refused(read: Callable[[], object], *parts: str) -> None:
    with pytest.raises(UserError) as error:
        read()
    message = str(error.value)
    assert message.isprintable(), repr(message)
    assert 0 < len(message) <= 500
    assert all(part in message for part in parts), message


def first(root: Path, split: str = "inside") -> brushbench.Sample:
    dataset = brushbench.load_dataset("brushbench", root=root, split=split)
    assert len(dataset.digest()) == 64
    return dataset[0]


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


def make_directory(file: Path) -> None:
    file.mkdir()


def make_huge(file: Path) -> None:
    """Sparse: it takes no room."""
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES + 1)


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


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*added: bytes, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A grey PNG of 8 bits, with chunks before its data."""
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(row) for row in DRAWN[..., 0]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(added) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(image_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(DRAWN)).save(buffer, format=image_format, **options)
    return buffer.getvalue()


BOMB = zlib.compress(bytes(64 << 20), 9)


@pytest.mark.parametrize(
    "content",
    [
        *(png(size=size) for size in ((2**31 - 1, 2**31 - 1), (30_000, 30_000), (9000, 9000), (0, 0), (16, 0))),
        png(chunk(b"zTXt", b"key\0\0" + BOMB)),
        png(chunk(b"iCCP", b"key\0\0" + BOMB)),
        png(chunk(b"iTXt", b"key\0\1\0\0\0" + BOMB)),
        *(encoded(kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "PDF", "ICO", "TGA")),
        *(
            b"",
            b"\0" * 100,
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"RIFF\0\0\0\0WEBP",
        ),
        *(encoded(kind)[: len(encoded(kind)) // 2] for kind in ("PNG", "JPEG", "WEBP")),
        encoded("PNG")[:20],
        encoded("JPEG")[:3],
    ],
)
def test_pictures_that_are_none(content: bytes, root: Path) -> None:
    (root / "images/a.png").write_bytes(content)
    refused(lambda: read_image(root / "images/a.png"), "a.png")
    refused(lambda: first(root))


def test_a_file_too_large_for_a_picture(root: Path) -> None:
    with (root / "images/a.png").open("ab") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    refused(lambda: read_image(root / "images/a.png"), "over 512 MiB")


def grey_of(image: Image.Image) -> np.ndarray:
    return np.array(image.convert("L").convert("RGB"))


PALETTE = Image.fromarray(DRAWN).quantize(16)
GREY = Image.fromarray(DRAWN).convert("L")
WIDE = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0))
WIDE_ROWS = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in DRAWN.astype(np.uint16) * 256 + 77))


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (encoded("PNG", PALETTE), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", PALETTE, transparency=bytes(range(16))), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", PALETTE, transparency=3), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", GREY.convert("LA")), grey_of(GREY)),
        (encoded("PNG", GREY, transparency=5), grey_of(GREY)),
        (encoded("PNG", GREY.convert("1")), grey_of(GREY.convert("1"))),
        (encoded("PNG", Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)), grey_of(GREY)),
        (b"\x89PNG\r\n\x1a\n" + WIDE + chunk(b"IDAT", WIDE_ROWS) + chunk(b"IEND", b""), DRAWN),
        (encoded("PNG", save_all=True, append_images=[GREY.convert("RGB")]), DRAWN),
        (png(chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"eXIf", b"broken")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"abCd", b"of nobody")), DRAWN[..., [0, 0, 0]]),
    ],
)
def test_unusual_pictures_are_what_a_viewer_shows(content: bytes, shown: np.ndarray, root: Path) -> None:
    file = root / "images/a.png"
    file.write_bytes(content)
    assert (read_image(file).permute(1, 2, 0).numpy() == shown).all()
    assert image_size(file) == (SIDE, SIDE)
    assert (first(root).image.permute(1, 2, 0).numpy() == shown).all()


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + b"\xff" * 50])
def test_a_jpeg_with_broken_exif(exif: bytes, root: Path) -> None:
    plain = encoded("JPEG")
    marked = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    (root / "images/a.png").write_bytes(marked)
    expected = np.array(Image.open(io.BytesIO(plain)))
    assert (read_image(root / "images/a.png").permute(1, 2, 0).numpy() == expected).all()


HARMFUL = "a cat \u202egod\u202c \x1b[31m\x07\x9b2J red\r\nover"


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own with one sample, without captions."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(DRAWN).save(tmp_path / name / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", b""),
        ("captions.csv", b"\xff"),
        ("captions.csv", b"id,caption\na,\xe9\n"),
        ("captions.csv", b"id,caption\na," + b"x" * 200_000),
        ("captions.csv", b'id,caption\na,"never closed\n'),
        ("captions.csv", b'id,caption\na,"closed" early\n'),
        ("captions.csv", b"id,caption\na,one,more\n"),
        ("captions.csv", b"id,caption\na,one\na,two\n"),
        ("captions.csv", b"id,id,caption\n"),
        ("captions.csv", b"\0\0\0"),
        ("captions.json", b""),
        ("captions.json", b"[" * 100_000),
        ("captions.json", b'{"a": 1}'),
        ("captions.json", b'{"a": NaN}'),
        ("captions.json", b'{"a": "one", "a.png": "two"}'),
        ("captions.json", b'{"a": "one", "a": "two"}'),
        ("captions.json", b'{"a": "\\ud800"}'),
        ("captions.txt", b""),
        ("captions.txt", b"one\ntwo\n"),
        ("captions.txt", b"\xff\xfeo\0n\0e\0"),
        ("captions.txt", b"x" * 5000),
    ],
)
def test_captions_that_are_none(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    refused(lambda: brushbench.load_dataset("folder", root=folder)[0])


@pytest.mark.parametrize("make", [make_directory, os.mkfifo, make_huge])
@pytest.mark.parametrize("name", ["captions.csv", "captions.json", "captions.txt"])
def test_captions_that_cannot_be_read_whole(make: Change, name: str, folder: Path) -> None:
    make(folder / name)
    refused(lambda: brushbench.load_dataset("folder", root=folder), name)


@pytest.mark.parametrize(
    ("name", "content", "caption"),
    [
        ("captions.csv", f'\ufeffid,caption\r\na,"{HARMFUL}"\r\n', HARMFUL),
        ("captions.csv", "id,caption\na,n\0l\n", "n\0l"),
        ("captions.json", json.dumps({"a.png": HARMFUL}), HARMFUL),
        ("captions.txt", "\u202e\x1b[31m red\r\n", "\u202e\x1b[31m red"),
    ],
)
def test_harmful_captions_of_a_folder_are_kept(name: str, content: str, caption: str, folder: Path) -> None:
    (folder / name).write_bytes(content.encode())
    assert brushbench.load_dataset("folder", root=folder)[0].caption == caption


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("target", ["outside", "round", "pipe"])
def test_a_folder_whose_files_are_not_its_own(part: str, target: str, folder: Path, tmp_path_factory) -> None:
    (folder / "captions.txt").write_text("one\n")
    file = folder / part / "a.png"
    away = tmp_path_factory.mktemp("away") / "a.png"
    file.rename(away)
    if target == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(away if target == "outside" else file)
    dataset = brushbench.load_dataset("folder", root=folder)
    assert len(dataset.digest()) == 64
    with pytest.raises(SampleError):
        dataset[0]


def test_a_file_name_that_is_no_unicode(folder: Path) -> None:
    (folder / "captions.txt").write_text("one\ntwo\n")
    os.rename(os.fsencode(folder / "images/a.png"), os.fsencode(folder / "images") + b"/\xff.png")
    Image.fromarray(DRAWN).save(folder / "images/a.png")
    refused(lambda: brushbench.load_dataset("folder", root=folder), "not valid Unicode")


def test_five_hundred_mutated_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole million: benchmarks/fuzz_datasets.py."""
    assert not fuzz(500, 10**7, tmp_path).escaped, capsys.readouterr().out

"""Pictures made elsewhere: what is odd about them, what they are stored as, and what tables say of it."""

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import assert_one_line, run_on

import brushbench as library
from brushbench.imaging.images import is_transparent
from brushbench.runs.folder import Run

SIDE = 64
Score = Callable[..., tuple[int, str, str]]
IDS = [f"{index:09d}" for index in range(4)]


def noise(seed: int, side: int = SIDE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def filled(folder: Path, suffix: str = ".png", side: int = SIDE) -> Path:
    folder.mkdir()
    for index, name in enumerate(IDS):
        noise(index, side).save(folder / f"{name}{suffix}")
    return folder


@pytest.fixture
def score(brushbench, write_bench, tmp_path: Path) -> Score:
    """Score a folder of pictures as the method of its name."""
    root = write_bench()

    def call(folder: Path, *more: object) -> tuple[int, str, str]:
        data = run_on(root, tmp_path / "runs", *more)[3:]
        return brushbench("score", "--images", folder, "--name", folder.name, *data)

    return call


def stored(tmp_path: Path, name: str) -> Path:
    return tmp_path / "runs/brushbench-inside" / name


def test_odd_pictures_are_named_and_remembered(score: Score, brushbench, tmp_path: Path) -> None:
    folder = filled(tmp_path / "mine")
    Image.new("RGB", (SIDE, SIDE)).save(folder / f"{IDS[0]}.png")
    Image.new("RGB", (SIDE, SIDE), (3, 90, 200)).save(folder / f"{IDS[1]}.png")
    shutil.copy(tmp_path / "bench/images" / f"{IDS[2]}.png", folder)
    code, _, err = score(folder)
    assert code == 0
    assert f"1 images are wholly black: {IDS[0]}\n" in err
    assert f"1 images are of one colour: {IDS[1]}\n" in err
    assert f"1 images are equal to the source: {IDS[2]}\n" in err
    notes = {name: entry.note for name, entry in Run.open(stored(tmp_path, "mine")).ledger().items()}
    assert notes == {
        IDS[0]: "the picture is wholly black",
        IDS[1]: "the picture is of one colour",
        IDS[2]: "the picture is equal to the source",
        IDS[3]: None,
    }


def test_under_paper_a_copy_is_told_from_its_pixels_as_given(score: Score, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "bench/images", tmp_path / "copied")
    _, _, err = score(tmp_path / "copied", "--protocol", "paper")
    assert f"4 images are equal to the source: {', '.join(IDS)}" in err


def with_alpha(alpha: int) -> Image.Image:
    image = noise(0).convert("RGBA")
    image.putpixel((5, 6), (1, 2, 3, alpha))
    return image


def grey_with_alpha() -> Image.Image:
    image = noise(0).convert("LA")
    image.putpixel((5, 6), (7, 254))
    return image


TRANSPARENT: dict[str, tuple[Callable[[], Image.Image], dict[str, object]]] = {
    "RGBA": (lambda: with_alpha(254), {}),
    "LA": (grey_with_alpha, {}),
    "P": (lambda: noise(0).quantize(8), {"transparency": b"\xff\x80"}),
    "P index": (lambda: noise(0).quantize(8), {"transparency": 3}),
    "RGB key": (lambda: Image.new("RGB", (SIDE, SIDE), (5, 6, 7)), {"transparency": (5, 6, 7)}),
    "L key": (lambda: Image.new("L", (SIDE, SIDE), 5), {"transparency": 5}),
    "16 bits": (
        lambda: Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)),
        {"transparency": 300},
    ),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_transparent_pictures_are_refused_before_anything_is_written(
    kind: str, protocol: str, score: Score, tmp_path: Path
) -> None:
    make, options = TRANSPARENT[kind]
    folder = filled(tmp_path / "mine")
    make().save(folder / f"{IDS[3]}.png", **options)
    assert_one_line(score(folder, "--protocol", protocol), f"{IDS[3]}.png", "transparent", "valid: opaque images")
    assert not (tmp_path / "runs").exists()


def png(kind: int, depth: int, row: bytes, width: int, transparent: bytes) -> bytes:
    """One row of a kind of PNG that Pillow can't write, with one transparent colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
    parts = {b"IHDR": header, b"tRNS": transparent, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts.items())


@pytest.mark.parametrize(
    ("kind", "depth", "row", "width", "hit", "miss"),
    [
        (0, 1, b"\x80", 2, b"\0\1", None),
        (0, 2, b"\xa0", 2, b"\0\2", b"\0\1"),
        (0, 4, b"\x3c", 2, b"\0\x0c", b"\0\4"),
        (0, 16, b"\1\5\1\6", 2, b"\1\6", b"\1\7"),
        (2, 16, b"\1\2\3\4\5\6", 1, b"\1\2\3\4\5\6", b"\2\2\3\4\5\6"),
    ],
)
def test_one_transparent_colour_of_any_depth(
    kind: int, depth: int, row: bytes, width: int, hit: bytes, miss: bytes | None, tmp_path: Path
) -> None:
    for colour in filter(None, (hit, miss)):
        (tmp_path / "x.png").write_bytes(png(kind, depth, row, width, colour))
        assert is_transparent(tmp_path / "x.png") == (colour == hit)


def test_transparent_webp_is_refused_and_all_are_counted(score: Score, tmp_path: Path) -> None:
    folder = filled(tmp_path / "mine", ".webp")
    for name in IDS[1:]:
        with_alpha(0).save(folder / f"{name}.webp", lossless=True)
    assert_one_line(score(folder), f"{IDS[1]}.webp and 2 more;")


def test_an_opaque_alpha_channel_is_no_transparency(score: Score, tmp_path: Path) -> None:
    folder = filled(tmp_path / "mine")
    with_alpha(255).save(folder / f"{IDS[0]}.png")
    noise(1).convert("LA").save(folder / f"{IDS[1]}.png")
    Image.new("RGB", (SIDE, SIDE), (5, 6, 7)).save(folder / f"{IDS[2]}.png", transparency=(5, 6, 8))
    assert score(folder)[0] == 0
    assert not any(is_transparent(path) for path in folder.iterdir())


def test_a_picture_that_cannot_be_decoded_is_a_failed_sample(score: Score, tmp_path: Path) -> None:
    folder = filled(tmp_path / "mine")
    content = (folder / f"{IDS[0]}.png").read_bytes()
    (folder / f"{IDS[0]}.png").write_bytes(content[: len(content) // 2])
    code, out, err = score(folder)
    assert code == 3
    assert "3/4" in out
    assert "not a readable image" in err


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_under_paper_what_is_no_jpeg_is_stored_as_jpeg(score: Score, brushbench, tmp_path: Path) -> None:
    folder = filled(tmp_path / "mine")
    noise(1).save(folder / f"{IDS[1]}.webp", lossless=True)
    (folder / f"{IDS[1]}.png").unlink()
    (folder / f"{IDS[2]}.png").unlink()
    given = jpeg(noise(2), quality=91)
    # A JPEG by its content, and a PNG by its content.
    (folder / f"{IDS[2]}.jpeg").write_bytes(given)
    (folder / f"{IDS[3]}.png").rename(folder / f"{IDS[3]}.jpg")
    code, out, _ = score(folder, "--protocol", "paper")
    assert code == 0
    assert "protocol paper: JPEG storage" in out
    images = {path.name: path.read_bytes() for path in (stored(tmp_path, "mine") / "images").iterdir()}
    assert images == {
        f"{IDS[0]}.jpg": jpeg(noise(0)),
        f"{IDS[1]}.jpg": jpeg(noise(1)),
        f"{IDS[2]}.jpg": given,
        f"{IDS[3]}.jpg": jpeg(noise(3)),
    }


def test_a_perfect_copy_as_png_has_the_psnr_of_the_copy_method(score: Score, brushbench, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "bench/images", tmp_path / "copied")
    score(tmp_path / "copied", "--protocol", "paper")
    brushbench(*run_on(tmp_path / "bench", tmp_path / "runs", "--protocol", "paper", method="copy"))
    tidy = library.frame(tmp_path / "runs")
    psnr = tidy[tidy["metric"] == "psnr"].pivot_table(index="sample", columns="method", values="value")
    assert (psnr["copied"] == psnr["copy"]).all()
    assert psnr["copied"].max() < 60


def test_under_strict_the_table_names_formats_as_they_are(score: Score, brushbench, tmp_path: Path) -> None:
    _, out, _ = score(filled(tmp_path / "lossless"))
    assert "protocol strict: lossless storage" in out
    _, out, _ = score(filled(tmp_path / "lossy", ".jpg"))
    assert "lossless" not in out
    assert "\nstored as JPEG\n" in out
    lossy = tmp_path / "lossy" / f"{IDS[0]}.jpg"
    assert (stored(tmp_path, "lossy") / "images" / lossy.name).read_bytes() == lossy.read_bytes()
    _, out, _ = brushbench("report", tmp_path / "runs")
    assert "lossless storage" not in out
    assert "stored as PNG (lossless), JPEG (lossy)" in out
    lossy.unlink()
    noise(0).save(tmp_path / "lossy" / f"{IDS[0]}.png")
    (tmp_path / "lossy").rename(tmp_path / "both")
    _, out, _ = score(tmp_path / "both")
    assert "\nstored as JPEG and PNG\n" in out


def test_a_run_of_pngs_under_paper_is_not_said_to_be_jpeg(score: Score, brushbench, tmp_path: Path) -> None:
    """Older versions copied them."""
    folder = filled(tmp_path / "mine")
    score(folder, "--protocol", "paper")
    run = stored(tmp_path, "mine")
    ledger = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in ledger:
        line["image"] = line["image"].replace(".jpg", ".png")
    (run / "samples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in ledger))
    _, out, _ = brushbench("report", run)
    assert "JPEG storage" not in out
    assert "\nstored as PNG\n" in out
    # Imported again, it is put right, and nothing is left of what was.
    _, out, _ = score(folder, "--protocol", "paper")
    assert "JPEG storage" in out
    assert {path.suffix for path in (run / "images").iterdir()} == {".jpg"}


UNDEFINED = "64x64: the official script is undefined for them, as its masks are always 512x512"


def test_other_sizes_under_paper_are_said_to_be_undefined(score: Score, brushbench, tmp_path: Path) -> None:
    _, out, _ = score(filled(tmp_path / "mine"), "--protocol", "paper")
    assert f"images of {UNDEFINED}" in out
    run = run_on(tmp_path / "bench", tmp_path / "other", "--protocol", "paper")
    _, out, _ = brushbench(*run)
    assert UNDEFINED in out
    # Also of runs that were scored before sizes were stored.
    file = tmp_path / "other/brushbench-inside/mean-fill/scores.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["size"]), file)
    for table_name in ("summary", "paper"):
        _, out, _ = brushbench("report", tmp_path / "other", "--table", table_name)
        assert UNDEFINED in out
    shutil.rmtree(file.parent / "images")
    code, out, _ = brushbench("report", tmp_path / "other")
    assert code == 0
    assert UNDEFINED not in out
    _, out, _ = score(filled(tmp_path / "strictly"))
    assert "undefined" not in out


def test_at_512_nothing_is_undefined(brushbench, tmp_path: Path) -> None:
    _, out, _ = brushbench(
        "run", "--method", "mean-fill", "--dataset", "photos", "--limit", "1", "--protocol", "paper",
        "--metrics", "mse", "--output", tmp_path,
    )  # fmt: skip
    assert "JPEG storage" in out
    assert "undefined" not in out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--limit", "1"),
        ("--split", "inside"),
        ("--protocol", "strict"),
        ("--dataset", "brushbench"),
        ("--output", "runs"),
        ("--name", "external"),
        ("--data-option", "size=64"),
    ],
)
def test_a_run_folder_has_its_own_options(option: str, value: str, brushbench, write_bench, tmp_path: Path) -> None:
    """Even a default value is refused."""
    brushbench(*run_on(write_bench(count=1), tmp_path / "runs"))
    scores = tmp_path / "runs/brushbench-inside/mean-fill/scores.parquet"
    before = scores.read_bytes()
    result = brushbench("score", tmp_path / "runs", option, value)
    told = "no effect on a RUN, which has its own options", "valid with it: --root, --metrics, --metric-option"
    assert_one_line(result, option, *told)
    assert scores.read_bytes() == before
    assert brushbench("score", tmp_path / "runs", "--root", tmp_path / "bench", "--metrics", "mse")[0] == 0

"""`data get editbench`: the known address, what is damaged in what came, and what a run makes of it."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import Served, serving
from PIL import Image
from support import assert_one_line
from test_brushbench_editbench import write_a, write_b, write_c

from brushbench.core.registry import built_in, dataset_info
from brushbench.curation.verify import verify_dataset
from brushbench.datasets.catalogue import FORM, RESULTS

ANONYMOUS = "https://storage.googleapis.com/editbench/editbench.tar.gz"
LOGIN = "https://storage.cloud.google.com/editbench/editbench.tar.gz"
Serve = Callable[..., Served]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The platform's data folder of a user who has nothing yet, with no proxy between."""
    monkeypatch.setattr("brushbench.curation.fetch.download.PAUSES", (0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "BRUSHBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "brushbench"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve something in place of the archive at the known address."""
    with ExitStack() as stack:

        def start(content: bytes = b"", **how: object) -> Served:
            served = stack.enter_context(serving(Served(content, **how)))
            entry = built_in("dataset")["editbench"]
            there = replace(entry.info, download=replace(entry.info.download, address=served.address))
            monkeypatch.setitem(built_in("dataset"), "editbench", replace(entry, info=there))
            return served

        yield start


def packed(root: Path, top: str = "editbench") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(root, top)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written") / "whole"
    write_a(root)
    return root


@pytest.fixture
def whole(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "whole")


@pytest.fixture
def damaged(whole: Path) -> Path:
    """The first of three pictures is cut off, and the second's mask has another size."""
    file = whole / "references_natural" / "12.png"
    file.write_bytes(file.read_bytes()[:-5000])
    Image.new("1", (64, 64), 1).save(whole / "masks_natural" / "7.png")
    return whole


def test_the_known_address_is_the_anonymous_one() -> None:
    known = dataset_info("editbench").download
    assert known
    assert (known.address, known.with_login) == (ANONYMOUS, LOGIN)


def test_it_is_downloaded_resumed_unpacked_and_verified(serve: Serve, brushbench, whole: Path, at_home: Path) -> None:
    archive = packed(whole)
    served = serve(archive, breaks=[1000, 500])
    result = brushbench("data", "get", "editbench")
    assert_one_line(result, "broke off after 1500 bytes", LOGIN)
    code, out, err = brushbench("data", "get", "editbench")
    assert served.asked == ["", "bytes=1000-", "bytes=1500-"]
    lines = out.splitlines()
    assert (code, lines[0]) == (0, f"editbench in {at_home / 'EditBench'}, 3 samples")
    assert lines[1:3] == ["3 samples: 3 sound, 0 with defects", "all samples can be used"]
    assert hashlib.sha256(archive).hexdigest() in err
    # Its folder in the archive is gone, so that it is found without --root.
    assert brushbench("data", "get", "editbench")[1].startswith(f"editbench is already in {at_home}")
    assert brushbench("data", "verify", "--dataset", "editbench")[0] == 0
    assert [path.name for path in at_home.iterdir()] == ["EditBench"]


@pytest.mark.parametrize("top", ["editbench", "editbench/data", ".", "EditBench"])
def test_it_is_found_afterwards_whatever_its_folder_in_the_archive(
    top: str, serve: Serve, brushbench, whole: Path, at_home: Path
) -> None:
    serve(packed(whole, top))
    assert brushbench("data", "get", "--dataset", "editbench")[0] == 0
    assert f"place: {at_home}, 3 samples" in brushbench("data", "list")[1]


def test_what_is_damaged_is_counted_by_kind_and_said(serve: Serve, brushbench, damaged: Path, tmp_path: Path) -> None:
    serve(packed(damaged))
    code, out, _ = brushbench("data", "get", "editbench", "--root", tmp_path / "here")
    lines = out.splitlines()
    assert code == 1
    assert lines[1:5] == [
        "3 samples: 1 sound, 2 with defects",
        "  truncated (1): the image's file is cut off: its end is missing",
        "  mask-size (1): the mask has another size than its image",
        "1 of 3 samples can be used; `run` records the rest as failed and ends with exit code 3",
    ]
    assert lines[5].startswith("details: brushbench data verify --dataset editbench --root ")
    # So it is.
    root = tmp_path / "here" / "editbench"
    run = ("run", "--method", "mean-fill", "--dataset", "editbench", "--root", root, "--output", tmp_path / "runs")
    assert brushbench(*run)[0] == 3
    ledger = (tmp_path / "runs" / "editbench-inside" / "mean-fill" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in ledger] == ["failed", "failed", "done"]


def test_verify_says_what_can_be_used_too(brushbench, damaged: Path) -> None:
    code, out, _ = brushbench("data", "verify", "--dataset", "editbench", "--root", damaged)
    assert code == 1
    assert "1 of 3 samples can be used; `run` records the rest as failed and ends with exit code 3" in out
    code, out, _ = brushbench("data", "verify", "--dataset", "editbench", "--root", damaged, "--format", "json")
    content = json.loads(out)
    assert (content["samples"], content["sound"]) == (3, 1)
    assert content["usable"] == {"inside": 1, "outside": 1}
    assert content["defects"] == {"truncated": 1, "mask-size": 1}


def test_nothing_that_can_be_used(brushbench, whole: Path, tmp_path: Path) -> None:
    for file in whole.glob("references_*/*.png"):
        file.write_bytes(b"")
    out = brushbench("data", "verify", "--dataset", "editbench", "--root", whole)[1]
    assert "none of 3 samples can be used; `run` ends with exit code 2" in out
    run = ("run", "--method", "mean-fill", "--dataset", "editbench", "--root", whole, "--output", tmp_path / "runs")
    assert brushbench(*run)[0] == 2


def test_splits_that_are_not_alike(brushbench, whole: Path) -> None:
    Image.new("1", (1024, 1024), 1).save(whole / "masks_generated" / "7.png")
    out = brushbench("data", "verify", "--dataset", "editbench", "--root", whole)[1]
    assert "all samples can be used (inside)" in out
    assert "2 of 3 samples can be used (outside)" in out


def middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    start = len(content) // 2
    content[start : start + 50] = bytes(50)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("truncated", lambda root: cut(root / "references_natural" / "12.png")),
        ("undecodable", lambda root: middle(root / "references_natural" / "12.png")),
        ("wrong-format", lambda root: (root / "references_natural" / "12.png").write_text("<html>")),
        ("wrong-format", lambda root: (root / "references_natural" / "12.png").write_bytes(b"")),
        ("missing-image", lambda root: (root / "references_natural" / "12.png").unlink()),
        ("missing-mask", lambda root: (root / "masks_natural" / "12.png").unlink()),
        ("mask-truncated", lambda root: cut(root / "masks_natural" / "12.png")),
        ("mask-undecodable", lambda root: (root / "masks_natural" / "12.png").write_text("<html>")),
        ("mask-size", lambda root: Image.new("1", (64, 64), 1).save(root / "masks_natural" / "12.png")),
        ("mask-empty", lambda root: Image.new("1", (1024, 1024)).save(root / "masks_natural" / "12.png")),
        ("missing-caption", lambda root: without_caption(root / "annotations_natural.csv")),
    ],
)
def test_each_kind_of_damage_is_one_finding(kind: str, damage: Callable[[Path], None], whole: Path) -> None:
    damage(whole)
    found = verify_dataset("editbench", whole, ["inside"])
    assert [(finding.kind, finding.subject) for finding in found.findings] == [(kind, "natural-12")]
    assert (found.usable(), found.sound()) == ({"inside": 2}, 2)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-50])


def without_caption(file: Path) -> None:
    file.write_text(file.read_text().replace('"a natural, 12: full"', "  ").replace("a natural, 12: full", "  "))


@pytest.mark.parametrize(("image_format", "suffix"), [("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_cut_off_picture_in_another_format(image_format: str, suffix: str, write_bench) -> None:
    root = write_bench(count=2)
    file = root / "images" / "000000000.png"
    with Image.open(file) as image:
        image.save(file, image_format)
    cut(file)
    found = verify_dataset("brushbench", root, ["inside"])
    assert [(finding.kind, finding.subject) for finding in found.findings] == [("truncated", "000000000")]


def test_other_layouts_and_subsets(tmp_path: Path) -> None:
    write_b(tmp_path / "b")
    write_c(tmp_path / "c")
    cut(tmp_path / "b" / "masked" / "natural" / "12.png")
    found = verify_dataset("editbench", tmp_path / "b", ["inside"])
    assert [finding.kind for finding in found.findings] == ["mask-truncated"]
    assert not verify_dataset("editbench", tmp_path / "b", ["inside"], options={"subset": "generated"}).findings
    assert not verify_dataset("editbench", tmp_path / "c").findings


@pytest.mark.parametrize(
    "how", [{"status": 403}, {"status": 404}, {"content": b"<html>log in</html>"}, {"breaks": [0, 0]}]
)
def test_what_can_t_be_had_names_both_addresses(how: dict[str, object], serve: Serve, brushbench, at_home: Path):
    served = serve(**{"content": b"archive"} | how)
    result = brushbench("data", "get", "editbench")
    assert_one_line(result, served.address, LOGIN, "brushbench data get editbench --archive FILE")
    assert not (at_home / "EditBench").exists()


def test_another_address_is_not_explained_by_these(serve: Serve, brushbench) -> None:
    serve()
    result = brushbench("data", "get", "editbench", "--url", "http://127.0.0.1:1/other.zip")
    assert_one_line(result, "cannot be reached")
    assert LOGIN not in result[2]


def test_an_archive_that_is_here_is_verified_too(brushbench, damaged: Path, tmp_path: Path) -> None:
    (tmp_path / "editbench.tar.gz").write_bytes(packed(damaged))
    code, out, _ = brushbench("data", "get", "editbench", "--archive", tmp_path / "editbench.tar.gz")
    assert (code, "3 samples: 1 sound, 2 with defects" in out) == (1, True)


def test_another_checksum_is_refused(serve: Serve, brushbench, whole: Path) -> None:
    serve(packed(whole))
    assert_one_line(brushbench("data", "get", "editbench", "--sha256", "0" * 64), "the SHA-256 is", LOGIN)


def test_a_name_twice(brushbench) -> None:
    assert_one_line(brushbench("data", "get", "editbench", "--dataset", "brushbench"), "give only one of them")


def test_brushbench_has_no_download(brushbench, at_home: Path) -> None:
    for arguments in (("brushbench",), ()):
        code, out, _ = brushbench("data", "get", *arguments)
        assert code == 0
        assert out.startswith("There is no download of BrushBench")
        assert FORM in out
        assert "brushbench data get brushbench --archive FILE" in out
        assert str(at_home / "BrushBench") in out


def test_list_names_the_addresses(brushbench) -> None:
    out = brushbench("data", "list")[1]
    for address in (ANONYMOUS, LOGIN, FORM, RESULTS):
        assert address in out


def test_the_authors_results_are_scored_as_the_page_says(brushbench, write_bench, tmp_path: Path) -> None:
    """The images are in the layout that the authors' script writes, as far as it is known."""
    root, results = write_bench(), tmp_path / "RESULTS" / "images"
    results.mkdir(parents=True)
    for file in (root / "images").iterdir():
        with Image.open(file) as image:
            for name in (file.stem, f"{file.stem}_masked"):
                image.convert("RGB").save(results / f"{name}.jpg")
    (results.parent / "evaluation_result.csv").write_text("Image ID\n")
    code, out, err = brushbench(
        *("score", "--images", results, "--name", "brushnet-authors", "--dataset", "brushbench", "--root", root),
        *("--split", "inside", "--protocol", "paper", "--output", tmp_path / "runs", "--metrics", "psnr"),
    )
    assert (code, "4/4" in out) == (0, True), err
    assert "4 files belong to no sample: 000000000_masked.jpg" in err


def test_a_data_set_that_can_t_be_opened_can_t_be_used(brushbench, write_bench) -> None:
    root = write_bench()
    (root / "mapping_file.json").write_text("{")
    code, out, _ = brushbench("data", "verify", "--root", root)
    assert code == 1
    assert "no sample can be used, as the data set cannot be opened; `run` ends with exit code 2" in out
    assert "all samples can be used" not in out

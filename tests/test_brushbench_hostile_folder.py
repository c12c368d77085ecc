"""A folder of one's own made to do harm, and mutated files of any kind."""

import json
import os
import sys
from pathlib import Path

import pytest
from hostile import DRAWN, HARMFUL, Change, make_directory, make_huge, refused
from PIL import Image

import brushbench
from brushbench.core.errors import SampleError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fuzz_datasets import Fuzz
from fuzzing import run as fuzz


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
    Image.fromarray(DRAWN).save(folder / "images" / os.fsdecode(b"\xff.png"))
    refused(lambda: brushbench.load_dataset("folder", root=folder), "not valid Unicode")


def test_five_hundred_mutated_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole million: benchmarks/fuzz_datasets.py."""
    assert not fuzz(Fuzz, 500, 10**7, tmp_path).escaped, capsys.readouterr().out

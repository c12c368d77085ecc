"""The SHA-256 of files: each file is read for it once in a process, and again when it has changed."""

import hashlib
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from brushbench.core import files
from brushbench.core.errors import UserError
from brushbench.core.files import file_digest
from brushbench.weights import Weights
from brushbench.weights.sources import digest_of

LONG_AGO_SECONDS = 1_000_000_000


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """Count how often each file is hashed, by its resolved path; no digest is remembered before."""
    found: Counter[Path] = Counter()
    real = hashlib.file_digest

    def counting(file: BinaryIO, digest: str) -> object:
        found[Path(file.name).resolve()] += 1
        return real(file, digest)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    files._DIGESTS.clear()
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file was changed long ago."""
    monkeypatch.setattr(files, "_TICK_NANOSECONDS", -LONG_AGO_SECONDS * 1_000_000_000)


def test_a_run_hashes_no_file_twice(brushbench, read: Counter[Path], settled: None, tmp_path: Path) -> None:
    arguments = ("--limit", 1, "--dataset", "papercut", "--output", tmp_path / "runs", "--steps", 1)
    code, _, err = brushbench("run", "--method", "sd-inpainting", *arguments)
    assert code == 0, err
    assert {path.name for path in read} >= {"diffusion_pytorch_model.safetensors", "vocab.json"}
    assert [(path, count) for path, count in read.items() if count > 1] == []


def by_itself(file: Path) -> Path:
    return file


def through_a_link(file: Path) -> Path:
    link = file.with_name("link")
    link.symlink_to(file)
    return link


@pytest.mark.parametrize("other", [by_itself, through_a_link])
def test_a_file_is_read_once(other: Callable[[Path], Path], read: Counter[Path], settled: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    expected = hashlib.sha256(b"content").hexdigest()
    assert [file_digest(file), file_digest(other(file)), file_digest(file)] == [expected] * 3
    assert read == {file.resolve(): 1}


def test_a_change_is_seen_also_of_equal_size_and_right_after(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for index in range(200):
        content = f"{index:03}".encode()
        file.write_bytes(content)
        assert file_digest(file) == hashlib.sha256(content).hexdigest()


def test_a_change_is_seen_behind_the_old_time_of_modification(settled: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"one", b"two"):
        (tmp_path / "new").write_bytes(content)
        os.utime(tmp_path / "new", (LONG_AGO_SECONDS, LONG_AGO_SECONDS))
        (tmp_path / "new").replace(file)
        assert file_digest(file) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (Path.mkdir, "not a file"),
        (os.mkfifo, "not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
    ],
)
def test_what_has_no_digest(make: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    make(tmp_path / "file")
    with pytest.raises(UserError, match=rf"file: can't be read \({reason}\)$"):
        file_digest(tmp_path / "file")


def test_a_file_is_hashed_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only once, also where the digest is needed before the thread that reads the file has ended."""
    (tmp_path / "unet").mkdir()
    file = tmp_path / "unet" / "model.safetensors"
    file.write_bytes(b"content")
    monkeypatch.setattr(files, "_TICK_NANOSECONDS", -LONG_AGO_SECONDS * 1_000_000_000)
    files._DIGESTS.clear()
    loading, hashing = threading.Event(), threading.Event()
    read: list[str] = []
    real = hashlib.file_digest

    def waiting(opened: BinaryIO, digest: str) -> object:
        read.append(opened.name)
        hashing.set()
        assert loading.wait(60)
        return real(opened, digest)

    monkeypatch.setattr(hashlib, "file_digest", waiting)
    weights = Weights(tmp_path, "brushnet")
    with weights.recording("unet", [file]):
        # The component is loaded here, and hashing has begun, but can't end before.
        assert hashing.wait(60)
        loading.set()
    content = hashlib.sha256(b"content").digest()
    assert weights.digests == {"unet": hashlib.sha256(content).hexdigest()}
    assert read == [str(file)]


def test_large_components_are_loaded_while_others_are_hashed(
    read: Counter[Path], settled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brushbench.weights.resolver.LARGE", 7)
    all_loaded, counting = threading.Event(), hashlib.file_digest

    def waiting(opened: BinaryIO, digest: str) -> object:
        assert Path(opened.name).parent.name == "scheduler" or all_loaded.wait(60)
        return counting(opened, digest)

    monkeypatch.setattr(hashlib, "file_digest", waiting)
    weights, expected = Weights(tmp_path, "brushnet"), {}
    for part, content in (("unet", b"content"), ("scheduler", b"small"), ("vae", b"another")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "file").write_bytes(content)
        with weights.recording(part, [tmp_path / part / "file"]):
            expected[part] = hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()
    all_loaded.set()
    assert weights.digests == expected
    assert [*weights.digests] == [*expected]
    assert read == {(tmp_path / part / "file").resolve(): 1 for part in expected}


def test_two_threads_read_a_file_once(read: Counter[Path], settled: None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content" * 1000)
    together = threading.Barrier(8)

    def digest(_number: int) -> str:
        together.wait(60)
        return file_digest(file)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(digest, range(8)))
    assert found == {hashlib.sha256(b"content" * 1000).hexdigest()}
    assert read == {file.resolve(): 1}


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """A link to a large file as the hub's cache has them, named by the digest of what is in it."""
    content = b"weights"
    (tmp_path / "blobs").mkdir()
    kept = tmp_path / "blobs" / hashlib.sha256(content).hexdigest()
    kept.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(kept)
    return link


def test_the_cache_s_name_of_a_file_is_its_digest(blob: Path, read: Counter[Path]) -> None:
    assert digest_of(blob) == hashlib.sha256(b"weights").hexdigest()
    assert not read


def test_a_file_that_was_changed_in_the_cache_is_read(blob: Path, read: Counter[Path]) -> None:
    linked = blob.lstat().st_ctime_ns
    while blob.stat().st_ctime_ns <= linked:
        blob.write_bytes(b"WEIGHTS")
    assert digest_of(blob) == hashlib.sha256(b"WEIGHTS").hexdigest()
    assert read


@pytest.mark.parametrize("name", ["model.safetensors", "a" * 64])
def test_a_name_of_another_s_choosing_is_no_digest(name: str, read: Counter[Path], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"weights")
    assert digest_of(tmp_path / name) == hashlib.sha256(b"weights").hexdigest()


def test_the_oldest_digests_are_forgotten(
    read: Counter[Path], settled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_DIGESTS", 2)
    made = [tmp_path / name for name in "abc"]
    for file in made:
        file.write_text(file.name)
    for file in (*made, made[2], made[0]):
        assert file_digest(file) == hashlib.sha256(file.name.encode()).hexdigest()
    assert [read[file.resolve()] for file in made] == [2, 1, 1]


def test_a_remembered_digest_takes_little_memory(settled: None, tmp_path: Path) -> None:
    """A quarter of what the path of a file takes, as a data set has many files."""
    files._DIGESTS.clear()
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    for index in range(400):
        (folder / f"{index}.png").touch()
    tracemalloc.start()
    try:
        for file in folder.iterdir():
            file_digest(file)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 400 * 300

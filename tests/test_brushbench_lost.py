"""Losses and changes in a run folder are reported, nothing good is overwritten, and no image is generated twice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import write_benchmark
from support import assert_one_line, suite

from brushbench.runs.folder import Run

FIRST = "000000000"
Asked = tuple[object, ...]


def asked_of(root: Path) -> Asked:
    """A command line."""
    more = ("--metrics", "psnr,mse", "--output", root / "runs")
    return ("run", "--method", "telea", "--dataset", "brushbench", "--root", root / "bench", *more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data, and a finished run."""
    root = tmp_path_factory.mktemp("made")
    write_benchmark(root / "bench")
    assert suite(*asked_of(root)) == 0
    return root


@pytest.fixture
def asked(made: Path, tmp_path: Path) -> Asked:
    shutil.copytree(made / "bench", tmp_path / "bench")
    return asked_of(tmp_path)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A finished run of four samples."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    return tmp_path / "runs" / "brushbench-inside" / "telea"


def swap(folder: Path) -> None:
    images = sorted((folder / "images").iterdir())
    shutil.copyfile(images[1], images[0])


def corrupt(folder: Path) -> None:
    (folder / "images" / f"{FIRST}.png").write_bytes(b"no picture any more")


def delete(folder: Path) -> None:
    (folder / "images" / f"{FIRST}.png").unlink()


CHANGES = pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap, "its image was changed after it was made"),
        (corrupt, "its image was changed after it was made"),
        (delete, "its image was deleted after it was made"),
    ],
)


@CHANGES
def test_a_changed_image_has_no_score_anywhere(
    change: Callable[[Path], None], said: str, folder: Path, asked: Asked, brushbench, tmp_path: Path
) -> None:
    assert brushbench("check", folder, "--write", tmp_path / "baseline.json")[0] == 0
    assert brushbench(*asked[:-1], tmp_path / "others", "-o", "radius=9")[0] == 0
    change(folder)
    for command in (
        ("report", folder),
        ("score", folder),
        ("check", folder, "--against", tmp_path / "baseline.json"),
        ("check", folder, "--write", tmp_path / "other.json"),
        ("compare", folder, tmp_path / "others", "--output", tmp_path / "compared"),
    ):
        code, out, err = brushbench(*command)
        assert code == 3, (command, err)
        assert f"not scored: {FIRST} in {folder}: {said}" in err
        if command[0] in ("report", "score"):
            assert "[3/4]" in out
    assert not (tmp_path / "other.json").exists()
    scores = pd.read_parquet(folder / "scores.parquet").set_index("id")
    assert scores.loc[FIRST, "mse.status"] == said
    assert pd.isna(scores.loc[FIRST, "mse"])
    assert scores["mse"].notna().sum() == 3


@CHANGES
def test_run_makes_a_changed_image_again(
    change: Callable[[Path], None], said: str, folder: Path, asked: Asked, brushbench
) -> None:
    before = (folder / "images" / f"{FIRST}.png").read_bytes()
    change(folder)
    code, out, err = brushbench(*asked)
    assert code == 0, (said, err)
    assert "3/4 images are already done" in err
    assert (folder / "images" / f"{FIRST}.png").read_bytes() == before
    assert "scored/requested: 4/4" in out


def lose(folder: Path) -> None:
    (folder / "samples.jsonl").unlink()


def empty(folder: Path) -> None:
    (folder / "samples.jsonl").write_bytes(b"")


def zero(folder: Path) -> None:
    file = folder / "samples.jsonl"
    file.write_bytes(bytes(len(file.read_bytes())))


def halve(folder: Path) -> None:
    file = folder / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2]))


@pytest.mark.parametrize("loss", [lose, empty, zero, halve])
@pytest.mark.parametrize("by", ["images.sha256", "scores.parquet"])
def test_a_lost_ledger_loses_nothing(
    loss: Callable[[Path], None], by: str, folder: Path, asked: Asked, brushbench
) -> None:
    """Either of two files tells which images are good."""
    scores, images = (folder / "scores.parquet").read_bytes(), stamps(folder)
    loss(folder)
    assert_one_line(
        brushbench("score", folder), "samples.jsonl is missing or damaged: it lacks", "finished samples", last=True
    )
    assert (folder / "scores.parquet").read_bytes() == scores
    # Another run is not begun over these images.
    assert brushbench(*asked, "-o", "radius=9")[0] == 2
    for other in {"images.sha256", "scores.parquet"} - {by}:
        (folder / other).unlink()
    code, out, err = brushbench(*asked)
    assert code == 0, err
    assert "scored/requested: 4/4" in out
    # Not painted again.
    assert stamps(folder) == images
    assert len(Run.open(folder).ledger()) == 4


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}


def test_an_image_that_no_file_vouches_for_is_made_again(folder: Path, asked: Asked, brushbench) -> None:
    lose(folder)
    corrupt(folder)
    code, _, err = brushbench(*asked)
    assert code == 0, err
    assert "3/4 images are already done" in err
    assert Run.open(folder).changed_images() == {}


@pytest.mark.parametrize("tail", [b'{"id": "00000', bytes(64), b'{"id": "x", "status": "do'])
def test_a_truncated_tail_takes_no_whole_line_with_it(tail: bytes, folder: Path, asked: Asked, brushbench) -> None:
    file = folder / "samples.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + tail)
    assert brushbench(*asked)[0] == 0
    assert file.read_bytes() == whole
    # A last line that lacks nothing but its end is whole.
    file.write_bytes(whole[:-1])
    assert brushbench(*asked)[0] == 0
    assert file.read_bytes() == whole
    # Zeros before a line that was written after the power came back.
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:-1], bytes(32), lines[-1]]))
    assert len(Run.open(folder).ledger()) == 4


def test_samples_that_were_never_made(asked: Asked, brushbench, tmp_path: Path) -> None:
    code, out, err = brushbench(*asked, "--shard", "1/2")
    assert code == 3
    folder = tmp_path / "runs" / "brushbench-inside" / "telea"
    assert f"not generated: 2 of 4 samples in {folder}; they belong to other shards, or the run was stopped." in err
    assert "failed" not in err
    assert "[2/4]" in out
    assert brushbench(*asked, "--shard", "1/2", "--allow-partial")[0] == 0
    assert brushbench("score", folder)[0] == 3
    assert brushbench("score", folder, "--allow-partial")[0] == 0
    # A shard that is still at work will make its own.
    run = Run.open(folder)
    with Run.start(folder, run.record.identity, 4, {}, claim=True).noting():
        assert brushbench("score", folder)[0] == 0
    assert brushbench(*asked, "--shard", "2/2")[0] == 0


def test_one_damaged_run_does_not_hide_the_others(folder: Path, asked: Asked, brushbench) -> None:
    other = folder.parent / "other"
    for damage in ("run.json", "scores.parquet", "samples.jsonl"):
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(folder, other)
        (other / damage).write_text("{damaged\n")
        code, out, err = brushbench("report", folder.parent)
        assert code == 3, damage
        assert "telea" in out
        assert "left out: " in err
        assert damage in err
        assert_one_line(brushbench("report", other), damage)


def test_a_run_whose_pictures_were_put_away_is_still_reported(folder: Path, brushbench) -> None:
    shutil.rmtree(folder / "images")
    code, out, _ = brushbench("report", folder)
    assert code == 0
    assert "scored/requested: 4/4" in out


def test_the_sums_are_those_of_coreutils(folder: Path) -> None:
    lines = (folder / "images.sha256").read_text().splitlines()
    ledger = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert lines == [f"{entry['sha256']}  images/{entry['image']}" for entry in ledger]

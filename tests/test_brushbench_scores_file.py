"""The file of a run's scores is read once, and again when it has changed; a large table is written in groups."""

import math
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from report_runs import Made

from brushbench.runs import scores as scores_file
from brushbench.runs.scores import ROWS, read_scores
from brushbench.runs.status import status_of


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose scores are read from the disk."""
    found: list[str] = []
    real = pq.ParquetFile

    def counting(path: Path) -> pq.ParquetFile:
        found.append(path.parent.name)
        return real(path)

    monkeypatch.setattr(pq, "ParquetFile", counting)
    return found


def settle(*folders: Path) -> None:
    """Wait until a change of the scores would change the file's times."""
    files = [folder / "scores.parquet" for folder in folders]
    while any(time.time_ns() - file.stat().st_ctime_ns < 30_000_000 for file in files):
        time.sleep(0.01)


def test_a_report_reads_the_scores_of_each_run_once(tmp_path: Path, brushbench, reads: list[str]) -> None:
    folders = [tmp_path / "runs" / name for name in ("first", "second")]
    for place, folder in enumerate(folders):
        Made(folder.name, {"psnr": [20.0 + place, 30.0, math.inf]}).write(folder)
    settle(*folders)
    assert brushbench("report", tmp_path / "runs")[0] == 0
    assert sorted(reads) == ["first", "second"]


def test_a_changed_file_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    run = Made("zeta", {"psnr": [20.0, 30.0]}).write(tmp_path / "run")
    settle(run.path)
    for level in (20.0, 40.0):
        Made("zeta", {"psnr": [level, 30.0]}).write(tmp_path / f"{level}")
        content = (tmp_path / f"{level}" / "scores.parquet").read_bytes()
        (run.path / "scores.parquet").write_bytes(content)
        settle(run.path)
        scores = read_scores(run)
        assert scores
        assert scores.table["psnr"].tolist() == [level, 30.0]
    assert reads == ["run", "run"]


def test_what_a_reader_does_with_its_scores_changes_no_others(tmp_path: Path, reads: list[str]) -> None:
    run = Made("zeta", {"psnr": [20.0, 30.0]}).write(tmp_path / "run")
    settle(run.path)
    first = read_scores(run)
    assert first
    first.table["psnr"] = 0.0
    first.table.loc["000000000", "psnr.status"] = "changed"
    first.metrics.clear()
    first.unscored["clip"] = "none"
    second = read_scores(run)
    assert second
    assert second.table["psnr"].tolist() == [20.0, 30.0]
    assert second.table["psnr.status"].tolist() == ["", ""]
    assert list(second.metrics) == ["psnr"]
    assert not second.unscored
    assert reads == ["run"]


def test_a_large_table_is_read_back_from_its_groups(tmp_path: Path) -> None:
    rows = 2 * ROWS + 3
    values = [math.inf, *(float(number) for number in range(rows - 1))]
    tags = {"subject": [None if number % 3 else f"{number % 7}" for number in range(rows)]}
    run = Made("zeta", {"psnr": values, "mse": [*values[1:], None]}, tags=tags).write(tmp_path / "run")
    file = pq.ParquetFile(run.scores_path())
    assert [file.metadata.row_group(group).num_rows for group in range(3)] == [ROWS, ROWS, 3]
    scores = read_scores(run)
    assert scores
    assert scores.table["psnr"].isna().tolist() == [True] + [False] * (rows - 1)
    assert scores.table["psnr"].dropna().tolist() == values[1:]
    assert scores.table["psnr.status"].tolist() == ["identical"] + [""] * (rows - 1)
    assert scores.table["mse.status"].tolist() == [""] * (rows - 1) + ["failed"]
    assert scores.table["tag.subject"].astype(object).where(scores.table["tag.subject"].notna(), None).tolist() == [
        *tags["subject"]
    ]
    assert scores.table.index.tolist() == [f"{number:09d}" for number in range(rows)]


@pytest.mark.parametrize("rows", [1, 1000, ROWS])
def test_a_table_of_one_group_has_the_bytes_that_it_has_without_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    made = Made("zeta", {"psnr": [float(number) for number in range(rows)]})
    content = made.write(tmp_path / "groups").scores_path().read_bytes()
    monkeypatch.setattr(scores_file, "ROWS", None)
    assert made.write(tmp_path / "whole").scores_path().read_bytes() == content


def test_status_counts_the_scores_of_all_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_file, "ROWS", 2)
    made = Made(
        "zeta", {"psnr": [20.0, None, math.inf, 30.0, 31.0], "mse": [None, None, 0.0, 0.1, None]}, suffix=".png"
    )
    run = made.write(tmp_path / "run")
    assert pq.ParquetFile(run.scores_path()).num_row_groups == 3
    assert status_of(run.path).metrics == {"psnr": 4, "mse": 2}

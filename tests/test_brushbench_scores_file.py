"""The file of a run's scores is read once, and again when it has changed."""

import math
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from report_runs import Made

from brushbench.runs.scores import read_scores


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

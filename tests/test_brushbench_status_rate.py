"""`brushbench status`: how many samples are done per minute, and when all will be."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes_of_runs import NOW, entered, half_made, settled

from brushbench.runs import status
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry


@pytest.fixture
def run(write_bench, tmp_path: Path) -> Run:
    return half_made(write_bench(), tmp_path / "runs")


@pytest.fixture
def timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Add samples that were stored so many seconds ago; three others are missing."""
    monkeypatch.setattr(status.time, "time", lambda: NOW)

    def make(ago: list[float]) -> None:
        content = (run.path / "run.json").read_text()
        requested = 2 + len(ago) + 3
        (run.path / "run.json").write_text(content.replace('"asked": 4', f'"asked": {requested}'))
        settled(run, NOW - 5000)
        for place, seconds in enumerate(ago):
            image = run.path / "images" / f"new{place}.png"
            image.touch()
            run.append(LedgerEntry(id=f"new{place}", status="done", image=image.name, sha256="0" * 64))
            os.utime(image, (NOW - seconds, NOW - seconds))
        for name in ("samples.jsonl", "run.json", "workers.jsonl"):
            os.utime(run.path / name, (NOW, NOW))

    return make


def test_the_rate_is_that_of_the_last_ten_minutes(timed, run: Run) -> None:
    timed([3000, 2000, 1000, 500, 400, 300, 10])
    entered(run, began=NOW - 4000)
    found = status.status_of(run.path)
    assert found.per_minute == pytest.approx(4 / 10)
    assert found.missing == 3
    assert found.seconds_left == pytest.approx(3 / 0.4 * 60)


def test_or_that_of_the_present_processes_if_they_began_later(timed, run: Run, brushbench) -> None:
    timed([3000, 500, 100, 50])
    entered(run, began=NOW - 120)
    found = status.status_of(run.path)
    assert found.per_minute == pytest.approx(2 / 2)
    row = brushbench("status", run.path)[1].splitlines()[1].split("  ")
    assert [cell.strip() for cell in row if cell][1:] == ["6/9", "0", "3", "1", "3 min", "1 at work", "no"]


def test_of_many_samples_the_last_count(timed, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "MOST_RECENT", 3)
    timed([400, 60, 30, 15])
    entered(run, began=NOW - 500)
    assert status.status_of(run.path).per_minute == pytest.approx(2)


def test_failures_count_for_the_rate_too(timed, run: Run) -> None:
    timed([30])
    run.write_error("bad", "why")
    run.append(LedgerEntry(id="bad", status="failed", error="why"))
    for file in (run.error_path("bad"), run.ledger_path()):
        os.utime(file, (NOW, NOW))
    entered(run, began=NOW - 60)
    assert status.status_of(run.path).per_minute == pytest.approx(2)


@pytest.mark.parametrize("ago", [[], [700]])
def test_without_a_sample_just_now_there_is_no_rate(ago: list[float], timed, run: Run) -> None:
    timed(ago)
    entered(run, began=NOW - 800)
    found = status.status_of(run.path)
    assert found.per_minute is found.seconds_left is None


def test_without_anyone_at_work_there_is_no_rate(timed, run: Run) -> None:
    timed([60, 30])
    assert status.status_of(run.path).per_minute is None

"""`brushbench status`: which processes are at work, silent, dead or done."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from processes_of_runs import ELSEWHERE, NOW, entered, half_made, settled, states, wrote

from brushbench.evaluation.evaluate import generate
from brushbench.runs import owners, status
from brushbench.runs.config import RunConfig, Shard
from brushbench.runs.folder import Run
from brushbench.runs.workers import read_workers


@pytest.fixture
def run(write_bench, tmp_path: Path) -> Run:
    return half_made(write_bench(), tmp_path / "runs")


def test_a_process_says_when_it_lives(run: Run) -> None:
    with run._lock:
        claim = owners.Claim(run.path, run.record.fingerprint)
    (found,) = owners.present(run.path)
    assert found.owner.pid == os.getpid()
    assert states(run) == ["finished", "at work"]
    claim.release()
    assert not (run.path / owners.FOLDER).exists()
    assert states(run) == ["finished"]


def test_a_process_gives_signs_of_life(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    with run._lock:
        claim = owners.Claim(run.path, run.record.fingerprint)
    (beat,) = (run.path / owners.FOLDER).glob("*.beat")
    os.utime(beat, (0, 0))
    while not beat.stat().st_mtime:
        time.sleep(0.01)
    claim.release()
    assert not beat.exists()


def test_a_process_of_this_machine_that_is_gone_has_died(run: Run) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    wrote(run, host=socket.gethostname(), pid=gone.pid)
    entered(run, host=socket.gethostname(), pid=gone.pid, began=time.time(), beat=time.time())
    assert states(run)[-1] == "died"


def test_a_number_that_is_used_again_is_another_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote(run, host=socket.gethostname(), pid=os.getpid())
    entered(run, host=socket.gethostname(), pid=os.getpid(), began=time.time(), beat=time.time())
    assert states(run)[-1] == "at work"
    later = (datetime.now() + timedelta(hours=1)).timestamp()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _process: later)
    assert states(run)[-1] == "died"


def test_without_an_entry_a_process_that_did_not_end_has_died(run: Run) -> None:
    wrote(run, pid=5, shard="1/2")
    assert states(run) == ["finished", "died"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    {
        "to the end": ({"images": 3, "finished": True}, "finished"),
        "by a signal": ({"images": 3, "finished": False}, "stopped"),
        "in an older version": ({"images": 3}, "ended"),
    }.values(),
)
def test_how_a_process_ended(lines: dict[str, object], expected: str, run: Run, brushbench) -> None:
    wrote(run, shard="2/2", **lines)
    assert states(run)[-1] == expected
    assert f"{expected} 2026-11-30 10:00, 3 images" in brushbench("status", run.path)[1]


def test_an_interrupted_process_says_that_it_was_stopped(write_bench, tmp_path: Path) -> None:
    method = tmp_path / "stopping.py"
    method.write_text("class Stopping:\n    def __call__(self, batch, seeds):\n        raise KeyboardInterrupt\n")
    config = RunConfig(f"{method}:Stopping", "brushbench", write_bench(), output=tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        generate(config)
    (worker,) = read_workers(tmp_path / "runs/brushbench-inside/Stopping")
    assert worker.finished is False
    assert worker.images == 0


@pytest.mark.parametrize(
    ("beat", "newest", "expected"),
    {
        "a sign of life just now": (NOW, NOW, "at work"),
        "the latest sign is late": (NOW - 55, NOW, "at work"),
        "long ago, while the run has newer files": (NOW - 720, NOW, "silent"),
    }.values(),
)
def test_elsewhere_the_clock_of_the_file_system_counts(
    beat: float, newest: float, expected: str, run: Run, brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's clock is an hour behind, or more."""
    settled(run, NOW - 10_000)
    wrote(run)
    entered(run, beat=beat)
    os.utime(run.path / "workers.jsonl", (newest, newest))
    monkeypatch.setattr(status.time, "time", lambda: NOW - 3600)
    assert states(run)[-1] == expected
    if expected == "silent":
        assert "silent for 12 min\n" in brushbench("status", run.path)[1]


@pytest.mark.parametrize(
    ("ahead", "expected"), {"a skew of minutes": (290, "at work"), "longer than a skew": (720, "silent")}.values()
)
def test_if_all_is_old_this_machine_s_clock_counts(
    ahead: float, expected: str, run: Run, brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote(run)
    settled(run, NOW)
    entered(run)
    monkeypatch.setattr(status.time, "time", lambda: NOW + ahead)
    assert states(run)[-1] == expected
    told = "silent for 12 min by this machine's clock\n" in brushbench("status", run.path)[1]
    assert told == (expected == "silent")


def test_a_frozen_process_of_this_machine_is_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(run, NOW)
    entered(run, host=socket.gethostname(), pid=os.getpid(), beat=NOW - 600)
    monkeypatch.setattr(status.time, "time", lambda: NOW)
    assert states(run)[-1] == "silent"


def test_an_entry_of_an_older_version_has_no_sign_of_life(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(run, NOW)
    entered(run, began=NOW - 100)
    (run.path / owners.FOLDER / f"{ELSEWHERE}-41-0.beat").unlink()
    monkeypatch.setattr(status.time, "time", lambda: NOW)
    assert states(run)[-1] == "silent"


def test_it_says_which_shards_never_started(brushbench, run: Run) -> None:
    (run.path / "workers.jsonl").unlink()
    wrote(run, pid=1, shard="1/1", images=0, finished=True)
    wrote(run, pid=2, shard="1/4", images=2, finished=True)
    wrote(run, pid=3, shard="3/4", images=0, finished=False)
    wrote(run, pid=4, shard="3/4")
    found = status.status_of(run.path)
    assert (found.shards, found.never_started()) == (4, [2, 4])
    rows = [line.split()[:3] for line in brushbench("status", run.path)[1].splitlines()[-4:]]
    # The one that was stopped was started again, and died.
    assert rows == [["1/4", ELSEWHERE, "2"], ["2/4", "-", "-"], ["3/4", ELSEWHERE, "4"], ["4/4", "-", "-"]]
    record = json.loads(brushbench("status", run.path, "--format", "json")[1])[0]
    assert record["never_started"] == [2, 4]
    assert [(each["shard"], each["state"]) for each in record["workers"]] == [
        ("1/1", "finished"),
        ("1/4", "finished"),
        ("3/4", "stopped"),
        ("3/4", "died"),
    ]


def test_a_process_that_has_only_entered_itself_is_there(brushbench, run: Run) -> None:
    entered(run, began=time.time(), beat=time.time())
    assert states(run) == ["finished", "at work"]
    assert status.status_of(run.path).workers[-1].worker.shard is None
    assert f"-      {ELSEWHERE}  41" in brushbench("status", run.path)[1]


@pytest.mark.parametrize("line", ["{", "[]", '"text"', '{"worker": 1}', '{"worker": "x", "began": 3}', "\0\0"])
def test_a_damaged_line_of_a_process_is_skipped(line: str, run: Run) -> None:
    with (run.path / "workers.jsonl").open("a") as file:
        file.write(f"{line}\n")
    wrote(run, pid=9, shard="2/2")
    assert [worker.shard for worker in read_workers(run.path)] == [Shard(1, 2), Shard(2, 2)]


def test_a_worker_of_a_cluster_is_at_work_as_long_as_the_process_that_gives_it_its_work(run: Run) -> None:
    entered(run, pid=7)
    wrote(run, pid=41, driver=[ELSEWHERE, 7])
    wrote(run, pid=42, driver=[ELSEWHERE, 7], finished=False)
    wrote(run, pid=43, driver=[ELSEWHERE, 8])
    settled(run, NOW)
    assert states(run)[1:] == ["at work", "stopped", "died"]

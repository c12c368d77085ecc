"""The command `status`: how far runs are and who is at work on them, by reading alone."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from support import assert_one_line, run_on
from terminal import in_terminal

import brushbench as library
from brushbench.evaluation.evaluate import generate
from brushbench.runs import owners, status
from brushbench.runs.config import RunConfig, Shard
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.workers import read_workers

ELSEWHERE = "node7"
NOW = 1_900_000_000.0
"""The time in tests that set the times of files; this machine's clock is far behind it."""
HALF = """
class Half:
    def __call__(self, batch, seeds):
        if batch.ids == ("000000001",) or "000000001" in batch.ids:
            raise ValueError("no")
        return batch.images
"""
READ_ONLY = """
import os, sys
from pathlib import Path

folder = {folder!r}
def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(folder):
        assert not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC), arguments
        assert not str(arguments[0]).endswith((".png", ".lock")), arguments
    assert event not in ("fcntl.flock", "fcntl.lockf", "fcntl.fcntl"), event
    written = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime", "os.truncate", "os.chmod", "os.link")
    assert event not in written or not str(arguments[0]).startswith(folder), (event, arguments)
sys.addaudithook(refuse)
from brushbench.cli.main import main
try:
    main(["status", folder])
except SystemExit as end:
    assert end.code == 3, end.code
loaded = {{"torch", "pandas", "diffusers", "transformers", "PIL", "matplotlib"}} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture
def run(write_bench, tmp_path: Path) -> Run:
    """Two of four samples of mean-fill, without scores."""
    config = RunConfig("mean-fill", "brushbench", write_bench(), output=tmp_path / "runs", shard="1/2")
    return generate(config)


def entered(run: Run, *, host: str = ELSEWHERE, pid: int = 41, began: float = NOW, beat: float = NOW) -> None:
    """A process as it enters itself, and gives its last sign of life."""
    folder = run.path / owners.FOLDER
    folder.mkdir(exist_ok=True)
    since = datetime.now().astimezone()
    own = owners.Owner(host=host, pid=pid, since=since, fingerprint=run.record.fingerprint)
    for suffix, text, when in (("json", own.model_dump_json(), began), ("lock", "", began), ("beat", "", beat)):
        file = folder / f"{host}-{pid}-0.{suffix}"
        file.write_text(text)
        os.utime(file, (when, when))


def wrote(
    run: Run, *, host: str = ELSEWHERE, pid: int = 41, shard: str = "1/1", driver: object = None, **ended: object
) -> None:
    """The lines of a process."""
    began = {"worker": f"{host}-{pid}-x", "began": "2026-11-30T09:00:00+01:00", "host": host, "pid": pid}
    about = {"driver": driver} if driver else {}
    lines = [began | {"command": "brushbench run", "shard": shard} | about]
    lines += [{"worker": f"{host}-{pid}-x", "ended": "2026-11-30T10:00:00+01:00"} | ended] if ended else []
    with (run.path / "workers.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


def settled(run: Run, when: float) -> None:
    """Give all files of the run the same time."""
    for file in run.path.rglob("*"):
        os.utime(file, (when, when))


def states(run: Run) -> list[str]:
    return [each.state for each in status.status_of(run.path).workers]


def test_it_counts_what_is_done_failed_and_missing(brushbench, write_bench, tmp_path: Path) -> None:
    method = tmp_path / "half.py"
    method.write_text(HALF)
    root = write_bench()
    brushbench(*run_on(root, tmp_path / "runs", "--limit", 2, method=f"{method}:Half"))
    brushbench(*run_on(root, tmp_path / "runs", "--shard", "1/4", method=f"{method}:Half"))
    code, out, _ = brushbench("status", tmp_path / "runs", "--format", "json")
    (found,) = json.loads(out)
    assert code == 3
    assert (found["requested"], found["done"], found["failed"], found["missing"]) == (4, 1, 1, 2)
    assert not found["complete"]
    assert found["per_minute"] is found["seconds_left"] is None


def test_complete_runs_at_any_depth_end_with_0(brushbench, write_bench, tmp_path: Path) -> None:
    root = write_bench(count=2)
    for output in ("runs/a", "runs/b/c"):
        assert brushbench(*run_on(root, tmp_path / output, "--metrics", "psnr"))[0] == 0
    code, out, err = brushbench("status", tmp_path / "runs")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()][1:] == [
        [str(tmp_path / f"runs/{place}/brushbench-inside/mean-fill"), "2/2", *"00---", "1", "of", "1", "metrics"]
        for place in ("a", "b/c")
    ]


def test_a_failed_sample_is_not_complete(brushbench, write_bench, tmp_path: Path) -> None:
    method = tmp_path / "half.py"
    method.write_text(HALF)
    brushbench(*run_on(write_bench(count=2), tmp_path / "runs", method=f"{method}:Half"))
    assert brushbench("status", tmp_path / "runs")[0] == 3


def test_it_only_reads_locks_nothing_and_loads_no_library_of_models(run: Run) -> None:
    library.score(run.path, "psnr")
    wrote(run)
    entered(run)
    entered(run, host=socket.gethostname(), pid=os.getpid())

    def contents() -> dict[Path, tuple[object, ...]]:
        files = sorted(run.path.rglob("*"))
        return {file: (file.stat().st_mtime_ns, file.is_file() and file.read_bytes()) for file in files}

    before = contents()
    code = READ_ONLY.format(folder=str(run.path))
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents() == before


def test_metrics_are_complete_if_every_image_has_its_score(brushbench, run: Run) -> None:
    assert "scored: none" in brushbench("status", run.path)[1]
    library.score(run.path, "psnr")
    library.score(run.path, "mse")
    assert status.status_of(run.path).metrics == {"psnr": 2, "mse": 2}
    assert "scored: psnr, mse\n" in brushbench("status", run.path)[1]
    # One image is made again, with other bytes.
    entry = next(iter(run.ledger().values()))
    run.append(entry.model_copy(update={"sha256": "0" * 64}))
    assert status.status_of(run.path).metrics == {"psnr": 1, "mse": 1}
    out = brushbench("status", run.path)[1]
    assert "scored: none; in part: psnr 1/2, mse 1/2" in out
    assert "0 of 2 metrics" in out


def test_scores_that_can_not_be_read_are_none(run: Run) -> None:
    run.scores_path().write_bytes(b"PAR1")
    assert status.status_of(run.path).metrics == {}


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


def test_lines_that_are_being_written_are_not_read_yet(run: Run) -> None:
    for name in ("workers.jsonl", "samples.jsonl"):
        with (run.path / name).open("a") as file:
            file.write('{"worker": "half')
    found = status.status_of(run.path)
    assert (found.done, len(found.workers)) == (2, 1)


def test_a_damaged_run_is_left_out(brushbench, run: Run, tmp_path: Path) -> None:
    whole = brushbench("status", run.path)[1]
    other = tmp_path / "runs" / "other"
    other.mkdir()
    (other / "run.json").write_text("{}")
    code, out, err = brushbench("status", tmp_path / "runs")
    assert code == 3
    assert out.splitlines()[:2] == whole.splitlines()[:2]
    assert err.startswith(f"left out: {other / 'run.json'}: ")
    assert_one_line(brushbench("status", other), "run.json")
    assert_one_line(brushbench("status", tmp_path / "bench"), "no runs found in")


def test_mistakes(brushbench, run: Run) -> None:
    assert_one_line(brushbench("status", run.path, "--format", "xml"), "format", "valid: json, text")
    assert_one_line(brushbench("status", run.path, "--format", "json", "--watch", 1), "--watch or --format json")
    assert_one_line(brushbench("status"), "RUN")


def test_it_watches_until_nothing_is_missing(brushbench, run: Run, tmp_path: Path, monkeypatch) -> None:
    waited: list[float] = []
    config = RunConfig("mean-fill", "brushbench", tmp_path / "bench", output=tmp_path / "runs", shard="2/2")

    def wait(seconds: float) -> None:
        waited.append(seconds)
        generate(config)

    monkeypatch.setattr("brushbench.cli.status.sleep", wait)
    code, out, _ = brushbench("status", run.path, "--watch", 7)
    assert code == 0
    assert waited == [7.0]
    assert [line.split()[1] for line in out.splitlines() if line.startswith(str(run.path)) and "/4" in line] == [
        "2/4",
        "4/4",
    ]


def test_a_terminal_that_is_too_narrow_has_a_line_for_each_cell(run: Run) -> None:
    wide = in_terminal("status", ".", folder=run.path, columns=100)
    assert wide.code == 3
    assert wide.lines()[0].split() == ["run", "done", "failed", "missing", "per", "min", "left", "processes", "scored"]
    narrow = in_terminal("status", ".", folder=run.path, columns=40)
    assert narrow.lines()[:3] == ["run        .", "done       2/4", "failed     0"]
    assert ["state", "finished"] in [line.split()[:2] for line in narrow.lines()]


def test_a_terminal_watches_in_place(brushbench, write_bench, tmp_path: Path) -> None:
    assert brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "psnr"))[0] == 0
    seen = in_terminal("status", "runs", "--watch", "1", folder=tmp_path, columns=100)
    assert seen.code == 0
    assert sum("1/1" in line for line in seen.lines()) == 1


def test_a_worker_of_a_cluster_is_at_work_as_long_as_the_process_that_gives_it_its_work(run: Run) -> None:
    entered(run, pid=7)
    wrote(run, pid=41, driver=[ELSEWHERE, 7])
    wrote(run, pid=42, driver=[ELSEWHERE, 7], finished=False)
    wrote(run, pid=43, driver=[ELSEWHERE, 8])
    settled(run, NOW)
    assert states(run)[1:] == ["at work", "stopped", "died"]

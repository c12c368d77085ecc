"""The command `status`: how far runs are and who is at work on them, by reading alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes_of_runs import entered, half_made, wrote
from support import assert_one_line, run_on
from terminal import in_terminal

import brushbench as library
from brushbench.evaluation.evaluate import generate
from brushbench.runs import status
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run

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
    return half_made(write_bench(), tmp_path / "runs")


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

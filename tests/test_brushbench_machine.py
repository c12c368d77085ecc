"""A failure of the machine is one line that names the action and the file; and a request to end is heeded."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import assert_one_line, run_on

from brushbench.core import machine
from brushbench.runs.folder import Run

KEPT = "Finished samples are kept: run the same command again to resume"
HELD = """
import time
from pathlib import Path

class Held:
    def __call__(self, batch, seeds):
        while batch.ids[0] != "000000000" and Path(__file__).with_name("hold").exists():
            time.sleep(0.02)
        return batch.images
"""
"""A method that paints the first sample, and the others when it may."""


def full(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def last_line(result: tuple[int, str, str]) -> tuple[int, str, str]:
    """A result with only the last line of a run's progress and error."""
    code, out, err = result
    return code, out, err.splitlines(keepends=True)[-1]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is a mount point."""
    folder = tmp_path / "disk"
    folder.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    return folder


def test_a_full_disk_while_generating(disk: Path, write_bench, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    command = run_on(write_bench(), disk / "runs")
    written = []

    def third(self: Run, name: str, content: bytes) -> str:
        written.append(name)
        if len(written) == 3:
            monkeypatch.setattr(os, "fsync", full)
        return real(self, name, content)

    real = Run.write_image
    monkeypatch.setattr(Run, "write_image", third)
    folder = disk / "runs" / "brushbench-inside" / "mean-fill"
    result = last_line(brushbench(*command))
    assert_one_line(result, f"writing {folder}/", "No space left on device", f"the disk is full: {disk}", KEPT)
    monkeypatch.undo()
    code, _, err = brushbench(*command)
    assert code == 0, err


def test_a_full_disk_while_scoring(disk: Path, write_bench, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    brushbench("generate", *run_on(write_bench(), disk / "runs")[1:])
    monkeypatch.setattr(os, "fsync", full)
    code, out, err = last_line(brushbench("score", disk / "runs"))
    assert_one_line((code, out, err), "scores.parquet: No space left on device", f"the disk is full: {disk}")
    assert "kept" not in err


def test_a_full_disk_while_converting(disk: Path, write_bench, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_bench()
    monkeypatch.setattr(os, "fsync", full)
    result = last_line(brushbench("data", "convert", "--root", root, "--output", disk / "copy"))
    assert_one_line(result, "writing", "000000000.png: No space left on device", f"the disk is full: {disk}")
    assert "kept" not in result[2]
    assert not list(disk.iterdir())


def test_an_output_that_is_no_folder(write_bench, brushbench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = last_line(brushbench(*run_on(write_bench(), tmp_path / "file")))
    assert_one_line(result, f"making the run folder {tmp_path / 'file' / 'brushbench-inside' / 'mean-fill'}: Not a dir")
    assert "kept" not in result[2]


def test_a_figure_that_can_not_be_written(write_bench, brushbench, tmp_path: Path) -> None:
    brushbench(*run_on(write_bench(), tmp_path / "runs"))
    (tmp_path / "figure.png").mkdir()
    result = brushbench("report", tmp_path / "runs", "--figure", tmp_path / "figure.png")
    assert_one_line(result, f"writing {tmp_path / 'figure.png'}: Is a directory")


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (MemoryError(), ["not enough memory", "ulimit -v"]),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), ["not enough memory"]),
        (RuntimeError("can't start new thread"), ["can't start a thread", "ulimit -u"]),
        (OSError(errno.EIO, "Input/output error", "/data/a"), ["using /data/a: Input/output error"]),
        (OSError("no number"), ["no number"]),
    ],
)
def test_what_the_machine_refuses(
    error: Exception, parts: list[str], write_bench, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise error

    monkeypatch.setattr("brushbench.evaluation.fetch.open_dataset", refuse)
    result = brushbench(*run_on(write_bench(), tmp_path / "runs"))
    assert_one_line(result, *parts)
    assert "kept" not in result[2]


def test_an_error_of_the_program_is_not_the_machines(brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("brushbench.cli.diagnosis.diagnose", broken)
    with pytest.raises(RuntimeError, match="broken"):
        brushbench("doctor")


def test_no_threads(write_bench, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    command = run_on(write_bench(), tmp_path / "runs")
    monkeypatch.setattr(threading.Thread, "start", start)
    assert_one_line(last_line(brushbench(*command)), "can't start a thread")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("gigabytes", [1, 3])
def test_a_limit_of_memory(gigabytes: int, tmp_path: Path) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({gigabytes << 30}, {gigabytes << 30}))"
    call = f"{limit}; import sys; from brushbench.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", call, "run", "--method", "copy", "--dataset", "photos", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_line((done.returncode, done.stdout, done.stderr), f"limited to {gigabytes}.0 GiB (ulimit -v)", "PyTorch")
    listed = subprocess.run([sys.executable, "-c", call, "list", "methods"], capture_output=True, check=False)
    assert listed.returncode == 0


@pytest.mark.parametrize("option", ["--output", "--root"])
def test_a_path_that_is_not_utf8(option: str, write_bench, brushbench, tmp_path: Path) -> None:
    command = [*run_on(write_bench(), tmp_path / "runs"), option, os.fsdecode(os.fsencode(tmp_path) + b"/\xff")]
    assert_one_line(brushbench(*command), "argument", "\\udcff' is not valid UTF-8")
    assert not (tmp_path / "runs").exists()


def test_a_working_folder_that_is_not_utf8(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert_one_line(brushbench("run", "--method", "copy"), "working folder", "is not valid UTF-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRUSHBENCH_DATA", str(folder))
    assert_one_line(brushbench("run", "--method", "copy"), "BRUSHBENCH_DATA", "is not valid Unicode")


def test_a_request_to_terminate_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), machine.terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        ("local", signal.SIGINT),
        ("local", signal.SIGTERM),
        pytest.param("ray", signal.SIGTERM, marks=pytest.mark.xdist_group("ray")),
    ],
)
def test_an_ended_run_keeps_what_is_painted(
    engine: str, number: int, write_bench, brushbench, forked, tmp_path: Path, request, monkeypatch
) -> None:
    if engine == "ray":
        monkeypatch.setenv("RAY_ADDRESS", request.getfixturevalue("cluster"))
    method, hold = tmp_path / "held.py", tmp_path / "hold"
    method.write_text(HELD)
    hold.touch()
    command = run_on(write_bench(), tmp_path / "runs", "--batch-size", "1", method=f"{method}:Held")
    run = tmp_path / "runs" / "brushbench-inside" / "Held"
    running = forked(*command, "--engine", engine)
    while running.is_alive and not (run / "images" / "000000000.png").exists():
        time.sleep(0.02)
    running.send(number)
    if engine == "ray":
        # The other images never come, so that only a second signal ends the wait for them.
        while running.is_alive and "interrupt again" not in (running.folder / "stderr").read_text():
            time.sleep(0.02)
        # What is painted is recorded meanwhile, however busy the machine is.
        while running.is_alive and not Run.open(run).intact():
            time.sleep(0.02)
        running.send(number)
    code, out, err = running.result()
    assert (code, out) == (130, ""), err
    how_far = "1/4" if engine == "local" else "[01]/4"
    told = rf"Interrupted at {how_far} \(generating Held, brushbench/inside\)\. Run the same command again to resume\."
    assert re.fullmatch(told, err.splitlines()[-1])
    assert list(Run.open(run).intact()) == ["000000000"]
    hold.unlink()
    assert brushbench(*command)[0] == 0
    assert len(Run.open(run).intact()) == 4

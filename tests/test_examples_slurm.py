"""examples/slurm.sh with stand-ins for `sbatch` and `scontrol`: there is no SLURM here."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from test_brushbench_machine import HELD
from test_docs import ROOT

from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores

SCRIPT = ROOT / "examples" / "slurm.sh"
SBATCH = """#!{python}
import os, re, shlex, subprocess, sys
from pathlib import Path

log = Path(__file__).with_name("log")
options = [one for one in sys.argv[1:] if one.startswith("--")]
with log.open("a") as file:
    file.write(shlex.join(["sbatch", *sys.argv[1:]]) + "\\n")
number = 100 + len(log.read_text().splitlines())
environment = os.environ | {{"SLURM_JOB_ID": str(number)}}
if "--wrap" in options:
    assert "SBATCH_ARRAY_INX" not in os.environ
    code = subprocess.run(["sh", "-c", sys.argv[-1]], env=environment).returncode
    log.with_name("last").write_text(str(code))
else:
    script = next(index for index, one in enumerate(sys.argv) if one.endswith(".sh"))
    asked = os.environ.get("SBATCH_ARRAY_INX") or re.search("--array=(.*)", Path(sys.argv[script]).read_text())[1]
    first, _, last = asked.partition("-")
    tasks = [*map(int, asked.split(","))] if not last else [*range(int(first), int(last) + 1)]
    task = {{"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(len(tasks))}}
    for index in tasks:
        own = environment | task | {{"SLURM_ARRAY_TASK_ID": str(index)}}
        subprocess.run(["bash", *sys.argv[script:]], env=own, stdout=sys.stderr)
print(f"{{number}};cluster")
"""
SCONTROL = """#!{python}
import shlex, sys
from pathlib import Path

with Path(__file__).with_name("log").open("a") as file:
    file.write(shlex.join(["scontrol", *sys.argv[1:]]) + "\\n")
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Commands of SLURM on the path; returns those that were called, with their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL)):
        (folder / name).write_text(text.format(python=sys.executable))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    log = folder / "log"
    return lambda: [shlex.split(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.first
def test_the_array_ends_as_a_single_process(slurm, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--method", "telea", "--dataset", "papercut", "--limit", "7")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "1-3")
    monkeypatch.setenv("OUTPUT", "all runs")
    done = subprocess.run(["bash", str(SCRIPT), *asked], capture_output=True, text=True, check=True)
    array, last = slurm()
    assert array == ["sbatch", "--parsable", str(SCRIPT), *asked]
    assert "--dependency=afterany:101" in last
    assert not any(one.startswith("--array") for one in last)
    assert (tmp_path / "bin" / "last").read_text() == "0", done.stderr
    assert "telea" in done.stdout
    assert "7/7" in done.stdout
    assert brushbench("run", *asked, "--output", tmp_path / "single")[0] == 0
    ours, single = (Run.open(tmp_path / place / "papercut-inside" / "telea") for place in ("all runs", "single"))
    assert {name: entry.sha256 for name, entry in ours.intact().items()} == {
        name: entry.sha256 for name, entry in single.intact().items()
    }
    assert len(ours.intact()) == 7
    tables = [scores.table.sort_index() for run in (ours, single) if (scores := read_scores(run))]
    pd.testing.assert_frame_equal(*tables)


def begun(task: str, command: list[str]) -> "subprocess.Popen[str]":
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
    return subprocess.Popen(
        ["bash", str(SCRIPT), *command], env=os.environ | variables, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_signalled_task_stores_what_it_has_and_resumes(
    number: signal.Signals, requeued: bool, slurm, write_bench, tmp_path: Path
) -> None:
    """The signal before the time limit requeues the task; that of a cancelled one doesn't."""
    (tmp_path / "held.py").write_text(HELD)
    hold = tmp_path / "hold"
    hold.touch()
    command = ["--method", "held.py:Held", "--dataset", "brushbench", "--root", str(write_bench()), "--batch-size", "1"]
    run = tmp_path / "runs" / "brushbench-inside" / "Held"
    running = begun("1", command)
    while running.poll() is None and not (run / "images" / "000000000.png").exists():
        time.sleep(0.02)
    running.send_signal(number)
    _, err = running.communicate()
    assert running.returncode == 130, err
    told = "Interrupted at 1/2 (generating Held, brushbench/inside). Run the same command again to resume."
    assert told in err.splitlines()
    assert list(Run.open(run).intact()) == ["000000000"]
    assert slurm() == ([["scontrol", "requeue", "7_1"]] if requeued else [])
    hold.unlink()
    again = begun("1", command)
    _, err = again.communicate()
    assert again.returncode == 0, err
    assert list(Run.open(run).intact()) == ["000000000", "000000002"]


def test_single_shards_are_run_once_more(slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their own number of shards: SLURM's count is that of the tasks."""
    monkeypatch.setenv("SHARDS", "4")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "3")
    asked = ("--method", "mean-fill", "--dataset", "papercut", "--limit", "4")
    subprocess.run(["bash", str(SCRIPT), *asked], capture_output=True, text=True, check=True)
    # One of four samples is there, so the last job says that the run isn't complete.
    assert (tmp_path / "bin" / "last").read_text() == "3"
    assert len(Run.open(tmp_path / "runs" / "papercut-inside" / "mean-fill").intact()) == 1


def test_the_script_asks_slurm_for_what_the_page_says() -> None:
    options = re.findall(r"^#SBATCH (.*)$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"--array=1-8", "--requeue", "--signal=B:USR1@120", "--open-mode=append"} <= set(options)
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert "examples/slurm.sh" in page

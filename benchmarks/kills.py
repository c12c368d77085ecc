"""Send SIGKILL while images are generated and scored, and files written: the final bytes must not change.

    python benchmarks/kills.py --count 1000 [--ray 10] [--seed 0]

The phases are generating, scoring, sweeping, writing a baseline and converting. A kill counts if the process was
working in its phase: a moment is drawn between the first and the last line of the ledger, or in the time that a command
takes without a kill, and the process lived until then. After each kill a file must be absent or complete, and once the
command is run again to its end, all bytes must be those of a command that was never killed. Processes are forked from
one that has imported everything, so that a kill takes a second. `--ray` adds this many kills of `--engine ray`, each in
processes of its own.

Prints a table of kills by phase; the exit code is 1 if anything differs.
"""

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from brushbench.cli.main import main as command_line
from brushbench.runs.folders import expand

MODULES = (
    *(
        "brushbench.evaluation.evaluate",
        "brushbench.evaluation.grid",
        "brushbench.evaluation.grid",
        "brushbench.cli.progress",
        "brushbench.curation.convert",
    ),
    *(
        "brushbench.baselines.classical",
        "brushbench.metrics.alignment",
        "brushbench.metrics.pixel",
        "brushbench.metrics.seam",
        "brushbench.datasets.papercut",
    ),
    *(
        "brushbench.reports.tables",
        "brushbench.reports.formats",
        "brushbench.reports.contact_sheet",
        "brushbench.reports.trade_off",
        "brushbench.reports.baseline_making",
    ),
)
DATA = ("--dataset", "papercut", "--device", "cpu")
POLL = 0.001
"""Seconds."""


@dataclass(frozen=True)
class Phase:
    """A command that is killed again and again."""

    name: str
    command: Callable[[Path], Sequence[str]]
    """Returns the command that writes into a folder."""
    outcome: Callable[[Path], dict[str, bytes]]
    """Returns the bytes that it leaves in the folder, by name."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Makes the files that the command needs."""
    goes_on: bool = True
    """Whether a killed command is resumed; if not, its output must be absent or complete."""
    begun: Callable[[Path], int] | None = None
    """Returns a number that grows as soon as the work has begun."""


def images_and_scores(folder: Path) -> dict[str, bytes]:
    """Read the images, ledgers (without times) and scores of all runs in a folder."""
    found: dict[str, bytes] = {}
    for run in expand([folder]) if list(folder.rglob("run.json")) else []:
        place = run.path.relative_to(folder)
        found |= {f"{place}/{file.name}": file.read_bytes() for file in (run.path / "images").iterdir()}
        found |= {
            f"{place}/{name}": entry.model_dump_json(exclude={"seconds"}).encode()
            for name, entry in run.ledger().items()
        }
        if run.scores_path().exists():
            found[f"{place}/scores"] = run.scores_path().read_bytes()
    return found


def lines(folder: Path) -> int:
    """Count the lines of all ledgers in a folder."""
    places = (Path(place) / "samples.jsonl" for place, _, files in os.walk(folder) if "samples.jsonl" in files)
    return sum(file.read_bytes().count(b"\n") for file in places)


def files(*names: str) -> Callable[[Path], dict[str, bytes]]:
    """Read the files that exist."""
    return lambda folder: {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def generated(folder: Path) -> None:
    """Make a run to be scored."""
    done(["generate", "--method", "telea", *DATA, "--limit", "24", "--output", str(folder / "runs")])


def scored(folder: Path) -> None:
    """Make a run with scores, to write a baseline from."""
    done(["run", "--method", "telea", *DATA, "--limit", "24", "--output", str(folder / "runs")])


def run_folder(folder: Path) -> str:
    """Return the folder of the run that `generated` and `scored` make."""
    return str(folder / "runs" / "papercut-inside" / "telea")


PHASES = (
    Phase(
        "generate, between the first and the last line",
        lambda folder: (
            *("generate", "--method", "telea", *DATA, "--limit", "60", "--batch-size", "3"),
            *("--output", str(folder / "runs")),
        ),
        images_and_scores,
        begun=lines,
    ),
    Phase(
        "score, with a network",
        lambda folder: ("score", run_folder(folder), "--metrics", "psnr,ssim,papercut-clip"),
        files("runs/papercut-inside/telea/scores.parquet"),
        generated,
        goes_on=False,
    ),
    Phase(
        "sweep",
        lambda folder: (
            *("sweep", "--method", "telea", "--vary", "radius=2,5", *DATA, "--limit", "12"),
            *("--output", str(folder / "runs")),
        ),
        images_and_scores,
        begun=lines,
    ),
    Phase(
        "check --write",
        lambda folder: ("check", run_folder(folder), "--write", str(folder / "baseline.json")),
        files("baseline.json"),
        scored,
        goes_on=False,
    ),
    Phase(
        "data convert",
        lambda folder: ("data", "convert", "--dataset", "papercut", "--output", str(folder / "papercut.parquet")),
        files("papercut.parquet"),
        goes_on=False,
    ),
)


def started(command: Sequence[str]) -> int:
    """Fork a process that runs a command, and return its id."""
    child = os.fork()
    if child:
        return child
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        command_line(list(command))
    except SystemExit as error:
        os._exit(int(error.code or 0))
    os._exit(0)


def done(command: Sequence[str]) -> None:
    """Run a command to its end."""
    if code := os.waitstatus_to_exitcode(os.waitpid(started(command), 0)[1]):
        raise SystemExit(f"exit code {code}: {' '.join(command)}")


def is_alive(process: int) -> bool:
    """Tell whether a forked process is still running."""
    return os.waitpid(process, os.WNOHANG)[0] == 0


def wait_for_begin(phase: Phase, folder: Path, process: int) -> bool:
    """Wait for the work to begin; False if the process ended before that."""
    if phase.begun is None:
        return True
    before = phase.begun(folder)
    while phase.begun(folder) == before:
        if not is_alive(process):
            return False
        time.sleep(POLL)
    return True


class Killing:
    """The kills of one phase."""

    def __init__(self, phase: Phase, folder: Path, draw: random.Random) -> None:
        self.phase, self._folder, self._draw = phase, folder, draw
        self.useful = self.tried = self.ended = 0
        self.differences: list[str] = []
        whole = self._fresh("whole")
        process = started(phase.command(whole))
        wait_for_begin(phase, whole, process)
        begun = time.monotonic()
        os.waitpid(process, 0)
        self._seconds = time.monotonic() - begun
        self._expected = phase.outcome(whole)
        assert self._expected, phase.name

    def __call__(self, count: int) -> None:
        """Kill until this many kills have counted."""
        folder = self._fresh("killed")
        while self.useful < count:
            self.tried += 1
            process = started(self.phase.command(folder))
            killed = wait_for_begin(self.phase, folder, process) and self._killed(process)
            self.useful += killed
            found = self.phase.outcome(folder)
            if not self.phase.goes_on:
                self._compare(found, partial=killed)
                folder = self._without_outcome(folder)
            elif not killed:
                # The command finished: the next kills hit a new one.
                done(self.phase.command(folder))
                self._compare(self.phase.outcome(folder), partial=False)
                folder = self._fresh("killed")
        done(self.phase.command(folder))
        self._compare(self.phase.outcome(folder), partial=False)

    def _killed(self, process: int) -> bool:
        time.sleep(self._draw.random() * self._seconds)
        if not is_alive(process):
            return False
        os.kill(process, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(process, 0)[1])

    def _compare(self, found: dict[str, bytes], *, partial: bool) -> None:
        """Check that the output is complete or, after a kill, absent."""
        if not partial or found:
            self.ended += 1
            wrong = [name for name in self._expected.keys() | found.keys() if self._other(name, found)]
            self.differences += wrong

    def _other(self, name: str, found: dict[str, bytes]) -> bool:
        return found.get(name) != self._expected.get(name)

    def _fresh(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.phase.prepare(folder)
        return folder

    def _without_outcome(self, folder: Path) -> Path:
        for name in self._expected:
            (folder / name).unlink(missing_ok=True)
        return folder


def ray_kills(count: int, folder: Path, draw: random.Random) -> tuple[int, int, list[str]]:
    """Return the kills of a cluster's driver that counted, the kills tried, and the files that differ in the end."""
    command = [sys.executable, "-m", "brushbench", "generate", "--method", "telea", *DATA, "--limit", "200"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, "--output", str(folder / "whole")], check=True, **quiet)
    asked = [*command, "--engine", "ray", "--batch-size", "8", "--output", str(folder / "killed")]
    useful = tried = 0
    while useful < count:
        tried += 1
        process = subprocess.Popen(asked, start_new_session=True, **quiet)
        before = lines(folder / "killed")
        while process.poll() is None and lines(folder / "killed") == before:
            time.sleep(POLL)
        time.sleep(draw.random() * 0.5)
        useful += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        subprocess.run(["pkill", "-9", "-f", "raylet|gcs_server"], check=False, **quiet)
        if lines(folder / "killed") >= 200:
            shutil.rmtree(folder / "killed")
    subprocess.run(asked, check=True, **quiet)
    expected, found = (images_and_scores(folder / name) for name in ("whole", "killed"))
    return useful, tried, [name for name in expected if found.get(name) != expected[name]]


def main() -> int:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--ray", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for module in MODULES:
        importlib.import_module(module)
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, phase in enumerate(PHASES):
            killing = Killing(phase, Path(folder) / str(number), random.Random(f"{asked.seed} {phase.name}"))
            killing(asked.count // len(PHASES))
            wrong += len(killing.differences)
            rows.append([phase.name, killing.useful, killing.tried, killing.ended, len(killing.differences)])
            print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
        if asked.ray:
            useful, tried, differences = ray_kills(asked.ray, Path(folder) / "ray", random.Random(asked.seed))
            wrong += len(differences)
            rows.append(["--engine ray", useful, tried, 1, len(differences)])
    heads = ["phase", "useful kills", "tried", "compared", "differences"]
    print(tabulate(rows, heads, tablefmt="pipe"))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

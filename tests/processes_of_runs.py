"""The files that say which processes work on a run."""

import json
import os
from datetime import datetime
from pathlib import Path

from brushbench.evaluation.evaluate import generate
from brushbench.runs import owners, status
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run

ELSEWHERE = "node7"
NOW = 1_900_000_000.0
"""The time in tests that set the times of files; this machine's clock is far behind it."""


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


def half_made(root: Path, output: Path) -> Run:
    """Two of four samples of mean-fill, without scores."""
    return generate(RunConfig("mean-fill", "brushbench", root, output=output, shard="1/2"))

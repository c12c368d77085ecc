"""The processes that made a run: each adds a line to workers.jsonl when it begins, and one when it ends.

    {"worker": "node7-4211-2f81", "began": "2026-11-30T09:12:05+01:00", "command": "brushbench run ...", ...}
    {"worker": "node7-4211-2f81", "ended": "2026-11-30T11:40:17+01:00", "seconds": 8892.1, "images": 600,
     "finished": true}

A killed process has no second line; `finished` is false for one that a signal or an error ended. The lines of a
cluster's workers are written by the process that hands out the work, their `driver`.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from brushbench.core.capture import capture
from brushbench.core.errors import UserError
from brushbench.core.files import read_bytes
from brushbench.runs import parts
from brushbench.runs.config import WHOLE, Shard
from brushbench.runs.folder import Run

NAME = "workers.jsonl"
GIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Worker:
    """What the lines of one process say, with times by its host's clock."""

    host: str
    pid: int
    began: datetime
    shard: Shard | None = None
    """None if the process hasn't said it yet."""
    command: str = ""
    ended: datetime | None = None
    """None without a second line."""
    images: int | None = None
    """How many images it has stored; None without a second line."""
    finished: bool | None = None
    """Whether it ended by itself; None without a second line, and in second lines of older versions."""
    driver: tuple[str, int] | None = None
    """Host and pid of the process that gives it its work; None for one that isn't a cluster's."""


@contextmanager
def at_work(run: Run, provenance: Mapping[str, str], images: Callable[[], int]) -> Iterator[None]:
    """Write one line before and one after the work; `images` returns how many images this process has stored."""
    begun, finished = time.monotonic(), False
    worker = began(run, {"host": socket.gethostname(), "pid": os.getpid(), **provenance})
    try:
        yield
        finished = True
    finally:
        ended(run, worker, time.monotonic() - begun, images(), finished=finished)


def began(run: Run, where: Mapping[str, object]) -> str:
    """Write the line of a worker that begins, with its `host` and `pid`, and return its name there."""
    worker = f"{where['host']}-{where['pid']}-{uuid.uuid4().hex[:4]}"
    line = {"worker": worker, "began": now(), "host": where["host"], "pid": where["pid"], "command": command(), **where}
    run.append_line(NAME, json.dumps(line, ensure_ascii=False))
    return worker


def ended(run: Run, worker: str, seconds: int | float, images: int, *, finished: bool) -> None:
    """Write the line of a worker that ends."""
    line = {"worker": worker, "ended": now(), "seconds": round(seconds, 1), "images": images, "finished": finished}
    # If writing fails, too, the user should see the error that ended the work, not this one.
    capture(run.append_line, NAME, json.dumps(line, ensure_ascii=False))


def read_workers(folder: Path) -> list[Worker]:
    """The processes that made the run in a folder, in the order in which they began. Damaged lines are skipped."""
    files = parts.files(folder, NAME.removesuffix(parts.SUFFIX))
    lines = [line for file in files for line in read_bytes(file).split(b"\n")[:-1]]
    said: dict[str, dict[str, object]] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            content = json.loads(line.strip(b"\0"))
            name = str(content["worker"])
            said[name] = said.get(name, {}) | content
    return [worker for content in said.values() if (worker := _worker(content)) is not None]


# Any: values of JSON.
def _worker(said: Mapping[str, Any]) -> Worker | None:
    """One process, by what its lines say; None if they lack what every version writes."""
    try:
        return Worker(
            str(said["host"]),
            int(said["pid"]),
            datetime.fromisoformat(said["began"]),
            Shard.parse(said["shard"]) if "shard" in said else WHOLE,
            str(said.get("command", "")),
            datetime.fromisoformat(said["ended"]) if "ended" in said else None,
            int(said["images"]) if "images" in said else None,
            said.get("finished"),
            (str(said["driver"][0]), int(said["driver"][1])) if "driver" in said else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, UserError):
        return None


def now() -> str:
    """The local time with its zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def command() -> str:
    """The command line of this process, quoted for a shell."""
    return shlex.join(sys.orig_argv)


def commit_of(folder: Path) -> str:
    """The commit of a folder's git repository, with `+` if files have changed since; empty if there is none."""
    if not any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents)):
        return ""
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}+" if commit and _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], check=False, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

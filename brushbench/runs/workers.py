"""The processes that made a run: each adds a line to workers.jsonl when it begins, and one when it ends.

    {"worker": "node7-4211-2f81", "began": "2026-11-30T09:12:05+01:00", "command": "brushbench run ...", ...}
    {"worker": "node7-4211-2f81", "ended": "2026-11-30T11:40:17+01:00", "seconds": 8892.1, "images": 600}

A killed process has no second line.
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
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from brushbench.core.capture import capture
from brushbench.runs.folder import Run

NAME = "workers.jsonl"
GIT_SECONDS = 5.0


@contextmanager
def at_work(run: Run, provenance: Mapping[str, str], images: Callable[[], int]) -> Iterator[None]:
    """Write one line before and one after the work; `images` returns how many images this process has stored."""
    begun = time.monotonic()
    worker = began(run, {"host": socket.gethostname(), "pid": os.getpid(), **provenance})
    try:
        yield
    finally:
        ended(run, worker, time.monotonic() - begun, images())


def began(run: Run, where: Mapping[str, str | int]) -> str:
    """Write the line of a worker that begins, with its `host` and `pid`, and return its name there."""
    worker = f"{where['host']}-{where['pid']}-{uuid.uuid4().hex[:4]}"
    line = {"worker": worker, "began": now(), "host": where["host"], "pid": where["pid"], "command": command(), **where}
    run.append_line(NAME, json.dumps(line, ensure_ascii=False))
    return worker


def ended(run: Run, worker: str, seconds: int | float, images: int) -> None:
    """Write the line of a worker that ends."""
    line = {"worker": worker, "ended": now(), "seconds": round(seconds, 1), "images": images}
    # If writing fails, too, the user should see the error that ended the work, not this one.
    capture(run.append_line, NAME, json.dumps(line, ensure_ascii=False))


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

"""Who is at work in a run folder: every process that writes images there says so, until it ends.

    .owners/<host>-<pid>-<number>.json     who it is, since when, and of which run
    .owners/<host>-<pid>-<number>.lock     held as long as the process lives

A process that was killed leaves both behind; its lock is free then, and the next one removes them.
"""

import os
import socket
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

FOLDER = ".owners"


class Owner(BaseModel, extra="forbid", frozen=True):
    """One process at work."""

    host: str
    pid: int
    since: datetime
    fingerprint: str
    """The fingerprint of the run that it makes."""

    @property
    def text(self) -> str:
        """To read."""
        return f"process {self.pid} on {self.host}, at work since {self.since:%Y-%m-%d %H:%M:%S}"


@final
class Claim:
    """This process's own entry. Call `release` at the end of the work, holding the run folder's lock."""

    def __init__(self, run: Path, fingerprint: str) -> None:
        """The caller holds the run folder's lock."""
        host = socket.gethostname()
        folder = run / FOLDER
        folder.mkdir(exist_ok=True)
        owner = Owner(host=host, pid=os.getpid(), since=datetime.now().astimezone(), fingerprint=fingerprint)
        self._file = folder / f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._lock = FileLock(self._file.with_suffix(".lock"))
        self._lock.acquire()
        self._file.write_text(owner.model_dump_json(), encoding="utf-8")

    @property
    def name(self) -> str:
        """The name of both of its files, without suffix."""
        return self._file.stem

    def release(self) -> None:
        """Say that this process is done; the folder goes with the last one."""
        self._lock.release()
        _remove(self._file)


def live(run: Path, but: Claim | None = None) -> Iterator[Owner]:
    """The other processes at work; what dead ones left behind is removed. The caller holds the run folder's lock."""
    for file in sorted((run / FOLDER).glob("*.json")):
        if but is not None and file.stem == but.name:
            continue
        lock = FileLock(file.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            try:
                yield Owner.model_validate_json(file.read_bytes())
            except (OSError, ValidationError):
                # It has just ended, or is only about to say who it is.
                continue
        else:
            lock.release()
            _remove(file)


def _remove(file: Path) -> None:
    file.with_suffix(".lock").unlink(missing_ok=True)
    file.unlink(missing_ok=True)
    try:
        file.parent.rmdir()
    except OSError:
        # Others are at work.
        return

"""The processes at work in a run folder: each process that writes images makes a claim until it ends.

    .owners/<host>-<pid>-<number>.json     which process it is, since when, and for which run
    .owners/<host>-<pid>-<number>.lock     held as long as the process lives

A killed process leaves both files behind with the lock free; the next process removes them.
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
    """A process at work on a run."""

    host: str
    pid: int
    since: datetime
    fingerprint: str
    """The fingerprint of the run that it is making."""

    @property
    def text(self) -> str:
        """The process in words, for messages."""
        return f"process {self.pid} on {self.host}, at work since {self.since:%Y-%m-%d %H:%M:%S}"


@final
class Claim:
    """This process's own entry. Call `release` when the work ends, while holding the run folder's lock."""

    def __init__(self, run: Path, fingerprint: str) -> None:
        """Enter this process as being at work. The caller holds the run folder's lock."""
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
        """The name of its two files, without suffix."""
        return self._file.stem

    def release(self) -> None:
        """Remove the entry, and the folder if it was the last entry."""
        self._lock.release()
        _remove(self._file)


def live(run: Path, but: Claim | None = None) -> Iterator[Owner]:
    """The processes at work, except `but`'s; removes the files of dead ones. The caller holds the run folder's lock."""
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
                # The process has just ended, or hasn't written its entry yet.
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
        # The folder has other entries.
        return

"""The processes at work in a run folder: each process that writes images makes a claim until it ends.

    .owners/<host>-<pid>-<number>.json     which process it is, since when, and for which run
    .owners/<host>-<pid>-<number>.lock     held as long as the process lives
    .owners/<host>-<pid>-<number>.beat     touched every 15 seconds, as some disks hide a lock from other hosts

A killed process leaves its files behind with the lock free; the next process removes them.
"""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import final

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

FOLDER = ".owners"
BEAT_SECONDS = 15.0
"""Time between two signs of life of a process."""


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


@dataclass(frozen=True, slots=True)
class Present:
    """A process that has entered itself, with times by the file system's clock, in seconds."""

    owner: Owner
    began: float
    """When it entered itself."""
    beat: float
    """When it gave its last sign of life."""


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
        self._released = Event()
        beat = self._file.with_suffix(".beat")
        beat.touch()
        Thread(target=_keep_beating, args=(beat, self._released), name="beat", daemon=True).start()

    @property
    def name(self) -> str:
        """The name of its two files, without suffix."""
        return self._file.stem

    def release(self) -> None:
        """Remove the entry, and the folder if it was the last entry."""
        self._released.set()
        self._lock.release()
        _remove(self._file)


def is_entered(run: Path, claim: str) -> bool:
    """Tell whether the process with the claim of this name is entered in a folder, as this machine sees it."""
    return (run / FOLDER / f"{claim}.json").exists()


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


def present(run: Path) -> list[Present]:
    """The entries of all processes, alive or not. It takes no lock and writes nothing."""
    found = []
    for file in sorted((run / FOLDER).glob("*.json")):
        # A process may end meanwhile, and one that has just begun hasn't written its entry yet.
        with suppress(OSError, ValidationError):
            owner, began = Owner.model_validate_json(file.read_bytes()), file.stat().st_mtime
            beat = file.with_suffix(".beat")
            found.append(Present(owner, began, beat.stat().st_mtime if beat.exists() else began))
    return found


def _keep_beating(beat: Path, released: Event) -> None:
    while not released.wait(BEAT_SECONDS):
        # On a network disk, the server's clock gives the time. Work goes on if the disk fails here.
        with suppress(OSError):
            os.utime(beat)


def _remove(file: Path) -> None:
    file.with_suffix(".lock").unlink(missing_ok=True)
    file.with_suffix(".beat").unlink(missing_ok=True)
    file.unlink(missing_ok=True)
    try:
        file.parent.rmdir()
    except OSError:
        # The folder has other entries.
        return

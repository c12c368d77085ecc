"""The processes at work in a run folder: each process that writes images makes a claim until it ends.

    .owners/<host>-<pid>-<number>.json     which process it is, since when, and for which run
    .owners/<host>-<pid>-<number>.lock     held as long as the process lives
    .owners/<host>-<pid>-<number>.beat     touched every 15 seconds, as some disks hide a lock from other hosts

A killed process leaves its files behind with the lock free; the next process removes them. In an object store, which
has no locks, the .beat is stored again every 15 seconds.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import final

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from brushbench.core.capture import capture
from brushbench.core.errors import UserError
from brushbench.runs.mirror import Mirror, mirror_of

FOLDER = ".owners"
BEAT_SECONDS = 15.0
"""Time between two signs of life of a process."""
SILENT_SECONDS = 4 * BEAT_SECONDS
"""Time without a sign of life after which a process counts as silent, by the file system's clock."""
SKEW_SECONDS = 300.0
"""The same by this machine's clock, which may differ from the file system's."""
FORGOTTEN_SECONDS = 86400.0
"""Time after which the entry of a silent process is removed from an object store."""


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
    name: str = ""
    """The name of its claim."""


@final
class Claim:
    """This process's own entry. Call `release` when the work ends, while holding the run folder's lock."""

    def __init__(self, run: Path, fingerprint: str) -> None:
        """Enter this process as being at work. The caller holds the run folder's lock."""
        self._mirror = mirror_of(run)
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
        if self._mirror:
            self._mirror.publish(f"{FOLDER}/{beat.name}", b"")
            self._mirror.publish(f"{FOLDER}/{self._file.name}", owner.model_dump_json().encode())
        Thread(target=_keep_beating, args=(beat, self._released, self._mirror), name="beat", daemon=True).start()

    @property
    def name(self) -> str:
        """The name of its two files, without suffix."""
        return self._file.stem

    def release(self) -> None:
        """Remove the entry, and the folder if it was the last entry."""
        self._released.set()
        self._lock.release()
        if self._mirror:
            names = [f"{FOLDER}/{self._file.stem}{suffix}" for suffix in (".json", ".beat")]
            # Without a store, the others see that the signs of life have ended.
            capture(self._mirror.remove, *names)
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
            found.append(Present(owner, began, beat.stat().st_mtime if beat.exists() else began, file.stem))
    return found


def heard_of(run: Path, but: Claim | None = None) -> Iterator[Owner]:
    """The processes, except `but`'s, that give signs of life in the entries of an object store, which has no locks."""
    entries = present(run)
    files = [file for file in run.iterdir() if file.is_file() and not file.name.startswith(".")]
    newest = max([0.0, *(one.beat for one in entries), *(file.stat().st_mtime for file in files)])
    for one in entries:
        own = but is not None and one.name == but.name
        if not own and not silence(one, newest, time.time())[0] and is_possible(one):
            yield one.owner


def remove_dead(run: Path, mirror: Mirror) -> None:
    """Remove the entries of processes that were killed from an object store."""
    for one in present(run):
        if not is_possible(one) or time.time() - one.beat > FORGOTTEN_SECONDS:
            mirror.remove(*(f"{FOLDER}/{one.name}{suffix}" for suffix in (".json", ".beat")))


def silence(entry: Present, newest: float, now: float) -> tuple[float, bool]:
    """How long a process has given no sign of life, 0.0 if it isn't silent; and if only this machine's clock says so.

    `newest` is the time of the newest file of the run, by the file system's clock; `now` is this machine's.
    """
    by_files, by_clock = newest - entry.beat, now - entry.beat
    if by_files > SILENT_SECONDS:
        return by_files, False
    return (by_clock, True) if by_clock > SKEW_SECONDS else (0.0, False)


def is_possible(entry: Present) -> bool:
    """Tell whether a process may be alive, as far as this machine can tell; a later one with its number is another."""
    if entry.owner.host != socket.gethostname():
        return True
    try:
        return psutil.Process(entry.owner.pid).create_time() <= entry.owner.since.timestamp() + 1
    except psutil.NoSuchProcess:
        return False


def _keep_beating(beat: Path, released: Event, mirror: Mirror | None) -> None:
    while not released.wait(BEAT_SECONDS):
        # On a network disk, the server's clock gives the time. Work goes on if the disk or the store fails here.
        with suppress(OSError, UserError):
            if mirror:
                mirror.publish(f"{FOLDER}/{beat.name}", b"")
            else:
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

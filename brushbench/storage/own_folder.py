"""A folder that lasts as long as the process that made it."""

import atexit
import os
import shutil
import socket
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from brushbench.core.errors import doing

LOCK = ".lock"


def make_own_folder(parent: Path, process: int) -> Path:
    """Make the folder of this process, and remove those of processes of this machine that were killed."""
    host = socket.gethostname()
    own = parent / f"{host}-{process}-{uuid.uuid4().hex[:8]}"
    lock = FileLock(parent / f"{own.name}{LOCK}")
    with doing("making a folder for what is read from the store", own):
        parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        own.mkdir()
    atexit.register(_remove, own, lock, process)
    for left in parent.glob(f"{host}-*{LOCK}"):
        if left.name != f"{own.name}{LOCK}":
            _remove_unless_in_use(left)
    return own


def _remove_unless_in_use(file: Path) -> None:
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    _remove(file.with_name(file.name.removesuffix(LOCK)), lock, os.getpid())


def _remove(folder: Path, lock: FileLock, process: int) -> None:
    # A process that was forked off must leave it to the process that made it.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()

"""Let one process after another write a file in an object store, which has no locks.

The holder stores a small object under a name that nobody else has taken, and stores it again every 15 seconds. Whoever
waits takes over when it has not changed for a minute.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from brushbench.core.capture import capture
from brushbench.runs.mirror import Mirror

BEAT_SECONDS, SILENT_SECONDS = 15.0, 60.0
WAIT_SECONDS = 1.0


@contextmanager
def leased(mirror: Mirror | None, name: str) -> Iterator[None]:
    """Hold a lease, with the folder's small files as they are in the store now. Without a store, nothing happens."""
    if mirror is None:
        yield
        return
    own = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _take(mirror, name, own)
    released = Event()
    thread = Thread(target=_keep, args=(mirror, name, own, released), name="lease", daemon=True)
    thread.start()
    try:
        mirror.refresh()
        yield
    finally:
        released.set()
        thread.join()
        # If the store doesn't answer, the others wait a minute.
        capture(_give_back, mirror, name, own)


def _take(mirror: Mirror, name: str, own: str) -> None:
    seen, since = "", time.monotonic()
    while not mirror.store.create(name, own.encode()):
        try:
            now = mirror.store.version(name)
        except FileNotFoundError:
            continue
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > SILENT_SECONDS:
            mirror.store.remove(name)
        else:
            time.sleep(WAIT_SECONDS)


def _give_back(mirror: Mirror, name: str, own: str) -> None:
    if mirror.store.read(name).decode().startswith(own):
        mirror.store.remove(name)


def _keep(mirror: Mirror, name: str, own: str, released: Event) -> None:
    beats = 0
    while not released.wait(BEAT_SECONDS):
        beats += 1
        capture(mirror.store.write, name, f"{own} {beats}".encode())

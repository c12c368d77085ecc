"""Compare a run's images with their digests once for a whole command, however many of its parts ask for the result."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brushbench.runs.folder import Run

_FOUND: ContextVar[dict[Path, dict[str, str]] | None] = ContextVar("changed images found by this command", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Make `changed_images` look at the images of each run once. For commands that only read runs.

    An image that changes after the first look isn't noticed inside, so all parts of the command agree. An inner use
    shares what the outer one has found.
    """
    if _FOUND.get() is not None:
        yield
        return
    token = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(token)


def changed_images(run: "Run") -> dict[str, str]:
    """The result of `run.changed_images()`, which inside `looking_once` may be that of an earlier call."""
    found = _FOUND.get()
    if found is None:
        return run.changed_images()
    place = run.path.resolve()
    if place not in found:
        found[place] = run.changed_images()
    return found[place]

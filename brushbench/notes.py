"""Notes: what a reader of a run must know of how it was made, collected where it is found out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COLLECTED: ContextVar[list[str] | None] = ContextVar("_COLLECTED", default=None)


def note(text: str) -> None:
    """Add a note, once, to the innermost collection; where nobody collects, it is a Python warning."""
    collected = _COLLECTED.get()
    if collected is None:
        warnings.warn(text, stacklevel=2)
    elif text not in collected:
        collected.append(text)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collects the notes that are made inside, in their order; the list is filled as they come."""
    collected: list[str] = []
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)

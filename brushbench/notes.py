"""Notes: what a reader of a run must know of how it was made, collected where it is found out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COLLECTED: ContextVar[list[str] | None] = ContextVar("_COLLECTED", default=None)
_FIRST: ContextVar[int] = ContextVar("_FIRST", default=0)
_OF_SAMPLES: ContextVar[dict[int, list[str]] | None] = ContextVar("_OF_SAMPLES", default=None)


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


def sample_note(place: int, text: str) -> None:
    """Add a note, once, on the sample at that place of the batch; where nobody collects, it is a Python warning."""
    collected, whole = _OF_SAMPLES.get(), _FIRST.get() + place
    if collected is None:
        warnings.warn(f"sample {whole} of the batch: {text}", stacklevel=2)
    elif text not in collected.setdefault(whole, []):
        collected[whole].append(text)


@contextmanager
def numbered_from(first: int) -> Iterator[None]:
    """Places inside are those of a part of the batch that begins with the sample at `first`."""
    token = _FIRST.set(first)
    try:
        yield
    finally:
        _FIRST.reset(token)


@contextmanager
def collecting_of_samples() -> Iterator[dict[int, list[str]]]:
    """Collects the notes on samples that are made inside, by their place in the batch."""
    collected: dict[int, list[str]] = {}
    token = _OF_SAMPLES.set(collected)
    try:
        yield collected
    finally:
        _OF_SAMPLES.reset(token)

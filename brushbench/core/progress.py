"""Callbacks that report progress."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Advance = Callable[[int, int], None]
"""Called with the number of newly finished samples, and how many of them failed."""
ProgressCallback = Callable[[str, int, int], Advance]
"""Called before a stage with its name, its number of samples, and how many of them are already finished."""


@runtime_checkable
class Announcing(Protocol):
    """A `ProgressCallback` that can also say something in a line."""

    def announce(self, line: str) -> None:
        """Say it."""
        ...


def announce(watch: object, line: str) -> None:
    """Say something in a line, if a `ProgressCallback` can."""
    if isinstance(watch, Announcing):
        watch.announce(line)


def silent(_stage: str, _total: int, _finished: int) -> Advance:
    """A `ProgressCallback` that reports nothing."""
    return lambda done, failed: None

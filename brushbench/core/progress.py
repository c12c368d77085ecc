"""Callbacks that report progress."""

from collections.abc import Callable

Advance = Callable[[int, int], None]
"""Called with the number of newly finished samples, and how many of them failed."""
ProgressCallback = Callable[[str, int, int], Advance]
"""Called before a stage with its name, its number of samples, and how many of them are already finished."""


def silent(_stage: str, _total: int, _finished: int) -> Advance:
    """A `ProgressCallback` that reports nothing."""
    return lambda done, failed: None

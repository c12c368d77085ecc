"""How far the work is, told to whoever wants to know."""

from collections.abc import Callable

Advance = Callable[[int, int], None]
"""Told how many more samples are finished, and how many of these failed."""
ProgressCallback = Callable[[str, int, int], Advance]
"""Told, before a stage begins, its name, how many samples it has, and how many of these are finished already."""


def silent(_stage: str, _total: int, _finished: int) -> Advance:
    """A `ProgressCallback` that tells nobody."""
    return lambda done, failed: None

"""Networks in memory: loaded once for all that ask for them, until the memory is needed."""

import gc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import torch

from brushbench.core.notes import collecting, note

P = ParamSpec("P")
T = TypeVar("T")
_loaded: list[Callable[[], None]] = []
_sources: set[Path] = set()
"""Files and folders of the networks that are loaded."""


def loaded_once(load: Callable[P, T]) -> Callable[P, T]:
    """Decorate what loads a network: it is kept, for all metrics that ask for it, until `release`.

    Notes that are made meanwhile are made again wherever it is asked for: each run has them.
    """

    def loading(*arguments: P.args, **options: P.kwargs) -> tuple[T, list[str]]:
        with collecting() as notes:
            made = load(*arguments, **options)
        _sources.update(argument.resolve() for argument in arguments if isinstance(argument, Path))
        return made, notes

    remembered = cache(loading)
    _loaded.append(remembered.cache_clear)
    cached = cast(Callable[P, tuple[T, list[str]]], remembered)

    def kept(*arguments: P.args, **options: P.kwargs) -> T:
        made, notes = cached(*arguments, **options)
        for text in notes:
            note(text)
        return made

    return kept


def release() -> None:
    """Give up the memory of all networks that were loaded; they are loaded again when they are needed."""
    for clear in _loaded:
        clear()
    _sources.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def any_loaded() -> bool:
    """Whether a network is in memory."""
    return bool(_sources)


def is_loaded(file: Path) -> bool:
    """Whether a network is in memory that was loaded from this file, which is resolved, or from its folder."""
    return file in _sources or file.parent in _sources

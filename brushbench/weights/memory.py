"""Keep networks in memory, each loaded once for all metrics, until the memory is needed."""

import gc
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import torch

from brushbench.core.notes import collecting, note

P = ParamSpec("P")
T = TypeVar("T")
_loaded: list[Callable[[], None]] = []
_sources: set[Path] = set()
"""Files and folders of the loaded networks."""


def loaded_once(load: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that loads a network, so that all metrics share its result until `release`.

    Notes made while it loads are repeated at every later call, so that every run records them.
    """

    def loading(*arguments: P.args, **options: P.kwargs) -> tuple[T, list[str]]:
        with collecting() as notes:
            made = load(*arguments, **options)
        _sources.update(argument.resolve() for argument in arguments if isinstance(argument, Path))
        return made, notes

    remembered = cache(loading)
    _loaded.append(remembered.cache_clear)
    cached = cast(Callable[P, tuple[T, list[str]]], remembered)

    @wraps(load)
    def kept(*arguments: P.args, **options: P.kwargs) -> T:
        made, notes = cached(*arguments, **options)
        for text in notes:
            note(text)
        return made

    return kept


def release() -> None:
    """Free the memory of all loaded networks; each is loaded again when it is next needed."""
    for clear in _loaded:
        clear()
    _sources.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def any_loaded() -> bool:
    """Whether a network is in memory."""
    return bool(_sources)


def make_room() -> bool:
    """Free the memory of all loaded networks; returns whether there were any."""
    loaded = any_loaded()
    release()
    return loaded


def is_loaded(file: Path) -> bool:
    """Tell whether a network that was loaded from this resolved file, or from its folder, is in memory."""
    return file in _sources or file.parent in _sources

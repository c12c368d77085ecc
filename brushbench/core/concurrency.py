"""Threads that work ahead of the one that uses their results, or together on what it waits for."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
S = TypeVar("S")
THREADS = 4


def prefetch(chunks: Iterator[Mapping[K, Future[T]]]) -> Iterator[dict[K, T]]:
    """The results of each chunk; the next chunk is already under way in its threads when one is handed out."""
    waiting: Mapping[K, Future[T]] = {}
    for chunk in chunks:
        if waiting:
            yield {key: future.result() for key, future in waiting.items()}
        waiting = chunk
    if waiting:
        yield {key: future.result() for key, future in waiting.items()}


def in_threads(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """The result for each item, in order. It pays for work that lets go of Python's lock: hashing, resizing."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))

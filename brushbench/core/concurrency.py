"""Threads that work ahead of the one that uses their results."""

from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
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

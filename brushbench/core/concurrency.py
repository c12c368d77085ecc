"""Work in threads: ahead of the caller, or in parallel while it waits."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
S = TypeVar("S")
THREADS = 4
WINDOW = 64
"""Items that are begun before the result of the first of them is taken."""


def prefetch(chunks: Iterator[Mapping[K, Future[T]]]) -> Iterator[dict[K, T]]:
    """Yield the results of each chunk, after the threads have started on the next one."""
    waiting: Mapping[K, Future[T]] = {}
    for chunk in chunks:
        if waiting:
            yield {key: future.result() for key, future in waiting.items()}
        waiting = chunk
    if waiting:
        yield {key: future.result() for key, future in waiting.items()}


def in_threads(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """The result for each item, in order. This is faster for work that releases Python's lock: hashing, resizing."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def one_by_one(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield the result for each item, in order, from threads; few items are begun at a time, however many there are."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= WINDOW:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

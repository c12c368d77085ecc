"""What generating and scoring share: the boundary around a sample, decoding ahead, and telling how far the work is."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from brushbench.errors import NotFiniteError, UserError, one_line

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
THREADS = 4
Advance = Callable[[int, int], None]
"""Told how many more samples are finished, and how many of these failed."""
Watcher = Callable[[str, int, int], Advance]
"""Told, before a stage begins, its name, how many samples it has, and how many of these are finished already."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample has no result."""

    error: str
    by_user: bool
    """The sample, or what was asked, is wrong; False: something broke."""
    out_of_memory: bool = False


def attempt(make: Callable[..., T], *arguments: object) -> T | Failure:
    """The boundary around a sample, and around a user's own file: whatever goes wrong inside is a `Failure`."""
    try:
        return make(*arguments)
    except NotFiniteError as error:
        return Failure(one_line(str(error)), by_user=False)
    except UserError as error:
        return Failure(one_line(str(error)), by_user=True)
    except Exception as error:  # noqa: BLE001
        # torch's own class by its name: the command line's help goes through here, and doesn't load torch.
        exhausted = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        return Failure(one_line(f"{type(error).__name__}: {error}"), by_user=False, out_of_memory=exhausted)


def ahead(chunks: Iterator[Mapping[K, Future[T]]]) -> Iterator[dict[K, T]]:
    """The results of each chunk; the next chunk is already under way in its threads when one is handed out."""
    waiting: Mapping[K, Future[T]] = {}
    for chunk in chunks:
        if waiting:
            yield {key: future.result() for key, future in waiting.items()}
        waiting = chunk
    if waiting:
        yield {key: future.result() for key, future in waiting.items()}


def silent(_stage: str, _total: int, _finished: int) -> Advance:
    """A `Watcher` that tells nobody."""
    return lambda done, failed: None

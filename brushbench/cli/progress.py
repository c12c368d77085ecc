"""Show progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from brushbench.core.progress import Advance, ProgressCallback

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def showing_progress(write: Callable[[str], None]) -> Iterator[ProgressCallback]:
    """Yield a callback that shows every stage: images done, images per second and time left.

    `write` prints a plain line.
    """
    if not sys.stderr.isatty():
        yield Lines(write)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bars(progress)


@contextmanager
def showing_bytes(write: Callable[[str], None]) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback that shows a download, given its bytes received and its size. `write` prints a plain line."""
    if not sys.stderr.isatty():
        yield _bytes_in_lines(write)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("downloading", total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)


def _bytes_in_lines(write: Callable[[str], None]) -> Callable[[int, int | None], None]:
    written = time.monotonic()

    def tell(there: int, total: int | None) -> None:
        nonlocal written
        if time.monotonic() - written > SECONDS_BETWEEN_LINES:
            written = time.monotonic()
            write(f"downloading: {there / 1e6:.1f}{f' of {total / 1e6:.1f}' if total is not None else ''} MB")

    return tell


@final
class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        task = self._progress.add_task(stage, total=total, completed=finished, rate="", failed="")
        count = _Count(total, finished)

        def advance(done: int, failed: int) -> None:
            count.add(done, failed)
            self._progress.update(task, advance=done, rate=count.rate(), failed=count.failures())

        return advance


@final
class Lines:
    """Writes a line at the end of each stage, and one every ten seconds until then."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """See `brushbench.core.progress.ProgressCallback`."""
        count = _Count(total, finished)
        if finished:
            self._write(f"{stage}: {finished}/{total} images are already done")
        written = time.monotonic()

        def advance(done: int, failed: int) -> None:
            nonlocal written
            count.add(done, failed)
            finished = count.done == count.total
            due = finished or time.monotonic() - written > SECONDS_BETWEEN_LINES
            # If no image succeeds, the run ends with one line that says why; this would be a second one.
            if done and due and count.any_succeeded():
                written = time.monotonic()
                parts = [f"{stage}: {count.done}/{count.total} images", count.rate(), count.left(), count.failures()]
                self._write(", ".join(filter(None, parts)))

        return advance


@final
class Headed:
    """A callback that first says which data and weights are used, as soon as an image has succeeded.

    If none succeeds, the run ends with one line that says why.
    """

    def __init__(self, watch: ProgressCallback, write: Callable[[str], None]) -> None:
        self._watch = watch
        self._write = write
        self._heading: list[str] = []

    def announce(self, line: str) -> None:
        """Add a line for the next stage."""
        self._heading.append(line)

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """See `brushbench.core.progress.ProgressCallback`."""
        if finished:
            self._say()
        tell = self._watch(stage, total, finished)

        def advance(done: int, failed: int) -> None:
            if done > failed:
                self._say()
            tell(done, failed)

        return advance

    def _say(self) -> None:
        while self._heading:
            self._write(self._heading.pop(0))


@final
class _Count:
    def __init__(self, total: int, finished: int) -> None:
        self.total = total
        self.done = finished
        self._finished = finished
        self._failed = 0
        self._start = time.monotonic()

    def add(self, done: int, failed: int) -> None:
        self.done += done
        self._failed += failed

    def rate(self) -> str:
        return f"{self._per_second():.2f} images/s"

    def left(self) -> str:
        seconds = (self.total - self.done) / self._per_second() if self.done > self._finished else 0
        return f"{seconds:.0f} s left" if seconds else ""

    def failures(self) -> str:
        return f"{self._failed} failed" if self._failed else ""

    def any_succeeded(self) -> bool:
        return self.done > self._failed

    def _per_second(self) -> float:
        return (self.done - self._finished) / max(time.monotonic() - self._start, 1e-9)

"""Show progress on stderr: bars on a terminal, plain lines elsewhere, nothing if the user wants quiet."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, final

import click

from brushbench.cli.screen import SCREEN, Verbosity, showing, stderr_is_terminal, tell
from brushbench.core.errors import one_line
from brushbench.core.progress import Advance

SECONDS_BETWEEN_LINES = 10.0


class Display(Protocol):
    """A `ProgressCallback` that also knows what is loaded and how many runs there are."""

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """Begin a stage; see `brushbench.core.progress.ProgressCallback`."""
        ...

    def loading(self, what: str) -> None:
        """Say what takes time until the next stage or run begins."""
        ...

    def announce(self, line: str) -> None:
        """Say which data or weights are used."""
        ...

    def plan(self, units: Sequence[int]) -> None:
        """Say how many images the stages of each run have in total."""
        ...

    def begin_run(self, number: int) -> None:
        """Begin a run, counted from 0."""
        ...


@contextmanager
def showing_progress(loading: str = "") -> Iterator[Display]:
    """Yield a callback that shows every stage: images done, images per second and time left.

    A terminal shows at once what is `loading`, before anything that takes long is imported.
    """
    if SCREEN.verbosity == Verbosity.QUIET:
        yield _Quiet()
        return
    if not stderr_is_terminal():
        display: Display = Lines(tell)
        if loading:
            display.loading(loading)
        yield display
        return
    from brushbench.cli.bars import Bars, progress_of_images

    with showing(progress := progress_of_images()):
        bars = Bars(progress)
        if loading:
            bars.loading(loading)
        yield bars
        bars.end()


def while_reading(runs: Sequence[str]) -> Callable[[], None]:
    """Say on a terminal which runs are read; call the result before anything is printed. An error ends it, too."""
    stack = click.get_current_context().with_resource(ExitStack())
    stack.enter_context(showing_progress(one_line(f"reading {', '.join(runs)}", 200)))
    return stack.close


@contextmanager
def showing_bytes() -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback that shows a download, given its bytes received and its size."""
    if SCREEN.verbosity == Verbosity.QUIET:
        yield lambda there, total: None
        return
    if not stderr_is_terminal():
        yield _bytes_in_lines(tell)
        return
    from brushbench.cli.bars import progress_of_bytes

    with showing(progress := progress_of_bytes()):
        task = progress.add_task("downloading", total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)


def _bytes_in_lines(write: Callable[[str], None]) -> Callable[[int, int | None], None]:
    written = time.monotonic()

    def tell_bytes(there: int, total: int | None) -> None:
        nonlocal written
        if time.monotonic() - written > SECONDS_BETWEEN_LINES:
            written = time.monotonic()
            write(f"downloading: {there / 1e6:.1f}{f' of {total / 1e6:.1f}' if total is not None else ''} MB")

    return tell_bytes


@final
class _Quiet:
    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        count = begun(stage, total, finished)
        return count.add

    def loading(self, _what: str) -> None:
        pass

    def announce(self, _line: str) -> None:
        pass

    def plan(self, _units: Sequence[int]) -> None:
        pass

    def begin_run(self, _number: int) -> None:
        pass


@final
class Lines:
    """Writes a line at the end of each stage, and one every ten seconds until then.

    What is announced is held back until an image has succeeded: if none does, the run ends with one line that says why.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._heading: list[str] = []
        self._has_begun = False
        self._prefix = ""
        self._runs = 1

    def loading(self, what: str) -> None:
        """See `Display`."""
        if SCREEN.verbosity == Verbosity.VERBOSE:
            self._write(what)

    def announce(self, line: str) -> None:
        """See `Display`."""
        self._heading.append(line)
        if self._has_begun or SCREEN.verbosity == Verbosity.VERBOSE:
            self._say()

    def plan(self, units: Sequence[int]) -> None:
        """See `Display`."""
        self._runs = len(units)

    def begin_run(self, number: int) -> None:
        """See `Display`."""
        self._prefix = f"run {number + 1} of {self._runs}: " if self._runs > 1 else ""

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """See `Display`."""
        count, prefix = begun(stage, total, finished), self._prefix
        if finished:
            self._say()
            self._write(f"{prefix}{stage}: {finished}/{total} images are already done")
        written = time.monotonic()

        def advance(done: int, failed: int) -> None:
            nonlocal written
            count.add(done, failed)
            if done > failed:
                self._say()
            due = count.is_complete() or time.monotonic() - written > SECONDS_BETWEEN_LINES
            # If no image succeeds, the run ends with one line that says why; this would be a second one.
            if done and due and count.any_succeeded():
                written = time.monotonic()
                self._write(f"{prefix}{count.line(stage)}")

        return advance

    def _say(self) -> None:
        self._has_begun = True
        while self._heading:
            self._write(self._heading.pop(0))


@final
class Count:
    """The images of a stage, or of several."""

    def __init__(self, total: int, finished: int) -> None:
        self.total = total
        self.done = finished
        self._finished = finished
        self._failed = 0
        self._start = time.monotonic()

    def add(self, done: int, failed: int) -> None:
        """Count images that are newly done, some of which failed."""
        self.done += done
        self._failed += failed

    def skip_to(self, done: int) -> None:
        """Count images as done that were not made now, up to a number of them."""
        self._finished += max(0, done - self.done)
        self.done = max(self.done, done)

    def is_complete(self) -> bool:
        """Tell whether all are done."""
        return self.done >= self.total

    def line(self, stage: str) -> str:
        """The state in a line."""
        return ", ".join(filter(None, [f"{stage}: {self.images()} images", self.rate(), self.left(), self.failures()]))

    def images(self) -> str:
        """The number of images that are done, of all."""
        return f"{self.done}/{self.total}"

    def rate(self) -> str:
        """The images per second; empty before the first one."""
        if self.done <= self._finished:
            return ""
        return f"{self._per_second():.2f} images/s"

    def left(self) -> str:
        """The time left; empty if it isn't known, or if nothing is left."""
        made = self.done > self._finished
        seconds = (self.total - self.done) / self._per_second() if made else 0
        return f"{duration(seconds)} left" if seconds else ""

    def failures(self) -> str:
        """The number of failures; empty for none."""
        return f"{self._failed} failed" if self._failed else ""

    def any_succeeded(self) -> bool:
        """Tell whether an image is there."""
        return self.done > self._failed

    def _per_second(self) -> float:
        return (self.done - self._finished) / max(time.monotonic() - self._start, 1e-9)


def begun(stage: str, total: int, finished: int) -> Count:
    """Return the count of a stage that begins now; an interruption tells how far it was."""
    count = Count(total, finished)
    SCREEN.stage = stage, count
    return count


def duration(seconds: int | float) -> str:
    """A time in words: `42 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

"""Bars on a terminal: what is going on now, and below it all runs together. What has ended becomes a line above."""

from collections.abc import Sequence
from typing import final

from rich.console import Console, OverflowMethod
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from brushbench.cli.progress import Count, begun
from brushbench.cli.screen import tell
from brushbench.core.errors import one_line
from brushbench.core.progress import Advance

WIDE_BAR, NARROW_BAR = 30, 8
NARROW = 110
"""Columns of a terminal below which its bars are narrow, so that words keep their room."""


def progress_of_images() -> Progress:
    """Bars for stages and runs; they disappear at the end."""
    console = Console(stderr=True)
    # A terminal that isn't Unicode can't show the usual spinner, nor three dots in one letter.
    spinner = SpinnerColumn("line") if console.options.ascii_only else SpinnerColumn()
    overflow: OverflowMethod = "crop" if console.options.ascii_only else "ellipsis"
    return Progress(
        spinner,
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow=overflow, ratio=1)),
        BarColumn(NARROW_BAR if console.width < NARROW else WIDE_BAR),
        TextColumn("{task.fields[details]}", table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        expand=True,
    )


def progress_of_bytes() -> Progress:
    """A bar for a download."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


@final
class Bars:
    """The `Display` of a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._now: TaskID | None = None
        self._stage: tuple[str, Count] | None = None
        self._all: TaskID | None = None
        self._run = ""
        """Which of several runs is made; empty for a single one."""
        self._units: Sequence[int] = ()
        self._overall = Count(0, 0)

    def loading(self, what: str) -> None:
        """See `Display`. It is on the screen when this returns, as an import may then keep everything from drawing."""
        self._begin(what, None)
        self._progress.refresh()

    def announce(self, line: str) -> None:
        """See `Display`."""
        tell(line)

    def plan(self, units: Sequence[int]) -> None:
        """See `Display`."""
        self._units = units
        self._overall = Count(sum(units), 0)

    def begin_run(self, number: int) -> None:
        """See `Display`."""
        self._overall.skip_to(sum(self._units[:number]))
        if len(self._units) > 1:
            self._run = f"run {number + 1} of {len(self._units)}"
            self._draw_all()

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """See `Display`."""
        count = begun(stage, total, finished)
        self._begin(stage, count)
        self._overall.skip_to(self._overall.done + finished)

        def advance(done: int, failed: int) -> None:
            count.add(done, failed)
            self._overall.add(done, 0)
            self._draw(self._now, count)
            self._draw_all(anew=False)
            if count.is_complete():
                self.end()

        if count.is_complete():
            self.end()
        return advance

    def end(self) -> None:
        """End the stage: what it did stays on the screen as a line."""
        if self._now is not None:
            self._progress.remove_task(self._now)
            self._now = None
        if self._stage:
            (stage, count), self._stage = self._stage, None
            # Else the line would stand above the bar as it was drawn last.
            self._progress.refresh()
            tell(one_line(count.line(stage)))

    def _begin(self, description: str, count: Count | None) -> None:
        self.end()
        self._stage = (description, count) if count else None
        self._now = self._progress.add_task(one_line(description), total=None, details="")
        if count:
            self._draw(self._now, count)
        self._draw_all()

    def _draw_all(self, *, anew: bool = True) -> None:
        """Draw the bar of all runs; made `anew`, it stands below the others."""
        if anew and self._all is not None:
            self._progress.remove_task(self._all)
            self._all = None
        if anew and self._run:
            self._all = self._progress.add_task(self._run, total=None, details="")
        self._draw(self._all, self._overall, of_all=True)

    def _draw(self, task: TaskID | None, count: Count, *, of_all: bool = False) -> None:
        if task is None:
            return
        left = f"{count.left()} of all" if of_all and count.left() else count.left()
        parts = [left] if of_all else [count.images(), count.rate(), left, count.failures()]
        details = ", ".join(filter(None, parts))
        self._progress.update(task, total=max(1, count.total), completed=count.done, details=details)

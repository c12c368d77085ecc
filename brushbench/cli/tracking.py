"""`--log-to`: log runs to trackers of experiments, beside the work and without any effect on it.

Each tracker has a thread that makes its calls one after another. A call that fails ends the logging to this tracker
with one warning; one that hangs is given up at the end.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, final

from brushbench.cli.screen import tell
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import one_line
from brushbench.core.notes import apart
from brushbench.core.progress import Advance, ProgressCallback
from brushbench.core.registry import by_name

if TYPE_CHECKING:
    from brushbench.cli.trackers import TrackedRun, Tracker
    from brushbench.runs.folder import Run

MEANS = "brushbench.reports.run_means:run_means"
SHEET = "brushbench.reports.contact_sheet:NAME"
SECONDS_BETWEEN = 10.0
"""Time between two reports of progress."""
PARTING_SECONDS, INTERRUPTED_SECONDS = 20.0, 5.0
"""Time that trackers have to take what is left at the end, and after an interruption."""
Call = Callable[["Tracker", "dict[Path, TrackedRun]"], None]


@final
class _Lane:
    """The thread of one tracker."""

    def __init__(self, name: str, tracker: "Tracker") -> None:
        self._name = name
        self._tracker = tracker
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=f"log to {name}", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Make a call when the earlier ones are done."""
        if self._thread.is_alive():
            self._calls.put(call)

    def last(self) -> None:
        """Make no call after the present ones."""
        self._calls.put(None)

    def wait_until(self, deadline: float) -> None:
        """Wait for the remaining calls, at most until a time of the monotonic clock."""
        self._thread.join(max(0.0, deadline - monotonic()))
        if self._thread.is_alive():
            tell(f"warning: {self._name} didn't take everything in time; what it lacks is in the run folders")

    def _work(self) -> None:
        runs: dict[Path, TrackedRun] = {}
        # A warning of a client is no note of the run.
        with apart():
            while (call := self._calls.get()) is not None:
                failed = capture(call, self._tracker, runs)
                if isinstance(failed, Failure):
                    tell(one_line(f"warning: nothing more is logged to {self._name}: {failed.error}"))
                    return


@final
class Tracking:
    """The trackers of one command; without any, nothing happens."""

    def __init__(self, trackers: "Mapping[str, Tracker]") -> None:
        self._lanes = [_Lane(name, tracker) for name, tracker in trackers.items()]
        self._begun: set[Path] = set()

    def following(self, path: Path, watch: ProgressCallback) -> ProgressCallback:
        """Pass progress of the run in a folder on, and log it."""
        return _Following(self, path, watch) if self._lanes else watch

    def begin(self, path: Path) -> None:
        """Begin a run, once, as soon as its record is there."""
        if path not in self._begun and isinstance(settings := capture(_settings_of, path), dict):
            self._begun.add(path)
            name = f"{settings['data']}-{settings['split']}/{path.name}"

            def call(tracker: "Tracker", runs: "dict[Path, TrackedRun]") -> None:
                runs[path] = tracker.begin(name, settings)

            self._put(call)

    def log(self, path: Path, values: Mapping[str, int | float], step: int) -> None:
        """Log numbers of a run that has begun."""
        if path in self._begun:
            self._put(lambda _tracker, runs: runs[path].log(values, step))

    def end(self, run: "Run") -> None:
        """Log the means of a run, how many samples failed, and its contact sheet."""
        if self._lanes:
            self.begin(run.path)
            values = capture(_numbers_of, run)
            sheet = run.path / by_name(SHEET)
            self._finish(
                run.path, {} if isinstance(values, Failure) else values, sheet if sheet.exists() else None, whole=True
            )

    def close(self, seconds: float) -> None:
        """End the runs that were interrupted, and let the trackers take what is left for so many seconds."""
        for path in sorted(self._begun):
            self._finish(path, {}, None, whole=False)
        deadline = monotonic() + seconds
        for lane in self._lanes:
            lane.last()
        for lane in self._lanes:
            lane.wait_until(deadline)

    def _finish(self, path: Path, values: Mapping[str, int | float], picture: Path | None, *, whole: bool) -> None:
        if path in self._begun:
            self._begun.discard(path)
            self._put(lambda _tracker, runs: runs.pop(path).finish(values, picture, whole=whole))

    def _put(self, call: Call) -> None:
        for lane in self._lanes:
            lane.put(call)


@final
class _Following:
    """Progress of one run that is shown and logged."""

    def __init__(self, tracking: Tracking, path: Path, watch: ProgressCallback) -> None:
        self._tracking = tracking
        self._path = path
        self._watch = watch

    def __call__(self, stage: str, total: int, finished: int) -> Advance:
        """See `brushbench.core.progress.ProgressCallback`."""
        advance, kind = self._watch(stage, total, finished), stage.partition(" ")[0]
        done, failures, logged = finished, 0, monotonic()
        self._tracking.begin(self._path)

        def log(newly: int, failed: int) -> None:
            nonlocal done, failures, logged
            advance(newly, failed)
            done, failures = done + newly, failures + failed
            if done >= total or monotonic() - logged > SECONDS_BETWEEN:
                logged = monotonic()
                self._tracking.log(self._path, {f"{kind}/done": done, f"{kind}/failed": failures}, done)

        return log


@contextmanager
def tracking_to(names: str | None, output: str | Path) -> Iterator[Tracking]:
    """Log inside to these trackers, separated by commas. Raises `UserError` as `open_trackers` does.

    Trackers that keep files keep them in the output folder; if it is in an object store, in the folder `runs` here.
    """
    if names is None:
        yield Tracking({})
        return
    from brushbench.cli.trackers import open_trackers
    from brushbench.runs.config import split_names
    from brushbench.storage.places import local, url_for

    tracking = Tracking(open_trackers(split_names(names), Path("runs") if url_for(output) else local(output)))
    seconds = INTERRUPTED_SECONDS
    try:
        yield tracking
        seconds = PARTING_SECONDS
    finally:
        tracking.close(seconds)


def _settings_of(path: Path) -> dict[str, str]:
    """The parameters of a run: its fingerprint and what is hashed into it, and where it runs."""
    from brushbench.runs.folder import Run

    record = Run.open(path).record
    identity = record.identity
    plain = {
        "fingerprint": record.fingerprint,
        "data": identity.dataset.name,
        "split": identity.dataset.split,
        "data.digest": identity.dataset.digest,
        "method": identity.method.name,
        "method.version": identity.method.version,
        "seed": identity.seed,
        "dtype": identity.dtype,
        "protocol": identity.protocol,
        "batch_size": identity.batch_size,
        "compute": identity.compute,
        "requested": record.asked,
        "folder": path,
    }
    options = {f"option.{key}": value for key, value in identity.method.options.items()}
    options |= {f"data.option.{key}": value for key, value in identity.dataset.options.items()}
    return {key: str(value) for key, value in (record.provenance | plain | options).items()}


def _numbers_of(run: "Run") -> dict[str, int | float]:
    """The final numbers of a run."""
    ledger = run.ledger()
    failed = sum(entry.status == "failed" for entry in ledger.values())
    means = capture(by_name(MEANS), run)
    counts = {"done": len(ledger) - failed, "failed": failed, "missing": run.not_made()}
    return counts | ({} if isinstance(means, Failure) else means)

"""How far a run is and which processes are at work on it, from its files alone: no lock is taken, nothing is written.

Times are compared by the clock of the file system, which stamps every file of the run: a process whose last sign of
life is much older than the newest file is silent. Only if all files are old does this machine's clock decide, with
minutes of tolerance, as it may be wrong.
"""

import json
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from brushbench.core.capture import Failure, capture
from brushbench.core.files import check_file
from brushbench.core.metric_info import HOLDING
from brushbench.runs import ledger, parts
from brushbench.runs.config import Shard
from brushbench.runs.error_files import error_name
from brushbench.runs.folder import Run
from brushbench.runs.following import FollowedLedger
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.owners import Present, is_possible, present, silence
from brushbench.runs.workers import Worker, read_workers
from brushbench.storage.places import spoken

State = Literal["at work", "silent", "died", "finished", "stopped", "ended"]
WINDOW_SECONDS = 600.0
"""The last minutes, over which the rate is taken."""
MOST_RECENT = 1000
"""Number of samples whose files tell the rate."""
METRICS, STATUS = b"brushbench.metrics", ".status"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A process that worked on the run."""

    worker: Worker
    state: State
    silent_seconds: int | float = 0.0
    """Time since its last sign of life, if it is silent."""
    by_this_clock: bool = False
    """Whether only this machine's clock says that it is silent."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run is."""

    path: Path
    requested: int
    done: int
    failed: int
    missing: int
    """Number of requested samples with neither an image nor a recorded failure."""
    per_minute: int | float | None
    """Samples per minute now; None if no process is at work, or none has finished a sample yet."""
    workers: Sequence[WorkerStatus]
    """All processes, in the order in which they began."""
    seed: int = 0
    """The run's seed."""
    metrics: dict[str, int] = field(default_factory=dict)
    """The metrics with scores, each with the number of samples with a score, or a lasting reason for having none."""

    @property
    def place(self) -> str:
        """Where the run is, in words: its folder, or its URL."""
        return spoken(self.path)

    @property
    def is_complete(self) -> bool:
        """Tell whether every requested sample is done."""
        return self.done >= self.requested

    @property
    def seconds_left(self) -> float | None:
        """The time until no sample is missing, at the present rate; None if there is no rate."""
        return self.missing / self.per_minute * 60 if self.per_minute else None

    @property
    def shards(self) -> int:
        """Into how many shards the process that began last has split the run."""
        counts = [found.worker.shard.count for found in self.workers if found.worker.shard]
        return counts[-1] if counts else 1

    def never_started(self) -> list[int]:
        """The numbers of the shards that no process has begun."""
        begun = {found.worker.shard for found in self.workers}
        count = self.shards
        return [index for index in range(1, count + 1) if count > 1 and Shard(index, count) not in begun]


def status_of(folder: Path) -> RunStatus:
    """The status of the run in a folder. Raises `UserError` if its record or its ledger can't be read."""
    return Watched(folder).status()


@final
class Watched:
    """A run whose status is read again and again: each time only what was appended to its ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fingerprint = ""
        self._ledger: FollowedLedger | None = None
        self._digests: dict[str, str | None] = {}
        """The digest of each sample's image; None for a sample that failed."""
        self._recent: deque[LedgerEntry] = deque(maxlen=MOST_RECENT)

    def status(self) -> RunStatus:
        """The status now. Raises `UserError` if the record or the ledger can't be read."""
        run = Run.open(self._folder)
        self._read(run)
        failed = sum(digest is None for digest in self._digests.values())
        here = present(self._folder)
        newest = _newest(run, here)
        workers = _workers(read_workers(self._folder), here, newest)
        working = {one.worker.driver or (one.worker.host, one.worker.pid) for one in workers if one.state == "at work"}
        starts = [one.began for one in here if (one.owner.host, one.owner.pid) in working]
        return RunStatus(
            path=self._folder,
            requested=run.record.asked,
            done=len(self._digests) - failed,
            failed=failed,
            missing=max(0, run.record.asked - len(self._digests)),
            per_minute=_per_minute(run, self._recent, min(starts), newest) if starts else None,
            workers=workers,
            seed=run.record.identity.seed,
            metrics=_metrics(run, self._digests),
        )

    def _read(self, run: Run) -> None:
        if self._ledger is None or self._fingerprint != run.record.fingerprint:
            self._ledger = FollowedLedger(run.ledger_path(), run.record.fingerprint)
            self._fingerprint = run.record.fingerprint
            self._forget()
        anew, entries = self._appended(run)
        if anew:
            self._forget()
        # Entries take much more memory than what is counted of them.
        for entry in entries:
            self._digests[entry.id] = (entry.sha256 or "") if entry.status == "done" else None
            self._recent.append(entry)

    def _appended(self, run: Run) -> tuple[bool, Iterable[LedgerEntry]]:
        """Whether the entries are all there are, and those to read; of a ledger in parts, that is always all."""
        assert self._ledger is not None
        if parts.is_in_parts(self._folder, ledger.NAME):
            return True, ledger.all_entries(self._folder, run.record.fingerprint)
        return self._ledger.appended()

    def _forget(self) -> None:
        self._digests.clear()
        self._recent.clear()


def _newest(run: Run, here: Sequence[Present]) -> float:
    """The time of the file of the run that was written last, by the file system's clock."""
    names = ("samples", "workers")
    files = [*(file for name in names for file in parts.files(run.path, name)), run.path / "run.json"]
    return max([*(one.beat for one in here), *(time for file in files if (time := _time_of(file)) is not None)])


def _time_of(file: Path) -> float | None:
    """When a file was written; None if it doesn't exist."""
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _workers(said: Sequence[Worker], here: Sequence[Present], newest: float) -> list[WorkerStatus]:
    """The status of each process, by its lines and by its entry among those at work."""
    # A number is used again by later processes; only the last one can be at work.
    last = {(worker.host, worker.pid): place for place, worker in enumerate(said) if worker.ended is None}
    entered = {last.get((one.owner.host, one.owner.pid)): one for one in here}
    # A cluster's worker is at work as long as the process is that gives it its work, and says when it is lost.
    drivers = {(one.owner.host, one.owner.pid): one for one in here}
    entries = [drivers.get(one.driver) if one.driver else entered.get(place) for place, one in enumerate(said)]
    found = [_with_entry(worker, entry, newest) for worker, entry in zip(said, entries, strict=True)]
    # A process says which shard it has only after it has entered itself.
    known = {*last, *(worker.driver for worker in said)}
    new = [one for one in here if (one.owner.host, one.owner.pid) not in known]
    return [*found, *(_present(Worker(one.owner.host, one.owner.pid, one.owner.since), one, newest) for one in new)]


def _with_entry(worker: Worker, entry: Present | None, newest: float) -> WorkerStatus:
    if worker.ended is not None:
        state: State = "ended" if worker.finished is None else "finished" if worker.finished else "stopped"
        return WorkerStatus(worker, state)
    return _present(worker, entry, newest) if entry else WorkerStatus(worker, "died")


def _present(worker: Worker, entry: Present, newest: float) -> WorkerStatus:
    """The status of a process that has entered itself and has not said that it has ended."""
    if not is_possible(entry):
        return WorkerStatus(worker, "died")
    seconds, by_this_clock = silence(entry, newest, time.time())
    return WorkerStatus(worker, "silent", seconds, by_this_clock) if seconds else WorkerStatus(worker, "at work")


def _per_minute(run: Run, recent: Sequence[LedgerEntry], began: float, newest: float) -> float | None:
    """Samples per minute, from the times of the files of those that ended last."""
    times = sorted(time for entry in recent if (time := _stored_at(run, entry)) is not None)
    now = max([newest, *times[-1:]])
    first = max(now - WINDOW_SECONDS, began)
    if len(recent) == MOST_RECENT and times:
        first = max(first, times[0])
    count = sum(time > first for time in times)
    return count / (now - first) * 60 if count and now > first else None


def _stored_at(run: Run, entry: LedgerEntry) -> float | None:
    """When a sample's image was stored, or else why it failed; None if there is no file."""
    if entry.status == "done":
        return run.images.time_of(run.images.path_of(entry.id, entry.image).name)
    return _time_of(run.error_path(error_name(entry.id)))


def _metrics(run: Run, digests: Mapping[str, str | None]) -> dict[str, int]:
    """The number of samples that each metric has scored as they are now; empty if there are no readable scores."""
    found = capture(_scored, run.scores_path(), digests) if run.scores_path().exists() else {}
    return {} if isinstance(found, Failure) else found


def _scored(file: Path, digests: Mapping[str, str | None]) -> dict[str, int]:
    # Not by `read_scores`, which loads pandas and reads every image to see whether it has changed.
    import pyarrow.parquet as pq

    check_file(file)
    stored = pq.ParquetFile(file)
    metrics = list(json.loads(stored.schema_arrow.metadata[METRICS]))
    counts = dict.fromkeys(metrics, 0)
    columns = ["id", "sha256", *(f"{metric}{STATUS}" for metric in metrics)]
    for number in range(stored.num_row_groups):
        group = stored.read_row_group(number, columns, use_threads=False)
        scored = zip(group["id"].to_pylist(), group["sha256"].to_pylist(), strict=True)
        holds = [digest is not None and digests.get(name) == digest for name, digest in scored]
        for metric in metrics:
            statuses = group[f"{metric}{STATUS}"].to_pylist()
            counts[metric] += sum(
                same and (status or "") in HOLDING for same, status in zip(holds, statuses, strict=True)
            )
    return counts

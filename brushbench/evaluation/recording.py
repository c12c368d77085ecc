"""Record in a run folder how its samples ended."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import final

from brushbench.core.capture import Failure
from brushbench.runs.error_files import error_name
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sample ended: a line for the ledger, and what belongs to it."""

    entry: LedgerEntry
    """Without the digest of its image."""
    digest: Future[str] | None
    """The digest of the image, once it is on the disk; None if the sample failed."""
    failure: Failure | None = None


@final
class Recorder:
    """Writes the ledger of a run, batch by batch, once all images of a batch are on the disk."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._ledger = run.ledger()
        self.failures: dict[str, Failure] = {}
        """Why samples failed, by id."""
        self.stored = 0
        """Number of images added to the run."""

    def commit(self, batch: Sequence[Ended]) -> list[LedgerEntry]:
        """Record a batch, and return its lines."""
        entries: list[LedgerEntry] = []
        try:
            for ended in batch:
                entry = ended.entry
                if ended.digest is not None:
                    entry = entry.model_copy(update={"sha256": ended.digest.result()})
                self._explain(entry, ended.failure)
                entries.append(entry)
        finally:
            # Record the images before one that could not be written: they are on the disk.
            self._append(entries)
        return entries

    def _explain(self, entry: LedgerEntry, failure: Failure | None) -> None:
        """Store why a sample failed; if it succeeded, remove the explanation of an earlier failure."""
        if failure is not None:
            self.failures[entry.id] = failure
            self._run.write_error(error_name(entry.id), f"{entry.id}: {failure.error}\n\n{failure.traceback}")
        elif entry.id in self._ledger:
            self._run.remove_error(error_name(entry.id))

    def _append(self, entries: Sequence[LedgerEntry]) -> None:
        # A sample that fails again with the same error needs no second line.
        news = [entry for entry in entries if entry.status == "done" or not self._is_known(entry)]
        self._run.append(*news)
        self.stored += sum(entry.status == "done" for entry in news)

    def _is_known(self, entry: LedgerEntry) -> bool:
        return entry.same_outcome(self._ledger.get(entry.id))

"""Name the failed samples of runs, each with the file that has its traceback."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import one_line
from brushbench.core.files import read_text
from brushbench.runs.error_files import error_name
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.storage.places import spoken

SHOWN = 10
"""Most failures named for each run."""


def failure_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a heading, then the failures of each run by file; nothing if there are none or no ledger can be read."""
    told = False
    for run in runs:
        failed = _failed(run)
        if failed and not told:
            yield "Failures: samples without an image, each with the file that says why."
        told = told or bool(failed)
        for entry in failed[:SHOWN]:
            yield f"  {one_line(f'{spoken(error_file(run, entry.id))}: {entry.error}', 1000)}"
        if len(failed) > SHOWN:
            yield f"  {one_line(f'{run.place}/errors', 1000)}: and {len(failed) - SHOWN} more"


def _failed(run: Run) -> list[LedgerEntry]:
    """Return the entries of failed samples; none if the ledger can't be read."""
    # Most runs have none, and statuses take a tenth of the memory of entries.
    statuses = capture(run.statuses)
    if isinstance(statuses, Failure) or "failed" not in statuses.values():
        return []
    ledger = capture(run.ledger)
    return [] if isinstance(ledger, Failure) else [one for one in ledger.values() if one.status == "failed"]


def error_file(run: Run, sample: str) -> Path:
    """The file with the traceback of a failed sample; the ledger if the run has no such file."""
    file = run.error_path(error_name(sample))
    return file if file.is_file() else run.ledger_path()


def stored_error(run: Run, sample: str) -> str:
    """The id and the reason of a failed sample, an empty line, and the traceback; empty if none can be read."""
    file = run.error_path(error_name(sample))
    text = capture(read_text, file) if file.is_file() else ""
    return "" if isinstance(text, Failure) else text

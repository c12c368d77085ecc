"""Say which samples of which runs failed, with the first reason of each kind."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from brushbench.core.errors import one_line

if TYPE_CHECKING:
    from brushbench.runs.folder import Run
    from brushbench.runs.ledger import LedgerEntry

MOST_KINDS = 5
"""Most kinds of failures that are printed for each run."""
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)?")
"""What differs between the messages of one kind: quoted texts and numbers."""


def failure_summary(runs: "Sequence[Run]") -> Iterator[str]:
    """Yield a line for each kind of failure of each run, then where the tracebacks are; nothing without failures."""
    failed = False
    for run in runs:
        kinds: dict[str, list[LedgerEntry]] = {}
        for entry in run.ledger().values():
            if entry.status == "failed":
                kinds.setdefault(_kind_of(entry), []).append(entry)
        failed = failed or bool(kinds)
        for first, *others in list(kinds.values())[:MOST_KINDS]:
            more = f" (and {len(others)} more like it)" if others else ""
            yield one_line(f"failed: {first.id} in {run.place}: {first.error}", 500) + more
        if len(kinds) > MOST_KINDS:
            yield one_line(f"failed: {len(kinds) - MOST_KINDS} more kinds of failures in {run.place}")
    if failed:
        yield "tracebacks: in the folder errors/ of each run, or with `brushbench show RUN ID`"


def _kind_of(entry: "LedgerEntry") -> str:
    """The message of a failure without what differs from sample to sample."""
    return _VARYING.sub("#", (entry.error or "").replace(entry.id, "#"))

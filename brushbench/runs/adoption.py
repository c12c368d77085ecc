"""Adopt images whose ledger lines are lost, if their digests are stored elsewhere in the run folder."""

from brushbench.core.errors import UserError, one_line
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.scores import stored_digests
from brushbench.storage.places import spoken


def adopt(run: Run) -> int:
    """Add lost lines to the ledger and return their number. The digests come from images.sha256 and scores.parquet."""
    found = [
        LedgerEntry(id=_id_of(name), status="done", image=name, sha256=digest)
        for name, digest in _without_line(run).items()
        if run.images.digest_of(name) == digest
    ]
    run.append(*found)
    return len(found)


def check_ledger(run: Run) -> None:
    """Raise `UserError` if samples.jsonl lacks samples that the run had, as their scores would be lost."""
    lost = _without_line(run)
    if lost:
        raise UserError(
            one_line(
                f"{spoken(run.ledger_path())} is missing or damaged: it lacks {len(lost)} finished samples, for "
                f"example {_id_of(min(lost))}; rerun the command that made the run, which keeps the existing images"
            )
        )


def _without_line(run: Run) -> dict[str, str]:
    """The digests of images that aren't in the ledger, by file name."""
    known = run.ledger()
    scores = stored_digests(run)
    suffixes = {_id_of(name): name for name in run.images.names()} if scores else {}
    scored = {suffixes.get(name, f"{name}.png"): digest for name, digest in scores.items()}
    return {name: digest for name, digest in (scored | run.images.sums()).items() if _id_of(name) not in known}


def _id_of(name: str) -> str:
    return name.rpartition(".")[0]

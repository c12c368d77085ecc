"""Start a run in a folder or a store, or resume the one that is there."""

import os
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from brushbench.core.errors import UserError, doing, one_line
from brushbench.core.files import refuse_links
from brushbench.runs import ledger, owners
from brushbench.runs.folder import FOLDERS, REMEDY, Run
from brushbench.runs.record import NAME, RunRecord, differences, read_record
from brushbench.runs.run_files import RunFiles
from brushbench.storage.places import local, spoken


def start_run(place: str | os.PathLike[str], record: RunRecord, *, claim: bool) -> Run:
    """See `Run.start`."""
    path = local(place)
    with doing("making the run folder", path):
        path.mkdir(parents=True, exist_ok=True)
    files = RunFiles(path)
    files.refresh()
    refuse_links(path, FOLDERS)
    with FileLock(path / ".lock"), ExitStack() as stack:
        own = None
        if claim and files.mirror:
            # Another machine sees no lock: whoever finds the record there must find the claim on it, too.
            owners.remove_dead(path, files.mirror)
            own = owners.Claim(path, record.fingerprint)
            stack.callback(own.release)
        record = _settled(files, record, own)
        run = Run(path, record, own or (owners.Claim(path, record.fingerprint) if claim else None))
        run.images.folder.mkdir(exist_ok=True)
        ledger.mend(run.ledger_path())
        stack.pop_all()
        return run


def has_run(path: Path) -> bool:
    """Tell whether there is a run in a folder, or in the store that it stands for."""
    RunFiles(path).refresh()
    return (path / NAME).exists()


def check_nobody_at_work(files: RunFiles, but: owners.Claim | None = None) -> None:
    """Raise `UserError` if a process, except `but`'s, is making the run in a folder. The caller holds the lock."""
    for owner in files.at_work(but):
        told = f"{spoken(files.folder)} is in use by another run: {owner.text}. Use another --output, or wait"
        raise UserError(one_line(told))


def _settled(files: RunFiles, record: RunRecord, own: owners.Claim | None) -> RunRecord:
    """Write the record, if nothing in the folder speaks against it; returns it as it continues the run there."""
    path = files.folder
    if (path / NAME).exists():
        there = Run(path, read_record(path))
        if not there.record.is_continued_by(record):
            check_nobody_at_work(files, own)
        continued = _continued(there, record)
        if continued.fingerprint != there.record.fingerprint:
            _give_up(there, files)
        if not files.mirror or continued != there.record:
            files.write(NAME, continued.as_json())
        return continued
    if files.is_foreign():
        raise UserError(one_line(f"{spoken(path)} is not empty but contains no run; use another --output"))
    if files.write_first(NAME, record.as_json()):
        return record
    files.refresh()
    return _settled(files, record, own)


def _continued(there: Run, asked: RunRecord) -> RunRecord:
    """The record to continue with: that of the run there, or the requested one if it is another run without images."""
    stored = there.record
    if stored.is_continued_by(asked):
        role = asked.role or stored.role
        return stored.model_copy(update={"asked": max(stored.asked, asked.asked), "role": role})
    # If the ledger is lost, the digests and the scores still show that images were made.
    entries = there.ledger()
    lost = not entries and there.scores_path().exists()
    if any(entry.status == "done" for entry in entries.values()) or there.images.sums() or lost:
        changed = "; ".join(differences(stored.identity, asked.identity, there.begun()))
        raise UserError(one_line(f"{there.place} already contains another run: {changed}. {REMEDY}", 2000))
    return asked


def _give_up(there: Run, files: RunFiles) -> None:
    """Remove the files of a run without images."""
    names = [path.name for path in (there.ledger_path(), there.images.sums_path, there.scores_path())]
    files.remove(*names, *(f"{ledger.NAME}/{file.name}" for file in (there.path / ledger.NAME).glob("*")))

"""The run folder: the request, every image, every score. It is append-only, atomic and resumable.

    run.json        RunRecord: identity, fingerprint, provenance
    samples.jsonl   the ledger: a LedgerEntry per finished sample; an id's last line counts, and only this run's lines
    images/<id>.png one image per finished sample (.jpg under the paper protocol)
    images.sha256   the images' digests, as `sha256sum --check` reads them
    errors/<id>.txt why a sample failed, with Python's traceback; removed when the sample succeeds
    workers.jsonl   the processes that made the run: when, where, by which command
    scores.parquet  one row per sample, one column per metric
    contact_sheet.png   a picture of some samples
    .lock, .scores.lock   held while the ledger or the scores are written, so that shards can share a folder
    .owners/        the processes that are at work

A file gets its name only when it is complete and on the disk, and a batch's ledger lines are written after all of its
images. A run that is killed at any moment and resumed therefore ends with the same bytes as an uninterrupted run.
"""

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import final

from filelock import FileLock
from pydantic import ValidationError

from brushbench.core import atomic
from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import one_by_one
from brushbench.core.errors import UserError, doing, one_line
from brushbench.core.files import read_bytes, refuse_links
from brushbench.core.method_info import Role
from brushbench.core.notebook import html_of
from brushbench.core.notes import hearing
from brushbench.runs import ledger, owners
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import Identity, RunRecord, differences
from brushbench.runs.stored_images import StoredImages

FOLDERS = ("images", "errors", ".partial", ".owners")
"""The folders in a run folder."""
REMEDY = "Use another --output, or --fresh to start over"


@final
class Run:
    """An existing run folder."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record
        self.images = StoredImages(path)
        self._lock = FileLock(path / ".lock")
        self._heard: list[str] = []
        self._claim: owners.Claim | None = None
        self._seen: tuple[int, int] | None = None
        """Inode and time of the run.json that was last found to belong to this run."""

    @classmethod
    def start(
        cls,
        path: Path,
        identity: Identity,
        asked: int,
        provenance: Mapping[str, str],
        role: Role | None = None,
        *,
        claim: bool = False,
    ) -> "Run":
        """Create the run folder, or resume the run in it.

        With `claim`, other processes see that this one is at work, until `release`. Raises `UserError` if the folder
        has images of a run with another fingerprint, with the differences, or if a process is at work on another run.
        """
        with doing("making the run folder", path):
            path.mkdir(parents=True, exist_ok=True)
        refuse_links(path, FOLDERS)
        record = RunRecord(
            fingerprint=identity.fingerprint(),
            identity=identity,
            asked=asked,
            provenance=dict(provenance),
            role=role,
        )
        with FileLock(path / ".lock"):
            if (path / "run.json").exists():
                there = cls.open(path)
                if not there.record.is_continued_by(record):
                    check_nobody_at_work(path)
                record = there._continued(record)
                there._give_up_unless(record)
            elif any(not child.name.startswith(".") for child in path.iterdir()):
                raise UserError(one_line(f"{path} is not empty but contains no run; use another --output"))
            run = cls(path, record)
            run._write_record(record)
            run.images.folder.mkdir(exist_ok=True)
            ledger.mend(run.ledger_path())
            run._claim = owners.Claim(path, record.fingerprint) if claim else None
            return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open a run. Raises `UserError` if the folder has no run, or one that this version can't read."""
        folder = Path(path)
        refuse_links(folder, FOLDERS)
        if not os.path.lexists(folder / "run.json"):
            raise UserError(one_line(f"{folder} is not a run folder: it has no run.json"))
        try:
            record = RunRecord.model_validate_json(read_bytes(folder / "run.json"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(one_line(f"{folder / 'run.json'}: {where}: {first['msg']}")) from error
        if record.fingerprint != record.identity.fingerprint():
            raise UserError(
                one_line(
                    f"{folder / 'run.json'} was changed by hand: its fingerprint doesn't match; restore the file, or "
                    "generate the run again"
                )
            )
        return cls(folder, record)

    def __fspath__(self) -> str:
        return str(self.path)

    def not_made(self) -> int:
        """The number of requested samples that have neither an image nor a recorded failure."""
        return max(0, self.record.asked - len(self.statuses()))

    def others_at_work(self) -> list[owners.Owner]:
        """The other processes that are making images of this run."""
        with self._lock:
            return list(owners.live(self.path, self._claim))

    @property
    def claim(self) -> str | None:
        """The name of this process's claim on the run; None if it has made none."""
        return self._claim.name if self._claim else None

    def release(self) -> None:
        """Remove this process's claim on the run."""
        if self._claim is not None:
            # Another process may be about to make its claim.
            with self._lock:
                self._claim.release()
            self._claim = None

    def append_line(self, name: str, line: str) -> None:
        """Append a line to a file of the run; it is on the disk when this returns."""
        with self._lock:
            _append(self.path / name, [line])

    def ledger_path(self) -> Path:
        """The path of samples.jsonl, which may not exist."""
        return self.path / "samples.jsonl"

    def __repr__(self) -> str:
        identity = self.record.identity
        where = f"{identity.method.name} on {identity.dataset.name}/{identity.dataset.split}"
        return one_line(f"<Run of {where}, {self._state()}, {identity.protocol}, in {str(self.path)!r}>", 1000)

    def _repr_html_(self) -> str:
        """The run as an HTML table, for notebooks."""
        identity = self.record.identity
        options = " ".join(f"{name}={value}" for name, value in identity.method.options.items())
        facts = {
            "data": f"{identity.dataset.name}, {identity.dataset.split}",
            "samples": self._state(),
            "options": options,
            "protocol": identity.protocol,
            "seed": str(identity.seed),
            "device": ", ".join(filter(None, [self.record.provenance.get("device"), identity.dtype])),
            "folder": str(self.path),
            "notes": "; ".join(self.record.notes),
        }
        title = f"Run of {identity.method.name}"
        return html_of(title, {name: one_line(fact, 1000) for name, fact in facts.items() if fact})

    def ledger(self) -> dict[str, LedgerEntry]:
        """The last entry for each id. Raises `UserError` for a damaged line."""
        return {entry.id: entry for entry in ledger.entries(self.ledger_path(), self.record.fingerprint)}

    def statuses(self) -> dict[str, str]:
        """The last status for each id; takes less memory than the entries. Raises `UserError` as `ledger` does."""
        return {entry.id: entry.status for entry in ledger.entries(self.ledger_path(), self.record.fingerprint)}

    def entries_of(self, names: Container[str]) -> dict[str, LedgerEntry]:
        """The last entries of some samples; few take little memory. Raises `UserError` as `ledger` does."""
        lines = ledger.entries(self.ledger_path(), self.record.fingerprint)
        return {entry.id: entry for entry in lines if entry.id in names}

    def intact(self, names: Container[str] | None = None) -> dict[str, LedgerEntry]:
        """The entries that are done and whose image hasn't changed since it was stored; of all samples, or of some."""
        entries = self.ledger()
        return {
            name: entry
            for name, entry in entries.items()
            if (names is None or name in names) and self._is_intact(entry)
        }

    def changed_images(self) -> dict[str, str]:
        """The finished samples whose image was changed or deleted after it was stored, each with what happened.

        Empty if the whole folder images/ is gone, which counts as removed on purpose.
        """
        if not self.images.folder.is_dir():
            return {}
        # Entries take much more memory than what is compared.
        last = {
            entry.id: (entry.image, entry.sha256) if entry.status == "done" else None
            for entry in ledger.entries(self.ledger_path(), self.record.fingerprint)
        }
        images = {name: (self.images.path_of(name, found[0]).name, found[1]) for name, found in last.items() if found}
        damages = one_by_one(lambda name: self.images.damage(*images[name]), images)
        return {name: damage for name, damage in zip(images, damages, strict=True) if damage}

    def write_image(self, name: str, content: bytes) -> str:
        """Store an image atomically and return its SHA-256."""
        self._check_still_ours()
        return self.images.write(name, content)

    def error_path(self, name: str) -> Path:
        """The file that says why a sample failed; `name` is its id, or replaces an id that can't be a file name."""
        return self.path / "errors" / f"{name}.txt"

    def write_error(self, name: str, text: str) -> None:
        """Store atomically why a sample failed."""
        path = self.error_path(name)
        path.parent.mkdir(exist_ok=True)
        atomic.write(path, text.encode(errors="replace"))

    def append(self, *entries: LedgerEntry) -> None:
        """Append lines to the ledger, whose images must already be stored. All are on the disk when this returns.

        The disk is synced once, however many lines are given. Raises `UserError` if the folder now contains another
        run.
        """
        if not entries:
            return
        self.add_notes(self._heard)
        ours = {"fingerprint": self.record.fingerprint}
        lines = [entry.model_copy(update=ours).model_dump_json(exclude_none=True) for entry in entries]
        sums = [f"{entry.sha256}  images/{entry.image}" for entry in entries if entry.image and entry.sha256]
        with self._lock:
            self._check_still_ours()
            _append(self.images.sums_path, sums)
            _append(self.ledger_path(), lines)

    def image_path(self, entry: LedgerEntry) -> Path:
        """The path of a finished sample's image. Raises `UserError` if the entry has no image."""
        return self.images.path_of(entry.id, entry.image)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Add notes made inside and the warnings of libraries to the record, whenever ledger lines are written."""
        with hearing() as self._heard:
            try:
                yield
            finally:
                self.add_notes(self._heard)

    def add_notes(self, notes: Iterable[str]) -> None:
        """Add new notes to the record, and keep those that other processes have added. The identity doesn't change."""
        if set(notes) <= set(self.record.notes):
            return
        with self._lock:
            now = Run.open(self.path).record
            self.record = now.model_copy(update={"notes": tuple(dict.fromkeys([*now.notes, *notes]))})
            self._write_record(self.record)

    def scoring(self) -> FileLock:
        """The lock to hold while scores are read, extended and written back. It doesn't lock the ledger."""
        return FileLock(self.path / ".scores.lock")

    def scores_path(self) -> Path:
        """The path of scores.parquet, which may not exist."""
        return self.path / "scores.parquet"

    def write_scores(self, content: bytes) -> None:
        """Replace scores.parquet atomically."""
        atomic.write(self.scores_path(), content)

    def write_file(self, name: str, content: bytes) -> Path:
        """Store a file about the run atomically and return its path; several shards may do so at the same time."""
        with self._lock:
            atomic.write(self.path / name, content)
        return self.path / name

    def tidy(self) -> None:
        """Remove leftovers of interrupted writes unless another process is at work; call this after the run."""
        with self._lock:
            if list(owners.live(self.path, self._claim)):
                return
            partial = self.path / ".partial"
            for leftover in (*partial.glob("*"), *self.path.glob(".*.partial")):
                leftover.unlink(missing_ok=True)
            if partial.exists():
                partial.rmdir()

    def _state(self) -> str:
        """The progress in words, even if the ledger can't be read."""
        ledger = capture(self.ledger)
        if isinstance(ledger, Failure):
            return "with a damaged ledger"
        failed = sum(entry.status == "failed" for entry in ledger.values())
        return f"{len(ledger) - failed} of {self.record.asked} done" + (f", {failed} failed" if failed else "")

    def _is_intact(self, entry: LedgerEntry) -> bool:
        if entry.status != "done":
            return False
        return not self.images.damage(self.image_path(entry).name, entry.sha256)

    def _write_record(self, record: RunRecord) -> None:
        atomic.write(self.path / "run.json", (record.model_dump_json(indent=2) + "\n").encode())

    def _continued(self, asked: RunRecord) -> RunRecord:
        """The record to continue with: this run's, or the requested one if this is another run without any image."""
        if self.record.is_continued_by(asked):
            role = asked.role or self.record.role
            return self.record.model_copy(update={"asked": max(self.record.asked, asked.asked), "role": role})
        # If the ledger is lost, the digests and the scores still show that images were made.
        entries = self.ledger()
        lost = not entries and self.scores_path().exists()
        if any(entry.status == "done" for entry in entries.values()) or self.images.sums() or lost:
            changed = "; ".join(differences(self.record.identity, asked.identity, self.begun()))
            raise UserError(one_line(f"{self.path} already contains another run: {changed}. {REMEDY}", 2000))
        return asked

    def _give_up_unless(self, record: RunRecord) -> None:
        """Remove the files of this run, which has no image, if the record belongs to another run."""
        if record.fingerprint != self.record.fingerprint:
            for file in (self.ledger_path(), self.images.sums_path, self.scores_path()):
                file.unlink(missing_ok=True)

    def begun(self) -> datetime:
        """When the run was started, or for older runs, which don't record it, when run.json was last written."""
        begun = self.record.provenance.get("begun")
        try:
            return datetime.fromisoformat(str(begun))
        except ValueError:
            return datetime.fromtimestamp((self.path / "run.json").stat().st_mtime).astimezone()

    def _check_still_ours(self) -> None:
        """Raise `UserError` if run.json now belongs to another run."""
        found = (self.path / "run.json").stat()
        if self._seen == (found.st_ino, found.st_mtime_ns):
            return
        now = Run.open(self.path).record
        if now.fingerprint != self.record.fingerprint:
            raise UserError(
                one_line(f"{self.path} now contains another run, which was started in the meantime. {REMEDY}")
            )
        self._seen = found.st_ino, found.st_mtime_ns


def check_nobody_at_work(path: Path) -> None:
    """Raise `UserError` if a process is making the run in this folder. The caller holds the lock."""
    for owner in owners.live(path):
        raise UserError(one_line(f"{path} is in use by another run: {owner.text}. Use another --output, or wait"))


def _append(file: Path, lines: Sequence[str]) -> None:
    if not lines:
        return
    with doing("writing", file), file.open("ab") as opened:
        opened.write("".join(f"{line}\n" for line in lines).encode())
        opened.flush()
        os.fsync(opened.fileno())

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

In an object store, which can't append, samples.jsonl, workers.jsonl and the notes are in parts: see
`brushbench.runs.parts`.

A file gets its name only when it is complete and on the disk, and a batch's ledger lines are written after all of its
images. A run that is killed at any moment and resumed therefore ends with the same bytes as an uninterrupted run.
"""

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import final

from filelock import FileLock

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import one_by_one
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import refuse_links
from brushbench.core.method_info import Role
from brushbench.core.notebook import html_of
from brushbench.core.notes import hearing
from brushbench.runs import ledger, owners, parts
from brushbench.runs.lease import leased
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import NAME, NOTES, Identity, RunRecord, note_line, read_record
from brushbench.runs.run_files import RunFiles, append
from brushbench.runs.stored_images import StoredImages
from brushbench.storage.places import local, spoken

FOLDERS = ("images", "errors", "features", ".partial", ".owners", *parts.FOLDERS)
"""The folders in a run folder."""
REMEDY = "Use another --output, or --fresh to start over"


@final
class Run:
    """An existing run folder."""

    def __init__(self, path: Path, record: RunRecord, claim: owners.Claim | None = None) -> None:
        """`claim` is this process's claim on the run, if it has made one."""
        self.path = path
        self.record = record
        self.images = StoredImages(path)
        self._files = RunFiles(path)
        self._lock = FileLock(path / ".lock")
        self._heard: list[str] = []
        self._claim = claim
        self._seen: tuple[int, int] | None = None
        """Inode and time of the run.json that was last found to belong to this run."""

    @classmethod
    def start(
        cls,
        path: str | os.PathLike[str],
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
        from brushbench.runs.starting import start_run

        record = RunRecord(
            fingerprint=identity.fingerprint(),
            identity=identity,
            asked=asked,
            provenance=dict(provenance),
            role=role,
        )
        return start_run(path, record, claim=claim)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open a run. Raises `UserError` if the folder has no run, or one that this version can't read."""
        folder = local(path)
        RunFiles(folder).refresh()
        refuse_links(folder, FOLDERS)
        return cls(folder, read_record(folder))

    @property
    def place(self) -> str:
        """Where the run is, in words: its folder, or its URL."""
        return spoken(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def not_made(self) -> int:
        """The number of requested samples that have neither an image nor a recorded failure."""
        return max(0, self.record.asked - len(self.statuses()))

    def others_at_work(self) -> list[owners.Owner]:
        """The other processes that are making images of this run."""
        with self._lock:
            self._files.refresh()
            return self._files.at_work(self._claim)

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
            self._files.add(name.removesuffix(parts.SUFFIX), [line])

    def ledger_path(self) -> Path:
        """The path of samples.jsonl, which may not exist."""
        return self.path / "samples.jsonl"

    def __repr__(self) -> str:
        identity = self.record.identity
        where = f"{identity.method.name} on {identity.dataset.name}/{identity.dataset.split}"
        return one_line(f"<Run of {where}, {self._state()}, {identity.protocol}, in {self.place!r}>", 1000)

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
            "folder": self.place,
            "notes": "; ".join(self.record.notes),
        }
        title = f"Run of {identity.method.name}"
        return html_of(title, {name: one_line(fact, 1000) for name, fact in facts.items() if fact})

    def ledger(self) -> dict[str, LedgerEntry]:
        """The last entry for each id. Raises `UserError` for a damaged line."""
        return {entry.id: entry for entry in ledger.all_entries(self.path, self.record.fingerprint)}

    def statuses(self) -> dict[str, str]:
        """The last status for each id; takes less memory than the entries. Raises `UserError` as `ledger` does."""
        return {entry.id: entry.status for entry in ledger.all_entries(self.path, self.record.fingerprint)}

    def entries_of(self, names: Container[str]) -> dict[str, LedgerEntry]:
        """The last entries of some samples; few take little memory. Raises `UserError` as `ledger` does."""
        lines = ledger.all_entries(self.path, self.record.fingerprint)
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
        if not self.images.exist():
            return {}
        # Entries take much more memory than what is compared.
        last = {
            entry.id: (entry.image, entry.sha256) if entry.status == "done" else None
            for entry in ledger.all_entries(self.path, self.record.fingerprint)
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
        self.error_path(name).parent.mkdir(exist_ok=True)
        self._files.write(f"errors/{name}.txt", text.encode(errors="replace"))

    def remove_error(self, name: str) -> None:
        """Remove the explanation of a failure, which may not exist."""
        self._files.remove(f"errors/{name}.txt")

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
            if mirror := self._files.mirror:
                mirror.reread(NAME)
            self._check_still_ours()
            if not mirror:
                append(self.images.sums_path, sums)
            self._files.add(ledger.NAME, lines, self.images.md5_lines(entry.sha256 or "" for entry in entries))

    def image_path(self, entry: LedgerEntry) -> Path:
        """The path of a finished sample's image, read from its store. Raises `UserError` if the entry has no image."""
        path = self.images.path_of(entry.id, entry.image)
        self.images.fetch([path.name])
        return path

    def fetch_images(self, names: Iterable[str] | None = None) -> None:
        """Read the images of samples, or of all, from an object store at once, rather than each when it is needed."""
        if self._files.mirror:
            entries = self.ledger()
            wanted = (entries.get(name) for name in names) if names is not None else entries.values()
            self.images.fetch([entry.image for entry in wanted if entry and entry.image])

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
            now = read_record(self.path)
            new = [note for note in dict.fromkeys(notes) if note not in now.notes]
            self.record = now.model_copy(update={"notes": (*now.notes, *new)})
            if not self._files.mirror:
                self._files.write(NAME, self.record.as_json())
            elif new:
                self._files.add(NOTES, [note_line(note) for note in new])

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Lock the scores while they are read, extended and written back. The ledger isn't locked."""
        with FileLock(self.path / ".scores.lock"), leased(self._files.mirror, ".scores.lease"):
            yield

    def scores_path(self) -> Path:
        """The path of scores.parquet, which may not exist."""
        return self.path / "scores.parquet"

    def write_scores(self, content: bytes) -> None:
        """Replace scores.parquet atomically."""
        self._files.write(self.scores_path().name, content)

    def write_file(self, name: str, content: bytes) -> Path:
        """Store a file about the run atomically and return its path; several shards may do so at the same time."""
        with self._lock:
            self._files.write(name, content)
        return self.path / name

    def tidy(self) -> None:
        """Remove leftovers of interrupted writes unless another process is at work; call this after the run."""
        with self._lock:
            if not self._files.mirror and self._files.at_work(self._claim):
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
        return not self.images.damage(self.images.path_of(entry.id, entry.image).name, entry.sha256)

    def begun(self) -> datetime:
        """When the run was started, or for older runs, which don't record it, when run.json was last written."""
        begun = self.record.provenance.get("begun")
        try:
            return datetime.fromisoformat(str(begun))
        except ValueError:
            return datetime.fromtimestamp((self.path / NAME).stat().st_mtime).astimezone()

    def _check_still_ours(self) -> None:
        """Raise `UserError` if run.json now belongs to another run."""
        found = (self.path / NAME).stat()
        if self._seen == (found.st_ino, found.st_mtime_ns):
            return
        now = read_record(self.path)
        if now.fingerprint != self.record.fingerprint:
            raise UserError(
                one_line(f"{self.place} now contains another run, which was started in the meantime. {REMEDY}")
            )
        self._seen = found.st_ino, found.st_mtime_ns

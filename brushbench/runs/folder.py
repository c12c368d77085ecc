"""The run folder: what was asked, every image, every score. Append-only, atomic, resumable.

    run.json        RunRecord: identity, fingerprint, provenance
    samples.jsonl   the ledger: one Entry per finished sample; the last line of an id counts, and none of another run
    images/<id>.png one per finished sample (.jpg under the paper protocol)
    images.sha256   their digests, as `sha256sum --check` reads them
    errors/<id>.txt why a sample has failed, with Python's traceback; gone when it succeeds
    workers.jsonl   which processes made it: when, where, by which command
    scores.parquet  one row per sample, one column per metric
    contact_sheet.png   some of the samples, to look at
    .lock, .scores.lock   held while the ledger, or the scores, are written, so that shards can share a folder
    .owners/        the processes that are at work

A file gets its name only when it is complete and on the disk, and the ledger lines of a batch follow all of its images:
killed at any instant and started again, a run ends with the same bytes as one never killed.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import final

from filelock import FileLock
from pydantic import ValidationError

from brushbench.core import atomic
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, doing, one_line
from brushbench.core.files import file_digest, read_bytes, refuse_links
from brushbench.core.method_info import Role
from brushbench.core.notebook import html_of
from brushbench.core.notes import hearing
from brushbench.runs import ledger, owners
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import Identity, RunRecord, differences

FOLDERS = ("images", "errors", ".partial", ".owners")
"""In a run folder."""
SUMS = "images.sha256"
CHANGED, DELETED = "its image was changed after it was made", "its image was deleted after it was made"
THREADS = 4
_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
REMEDY = "Use another --output, or --fresh to start over"


@final
class Run:
    """A run folder that exists."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record
        self._lock = FileLock(path / ".lock")
        self._heard: list[str] = []
        self._claim: owners.Claim | None = None
        self._seen: tuple[int, int] | None = None
        """Which run.json was last found to be this run's."""

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
        """Make the folder, or go on with the one that is there.

        With `claim`, other processes see that this one is at work, until `release`. Raises `UserError`, with what
        differs, if it holds images of a run with another fingerprint, or if a process is at work on such a run.
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
                if not there._goes_on(record):
                    check_nobody_at_work(path)
                record = there._continued(record)
                there._give_up_unless(record)
            elif any(not child.name.startswith(".") for child in path.iterdir()):
                raise UserError(one_line(f"{path} is not empty and holds no run; use another --output"))
            run = cls(path, record)
            run._write_record(record)
            (path / "images").mkdir(exist_ok=True)
            ledger.mend(run.ledger_path())
            run._claim = owners.Claim(path, record.fingerprint) if claim else None
            return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Read a run. Raises `UserError` if the folder holds none, or one that this version can't read."""
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
                one_line(f"{folder / 'run.json'}: the fingerprint doesn't fit; the file was changed by hand")
            )
        return cls(folder, record)

    def __fspath__(self) -> str:
        return str(self.path)

    def not_made(self) -> int:
        """How many samples were asked for and have neither an image nor a reason why not."""
        return max(0, self.record.asked - len(self.ledger()))

    def others_at_work(self) -> list[owners.Owner]:
        """The other processes that are making images of this run."""
        with self._lock:
            return list(owners.live(self.path, self._claim))

    def release(self) -> None:
        """Say that this process is no longer at work."""
        if self._claim is not None:
            # Another process may be about to say that it is at work.
            with self._lock:
                self._claim.release()
            self._claim = None

    def append_line(self, name: str, line: str) -> None:
        """Add a line to a file of the run, on the disk when this returns."""
        with self._lock:
            _append(self.path / name, [line])

    def ledger_path(self) -> Path:
        """samples.jsonl, which need not be there."""
        return self.path / "samples.jsonl"

    def __repr__(self) -> str:
        identity = self.record.identity
        where = f"{identity.method.name} on {identity.dataset.name}/{identity.dataset.split}"
        return one_line(f"<Run of {where}, {self._state()}, {identity.protocol}, in {str(self.path)!r}>", 1000)

    def _repr_html_(self) -> str:
        """For notebooks."""
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
        """The last entry of every id. Raises `UserError` for a damaged line."""
        return {entry.id: entry for entry in ledger.entries(self.ledger_path(), self.record.fingerprint)}

    def intact(self) -> dict[str, LedgerEntry]:
        """The entries that are done and whose image is still the one that was stored."""
        return {name: entry for name, entry in self.ledger().items() if self._is_intact(entry)}

    def changed_images(self) -> dict[str, str]:
        """The finished samples whose image isn't the one that was stored, each with what happened to it.

        None where images/ itself is gone: the pictures of the run were put away, not lost one by one.
        """
        if not (self.path / "images").is_dir():
            return {}
        done = [entry for entry in self.ledger().values() if entry.status == "done"]
        with ThreadPoolExecutor(THREADS) as pool:
            digests = pool.map(lambda entry: self.digest_of(self.image_path(entry).name), done)
            return {
                entry.id: CHANGED if digest else DELETED
                for entry, digest in zip(done, digests, strict=True)
                if digest != entry.sha256
            }

    def digest_of(self, name: str) -> str:
        """The SHA-256 of an image as it is now; empty if it isn't there."""
        file = self.path / "images" / name
        try:
            return file_digest(file) if file.is_file() else ""
        except (OSError, UserError):
            return ""

    def sums(self) -> dict[str, str]:
        """The digests in images.sha256, by file name; lines that say none are passed over."""
        file = self.path / SUMS
        lines = read_bytes(file).decode("utf-8", errors="replace").splitlines() if file.exists() else []
        found = (line.strip("\0").partition("  images/") for line in lines)
        return {name: digest for digest, separator, name in found if separator and _IS_DIGEST(digest)}

    def write_image(self, name: str, content: bytes) -> str:
        """Store an image so that it is complete or not there at all; its SHA-256."""
        self._check_still_ours()
        atomic.write(self.path / "images" / name, content, self.path / ".partial")
        return hashlib.sha256(content).hexdigest()

    def error_path(self, name: str) -> Path:
        """Where it stands why a sample has failed; `name` is its id, or what stands for one that can't be a name."""
        return self.path / "errors" / f"{name}.txt"

    def write_error(self, name: str, text: str) -> None:
        """Store why a sample has failed, in one step."""
        path = self.error_path(name)
        path.parent.mkdir(exist_ok=True)
        atomic.write(path, text.encode(errors="replace"))

    def append(self, *entries: LedgerEntry) -> None:
        """Add lines to the ledger, all on the disk when this returns; the images that they tell of are there already.

        It is one wait for the disk, however many lines there are. Raises `UserError` if the folder has become another
        run's meanwhile.
        """
        if not entries:
            return
        self.add_notes(self._heard)
        ours = {"fingerprint": self.record.fingerprint}
        lines = [entry.model_copy(update=ours).model_dump_json(exclude_none=True) for entry in entries]
        sums = [f"{entry.sha256}  images/{entry.image}" for entry in entries if entry.image and entry.sha256]
        with self._lock:
            self._check_still_ours()
            _append(self.path / SUMS, sums)
            _append(self.ledger_path(), lines)

    def image_path(self, entry: LedgerEntry) -> Path:
        """Where the image of a finished sample is. Raises `UserError` if the entry has none."""
        if entry.image is None or Path(entry.image).name != entry.image:
            raise UserError(one_line(f"{self.path}: ledger entry {entry.id!r} names no image in images/"))
        return self.path / "images" / entry.image

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Notes that are made inside, and what libraries warn of, go into the record: with each line of the ledger."""
        with hearing() as self._heard:
            try:
                yield
            finally:
                self.add_notes(self._heard)

    def add_notes(self, notes: Iterable[str]) -> None:
        """Add what the record hasn't yet, also what other processes have added to it meanwhile. No identity changes."""
        if set(notes) <= set(self.record.notes):
            return
        with self._lock:
            now = Run.open(self.path).record
            self.record = now.model_copy(update={"notes": tuple(dict.fromkeys([*now.notes, *notes]))})
            self._write_record(self.record)

    def scoring(self) -> FileLock:
        """Held while scores are read, added to and written back. The ledger can be written meanwhile."""
        return FileLock(self.path / ".scores.lock")

    def scores_path(self) -> Path:
        """scores.parquet, which need not be there."""
        return self.path / "scores.parquet"

    def write_scores(self, content: bytes) -> None:
        """Replace scores.parquet in one step."""
        atomic.write(self.scores_path(), content)

    def write_file(self, name: str, content: bytes) -> Path:
        """Store a file that says something of the run, in one step; shards may do so at the same time."""
        with self._lock:
            atomic.write(self.path / name, content)
        return self.path / name

    def tidy(self) -> None:
        """Remove what interrupted writes left behind, if nobody else is at work; call it when all is finished."""
        with self._lock:
            if list(owners.live(self.path, self._claim)):
                return
            partial = self.path / ".partial"
            for leftover in (*partial.glob("*"), *self.path.glob(".*.partial")):
                leftover.unlink(missing_ok=True)
            if partial.exists():
                partial.rmdir()

    def _state(self) -> str:
        """How far it is, to read; also of a run whose ledger can't be read."""
        ledger = capture(self.ledger)
        if isinstance(ledger, Failure):
            return "with a damaged ledger"
        failed = sum(entry.status == "failed" for entry in ledger.values())
        return f"{len(ledger) - failed} of {self.record.asked} done" + (f", {failed} failed" if failed else "")

    def _is_intact(self, entry: LedgerEntry) -> bool:
        if entry.status != "done":
            return False
        return self.digest_of(self.image_path(entry).name) == entry.sha256

    def _write_record(self, record: RunRecord) -> None:
        atomic.write(self.path / "run.json", (record.model_dump_json(indent=2) + "\n").encode())

    def _continued(self, asked: RunRecord) -> RunRecord:
        """The record to go on with; a run of something else that has no image yet is given up."""
        if self._goes_on(asked):
            role = asked.role or self.record.role
            return self.record.model_copy(update={"asked": max(self.record.asked, asked.asked), "role": role})
        # A ledger can be lost; what else tells of images isn't lost with it.
        entries = self.ledger()
        lost = not entries and self.scores_path().exists()
        if any(entry.status == "done" for entry in entries.values()) or self.sums() or lost:
            changed = "; ".join(differences(self.record.identity, asked.identity, self.begun()))
            raise UserError(one_line(f"{self.path} already contains another run: {changed}. {REMEDY}", 2000))
        return asked

    def _goes_on(self, asked: RunRecord) -> bool:
        """Whether it is the same run; in one from before batch sizes were part of it, with the same batch size."""
        if asked.fingerprint == self.record.fingerprint:
            return True
        then = self.record.provenance.get("batch_size")
        old = asked.identity.model_copy(update={"batch_size": None})
        same = old.fingerprint() == self.record.fingerprint and self.record.identity.batch_size is None
        return same and then in (None, str(asked.identity.batch_size))

    def _give_up_unless(self, record: RunRecord) -> None:
        """Remove what is there of a run without any image, if the record is another one's."""
        if record.fingerprint != self.record.fingerprint:
            for file in (self.ledger_path(), self.path / SUMS, self.scores_path()):
                file.unlink(missing_ok=True)

    def begun(self) -> datetime:
        """When the run was begun; of runs from before that was recorded, when run.json was written last."""
        begun = self.record.provenance.get("begun")
        try:
            return datetime.fromisoformat(str(begun))
        except ValueError:
            return datetime.fromtimestamp((self.path / "run.json").stat().st_mtime).astimezone()

    def _check_still_ours(self) -> None:
        """Raises `UserError` if run.json is another run's by now."""
        found = (self.path / "run.json").stat()
        if self._seen == (found.st_ino, found.st_mtime_ns):
            return
        now = Run.open(self.path).record
        if now.fingerprint != self.record.fingerprint:
            raise UserError(one_line(f"{self.path} has become the folder of another run meanwhile. {REMEDY}"))
        self._seen = found.st_ino, found.st_mtime_ns


def check_nobody_at_work(path: Path) -> None:
    """Raises `UserError` for a process that is making the run that is there. The caller holds the lock."""
    for owner in owners.live(path):
        raise UserError(one_line(f"{path} is in use by another run: {owner.text}. Use another --output, or wait"))


def _append(file: Path, lines: Sequence[str]) -> None:
    if not lines:
        return
    with doing("writing", file), file.open("ab") as opened:
        opened.write("".join(f"{line}\n" for line in lines).encode())
        opened.flush()
        os.fsync(opened.fileno())

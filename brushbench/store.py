"""The run folder: what was asked, every image, every score. Append-only, atomic, resumable.

    run.json        RunRecord: identity, fingerprint, provenance
    samples.jsonl   the ledger: one Entry per finished sample; the last line of an id counts
    images/<id>.png one per finished sample (.jpg under the paper protocol)
    scores.parquet  one row per sample, one column per metric
    contact_sheet.png   some of the samples, to look at
    .lock, .scores.lock   held while the ledger, or the scores, are written, so that shards can share a folder

A file gets its name only when it is complete and on the disk, and a ledger line follows its image: killed at any
instant and started again, a run ends with the same bytes as one never killed.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, final

from filelock import FileLock
from pydantic import BaseModel, JsonValue, ValidationError

from brushbench import atomic
from brushbench.errors import UserError, doing, one_line
from brushbench.files import exists, read_bytes, refuse_links
from brushbench.notes import hearing
from brushbench.protocol import ProtocolName
from brushbench.registry import Role

SCHEMA_VERSION: Literal[1] = 1
FOLDERS = ("images", ".partial")
"""In a run folder."""
WEIGHTS = "weights."
"""In the provenance, before the name of a part of the method: where it was taken from."""


class Entry(BaseModel, extra="forbid", frozen=True):
    """A line of the ledger."""

    id: str
    status: Literal["done", "failed"]
    image: str | None = None
    """The file's name in images/."""
    sha256: str | None = None
    """Of that file."""
    seconds: float | None = None
    """Of the method's call, divided by the batch size."""
    error: str | None = None
    note: str | None = None
    """What a reader must know of how the image was made."""

    def same_outcome(self, other: "Entry | None") -> bool:
        """Equal in everything but the time it took."""
        return other is not None and self.model_dump(exclude={"seconds"}) == other.model_dump(exclude={"seconds"})


class DatasetIdentity(BaseModel, extra="forbid", frozen=True):
    """Which samples, to the byte."""

    name: str
    split: str
    digest: str
    options: dict[str, JsonValue] = {}
    """Empty for a data set that has none."""

    def __hash__(self) -> int:
        return hash((self.name, self.split, self.digest))


class MethodIdentity(BaseModel, extra="forbid", frozen=True):
    """Which method, with every option and the digests of what it was loaded from."""

    name: str
    options: dict[str, JsonValue]
    digests: dict[str, str]


class Identity(BaseModel, extra="forbid", frozen=True):
    """Exactly what may change a number."""

    dataset: DatasetIdentity
    method: MethodIdentity
    seed: int
    dtype: str
    protocol: ProtocolName

    def fingerprint(self) -> str:
        """Hash of the identity: equal for equal ones, whether made from a configuration or read from a run."""
        content = self.model_dump()
        # Runs from before data sets had options keep their fingerprints.
        if not self.dataset.options:
            del content["dataset"]["options"]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class RunRecord(BaseModel, extra="forbid", frozen=True):
    """run.json."""

    schema_version: Literal[1] = SCHEMA_VERSION
    fingerprint: str
    identity: Identity
    asked: int
    """How many samples, from the first, this run is to have."""
    provenance: dict[str, str]
    """What it ran on: device, versions. It should not change a number."""
    role: Role | None = None
    """What the method is for. None in runs from before methods said so."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the whole run: what libraries warned of while it was made and scored."""

    @property
    def weights(self) -> dict[str, str]:
        """Where each part of the method was taken from; empty for a run that doesn't tell."""
        return {
            name.removeprefix(WEIGHTS): place for name, place in self.provenance.items() if name.startswith(WEIGHTS)
        }


@final
class Run:
    """A run folder that exists."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record
        self._lock = FileLock(path / ".lock")
        self._heard: list[str] = []

    @classmethod
    def start(
        cls, path: Path, identity: Identity, asked: int, provenance: Mapping[str, str], role: Role | None = None
    ) -> "Run":
        """Make the folder, or go on with the one that is there.

        Raises `UserError`, with what differs, if it holds images of a run with another fingerprint.
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
                record = cls.open(path)._continued(record)
            elif any(not child.name.startswith(".") for child in path.iterdir()):
                raise UserError(one_line(f"{path} is not empty and holds no run; use another --output"))
            run = cls(path, record)
            run._write_record(record)
            (path / "images").mkdir(exist_ok=True)
            run._mend_ledger()
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

    def ledger(self) -> dict[str, Entry]:
        """The last entry of every id. Raises `UserError` for a damaged line."""
        file = self.path / "samples.jsonl"
        lines = read_bytes(file).split(b"\n")[:-1] if file.exists() else []
        entries = {}
        for number, line in enumerate(lines, start=1):
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError as error:
                raise UserError(
                    one_line(f"{file}: line {number} is damaged; remove it to have it made again")
                ) from error
            entries[entry.id] = entry
        return entries

    def intact(self) -> dict[str, Entry]:
        """The entries that are done and whose image is still the one that was stored."""
        return {name: entry for name, entry in self.ledger().items() if self._is_intact(entry)}

    def write_image(self, name: str, content: bytes) -> str:
        """Store an image so that it is complete or not there at all; its SHA-256."""
        atomic.write(self.path / "images" / name, content, self.path / ".partial")
        return hashlib.sha256(content).hexdigest()

    def append(self, entry: Entry) -> None:
        """Add a line to the ledger, on the disk when this returns."""
        self.add_notes(self._heard)
        line = entry.model_dump_json(exclude_none=True).encode() + b"\n"
        path = self.path / "samples.jsonl"
        with self._lock, doing("writing", path), path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def image_path(self, entry: Entry) -> Path:
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
        """Remove what an interrupted write left behind; call it when all samples are finished."""
        partial = self.path / ".partial"
        for leftover in partial.glob("*"):
            leftover.unlink(missing_ok=True)
        if partial.exists():
            partial.rmdir()

    def _is_intact(self, entry: Entry) -> bool:
        if entry.status != "done":
            return False
        path = self.image_path(entry)
        return exists(path) and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256

    def _write_record(self, record: RunRecord) -> None:
        atomic.write(self.path / "run.json", (record.model_dump_json(indent=2) + "\n").encode())

    def _continued(self, asked: RunRecord) -> RunRecord:
        """The record to go on with; a run of something else that has no image yet is given up."""
        if asked.fingerprint == self.record.fingerprint:
            role = asked.role or self.record.role
            return self.record.model_copy(update={"asked": max(self.record.asked, asked.asked), "role": role})
        if any(entry.status == "done" for entry in self.ledger().values()):
            changed = "; ".join(_differences(self.record.identity.model_dump(), asked.identity.model_dump()))
            raise UserError(one_line(f"{self.path} holds another run: {changed}. Use another --output", 2000))
        for file in (self.path / "samples.jsonl", self.scores_path()):
            file.unlink(missing_ok=True)
        return asked

    def _mend_ledger(self) -> None:
        """Cut off a last line that was not written to its end."""
        file = self.path / "samples.jsonl"
        if file.exists() and not (content := read_bytes(file)).endswith(b"\n"):
            os.truncate(file, content.rfind(b"\n") + 1)


def expand(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """The runs in these folders, each once; a folder is one, or holds some at any depth. `UserError` for none."""
    runs: dict[Path, Run] = {}
    for path in map(Path, paths):
        folders = [path] if (path / "run.json").exists() else sorted(found.parent for found in path.rglob("run.json"))
        if not folders:
            raise UserError(one_line(f"{path} is not a run folder, and holds none"))
        runs |= {folder.resolve(): Run.open(folder) for folder in folders if folder.resolve() not in runs}
    if not runs:
        raise UserError("no run folder given")
    return list(runs.values())


def _differences(stored: Mapping[str, object], asked: Mapping[str, object], prefix: str = "") -> list[str]:
    """One `name: value there, value asked` for each value in which two identities differ."""
    found = []
    for key in dict.fromkeys([*stored, *asked]):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} is {old!r} there and {new!r} here")
    return found

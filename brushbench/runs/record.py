"""The record of a run in run.json, with the identity that distinguishes it from other runs."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from brushbench.core.compute import PLAIN
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_bytes
from brushbench.core.method_info import Role
from brushbench.core.protocol import ProtocolName
from brushbench.runs import parts
from brushbench.storage.places import spoken

SCHEMA_VERSION: Literal[1] = 1
NAME, NOTES = "run.json", "notes"
"""The file with the record, and the folder with notes that were added where run.json can't be rewritten."""
IMPORTED = "images"
"""In the digests of a run whose images were made elsewhere: the digest of these."""
WEIGHTS = "weights."
"""The prefix, in the provenance, of a method's component whose source is recorded."""


DATASET_FILE = "dataset"
"""The key, in the provenance, for the file and class of a data set that was given as a file."""
FILE = "file"
"""The key, in the digests, for the file of a method that was given as a file."""


_NOTE = TypeAdapter(str)


class DatasetIdentity(BaseModel, extra="forbid", frozen=True):
    """The samples, identified to the byte."""

    name: str
    split: str
    digest: str
    options: dict[str, JsonValue] = {}
    """Empty for a data set without options."""

    def __hash__(self) -> int:
        return hash((self.name, self.split, self.digest))


class MethodIdentity(BaseModel, extra="forbid", frozen=True):
    """The method, with every option and the digests of the files that it was loaded from."""

    name: str
    options: dict[str, JsonValue]
    digests: dict[str, str]
    """The digests of its weights, and for a user's own method, of its code and files."""
    version: int = 1
    """The version of one of the suite's own methods; docs/methods.md says what each version changed."""


class Identity(BaseModel, extra="forbid", frozen=True):
    """Exactly what may change a number."""

    dataset: DatasetIdentity
    method: MethodIdentity
    seed: int
    dtype: str
    protocol: ProtocolName
    batch_size: int | None = None
    """Samples per call of the method; None for imported images, and in older runs, which don't record it."""
    compute: str = PLAIN
    """The compute recipe of its models, with its number, for example `fast-1`."""

    def fingerprint(self) -> str:
        """Hash of the identity; the same whether it is made from a configuration or read from a run."""
        content = self.model_dump()
        # Fields that were added later are left out at their defaults, so that older runs keep their fingerprints.
        if not self.dataset.options:
            del content["dataset"]["options"]
        if self.method.version == 1:
            del content["method"]["version"]
        if self.batch_size is None:
            del content["batch_size"]
        if self.compute == PLAIN:
            del content["compute"]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class RunRecord(BaseModel, extra="forbid", frozen=True):
    """The content of run.json."""

    schema_version: Literal[1] = SCHEMA_VERSION
    fingerprint: str
    identity: Identity
    asked: int
    """The number of requested samples, from the first."""
    provenance: dict[str, str]
    """Where and with what it ran, such as the device and library versions. This should not change a number."""
    role: Role | None = None
    """The method's role; None in older runs, which don't record it."""
    notes: tuple[str, ...] = ()
    """What a reader must know about the whole run, such as the warnings of libraries while it was made and scored."""

    def is_continued_by(self, asked: "RunRecord") -> bool:
        """Tell whether a request is for this run; an older run, without a batch size, must have used the same one."""
        if asked.fingerprint == self.fingerprint:
            return True
        then = self.provenance.get("batch_size")
        old = asked.identity.model_copy(update={"batch_size": None})
        same = old.fingerprint() == self.fingerprint and self.identity.batch_size is None
        return same and then in (None, str(asked.identity.batch_size))

    def as_json(self) -> bytes:
        """The content of run.json."""
        return (self.model_dump_json(indent=2) + "\n").encode()

    @property
    def weights(self) -> dict[str, str]:
        """The source of each of the method's components; empty for a run that doesn't record them."""
        return {
            name.removeprefix(WEIGHTS): place for name, place in self.provenance.items() if name.startswith(WEIGHTS)
        }


def read_record(folder: Path) -> RunRecord:
    """Read the record of the run in a folder. Raises `UserError` if there is none, or none that can be read."""
    file, told = folder / NAME, spoken(folder)
    if not os.path.lexists(file):
        raise UserError(one_line(f"{told} is not a run folder: it has no {NAME}"))
    try:
        record = RunRecord.model_validate_json(read_bytes(file))
        added = [_NOTE.validate_json(line) for part in parts.files(folder, NOTES) for line in _lines(part)]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(one_line(f"{told}/{NAME}: {where}: {first['msg']}")) from error
    if record.fingerprint != record.identity.fingerprint():
        raise UserError(
            one_line(
                f"{told}/{NAME} was changed by hand: its fingerprint doesn't match; restore the file, or "
                "generate the run again"
            )
        )
    return record.model_copy(update={"notes": tuple(dict.fromkeys([*record.notes, *added]))}) if added else record


def note_line(note: str) -> str:
    """A note as a line of a part."""
    return _NOTE.dump_json(note).decode()


def _lines(part: Path) -> list[bytes]:
    return [line for line in read_bytes(part).split(b"\n") if line]


def differences(stored: Identity, asked: Identity, since: datetime) -> Iterator[str]:
    """Describe each difference between the requested identity and the stored one; `since` is when its run began."""
    before, now = stored.method.digests, asked.method.digests
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            word = "is new" if name not in before else "is gone" if name not in now else "changed"
            called = f"the file of {asked.method.name}" if name == FILE else name
            yield f"{called} {word} since {since:%-d %B %Y}"
    apart = {"method": {"digests"}}
    for name, old, new in unequal_values(stored.model_dump(exclude=apart), asked.model_dump(exclude=apart)):
        yield f"{name} was {old} and is now {new}"


def unequal_values(
    one: Mapping[str, object], other: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield the dotted name of each value that differs between two identities, with both values as texts."""
    for key in dict.fromkeys([*one, *other]):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from unequal_values(first, second, f"{prefix}{key}.")
        elif first != second:
            old, new = (repr(side[key]) if key in side else "not set" for side in (one, other))
            yield f"{prefix}{key}", old, new

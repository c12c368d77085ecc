"""What run.json says: the identity of a run, by which it is told apart from every other one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, JsonValue

from brushbench.core.compute import PLAIN
from brushbench.core.method_info import Role
from brushbench.core.protocol import ProtocolName

SCHEMA_VERSION: Literal[1] = 1
WEIGHTS = "weights."
"""In the provenance, before the name of a part of the method: where it was taken from."""


DATASET_FILE = "dataset"
"""In the provenance: the file and class of a data set that is one."""
FILE = "file"
"""In the digests: the file of a method that is a file."""


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
    """The digests of what it was loaded from: weights, and the code and files of a method of the user's own."""
    version: int = 1
    """The version of one of the suite's own methods; docs/methods.md tells what a new one changed."""


class Identity(BaseModel, extra="forbid", frozen=True):
    """Exactly what may change a number."""

    dataset: DatasetIdentity
    method: MethodIdentity
    seed: int
    dtype: str
    protocol: ProtocolName
    batch_size: int | None = None
    """Samples per call of the method; None for pictures made elsewhere, and in runs from before it was recorded."""
    compute: str = PLAIN
    """How its models computed: a recipe with its number, such as `fast-1`."""

    def fingerprint(self) -> str:
        """Hash of the identity: equal for equal ones, whether made from a configuration or read from a run."""
        content = self.model_dump()
        # Runs from before there were such fields keep their fingerprints.
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


def differences(stored: Identity, asked: Identity, since: datetime) -> Iterator[str]:
    """In what the identity that is asked for isn't the stored one of a run begun then; each to read."""
    before, now = stored.method.digests, asked.method.digests
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            word = "is new" if name not in before else "is gone" if name not in now else "changed"
            called = f"the file of {asked.method.name}" if name == FILE else name
            yield f"{called} {word} since {since:%-d %B %Y}"
    apart = {"method": {"digests"}}
    yield from _values(stored.model_dump(exclude=apart), asked.model_dump(exclude=apart))


def _values(stored: Mapping[str, object], asked: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """One `name was value and is now value` for each value in which two identities differ."""
    for key in dict.fromkeys([*stored, *asked]):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _values(old, new, f"{prefix}{key}.")
        elif old != new:
            before, now = (repr(side[key]) if key in side else "not set" for side in (stored, asked))
            yield f"{prefix}{key} was {before} and is now {now}"

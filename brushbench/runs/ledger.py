"""The lines of samples.jsonl and of the parts in samples/: how each sample of a run ended."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_bytes
from brushbench.runs import parts
from brushbench.storage.places import spoken

NAME = "samples"


class LedgerEntry(BaseModel, extra="forbid", frozen=True):
    """A line of the ledger."""

    id: str
    status: Literal["done", "failed"]
    image: str | None = None
    """The file name in images/."""
    sha256: str | None = None
    """The digest of the image file."""
    seconds: float | None = None
    """The duration of the method's call, divided by the batch size."""
    error: str | None = None
    padded: tuple[int, int] | None = None
    """The height and width to which the image was padded for the method; None if it wasn't padded."""
    note: str | None = None
    """What a reader must know about how the image was made."""
    fingerprint: str | None = None
    """The fingerprint of its run; None in lines of older versions."""

    def same_outcome(self, other: "LedgerEntry | None") -> bool:
        """Tell whether two entries are equal except for `seconds` and `fingerprint`."""
        apart = {"seconds", "fingerprint"}
        return other is not None and self.model_dump(exclude=apart) == other.model_dump(exclude=apart)


def all_entries(folder: Path, fingerprint: str) -> Iterator[LedgerEntry]:
    """The entries of the run in a folder, in order. Raises `UserError` for a damaged line."""
    for file in parts.files(folder, NAME):
        yield from entries(file, fingerprint)


def entries(file: Path, fingerprint: str) -> Iterator[LedgerEntry]:
    """The entries of this run in order, without those of other runs. Raises `UserError` for a damaged line."""
    return parsed(io.BytesIO(read_bytes(file) if file.exists() else b""), file, fingerprint)


def parsed(lines: Iterable[bytes], file: Path, fingerprint: str, first: int = 1) -> Iterator[LedgerEntry]:
    """Yield the entries in these lines of a ledger, of which the first one has this number; see `entries`."""
    for number, line in enumerate(lines, start=first):
        # What has no line break was written only in part.
        if not line.endswith(b"\n"):
            return
        # A disk that loses power can leave zeros in place of data.
        if not (text := line.removesuffix(b"\n").strip(b"\0")):
            continue
        try:
            entry = LedgerEntry.model_validate_json(text)
        except ValidationError as error:
            raise UserError(
                one_line(
                    f"{spoken(file)}: line {number} is damaged; remove it and resume the run to generate its sample "
                    "again"
                )
            ) from error
        if entry.fingerprint in (None, fingerprint):
            yield entry


def mend(file: Path) -> None:
    """Complete a last line that lacks only its line break; cut off one that was written only in part."""
    if not file.exists() or (content := read_bytes(file)).endswith(b"\n") or not content:
        return
    end = content.rfind(b"\n") + 1
    tail = content[end:].strip(b"\0")
    try:
        LedgerEntry.model_validate_json(tail)
    except ValidationError:
        with file.open("r+b") as opened:
            opened.truncate(end)
        return
    with file.open("r+b") as opened:
        opened.truncate(end)
        opened.seek(end)
        opened.write(tail + b"\n")

"""The lines of samples.jsonl: how each sample of a run ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_bytes


class LedgerEntry(BaseModel, extra="forbid", frozen=True):
    """A line of the ledger."""

    id: str
    status: Literal["done", "failed"]
    image: str | None = None
    """The file's name in images/."""
    sha256: str | None = None
    """The digest of that file."""
    seconds: float | None = None
    """How long the method's call took, divided by the batch size."""
    error: str | None = None
    padded: tuple[int, int] | None = None
    """The height and width that it was painted at, if that isn't its own; the image is cut back."""
    note: str | None = None
    """What a reader must know of how the image was made."""
    fingerprint: str | None = None
    """The fingerprint of the run that it was made for; None in runs from before lines had it."""

    def same_outcome(self, other: "LedgerEntry | None") -> bool:
        """Equal in everything but the time it took, and whether it says for which run."""
        apart = {"seconds", "fingerprint"}
        return other is not None and self.model_dump(exclude=apart) == other.model_dump(exclude=apart)


def entries(file: Path, fingerprint: str) -> Iterator[LedgerEntry]:
    """The lines of this run, in order; lines of another one don't count. Raises `UserError` for a damaged line."""
    lines = read_bytes(file).split(b"\n")[:-1] if file.exists() else []
    for number, line in enumerate(lines, start=1):
        # A disk that lost its power can leave zeros where something was to be written.
        if not (text := line.strip(b"\0")):
            continue
        try:
            entry = LedgerEntry.model_validate_json(text)
        except ValidationError as error:
            raise UserError(one_line(f"{file}: line {number} is damaged; remove it to have it made again")) from error
        if entry.fingerprint in (None, fingerprint):
            yield entry


def mend(file: Path) -> None:
    """Cut off what was not written to its end; a last line that lacks nothing but its end gets it."""
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

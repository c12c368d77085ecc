"""What a data set says it has, before any picture is read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench.core.errors import SampleError
from brushbench.curation.defects import Finding
from brushbench.datasets.names import AlikeNamesError, one_form, said_alike
from brushbench.datasets.source import check_id, inside_root


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as run lengths, unchecked."""

    numbers: Sequence[object]


@dataclass(frozen=True, slots=True)
class Black:
    """A mask that is where a picture is black."""

    file: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample. What is None is missing or can't be used, and was reported."""

    id: str
    caption: str | None
    image: Path | None
    masks: Mapping[str, Runs | Path | Black]
    """By split."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All samples, and what is wrong with the files that describe them."""

    entries: Sequence[Entry]
    findings: Sequence[Finding]
    notes: Sequence[str]
    """What a reader wants to know that isn't wrong."""
    one_size: bool
    """All images must have the same size, because the masks mean nothing on another."""


def id_findings(ids: Sequence[str]) -> Iterator[Finding]:
    """Ids that can't be file names, and such as are one name on a system where case doesn't count."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in ids:
        alike[one_form(name).casefold()].append(name)
        try:
            check_id(name)
        except SampleError as error:
            yield Finding("bad-id", name, str(error))
    for names in alike.values():
        for name in names[1:]:
            yield Finding("ids-alike", name, f"as {names[0]}")


def alike_findings(names: Iterable[str]) -> Iterator[Finding]:
    """Ids as they are given that are one in Unicode's form NFC."""
    first: dict[str, str] = {}
    for name in names:
        if (known := first.setdefault(one_form(name), name)) != name:
            yield Finding("names-alike", one_form(name), said_alike(known, name))


def file_below(root: Path, path: str, name: str, findings: list[Finding]) -> Path | None:
    """A file that the sample `name` names; None and a finding if it isn't one below the data set's folder."""
    try:
        return inside_root(root, path)
    except SampleError as error:
        kind = "names-alike" if isinstance(error, AlikeNamesError) else "image-outside"
        findings.append(Finding(kind, name, str(error)))
        return None


def extra_files(folder: Path, named: set[Path], kind: str, root: Path) -> Iterator[Finding]:
    """Files below a folder that aren't among those that samples name; hidden ones don't count."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.resolve() not in named and not any(part.startswith(".") for part in inside.parts):
            yield Finding(kind, path.relative_to(root).as_posix())

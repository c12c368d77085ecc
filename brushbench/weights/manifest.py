"""Public facts about the repositories that weights come from, each with its source.

Each repository has a TOML file in `manifests/`. The files were written without access to the hub;
`brushbench doctor --weights` compares them with it.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_toml

FOLDER = Path(__file__).parent / "manifests"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Confidence = Literal["read", "copied", "derived", "remembered"]


class Evidence(BaseModel, extra="forbid", frozen=True):
    """Where a fact was found."""

    where: str
    confidence: Confidence
    """`read`: in the project's own code, documentation or threads; `copied`: from a third party; `derived`: from other
    facts; `remembered`: a commonly known layout that no available document shows."""
    says: str = ""


class Fact(BaseModel, extra="forbid", frozen=True):
    """A name, and the key of the source that states it."""

    name: str
    source: str


class Gate(BaseModel, extra="forbid", frozen=True):
    """Whether terms must be accepted before a download."""

    value: bool
    source: str


class Cited(BaseModel, extra="forbid", frozen=True):
    """The key of a source."""

    source: str


class Listed(BaseModel, extra="forbid", frozen=True):
    """A file of a repository."""

    path: str
    source: str
    bytes: int | None = None
    sha256: Digest | None = None
    numbers: str = ""
    """The key of the source of size and digest, if it isn't the source of the name."""


class Manifest(BaseModel, extra="forbid", frozen=True):
    """A repository on the hub, or a file at an address."""

    repository: str = ""
    address: str = ""
    formerly: tuple[str, ...] = ()
    """Other names of the repository, which redirect to it or once did."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    stated_commit: str = ""
    """The beginning of the commit, as far as public material shows it."""
    revision_source: Cited | None = None
    metrics: tuple[str, ...] = ()
    """The metrics that need it."""
    reads: tuple[str, ...] = ()
    """The files that these metrics read."""
    complete: bool = False
    """Whether the listing is known to be complete."""
    note: str = ""
    licence: Fact
    gated: Gate | None = None
    """None if not known."""
    sources: dict[str, Evidence]
    files: tuple[Listed, ...]

    @model_validator(mode="after")
    def _every_source_is_stated(self) -> "Manifest":
        if bool(self.repository) == bool(self.address):
            raise ValueError("give either a repository or an address")
        cited = [self.licence.source, *(each.source for each in (self.gated, self.revision_source) if each)]
        cited += [key for file in self.files for key in (file.source, file.numbers) if key]
        if lost := sorted(set(cited) - self.sources.keys()):
            raise ValueError(f"cites {lost[0]!r}, which isn't among its sources")
        if (self.commit or self.stated_commit) and self.revision_source is None:
            raise ValueError("a commit needs a revision_source")
        if lost := sorted(set(self.reads) - {file.path for file in self.files}):
            raise ValueError(f"reads {lost[0]!r}, which isn't listed")
        if len({file.path for file in self.files}) < len(self.files):
            raise ValueError("a file is listed twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the repository, the current one first."""
        return (self.repository, *self.formerly)

    @property
    def place(self) -> str:
        """The repository or the address."""
        return self.repository or self.address

    def size_of(self, paths: Collection[str]) -> int | None:
        """Return the bytes of these files without small ones of unknown size; None if a large one's isn't known."""
        sizes = {file.path: file.bytes for file in self.files}
        known = [sizes[path] for path in paths if sizes[path] is not None or not path.endswith((".json", ".txt"))]
        return None if None in known or not known else sum(size or 0 for size in known)

    def digest(self, path: str) -> str | None:
        """Return a file's published digest, if one is stated for this repository itself rather than for a copy."""
        found = next((file for file in self.files if file.path == path), None)
        sure = found and self.sources[found.numbers or found.source].confidence in ("read", "copied")
        return found.sha256 if found and sure else None


def pinned(revision: str | None) -> str:
    """Say which revision is used."""
    return f"revision {revision[:8]}" if revision else "not pinned: its main branch is used"


def manifests() -> tuple[Manifest, ...]:
    """Return all of the suite's manifests. Raises `UserError` for a damaged one."""
    return _in(FOLDER)


@cache
def _in(folder: Path) -> tuple[Manifest, ...]:
    return tuple(_read(path) for path in sorted(folder.glob("*.toml")))


def manifest_of(name: str) -> Manifest | None:
    """Find the manifest of a repository by any of its names, or of an address; None if there is none."""
    return next((each for each in manifests() if name in each.names or name == each.address), None)


def names_of(repository: str) -> tuple[str, ...]:
    """Return this name, then the other names that the repository has or had."""
    found = manifest_of(repository)
    return tuple(dict.fromkeys((repository, *(found.names if found else ()))))


def canonical(repository: str) -> str:
    """Return the repository's current name."""
    found = manifest_of(repository)
    return found.repository if found and found.repository else repository


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate(read_toml(path))
    except ValueError as error:
        raise UserError(one_line(f"{path}: not a manifest of a repository ({error})")) from error

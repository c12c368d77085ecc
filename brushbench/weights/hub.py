"""From the hub exactly the files that are read, and checked.

Nothing is downloaded before the listing has been looked at: what is missing or isn't what was published is told first.
"""

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

from huggingface_hub import constants

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest
from brushbench.weights.layouts import SMALL, Listing, Reads, Request, anything
from brushbench.weights.lock import Locked
from brushbench.weights.manifest import canonical, manifest_of, names_of
from brushbench.weights.repository import (
    Cached,
    NamedFiles,
    NoRevisionError,
    Repository,
    UnavailableError,
    WrongFilesError,
    look,
    snapshot,
)

Choose = Callable[[Listing], Sequence[str]]
"""From a listing to the names of the files that are read. Raises `UserError` if it lacks one."""
_PATIENCE_SECONDS = 3.0
_COMMIT, _SHA256, _GIT = 40, 64, 40
"""Hexadecimal digits."""


@final
@dataclass(frozen=True, slots=True)
class HubFolder:
    """A repository on the hub, or a folder in one, and what of it is read: a `Source`."""

    source: str
    """owner/name."""
    revision: str | None = None
    """None: what the main branch is when it is downloaded."""
    request: Request = field(default=Request())
    reads: Reads = field(default=anything, compare=False)

    @property
    def place(self) -> str:
        """Repository and folder, to read."""
        return f"{self.source}/{self.request.subfolder}".rstrip("/")

    def here(self) -> Path | None:
        """The folder if it can be used without a download."""
        found = in_cache(self.source, self.revision, self.choose)
        return None if found is None else found / self.request.subfolder

    def get(self) -> Path:
        """The folder, downloaded if need be. Raises `UserError` with the reason if it can't be."""
        return fetch(self.source, self.revision, self.choose) / self.request.subfolder

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        root = in_cache(self.source, self.revision, self.choose)
        return () if root is None else tuple(root / name for name in self.choose(Cached(root)))

    def choose(self, listing: Listing) -> list[str]:
        """The names of what is read. Raises `UserError` if the listing lacks a file."""
        return self.reads(listing, self.request)

    def size(self) -> int:
        """Bytes that a download takes, as the hub says. Raises `UserError` with the reason if it doesn't in 3 s."""
        listed = look(self.source, self.revision, _PATIENCE_SECONDS)
        return sum(listed.entries[name].size for name in self.choose(NamedFiles(listed.names)))

    def published_size(self) -> int | None:
        """The bytes to download by its manifest; None without one, or if the size of a large file isn't known."""
        manifest = manifest_of(self.source)
        return manifest.size_of(self.published_names()) if manifest else None

    def published_names(self) -> list[str]:
        """Which files its manifest has of those that are read; none without one."""
        manifest = manifest_of(self.source)
        if manifest is None:
            return []
        chosen = capture(self.choose, NamedFiles({file.path for file in manifest.files}))
        return [] if isinstance(chosen, Failure) else chosen

    def how_to_get_it(self) -> str:
        """A command for a machine with a network; no more than what is read, where that is known."""
        folder = self.request.subfolder
        revision = f" --revision {self.revision}" if self.revision else ""
        names = _patterns(self.published_names(), folder) or ([f"{folder}/*"] if folder else [])
        only = "".join(f" --include {shlex.quote(name)}" for name in names)
        return f"hf download {canonical(self.source)}{revision}{only}"

    def checked_digest(self, folder: Path, file: Path, read: Callable[[Path], str] = file_digest) -> str:
        """The SHA-256 of a downloaded file, as `read` returns it.

        Raises `UserError` if it is damaged, or isn't the published one.
        """
        digest, announced = read(file), file.resolve().name
        # The hub's cache names its files by what the hub announced; a damaged one is removed.
        if file.is_symlink() and announced != digest:
            check_announced(file, announced)
        root, manifest = self._root(folder), manifest_of(self.source)
        name = file.relative_to(root).as_posix()
        known = manifest is not None and manifest.commit == root.name and not name.endswith(SMALL)
        published = manifest.digest(name) if known and manifest else None
        if published and published != digest:
            told = f"{file} is not the published file: SHA-256 {published} was, it has {digest}"
            raise WrongFilesError(one_line(told))
        return digest

    def entry(self, folder: Path, files: Sequence[Path], component: str, sha256: str, variant: str = "") -> Locked:
        """For the lock file: files in the folder on this machine, which are loaded as a component."""
        inside = files[0].parent.relative_to(folder).as_posix()
        return Locked(
            source=canonical(self.source),
            revision=self.revision or constants.DEFAULT_REVISION,
            component=component,
            folder="/".join(part for part in (self.request.subfolder, inside) if part not in ("", ".")),
            variant=variant,
            files=tuple(sorted(file.name for file in files)),
            commit=self._root(folder).name,
            sha256=sha256,
        )

    def _root(self, folder: Path) -> Path:
        """The folder of the repository in the cache, from this one in it."""
        subfolder = self.request.subfolder
        return folder.parents[len(Path(subfolder).parts) - 1] if subfolder else folder


def fetch(source: str, revision: str | None, choose: Choose) -> Path:
    """The folder of a repository's files on this machine, what is chosen of them downloaded if need be, and checked.

    The hub is asked for the repository by all of its names. Without an answer what is in the cache will do, if it is
    complete. Raises `UserError` with the reason if the files can't be had, and for a file that isn't the published one
    or isn't what the hub announces; such a one is removed.
    """
    # A commit never changes.
    if revision is not None and len(revision) == _COMMIT and (here := in_cache(source, revision, choose)):
        return here
    listed = capture(look, source, revision, passing=(NoRevisionError,))
    if isinstance(listed, Failure):
        if (here := in_cache(source, revision, choose)) is not None:
            return here
        raise UserError(f"{listed.error}{_obstacle(source, revision, choose)}")
    names = _chosen(listed, choose)
    _check_published(listed, names)
    before = in_cache(source, revision, lambda _: ())
    new = [name for name in names if before is None or before.name != listed.commit or not (before / name).is_file()]
    found = capture(snapshot, listed.asked, revision, names, passing=(UnavailableError,))
    if isinstance(found, Failure):
        raise _broken_off(found)
    for name in new:
        check_announced(found / name, listed.entries[name].digest)
    return found


def in_cache(source: str, revision: str | None, choose: Choose) -> Path | None:
    """The folder of a repository in the hub's cache, by any of its names, if all is there that is chosen."""
    complete = (folder for folder in _cached(source, revision) if not _lack(folder, choose))
    return next(complete, None)


def _obstacle(source: str, revision: str | None, choose: Choose) -> str:
    """What the cache lacks, to read; empty if it has nothing at all."""
    lacks = [_lack(folder, choose) for folder in _cached(source, revision)]
    return one_line(f"; the cache has a part: {lacks[0]}") if lacks else ""


def _cached(source: str, revision: str | None) -> Iterator[Path]:
    """The folders of a repository in the cache; where no branch was downloaded, the pinned commit stands for it."""
    manifest = manifest_of(source)
    revisions = [revision, manifest.commit] if revision is None and manifest and manifest.commit else [revision]
    for wanted in revisions:
        for name in names_of(source):
            folder = capture(partial(snapshot, name, wanted, (), local=True))
            if not isinstance(folder, Failure):
                yield folder


def _lack(folder: Path, choose: Choose) -> str:
    """What a folder in the cache hasn't of the files that are read; empty if nothing."""
    listing = Cached(folder)
    chosen = capture(choose, listing)
    if isinstance(chosen, Failure):
        return chosen.error
    lost = sorted(set(chosen) - set(listing.names))
    return f"it has no {lost[0]}" if lost else ""


def check_announced(file: Path, digest: str) -> None:
    """Raises `UserError` if a downloaded file isn't what the hub announces; it is removed."""
    if len(digest) == _SHA256:
        found = file_digest(file)
    elif len(digest) == _GIT:
        content = file.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if found != digest:
        file.resolve().unlink()
        file.unlink(missing_ok=True)
        raise WrongFilesError(
            one_line(
                f"{file.name} came damaged: the hub announces the digest {digest}, it has {found}; it was removed, and "
                f"the same command downloads it again"
            )
        )


def _chosen(listed: Repository, choose: Choose) -> Sequence[str]:
    # An index is downloaded before it is known which files are.
    found = capture(choose, listed, passing=(UnavailableError,))
    if isinstance(found, Failure):
        raise WrongFilesError(found.error) if found.by_user else _broken_off(found)
    return found


def _broken_off(failure: Failure) -> UserError:
    return UnavailableError(one_line(f"the download broke off ({failure.error}), and the same command tries again"))


def _check_published(listed: Repository, names: Sequence[str]) -> None:
    """Raises `UserError` for a file that the hub has with another digest than was published for this very commit."""
    manifest = manifest_of(listed.asked)
    for name in names if manifest and manifest.commit == listed.commit else ():
        published, announced = manifest.digest(name) if manifest else None, listed.entries[name].digest
        if published and len(announced) == _SHA256 and published != announced:
            raise WrongFilesError(
                one_line(
                    f"{name} is not the published file: SHA-256 {published} was published, the hub has {announced} "
                    f"(commit {listed.commit}); nothing was downloaded",
                    1000,
                )
            )


def _patterns(names: Sequence[str], subfolder: str) -> list[str]:
    """Every large file, and small ones by their suffix."""
    start = f"{subfolder}/" if subfolder else ""
    found = (f"{start}*{Path(name).suffix}" if name.endswith(SMALL) else name for name in names)
    return list(dict.fromkeys(found))

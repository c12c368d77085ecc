"""Download exactly the files that are read, and check them.

The hub's listing is checked first, so that missing or unexpected files are reported before any download.
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
"""Chooses the files to read from a listing, by name. Raises `UserError` if one is missing."""
_PATIENCE_SECONDS = 3.0
_COMMIT, _SHA256, _GIT = 40, 64, 40
"""Numbers of hexadecimal digits."""


@final
@dataclass(frozen=True, slots=True)
class HubFolder:
    """A repository on the hub, or a folder in one, and the rule for the files to read: a `Source`."""

    source: str
    """owner/name."""
    revision: str | None = None
    """None for the main branch at the time of the download."""
    request: Request = field(default=Request())
    reads: Reads = field(default=anything, compare=False)

    @property
    def place(self) -> str:
        """Repository and folder, for a message."""
        return f"{self.source}/{self.request.subfolder}".rstrip("/")

    def here(self) -> Path | None:
        """Return the folder if it can be used without a download, else None."""
        found = in_cache(self.source, self.revision, self.choose)
        return None if found is None else found / self.request.subfolder

    def get(self) -> Path:
        """Return the folder, downloaded if need be. Raises `UserError` with the reason if that fails."""
        return fetch(self.source, self.revision, self.choose) / self.request.subfolder

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        root = in_cache(self.source, self.revision, self.choose)
        return () if root is None else tuple(root / name for name in self.choose(Cached(root)))

    def choose(self, listing: Listing) -> list[str]:
        """Return the names of the files to read. Raises `UserError` if the listing lacks one."""
        return self.reads(listing, self.request)

    def size(self) -> int:
        """Ask the hub for the bytes of a download. Raises `UserError` with the reason if it doesn't answer in 3 s."""
        listed = look(self.source, self.revision, _PATIENCE_SECONDS)
        return sum(listed.entries[name].size for name in self.choose(NamedFiles(listed.names)))

    def published_size(self) -> int | None:
        """Return the bytes of a download by the manifest; None without one, or if a large file's size isn't known."""
        manifest = manifest_of(self.source)
        return manifest.size_of(self.published_names()) if manifest else None

    def published_names(self) -> list[str]:
        """Return the files to read that the manifest lists; empty without one."""
        manifest = manifest_of(self.source)
        if manifest is None:
            return []
        chosen = capture(self.choose, NamedFiles({file.path for file in manifest.files}))
        return [] if isinstance(chosen, Failure) else chosen

    def how_to_get_it(self) -> str:
        """Return a download command for a machine with a network, limited to the files that are read, if known."""
        folder = self.request.subfolder
        revision = f" --revision {self.revision}" if self.revision else ""
        names = _patterns(self.published_names(), folder) or ([f"{folder}/*"] if folder else [])
        only = "".join(f" --include {shlex.quote(name)}" for name in names)
        return f"hf download {canonical(self.source)}{revision}{only}"

    def checked_digest(self, folder: Path, file: Path, read: Callable[[Path], str] = file_digest) -> str:
        """Return the SHA-256 of a downloaded file, as `read` gives it.

        Raises `UserError` if the file is damaged, or isn't the published one.
        """
        digest, announced = read(file), file.resolve().name
        # The hub's cache names files by the digests that the hub announced; a damaged one is removed.
        if file.is_symlink() and announced != digest:
            check_announced(file, announced)
        root, manifest = self._root(folder), manifest_of(self.source)
        name = file.relative_to(root).as_posix()
        known = manifest is not None and manifest.commit == root.name and not name.endswith(SMALL)
        published = manifest.digest(name) if known and manifest else None
        if published and published != digest:
            told = f"{file} is not the published file: its SHA-256 is {digest}, {published} was published"
            raise WrongFilesError(one_line(told))
        return digest

    def entry(self, folder: Path, files: Sequence[Path], component: str, sha256: str, variant: str = "") -> Locked:
        """Return the lock file's entry for files of this folder that are loaded as a component."""
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
        """Return the repository's folder in the cache, given this folder in it."""
        subfolder = self.request.subfolder
        return folder.parents[len(Path(subfolder).parts) - 1] if subfolder else folder


def fetch(source: str, revision: str | None, choose: Choose) -> Path:
    """Return the folder of a repository on this machine, with the chosen files downloaded if need be, and checked.

    The hub is asked for the repository by all its names. If it doesn't answer, the cache is used if it is complete.
    Raises `UserError` with the reason if the files aren't available, and for a file that isn't the published one or
    that isn't as the hub announced; such a download is removed.
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
    """Return a repository's folder in the hub's cache, under any of its names, if it has all chosen files."""
    complete = (folder for folder in _cached(source, revision) if not _lack(folder, choose))
    return next(complete, None)


def _obstacle(source: str, revision: str | None, choose: Choose) -> str:
    """Say what the cache lacks; empty if it has nothing of the repository."""
    lacks = [_lack(folder, choose) for folder in _cached(source, revision)]
    return one_line(f"; the cache is incomplete: {lacks[0]}") if lacks else ""


def _cached(source: str, revision: str | None) -> Iterator[Path]:
    """Yield a repository's folders in the cache; the pinned commit may stand in for the main branch."""
    manifest = manifest_of(source)
    revisions = [revision, manifest.commit] if revision is None and manifest and manifest.commit else [revision]
    for wanted in revisions:
        for name in names_of(source):
            folder = capture(partial(snapshot, name, wanted, (), local=True))
            if not isinstance(folder, Failure):
                yield folder


def _lack(folder: Path, choose: Choose) -> str:
    """Say which file to read is missing from a folder in the cache; empty if none is."""
    listing = Cached(folder)
    chosen = capture(choose, listing)
    if isinstance(chosen, Failure):
        return chosen.error
    lost = sorted(set(chosen) - set(listing.names))
    return f"it has no {lost[0]}" if lost else ""


def check_announced(file: Path, digest: str) -> None:
    """Remove a downloaded file that isn't what the hub announces, and raise `UserError`."""
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
                f"{file.name} was damaged during download: the hub announces the digest {digest}, it has {found}; it "
                f"was removed: run the same command to download it again"
            )
        )


def _chosen(listed: Repository, choose: Choose) -> Sequence[str]:
    # Choosing the files may need an index, which is downloaded first.
    found = capture(choose, listed, passing=(UnavailableError,))
    if isinstance(found, Failure):
        raise WrongFilesError(found.error) if found.by_user else _broken_off(found)
    return found


def _broken_off(failure: Failure) -> UserError:
    return UnavailableError(one_line(f"the download broke off ({failure.error}); run the same command to try again"))


def _check_published(listed: Repository, names: Sequence[str]) -> None:
    """Raise `UserError` if a file's digest on the hub differs from the one published for this commit."""
    manifest = manifest_of(listed.asked)
    for name in names if manifest and manifest.commit == listed.commit else ():
        published, announced = manifest.digest(name) if manifest else None, listed.entries[name].digest
        if published and len(announced) == _SHA256 and published != announced:
            raise WrongFilesError(
                one_line(
                    f"{name} is not the published file: its SHA-256 on the hub is {announced}, {published} was "
                    f"published (commit {listed.commit}); nothing was downloaded",
                    1000,
                )
            )


def _patterns(names: Sequence[str], subfolder: str) -> list[str]:
    """List large files by name, and small ones by a pattern of their suffix."""
    start = f"{subfolder}/" if subfolder else ""
    found = (f"{start}*{Path(name).suffix}" if name.endswith(SMALL) else name for name in names)
    return list(dict.fromkeys(found))

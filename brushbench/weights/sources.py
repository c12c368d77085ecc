"""The sources of weights for methods and metrics: the hub, a folder, a file, or a web address."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol, final, runtime_checkable

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest
from brushbench.weights.formats import TRANSFORMERS, valid_names, weight_files
from brushbench.weights.hub import Choose, HubFolder
from brushbench.weights.layouts import Listing
from brushbench.weights.lock import Locked, check_locked, hold, lock_path
from brushbench.weights.manifest import canonical, manifest_of
from brushbench.weights.repository import Cached, NoRevisionError, WrongFilesError

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
METRIC = "metric"
"""The lock file's name for the component of everything that metrics load."""
WEIGHTS: tuple[str, ...] = ()
"""In place of file names: a model's weights, in whichever format `brushbench.weights.formats` finds."""


@runtime_checkable
class Source(Protocol):
    """Some files that a method or a metric loads: a `HubFolder`, a `Local`, `HubFiles` or a `WebFile`."""

    @property
    def place(self) -> str:
        """A repository on the hub with its folder, an address, or the path of a local folder or file."""
        ...

    @property
    def revision(self) -> str | None:
        """The repository's revision; None for its main branch, and for a source without revisions."""
        ...

    def here(self) -> Path | None:
        """Return the folder or file if it is on this machine, None if it would be downloaded.

        Raises `UserError` for a source that is neither on this machine nor available for download, and for a metric's
        download that has changed since its first use. (A method's download is checked when it is loaded.)
        """
        ...

    def get(self) -> Path:
        """Return the folder or file, downloaded if need be. Raises `UserError` if that fails."""
        ...

    def files(self) -> tuple[Path, ...]:
        """Return exactly the files that are loaded, always in the same order; none if they aren't on this machine.

        Raises `UserError` as `here` does.
        """
        ...

    def how_to_get_it(self) -> str:
        """Return a download command for a machine with a network; empty for a local source."""
        ...


def named(source: Source) -> str:
    """Return a source's place with its revision."""
    return f"{source.place}@{source.revision}" if source.revision else source.place


def got(source: Source, what: str, instead: str, *, how: str = "", main: str = "") -> Path:
    """Return the folder or file of a source, downloaded if need be.

    Raises `UserError` if that fails. The message says `what` is missing, `how` to get it (the source's own command if
    empty) and what to give `instead`; for a revision that is gone, also the option that uses the `main` branch.
    """
    try:
        found = capture(source.get, passing=(NoRevisionError, WrongFilesError))
    except WrongFilesError as error:
        raise UserError(one_line(f"{what}: {error}; or give {instead}", 1000)) from error
    except NoRevisionError as error:
        branch = f"{main}, which uses its main branch; " if main else ""
        raise _unavailable(what, str(error), f"valid: {branch}{instead}") from error
    if isinstance(found, Failure):
        remedy = f"on a machine with a network, run: {how or source.how_to_get_it()}; or give {instead}"
        raise _unavailable(what, found.error, remedy)
    return found


def _unavailable(what: str, reason: str, remedy: str) -> UserError:
    return UserError(one_line(f"{what} is not on this machine and can't be downloaded: {reason}; {remedy}", 1000))


def _all(listing: Listing) -> Sequence[str]:
    return sorted(listing.names)


@final
@dataclass(frozen=True, slots=True)
class Local:
    """A local folder or file, the user's or the suite's."""

    path: Path
    choose: Choose = _all
    """Chooses the files to read in a folder."""

    revision: ClassVar[None] = None

    @property
    def place(self) -> str:
        """See `Source`."""
        return str(self.path.resolve())

    def here(self) -> Path:
        """See `Source`."""
        return self.path

    def get(self) -> Path:
        """See `Source`."""
        return self.path

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        if not self.path.is_dir():
            return (self.path,)
        return tuple(self.path / name for name in self.choose(Cached(self.path)))

    def how_to_get_it(self) -> str:
        """Return an empty text: nothing needs a download."""
        return ""


@final
@dataclass(frozen=True, slots=True)
class HubFiles:
    """A metric's files in a repository on the hub, in a folder with the same files, or a single file instead."""

    option: str
    """The metric's option, as the user gives it."""
    source: str
    """A hub id, a folder or a file."""
    needed: tuple[tuple[str, ...], ...]
    """For each file, the names that it may have, of which the first that exists is read; or `WEIGHTS`."""
    file_will_do: bool = False
    """Whether a single file can replace the folder."""
    optional: tuple[str, ...] = ()
    """Files that are also loaded if they exist."""

    @property
    def place(self) -> str:
        """See `Source`."""
        return self.source

    @property
    def revision(self) -> str | None:
        """The commit that its manifest states."""
        manifest = manifest_of(self.source)
        return manifest.commit if manifest else None

    def here(self) -> Path | None:
        """See `Source`."""
        where = self._where()
        found = where.here()
        if isinstance(where, HubFolder) and found is not None:
            needed = [found / name for name in self.choose(Cached(found)) if name not in self.optional]
            total = _total([digest_of(file) for file in needed])
            _hold(where.entry(found, needed, METRIC, total), lock_path(), where, found)
        return found

    def get(self) -> Path:
        """See `Source`."""
        instead, how = f"a folder: {self.option}=FOLDER", self.how_to_get_it()
        return self.here() or got(self._where(), self.source, instead, how=how)

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        found = self.here()
        return () if found is None else Local(found, self.choose).files()

    def how_to_get_it(self) -> str:
        """See `Source`."""
        usual = dict.fromkeys(names[0] if names else "model.safetensors" for names in self.needed)
        names = self._on_hub().published_names() or usual
        revision = f" --revision {self.revision}" if self.revision else ""
        return f"hf download {canonical(self.source)} {' '.join(names)}{revision}"

    def choose(self, listing: Listing) -> list[str]:
        """Return the names of the files to load. Raises `UserError` if the listing lacks one."""
        found: list[str] = []
        for names in self.needed:
            if names == WEIGHTS:
                weights = weight_files({name for name in listing.names if "/" not in name}, TRANSFORMERS)
                there: Sequence[str] = weights.names if weights else ()
            else:
                there = [name for name in names if name in listing.names][:1]
            if not there:
                raise UserError(f"has no {' or '.join(names) or valid_names(TRANSFORMERS)}")
            found += there
        return list(dict.fromkeys([*found, *(name for name in self.optional if name in listing.names)]))

    def _where(self) -> Local | HubFolder:
        """Return the local or hub source. Raises `UserError` for anything else, and for a folder that lacks a file."""
        path = Path(self.source)
        if path.is_file() and self.file_will_do:
            return Local(path)
        if path.is_dir():
            try:
                self.choose(Cached(path))
            except UserError as error:
                raise UserError(one_line(f"{self.option}={self.source}: the folder {error}")) from error
            return Local(path, self.choose)
        if not HUB_ID.fullmatch(self.source):
            valid = "a folder, a file or a hub id" if self.file_will_do else "a folder or a hub id"
            raise UserError(one_line(f"{self.option}={self.source}: no such file or folder; valid: {valid}"))
        return self._on_hub()

    def _on_hub(self) -> HubFolder:
        return HubFolder(self.source, self.revision, reads=lambda listing, _: self.choose(listing))


@final
@dataclass(frozen=True, slots=True)
class WebFile:
    """A file from a web address, kept among torch's downloads, or a local file in its place."""

    option: str
    source: str | None
    """A local file; None for the file at the address."""
    address: str
    digest: str = ""
    """The beginning of its SHA-256, if known."""

    revision: ClassVar[None] = None

    @property
    def place(self) -> str:
        """See `Source`."""
        return self.source or self.address

    def here(self) -> Path | None:
        """See `Source`."""
        if self.source is not None:
            if not Path(self.source).is_file():
                raise UserError(one_line(f"{self.option}={self.source}: no such file"))
            return Path(self.source)
        kept = self._kept()
        if not kept.is_file():
            return None
        found = file_digest(kept)
        if not found.startswith(self._published()):
            raise UserError(
                one_line(
                    f"{kept} is not the published file: its SHA-256 is {found}, not {self._published()}; delete it "
                    f"to download it again, or give {self.option}=FILE",
                    1000,
                )
            )
        total, name = _total([found]), kept.name
        entry = Locked(
            source=self.address, revision="", component=METRIC, folder="", files=(name,), commit="", sha256=total
        )
        _hold(entry, lock_path())
        return kept

    def get(self) -> Path:
        """See `Source`."""
        if (path := self.here()) is not None:
            return path
        downloaded = capture(self._download)
        if isinstance(downloaded, Failure):
            remedy = f"on a machine with a network, run: {self.how_to_get_it()}; or give {self.option}=FILE"
            raise _unavailable(self.address, downloaded.error, remedy)
        return self._kept()

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        found = self.here()
        return () if found is None else (found,)

    def how_to_get_it(self) -> str:
        """See `Source`."""
        return f"curl -L --create-dirs -o {self._kept()} {self.address}"

    def _download(self) -> None:
        from huggingface_hub import constants
        from torch.hub import download_url_to_file

        if constants.HF_HUB_OFFLINE:
            raise UserError("HF_HUB_OFFLINE is set")
        self._kept().parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(self.address, str(self._kept()), hash_prefix=self._published() or None, progress=False)

    def _published(self) -> str:
        """Return the published digest or its beginning; empty if neither is known."""
        manifest = manifest_of(self.address)
        whole = manifest.digest(manifest.files[0].path) if manifest else None
        return whole or self.digest

    def _kept(self) -> Path:
        from torch.hub import get_dir

        return Path(get_dir()) / "checkpoints" / self.address.rpartition("/")[2].partition("?")[0]


@cache
def _hold(entry: Locked, _lock_file: Path, hub: HubFolder | None = None, folder: Path = Path()) -> None:
    """Check a metric's files against the lock file, once per process, as metrics ask often.

    Raises `UserError` if they have changed since their first use, or aren't the published ones at first use.
    """
    # From the second use on, the digests in the names of the hub's cache are trusted.
    if hub is not None and not check_locked(entry):
        for name in entry.files:
            hub.checked_digest(folder, folder / name)
    hold(entry)


def _total(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def digest_of_files(files: Sequence[Path]) -> str:
    """Return the SHA-256 over files in this order; for a single file, its own SHA-256."""
    digests = [digest_of(file) for file in files]
    return digests[0] if len(digests) == 1 else _total(digests)


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file. A file that the hub's cache named by its digest isn't read for it."""
    return _name_in_cache(file) or file_digest(file)


def _name_in_cache(file: Path) -> str:
    """Return the name of a file in the hub's cache if it is the file's digest, and an empty text otherwise.

    The cache links to a file after it has stored it. A file that was changed after its link was made isn't trusted.
    """
    try:
        blob = file.resolve()
        if not file.is_symlink() or not _SHA256.fullmatch(blob.name):
            return ""
        return blob.name if blob.stat().st_ctime_ns <= file.lstat().st_ctime_ns else ""
    except OSError:
        return ""

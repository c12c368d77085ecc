"""Where the weights of metrics come from: hub, folder, single file, or an address that torch knows."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, final, runtime_checkable

from brushbench.core.capture import Failure, capture, plugged
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest
from brushbench.core.metric_info import MetricInfo, Place
from brushbench.core.types import Metric
from brushbench.weights.formats import TRANSFORMERS, valid_names, weight_files
from brushbench.weights.hub import check_download, fetch, in_cache
from brushbench.weights.layouts import Listing
from brushbench.weights.lock import Locked, check, hold, lock_path
from brushbench.weights.manifest import Manifest, canonical, manifest_of
from brushbench.weights.repository import Cached, Named

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
WEIGHTS: tuple[str, ...] = ()
"""In place of names: a model's weights, in the format that `brushbench.weights.formats` finds."""
ABSENT = "its weights are not on this machine; `brushbench doctor` tells how to get them"
DIGITS = 8
"""How much of a digest stands in a metric's version."""


@runtime_checkable
class Source(Protocol):
    """Some files that a metric loads."""

    def here(self) -> Path | None:
        """The folder or file if it is on this machine; None if it would be downloaded.

        Raises `UserError` for a source that is neither there nor to be had, and for a download that isn't what it was
        at its first use.
        """
        ...

    def get(self) -> Path:
        """The folder or file, downloaded if need be. Raises `UserError` if it can't be."""
        ...

    def files(self) -> tuple[Path, ...]:
        """The very files that are loaded, always in one order; none while they aren't on this machine.

        Raises `UserError` as `here` does.
        """
        ...

    def how_to_get_it(self) -> str:
        """A command for a machine with a network."""
        ...


@runtime_checkable
class Weighted(Protocol):
    """A metric that is made from weights."""

    def weights(self) -> Sequence[Source]:
        """All that it loads."""
        ...


@runtime_checkable
class Networked(Protocol):
    """A metric with a network, which it can load before there is anything to score."""

    def load_network(self) -> None:
        """Load it. Raises `UserError` for weights that can't be used."""
        ...


@final
@dataclass(frozen=True, slots=True)
class HubFiles:
    """Files of a repository on the hub, or of a folder with the same files, or one file in their place."""

    option: str
    """The metric's option, as the user gives it."""
    source: str
    """A hub id, a folder or a file."""
    needed: tuple[tuple[str, ...], ...]
    """For each file the names that it may have, of which the first that is there is read; or `WEIGHTS`."""
    file_will_do: bool = False
    """A single file can stand for the folder."""
    optional: tuple[str, ...] = ()
    """Files that are loaded too where they are."""

    def here(self) -> Path | None:
        """See `Source`."""
        path = Path(self.source)
        if path.is_file() and self.file_will_do:
            return path
        if path.is_dir():
            try:
                self._chosen(Cached(path))
            except UserError as error:
                raise UserError(one_line(f"{self.option}={self.source}: the folder {error}")) from error
            return path
        if not _HUB_ID.fullmatch(self.source):
            valid = "a folder, a file or a hub id" if self.file_will_do else "a folder or a hub id"
            raise UserError(one_line(f"{self.option}={self.source}: no such file or folder; valid is {valid}"))
        found = in_cache(self.source, self.revision, self._chosen)
        if found is not None:
            names = [name for name in self._chosen(Cached(found)) if name not in self.optional]
            _hold(self.source, self.revision or "main", found, names)
        return found

    def get(self) -> Path:
        """See `Source`."""
        if (path := self.here()) is not None:
            return path
        found = capture(fetch, self.source, self.revision, self._chosen)
        if isinstance(found, Failure):
            raise self._unavailable(found.error)
        return found

    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        found = self.here()
        if found is None or found.is_file():
            return () if found is None else (found,)
        return tuple(found / name for name in self._chosen(Cached(found)))

    def how_to_get_it(self) -> str:
        """See `Source`."""
        manifest = manifest_of(self.source)
        chosen = capture(self._chosen, Named({file.path for file in manifest.files})) if manifest else None
        usual = dict.fromkeys(names[0] if names else "model.safetensors" for names in self.needed)
        names = usual if chosen is None or isinstance(chosen, Failure) else chosen
        revision = f" --revision {self.revision}" if self.revision else ""
        return f"hf download {canonical(self.source)} {' '.join(names)}{revision}"

    def _unavailable(self, reason: str) -> UserError:
        there = f"where there is a network: {self.how_to_get_it()}; or give a folder: {self.option}=FOLDER"
        return UserError(
            one_line(f"{self.source} is not on this machine, and it can't be downloaded: {reason}; {there}", 1000)
        )

    @property
    def revision(self) -> str | None:
        """The commit that its manifest states; None: the main branch."""
        manifest = manifest_of(self.source)
        return manifest.commit if manifest else None

    def _chosen(self, listing: Listing) -> list[str]:
        """What is loaded of a listing. Raises `UserError` if it lacks a file."""
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


@final
@dataclass(frozen=True, slots=True)
class WebFile:
    """A file at an address, kept where torch keeps its downloads; or a local file in its place."""

    option: str
    source: str | None
    """A local file, None for the one at the address."""
    address: str
    digest: str = ""
    """The beginning of its SHA-256, where it is known."""

    def here(self) -> Path | None:
        """See `Source`."""
        if self.source is not None:
            if not Path(self.source).is_file():
                raise UserError(one_line(f"{self.option}={self.source}: no such file"))
            return Path(self.source)
        kept = self._kept()
        if not kept.is_file():
            return None
        if not digest_of(kept).startswith(self._published()):
            raise UserError(
                one_line(
                    f"{kept} is not the published file: its SHA-256 is {digest_of(kept)}, not {self._published()}; "
                    f"delete it, and it is downloaded again; or give {self.option}=FILE",
                    1000,
                )
            )
        _hold(self.address, "", kept.parent, [kept.name])
        return kept

    def get(self) -> Path:
        """See `Source`."""
        if (path := self.here()) is not None:
            return path
        downloaded = capture(self._download)
        if isinstance(downloaded, Failure):
            reason = f"it can't be downloaded ({downloaded.error}); where there is a network: {self.how_to_get_it()}"
            raise UserError(
                one_line(f"{self.address} is not on this machine, and {reason}; or give {self.option}=FILE", 1000)
            )
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
        """The digest, or its beginning; empty if neither is known."""
        manifest = manifest_of(self.address)
        whole = manifest.digest(manifest.files[0].path) if manifest else None
        return whole or self.digest

    def _kept(self) -> Path:
        from torch.hub import get_dir

        return Path(get_dir()) / "checkpoints" / self.address.rpartition("/")[2].partition("?")[0]


def published_source(manifest: Manifest) -> Source:
    """What a manifest says that metrics read."""
    if manifest.address:
        return WebFile("", None, manifest.address)
    return HubFiles("", manifest.repository, tuple((name,) for name in manifest.reads))


def _hold(source: str, revision: str, root: Path, names: Sequence[str]) -> None:
    """Hold what was downloaded against the lock file.

    Raises `UserError` if it isn't what it was at its first use, or then isn't what it should be.
    """
    digests = tuple(digest_of(root / name) for name in names)
    component = Locked(
        source=canonical(source),
        revision=revision,
        component="metric",
        folder="",
        files=tuple(names),
        commit=root.name if revision else "",
        sha256=hashlib.sha256("".join(digests).encode()).hexdigest(),
    )
    _held(component, root, lock_path())


@cache
def _held(component: Locked, root: Path, _lock_file: Path) -> None:
    """Once in a process: metrics ask often."""
    # The names that the hub's cache gives its files are trusted from the second use on.
    if component.revision and not check(component):
        for name in component.files:
            check_download(component.source, root, root / name, file_digest(root / name))
    hold(component)


def sources_of(metric: Metric) -> Sequence[Source]:
    """All that a metric loads."""
    # A plug-in may have an option of that name.
    weights = metric.weights if isinstance(metric, Weighted) else None
    return plugged(f"metric {metric.info.name}: weights()", weights) if callable(weights) else ()


def unavailable_reason(metric: Metric, *, download: bool) -> str:
    """Why a metric can't be computed here: what of its weights isn't to be had; empty if nothing is in the way.

    `download`: what is missing is downloaded; otherwise that it is missing is the reason.
    """
    for source in sources_of(metric):
        found = capture(source.get if download else source.here)
        if isinstance(found, Failure):
            return found.error
        if found is None:
            return ABSENT
    return ""


def described(
    info: MetricInfo, region: Place, number: str, sources: Sequence[Source], others: Sequence[Path] = ()
) -> MetricInfo:
    """The metric's info with the digest of the files that it loads in the version, if all are here.

    `others` are files that it loads from somewhere else.
    """
    files: list[Path] = []
    for source in sources:
        try:
            found = source.files()
        except UserError:
            found = ()
        if not found:
            return info.named(region, number)
        files += found
    loaded = [*files, *others]
    return info.named(region, f"{number} {digest_of_all(loaded)[:DIGITS]}" if loaded else number)


def digest_of_all(files: Sequence[Path]) -> str:
    """SHA-256 of files in this order; of one alone its own."""
    digests = [digest_of(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def digest_of(file: Path) -> str:
    """SHA-256 of a file, computed once for as long as the file doesn't change."""
    resolved = file.resolve()
    # The hub's cache names large files by their digests.
    if _SHA256.fullmatch(resolved.name):
        return resolved.name
    return file_digest(resolved)

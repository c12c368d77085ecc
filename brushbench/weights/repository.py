"""Repositories on the hub and in its cache: what is in them, and why they can't be had."""

import glob
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RevisionNotFoundError

from brushbench.core.bars import without_bars
from brushbench.core.capture import capture
from brushbench.core.errors import UserError, one_line
from brushbench.weights.manifest import names_of

_COMPONENT = re.compile(
    r"(unet|vae|text_encoder|tokenizer|scheduler|transformer|image_encoder|image_processor|movq|prior)(_\d)?"
)


class UnavailableError(UserError):
    """The hub doesn't give what it is asked for."""


class NoRevisionError(UnavailableError):
    """The repository is there, and the revision isn't."""


class WrongFilesError(UserError):
    """The repository is to be had, but hasn't what is read, or has something else in its place."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as the hub lists it."""

    size: int
    digest: str
    """SHA-256 of a large file, git's digest of a small one; empty if the hub says nothing."""


@final
@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as the hub lists it now."""

    name: str
    """The hub's name for it, which may differ from the requested one."""
    asked: str
    revision: str | None
    commit: str
    gated: bool
    licence: str
    """Empty if its card states none."""
    entries: Mapping[str, ListedFile]

    @property
    def names(self) -> Collection[str]:
        """See `Listing`."""
        return self.entries.keys()

    def read(self, name: str) -> bytes:
        """See `Listing`; the file is kept in the hub's cache."""
        return (snapshot(self.asked, self.revision, [name]) / name).read_bytes()


@final
@dataclass(frozen=True, slots=True)
class Cached:
    """What a hub's cache has of a repository."""

    folder: Path

    @property
    def names(self) -> Collection[str]:
        """See `Listing`."""
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}

    def read(self, name: str) -> bytes:
        """See `Listing`."""
        return (self.folder / name).read_bytes()


@final
@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Names of files, and nothing of what is in them."""

    names: Collection[str]
    """See `Listing`."""

    def read(self, name: str) -> bytes:
        """See `Listing`: of a pipeline's index, the folders that are called like components."""
        start = name.removesuffix(name.rpartition("/")[2])
        below = {path.removeprefix(start) for path in self.names if path.startswith(start)}
        folders = sorted({path.split("/")[0] for path in below if "/" in path})
        return json.dumps({folder: ["", ""] for folder in folders if _COMPONENT.fullmatch(folder)}).encode()


def look(source: str, revision: str | None, patience: float = float(constants.DEFAULT_REQUEST_TIMEOUT)) -> Repository:
    """A repository as the hub lists it, by the first of its names that the hub knows.

    Raises `UserError` with the reason if it can't be asked, or knows none.
    """
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set")
    reasons = []
    for name in names_of(source):
        found = capture(_listed, name, revision, patience, passing=(NoRevisionError,))
        if isinstance(found, Repository):
            return found
        if not found.by_user:
            raise UserError(one_line(f"the hub can't be reached ({found.error})"))
        reasons.append(found.error)
    raise UserError(reasons[0])


def _listed(name: str, revision: str | None, patience: float) -> Repository:
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=patience)
    except RevisionNotFoundError as error:
        raise NoRevisionError(f"{_reason_of(error)} ({revision})") from error
    except OSError as error:
        raise UserError(_reason_of(error)) from error
    card = info.card_data
    return Repository(
        name=info.id,
        asked=name,
        revision=revision,
        commit=str(info.sha),
        gated=bool(info.gated),
        licence=str(card.license or "") if card else "",
        entries={
            file.rfilename: ListedFile(file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id or "")
            for file in info.siblings or []
        },
    )


def snapshot(source: str, revision: str | None, names: Sequence[str], *, local: bool = False) -> Path:
    """The folder of a repository in the hub's cache, these files of it downloaded if need be; `local`: not even asked.

    Raises `UnavailableError` with the reason if it can't be had.
    """
    patterns = [glob.escape(name) for name in names]
    with without_bars():
        return _pulled(partial(snapshot_download, source, revision=revision, allow_patterns=patterns), local=local)


def dataset_into(folder: Path, source: str, revision: str | None) -> None:
    """Download a whole data set into a folder, with the client's own bars. Raises as `snapshot` does."""
    _pulled(partial(snapshot_download, source, repo_type="dataset", revision=revision, local_dir=folder))


def _pulled(pull: "partial[str]", *, local: bool = False) -> Path:
    try:
        # What isn't asked isn't retried; and to set a logger's level costs more than all of such a look into the cache.
        with nullcontext() if local else _without_retries():
            return Path(pull(local_files_only=local))
    except OSError as error:
        raise UnavailableError(_reason_of(error)) from error


@contextmanager
def _without_retries() -> Iterator[None]:
    """The client tells of each attempt to go on with a download; what comes of it is told once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason_of(error: OSError) -> str:
    """In words, what huggingface_hub's error means."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    # The hub's client looks into its cache after most errors, and raises that it found nothing there.
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(cause, RevisionNotFoundError):
        return "the hub has no such revision"
    if isinstance(cause, HfHubHTTPError):
        return _answered(cause.response.status_code)
    if isinstance(error, LocalEntryNotFoundError):
        return f"the hub can't be reached ({type(cause or error).__name__})"
    return one_line(f"{type(error).__name__}: {error}")


def _answered(status: int) -> str:
    if status in (401, 403):
        # For a repository that doesn't exist, the hub answers 401 to whoever hasn't logged in.
        return f"it is gated, private or doesn't exist ({status}): accept its terms on the hub, then `hf auth login`"
    if status == 404:
        return "the hub has no such repository (404)"
    return f"the hub answers {status}"

"""Repositories on the hub and in its cache: what they contain, or why they aren't available."""

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
    """The hub doesn't deliver what was requested."""


class NoRevisionError(UnavailableError):
    """The repository exists, but the revision doesn't."""


class WrongFilesError(UserError):
    """The repository is available, but a file that is read is missing or isn't the expected one."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as the hub lists it."""

    size: int
    digest: str
    """SHA-256 of a large file, git's digest of a small one; empty if the hub states none."""


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
    """The files of a repository in the hub's cache."""

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
    """A listing of file names without the files' contents."""

    names: Collection[str]
    """See `Listing`."""

    def read(self, name: str) -> bytes:
        """See `Listing`; a pipeline's index is made up from the folders that are named like components."""
        start = name.removesuffix(name.rpartition("/")[2])
        below = {path.removeprefix(start) for path in self.names if path.startswith(start)}
        folders = sorted({path.split("/")[0] for path in below if "/" in path})
        return json.dumps({folder: ["", ""] for folder in folders if _COMPONENT.fullmatch(folder)}).encode()


def look(source: str, revision: str | None, patience: float = float(constants.DEFAULT_REQUEST_TIMEOUT)) -> Repository:
    """Return a repository as the hub lists it, under the first of its names that the hub knows.

    Raises `UserError` with the reason if the hub can't be reached, or knows none of the names.
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
    """Return a repository's folder in the hub's cache, with these files downloaded if need be; `local`: never connect.

    Raises `UnavailableError` with the reason if that fails.
    """
    patterns = [glob.escape(name) for name in names]
    with without_bars():
        return _pulled(partial(snapshot_download, source, revision=revision, allow_patterns=patterns), local=local)


def dataset_into(folder: Path, source: str, revision: str | None) -> None:
    """Download a whole data set into a folder, with the client's own progress bars. Raises as `snapshot` does."""
    _pulled(partial(snapshot_download, source, repo_type="dataset", revision=revision, local_dir=folder))


def _pulled(pull: "partial[str]", *, local: bool = False) -> Path:
    try:
        # A look into the cache never retries, and setting a logger's level would cost more than the look itself.
        with nullcontext() if local else _without_retries():
            return Path(pull(local_files_only=local))
    except OSError as error:
        raise UnavailableError(_reason_of(error)) from error


@contextmanager
def _without_retries() -> Iterator[None]:
    """Silence the client's message at each retry: the outcome is reported once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason_of(error: OSError) -> str:
    """Say in words what an error of huggingface_hub means."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    # After most errors, the hub's client looks into its cache, and raises that it found nothing.
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
        return (
            f"it is gated, private or doesn't exist ({status}): accept its terms on the hub, then run `hf auth login`"
        )
    if status == 404:
        return "the hub has no such repository (404)"
    return f"the hub answered with HTTP status {status}"

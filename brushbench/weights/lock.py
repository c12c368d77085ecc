"""The lock file: the digest of every downloaded component, recorded at its first use.

It lies beside the hub's cache, so that every later run on the machine uses the same files. Local folders aren't locked:
their owner may change them.
"""

from pathlib import Path
from typing import Literal

from filelock import FileLock
from huggingface_hub import constants
from pydantic import BaseModel, ValidationError

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_bytes
from brushbench.weights.manifest import canonical


class Locked(BaseModel, extra="forbid", frozen=True):
    """A component as it was at its first use."""

    source: str
    """The repository on the hub, or the address of a file."""
    revision: str
    """The requested revision; `main` if none was requested."""
    component: str
    """What it was loaded as, such as `unet`; `metric` for everything that a metric reads from the source."""
    folder: str
    """Folder in the repository; empty for its root."""
    variant: str = ""
    """The variant of the weights' files, such as `fp16`; empty for plain weights."""
    files: tuple[str, ...]
    """Names of the files in that folder."""
    commit: str
    """The commit that the revision stood for at first use."""
    sha256: str
    """The digest over the files' digests."""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """The component's identity, which doesn't depend on its list of files."""
        # A renamed repository keeps its identity.
        return canonical(self.source), self.revision, self.folder, self.component, self.variant


class _LockFile(BaseModel, extra="forbid"):
    schema_version: Literal[1] = 1
    components: list[Locked] = []


def lock_path() -> Path:
    """Return the path beside the cache; inside it, the hub's tools would take the file for a broken repository."""
    cache = Path(constants.HF_HUB_CACHE).expanduser().resolve()
    return cache.with_name(f"{cache.name}.brushbench.lock.json")


def check_locked(component: Locked) -> bool:
    """Tell whether the component is locked. Raises `UserError` if it has changed since, or the lock file is broken."""
    return _same(component, _read())


def is_known(component: Locked) -> bool:
    """Whether such a component is locked, be it as this one is or not. Raises `UserError` if the file is broken."""
    return any(entry.key == component.key for entry in _read().components)


def add(component: Locked) -> None:
    """Lock a component.

    Raises `UserError` if another process has just locked it with another digest, and `OSError` if the lock file can't
    be written.
    """
    path = lock_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        content = _read()
        if _same(component, content):
            return
        content.components = sorted([*content.components, component], key=lambda entry: entry.key)
        atomic.write(path, (content.model_dump_json(indent=2) + "\n").encode())


def hold(component: Locked) -> str:
    """Check a component, and lock it if it is new. Raises `UserError` as `check_locked` does.

    Returns the reason if it can't be locked, which stops no run: a shared cache may be read-only.
    """
    try:
        if not check_locked(component):
            add(component)
    except OSError as error:
        return f"not locked: {lock_path()} can't be written ({error.strerror})"
    return ""


def _read() -> _LockFile:
    path = lock_path()
    try:
        return _LockFile.model_validate_json(read_bytes(path)) if path.exists() else _LockFile()
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
    except UserError as error:
        problem = str(error)
    remedy = "repair it, or delete it to lock each component again at its next use"
    raise UserError(one_line(f"{path}: not a lock file of weights ({problem}); {remedy}"))


def _same(component: Locked, content: _LockFile) -> bool:
    locked = next((entry for entry in content.components if entry.key == component.key), None)
    if locked is None or locked.sha256 == component.sha256:
        return locked is not None
    place = f"{component.source}/{component.folder}".rstrip("/")
    revision = f"@{component.revision}" if component.revision else ""
    variant = f" ({component.variant})" if component.variant else ""
    raise UserError(
        one_line(
            f"{component.component}: {place}{revision}{variant} has changed since its first use: "
            f"SHA-256 {locked.sha256} expected (commit {locked.commit}), {component.sha256} found "
            f"(commit {component.commit}); to accept it, delete its entry in {lock_path()}; or give a local folder",
            1000,
        )
    )

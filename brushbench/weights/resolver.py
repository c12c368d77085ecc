"""Find a method's components, and record the digests of the files that were used.

A folder given instead of a family has `unet/ vae/ text_encoder/ tokenizer/ scheduler/` and, beside them, the methods'
own parts. Downloads from the hub are locked at their first use.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from brushbench.core.concurrency import THREADS
from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import file_digest
from brushbench.core.options import Value
from brushbench.weights import layouts, lock
from brushbench.weights.family import (
    BASE,
    MODEL,
    SINGLE_FILES,
    Family,
    default_family,
    families,
    is_single_file,
    read_family,
)
from brushbench.weights.formats import HALF
from brushbench.weights.hub import HubFolder
from brushbench.weights.layouts import Request, reads_of
from brushbench.weights.native_size import native_size
from brushbench.weights.repository import Cached
from brushbench.weights.sources import HUB_ID, Local, Source, digest_of, got, named

_CHECKPOINTS = (*SINGLE_FILES, ".bin", ".pt", ".pth")
"""How the names of files with tensors end, which aren't hub ids even where they look like one."""
_WHOLE = (BASE, MODEL)
"""Prefixes of the parts that are a whole diffusion model; the other parts are named like their folder."""


LARGE = 64 << 20
"""Bytes from which a component's digest isn't waited for before the next one is loaded."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A component that is loaded from these files."""

    name: str
    files: Sequence[Path]
    variant: str | None
    read: Callable[[Path], str]
    """Returns a file's digest."""

    @property
    def is_large(self) -> bool:
        """Whether hashing it takes long."""
        return sum(file.stat().st_size for file in self.files if file.is_file()) >= LARGE


@final
class Weights:
    """The components of one method.

    `digests` and `places` grow as files are opened. Files are hashed in threads while they are loaded; whoever reads
    `digests` waits for that. `places` says where each part comes from: a repository on the hub
    with its folder and revision, or the path of a local folder or file.
    """

    def __init__(self, source: str | Path | None, method: str, masks: MaskKind = "segmentation") -> None:
        self._digests: dict[str, str] = {}
        self._unchecked: deque[_Opened] = deque()
        """Loaded components whose files may still be being hashed."""
        self._pool: ThreadPoolExecutor | None = None
        self.places: dict[str, str] = {}
        self._downloaded: dict[Path, HubFolder] = {}
        self._unlocked: list[str] = []
        self._halved: list[str] = []
        self._wanted_variant: str | None = None
        self._remarks: list[str] = []
        self.name = str(default_family(method) if source is None else source)
        self._method = method
        self._masks = masks
        self._folder: Path | None = None
        self._family: Family | None = None
        self._used: list[str] = []
        self._replaced: set[str] = set()
        """The parts for which the user gave something else than a component of the family."""
        name = self.name
        if name in families():
            self._family = read_family(families()[name])
        elif name.endswith(".toml"):
            self._family = read_family(Path(name))
        elif Path(name).is_dir():
            self._folder = Path(name)
        elif "/" in name or os.sep in name or name.startswith("."):
            raise UserError(one_line(f"weights: no such folder: {name}"))
        else:
            raise unknown("weights", name, families())

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each component. Raises `UserError` as `settle` does."""
        self.settle()
        return self._digests

    @property
    def defaults(self) -> Mapping[str, Value]:
        """Default options for the family's models; empty if the family has no parts for the method."""
        return self._family.defaults if self._family and self._parts() else {}

    @property
    def size(self) -> int | None:
        """The size of the pictures that the method's models were made for, in pixels; None if it is unknown."""
        if self._folder is not None:
            return native_size(self._folder)
        return self._family.size if self._family and self._parts() else None

    @property
    def family(self) -> str:
        """The suite's family that every part was taken from; empty with any part, folder or file of the user's own."""
        return self.name if self.name in families() and not self._used else ""

    @property
    def origin(self) -> str:
        """Where the method's parts come from, for a message. Raises `UserError` as `settle` does."""
        self.settle()
        ends = "".join(f"; {remark}" for remark in dict.fromkeys([*self._in_half(), *self._remarks, *self._unlocked]))
        if self._family is None or self._replaced.issuperset(self._parts()):
            return f"{', '.join(dict.fromkeys(self._used)) or self.name}{ends}"
        places = [self._family.components[name].on_hub.place for name in self._parts().values()]
        return f"{self.name} ({', '.join(dict.fromkeys(places))}){ends}"

    def remark(self, text: str) -> None:
        """Append a remark to `origin`, unless it is empty."""
        self._remarks += [text] if text else []

    def _in_half(self) -> list[str]:
        """Say which parts were read in half precision because no plain files were found."""
        return [f"{', '.join(self._halved)} from {HALF} files (no plain safetensors found)"] if self._halved else []

    def branches(self, given: Mapping[str, Value]) -> str:
        """Say which component is used for each part that depends on the kind of masks; empty if none does.

        `given` are the options, which may name another component.
        """
        changes = self._family.masks.values() if self._family else ()
        depend = sorted({part for methods in changes for part in methods.get(self._method, {})})
        taken = (
            f"{given[part]}, as {part} says" if given.get(part) else f"{self._parts()[part]}, for {self._masks} masks"
            for part in depend
        )
        return "; ".join(taken)

    def folder(
        self,
        part: str,
        override: str | None = None,
        *,
        option: str | None = None,
        revision: str | None = None,
        variant: str | None = None,
        only: frozenset[str] | None = None,
    ) -> Path:
        """Return the folder of a part, with the files that are read downloaded if it is on the hub.

        `override` is what the user gave instead: a folder, a hub id, or the name of a component of the family.
        `option` is the name of that option, if it isn't the part's. `revision` applies to such a hub id, `variant`
        (such as `fp16`) to any download, and `only` lists the components of a base to read.

        Raises `UserError` if the part is neither on this machine nor available for download.
        """
        option = option or (BASE if part.startswith(BASE) else part)
        self._wanted_variant = variant
        request = Request(variant=variant, only=only)
        known = self._family.components if self._family else {}
        if revision and (override is None or override in known or Path(override).is_dir()):
            raise UserError(one_line(f"revision={revision} has no effect here; valid only with -o {option}=owner/name"))
        instead = f"-o {option}=FOLDER or --weights FOLDER"
        if override is not None and override not in known:
            self._given_instead(part, override)
            hub = HubFolder(override, revision, request, reads_of(part))
            return self._got(_given(override, option, hub), part, instead)
        if self._folder is not None:
            self._used.append(self.name)
            path = self._folder if part.startswith(_WHOLE) else self._folder / part
            if not path.is_dir():
                raise UserError(one_line(f"weights: {self._folder} has no {part}/ folder, which {self._method} needs"))
            return self._got(Local(path), part, instead)
        name = override or self._parts().get(part)
        if name is None:
            raise self._nothing_for(part, option)
        return self._component(name, part, instead, request)

    def single_file(self, part: str, override: str | None) -> Path | None:
        """Return the single file with all models of a base, None if the base is a folder; arguments as in `folder`.

        Raises `UserError` if the file doesn't exist.
        """
        known = self._family.components if self._family else {}
        name = self._parts().get(part) if override is None else override
        source = known[name].source if name in known else override
        if source is None or not is_single_file(source):
            return None
        if not Path(source).is_file():
            raise UserError(one_line(f"{part}: no such file: {source}"))
        self._used.append(source)
        self._replaced |= {part} if override is not None and override not in known else set()
        return self._got(Local(Path(source)), part)

    def configs(self, part: str, override: str | None) -> Path:
        """Return the folder with the configs for a single file: its component's `config`, or else the usual base.

        Raises as `folder` does.
        """
        known = self._family.components if self._family else {}
        name = override if override in known else self._parts().get(part)
        if name is None:
            return self.folder(part)
        return self._component(known[name].config or name, part, "--weights FOLDER", Request(configs_only=True))

    def file(self, option: str, source: str) -> Path:
        """Return a user's file, or the file for this option in a folder, a hub id, or a component of the family.

        Raises `UserError` if it is neither on this machine nor available for download.
        """
        if Path(source).is_file():
            return self._got(Local(Path(source)), option)
        folder, (stems,) = self.folder(option, source), layouts.stems_of(option)
        if name := layouts.file_of([path.name for path in folder.iterdir() if path.is_file()], stems):
            return folder / name
        wanted = " or ".join(f"{stem}.safetensors" for stem in stems)
        raise UserError(one_line(f"{folder} has no {wanted}; valid: a folder with that file, or the file itself"))

    def one_file(self, part: str, override: str | None, *, option: str) -> Path:
        """Return the only file of a part that one file holds: `override` if it is a file, or else the folder's.

        `override` and `option` are as in `folder`. Raises `UserError` as `folder` does, and for a folder without it.
        """
        if override is not None and (Path(override).is_file() or override.endswith(_CHECKPOINTS)):
            if not Path(override).is_file():
                raise UserError(one_line(f"{option}={override}: no such file"))
            self._given_instead(part, override)
            return self._got(Local(Path(override)), part)
        folder = self.folder(part, override, option=option)
        try:
            return folder / reads_of(part)(Cached(folder), Request())[0]
        except UserError as error:
            raise UserError(one_line(f"{folder} can't be used as {part}: {error}; valid: -o {option}=FILE")) from error

    def replacement(self, part: str) -> Path | None:
        """Return the folder of the family's replacement for a component of this method's base, None if it has none."""
        name = self._parts().get(part)
        return None if name is None else self._component(name, part, "--weights FOLDER", Request())

    @contextmanager
    def recording(self, name: str, files: Sequence[Path], variant: str | None = None) -> Iterator[None]:
        """Load a component's files inside this context: they are hashed meanwhile, and their digest recorded after.

        `variant` is the variant of the files, not the requested one. A download that can't be loaded isn't locked.
        Raises `UserError` if the files aren't the locked or published ones, or can't be read, also if they can't be
        loaded either. For a large component `settle` does that, unless it can't be loaded.
        """
        variant = variant or (HALF if any(f".{HALF}." in file.name for file in files) else None)
        if variant == HALF != self._wanted_variant:
            self._halved.append(name)
        download = self._to_lock(name, files, variant, "")
        # From the second use on, the names are trusted that the hub's cache gives to large files.
        read = digest_of if download and lock.is_known(download) else file_digest
        opened = _Opened(name, files, variant, read)
        self._pool = self._pool or ThreadPoolExecutor(THREADS)
        for file in files:
            self._pool.submit(read, file)
        try:
            yield
        except UserError:
            self.settle()
            self._checked(opened)
            raise
        # In the order in which they were loaded.
        self._digests[name] = ""
        if opened.is_large:
            self._unchecked.append(opened)
        else:
            self._record(opened)

    def settle(self) -> None:
        """Wait until all files that were loaded are hashed, and record their digests.

        Raises `UserError` for files that aren't the locked or published ones, or can't be read.
        """
        while self._unchecked:
            self._record(self._unchecked.popleft())
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _record(self, opened: _Opened) -> None:
        digest, component = self._checked(opened)
        if component is not None:
            self._unlocked += filter(None, [lock.hold(component)])
        self._digests[opened.name] = digest

    def _checked(self, opened: _Opened) -> tuple[str, lock.Locked | None]:
        """Return the digest of a component, and for a download its entry in the lock file.

        Raises `UserError` for a download that is damaged, or that isn't what was locked or published.
        """
        digest = self._checked_digest(opened.files, opened.read)
        component = self._to_lock(opened.name, opened.files, opened.variant, digest)
        if component is not None:
            lock.check_locked(component)
        return digest, component

    def _given_instead(self, part: str, given: str) -> None:
        self._used.append(given)
        self._replaced.add(part)

    def _parts(self) -> Mapping[str, str]:
        return self._family.parts(self._method, self._masks) if self._family else {}

    def _component(self, name: str, part: str, instead: str, request: Request) -> Path:
        assert self._family is not None
        return self._got(self._family.components[name].asked_for(part, request), part, instead)

    def _got(self, source: Source, part: str, instead: str = "") -> Path:
        """Return the folder or file, and remember its place and, for a download, to check it against the lock file."""
        # The configs of a single file, requested after it, come from another place, which doesn't count.
        self.places.setdefault(part, named(source))
        option = instead.partition("=")[0]
        simple = option.startswith("-o") and isinstance(source, HubFolder) and not source.request.subfolder
        main = f"{option}={source.place}" if simple else ""
        found = got(source, f"{part}: {source.place}", f"a folder: {instead}", main=main)
        if isinstance(source, HubFolder):
            self._downloaded[found] = source
        return found

    def _nothing_for(self, part: str, option: str) -> UserError:
        methods = ", ".join(self._family.methods) if self._family else ""
        others = [name for name, path in families().items() if part in read_family(path).methods.get(self._method, {})]
        *ways, last = (f"-o {option}=FOLDER", "a hub id", *(f"--weights {name}" for name in others))
        return UserError(
            one_line(
                f"the weights {self.name} have no {part!r} for {self._method}; valid: {', '.join(ways)}, or {last}; "
                f"these weights support {methods or 'no method yet'}"
            )
        )

    def _checked_digest(self, files: Sequence[Path], read: Callable[[Path], str] = file_digest) -> str:
        """Return the digest over the files' digests, which `read` gives.

        Raises `UserError` for a damaged or unpublished download.
        """
        total = hashlib.sha256()
        for path in sorted(files):
            folder = self._downloaded_to(path)
            digest = self._downloaded[folder].checked_digest(folder, path, read) if folder else read(path)
            total.update(bytes.fromhex(digest))
        return total.hexdigest()

    def _to_lock(self, name: str, files: Sequence[Path], variant: str | None, digest: str) -> lock.Locked | None:
        """Return the lock file's entry, None for files that weren't downloaded."""
        folder = next(filter(None, map(self._downloaded_to, files)), None)
        return self._downloaded[folder].entry(folder, files, name, digest, variant or "") if folder else None

    def _downloaded_to(self, file: Path) -> Path | None:
        return next((folder for folder in self._downloaded if file.is_relative_to(folder)), None)


def _given(override: str, option: str, hub: HubFolder) -> Source:
    """Return the source that a user gave for a component: a folder or a hub id. Raises `UserError` for neither."""
    if Path(override).is_dir():
        return Local(Path(override))
    if not HUB_ID.fullmatch(override):
        raise UserError(one_line(f"{option}={override}: no such folder, and not a hub id of the form owner/name"))
    return hub

"""Where the components of a method come from, and the digests of the files that were used.

A folder given instead of a family has `unet/ vae/ text_encoder/ tokenizer/ scheduler/` and, beside them, the methods'
own parts. What comes from the hub is locked at its first use.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

from huggingface_hub import constants

from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import file_digest
from brushbench.core.options import Value
from brushbench.weights import layouts, lock
from brushbench.weights.family import BASE, DEFAULT_FAMILY, MODEL, Family, families, is_single_file, named, read_family
from brushbench.weights.formats import HALF
from brushbench.weights.hub import HubFolder, check_download
from brushbench.weights.layouts import reads_of
from brushbench.weights.manifest import canonical
from brushbench.weights.repository import NoRevisionError, WrongFilesError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WHOLE = (BASE, MODEL)
"""How the parts begin that are a whole diffusion model; other parts are named like their folder."""


@final
class Weights:
    """The components of one method.

    `digests` grows as their files are opened, and `places`, which says where each part was taken from: a repository on
    the hub with its folder and revision, or the path of a local folder or file.
    """

    def __init__(self, source: str | Path | None, method: str, masks: MaskKind = "segmentation") -> None:
        self.digests: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self._downloaded: dict[Path, HubFolder] = {}
        self._unlocked = ""
        self._halved: list[str] = []
        self._wanted_variant: str | None = None
        self._remarks: list[str] = []
        self.name = str(DEFAULT_FAMILY if source is None else source)
        self._method = method
        self._masks = masks
        self._folder: Path | None = None
        self._family: Family | None = None
        self._used: list[str] = []
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
    def defaults(self) -> Mapping[str, Value]:
        """Options that the family's models want unless the user says otherwise; none for a method without any."""
        return self._family.defaults if self._family and self._parts() else {}

    @property
    def origin(self) -> str:
        """Where the method's parts come from, for the user to read."""
        ends = "".join(f"; {remark}" for remark in dict.fromkeys([*self._in_half(), *self._remarks])) + self._unlocked
        if self._family is None or not self._parts():
            return f"{', '.join(dict.fromkeys(self._used)) or self.name}{ends}"
        places = [self._family.components[name].on_hub.place for name in self._parts().values()]
        return f"{self.name} ({', '.join(dict.fromkeys(places))}){ends}"

    def remark(self, text: str) -> None:
        """Say something of what was taken at the end of `origin`; an empty text says nothing."""
        self._remarks += [text] if text else []

    def _in_half(self) -> list[str]:
        """Which parts were read from files in half precision because there were no others, to read."""
        return [f"{', '.join(self._halved)} from {HALF} files, for want of plain safetensors"] if self._halved else []

    def branches(self, given: Mapping[str, Value]) -> str:
        """What it takes of the parts that depend on the kind of masks, to read; empty where none does.

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
        """The folder of a part, of which what is read is downloaded if it is on the hub.

        `override` is what the user gave instead: a folder, a hub id, or the name of a component of the family;
        `option` what that is called, if not like the part; `revision` is of a hub id given so, `variant` (`fp16`, for
        example) of anything downloaded; `only` are the components of a base that are read.

        Raises `UserError` if it is neither here nor to be had.
        """
        option = option or (BASE if part.startswith(BASE) else part)
        self._wanted_variant = variant
        known = self._family.components if self._family else {}
        if revision and (override is None or override in known or Path(override).is_dir()):
            raise UserError(one_line(f"revision={revision} means nothing here; valid only with -o {option}=owner/name"))
        instead = f"-o {option}=FOLDER or --weights FOLDER"
        if override is not None and override not in known:
            self._used.append(override)
            if not _is_hub_id(override, option):
                self._take(part, Path(override))
                return Path(override)
            hub = HubFolder(override, revision, reads=reads_of(part))
            self._take(part, hub)
            return self._fetched(hub, part, instead, variant, only=only)
        if self._folder is not None:
            self._used.append(self.name)
            path = self._folder if part.startswith(_WHOLE) else self._folder / part
            if not path.is_dir():
                raise UserError(one_line(f"weights: {self._folder} has no {part}/ folder, which {self._method} needs"))
            self._take(part, path)
            return path
        name = override or self._parts().get(part)
        if name is None:
            raise self._nothing_for(part, option)
        return self._component(name, part, instead, variant, only=only)

    def single_file(self, part: str, override: str | None) -> Path | None:
        """The file with all models of a base, None if it has none; arguments as in `folder`.

        Raises `UserError` if it isn't there.
        """
        known = self._family.components if self._family else {}
        name = self._parts().get(part) if override is None else override
        source = known[name].source if name in known else override
        if source is None or not is_single_file(source):
            return None
        if not Path(source).is_file():
            raise UserError(one_line(f"{part}: no such file: {source}"))
        self._used.append(source)
        self._take(part, Path(source))
        return Path(source)

    def configs(self, part: str, override: str | None) -> Path:
        """The folder by whose configs a single file is read: what its component says, or else the base without it.

        Raises as `folder` does.
        """
        known = self._family.components if self._family else {}
        name = override if override in known else self._parts().get(part)
        if name is None:
            return self.folder(part)
        return self._component(known[name].config or name, part, "--weights FOLDER", configs_only=True)

    def file(self, option: str, source: str) -> Path:
        """A file of the user's own; or the one for this option in a folder, a hub id, or a component of the family.

        Raises `UserError` if it is neither here nor to be had.
        """
        if Path(source).is_file():
            self._take(option, Path(source))
            return Path(source)
        folder, (stems,) = self.folder(option, source), layouts.stems_of(option)
        if name := layouts.file_of([path.name for path in folder.iterdir() if path.is_file()], stems):
            return folder / name
        wanted = " and no ".join(f"{stem}.safetensors" for stem in stems)
        raise UserError(one_line(f"{folder} has no {wanted}; valid: a folder that has, or a file"))

    def replacement(self, part: str) -> Path | None:
        """The folder of what the family gives this method in place of a component of its base, None for nothing."""
        name = self._parts().get(part)
        return None if name is None else self._component(name, part, "--weights FOLDER")

    @contextmanager
    def recording(self, name: str, files: Sequence[Path], variant: str | None = None) -> Iterator[None]:
        """Load a component from its files inside of this: its digest is checked before, and recorded after.

        `variant` is what the files are, not what was asked for. A download that can't be loaded isn't locked. Raises
        `UserError` if it is not what was locked or published, or can't be read.
        """
        digest = self._checked_digest(files)
        variant = variant or (HALF if any(f".{HALF}." in file.name for file in files) else None)
        if variant == HALF != self._wanted_variant:
            self._halved.append(name)
        component = self._to_lock(name, files, variant, digest)
        locked = component is None or lock.check(component)
        yield
        if component is not None and not locked:
            self._lock(component)
        self.digests[name] = digest

    def _parts(self) -> Mapping[str, str]:
        return self._family.parts(self._method, self._masks) if self._family else {}

    def _component(
        self,
        name: str,
        part: str,
        instead: str,
        variant: str | None = None,
        *,
        configs_only: bool = False,
        only: frozenset[str] | None = None,
    ) -> Path:
        assert self._family is not None
        component = self._family.components[name]
        if not configs_only:
            self._take(part, component.local or component.on_hub)
        if component.local:
            return component.local
        hub = dataclasses.replace(component.on_hub, reads=reads_of(part))
        return self._fetched(hub, part, instead, variant, configs_only=configs_only, only=only)

    def _fetched(
        self,
        hub: HubFolder,
        part: str,
        instead: str,
        variant: str | None,
        *,
        configs_only: bool = False,
        only: frozenset[str] | None = None,
    ) -> Path:
        try:
            folder = hub.download(variant, configs_only=configs_only, only=only)
        except WrongFilesError as error:
            raise UserError(one_line(f"{part}: {hub.place}: {error}; or give a folder: {instead}", 1000)) from error
        except UserError as error:
            reason = f"{part}: {hub.place} is not on this machine, and it can't be downloaded: {error}"
            remedy = f"where there is a network: {hub.how_to_get_it()}; or give a folder: {instead}"
            if isinstance(error, NoRevisionError):
                option = instead.partition("=")[0]
                simple = option.startswith("-o") and not hub.subfolder
                main = f"{option}={hub.source}, which takes its main branch; " if simple else ""
                remedy = f"valid: {main}a folder: {instead}"
            raise UserError(one_line(f"{reason}; {remedy}", 1000)) from error
        self._downloaded[folder] = hub
        return folder

    def _take(self, part: str, source: Path | HubFolder) -> None:
        # The configs of a single file are looked for after it, in another place.
        self.places.setdefault(part, named(source))

    def _nothing_for(self, part: str, option: str) -> UserError:
        methods = ", ".join(self._family.methods) if self._family else ""
        return UserError(
            one_line(
                f"the weights {self.name} have no {part!r} for {self._method}; valid: -o {option}=FOLDER, or a hub id; "
                f"they are for {methods or 'no method yet'}"
            )
        )

    def _checked_digest(self, files: Sequence[Path]) -> str:
        """Over the files' digests. Raises `UserError` for a download that is damaged, or isn't the published file."""
        total = hashlib.sha256()
        for path in sorted(files):
            digest = file_digest(path)
            self._check_download(path, digest)
            total.update(bytes.fromhex(digest))
        return total.hexdigest()

    def _check_download(self, path: Path, digest: str) -> None:
        for folder, hub in self._downloaded.items():
            if path.is_relative_to(folder):
                check_download(hub.source, hub.root(folder), path, digest)

    def _to_lock(self, name: str, files: Sequence[Path], variant: str | None, digest: str) -> lock.Locked | None:
        """None for files that weren't downloaded."""
        for folder, hub in self._downloaded.items():
            if any(file.is_relative_to(folder) for file in files):
                inside = files[0].parent.relative_to(folder).as_posix()
                return lock.Locked(
                    source=canonical(hub.source),
                    revision=hub.revision or constants.DEFAULT_REVISION,
                    component=name,
                    folder="/".join(part for part in (hub.subfolder, inside) if part not in ("", ".")),
                    variant=variant or "",
                    files=tuple(sorted(path.name for path in files)),
                    commit=hub.root(folder).name,
                    sha256=digest,
                )
        return None

    def _lock(self, component: lock.Locked) -> None:
        try:
            lock.add(component)
        except OSError as error:
            # A cache that many share may be read-only: the digests are in run.json all the same.
            self._unlocked = f"; not locked: {lock.lock_path()} can't be written ({error.strerror})"


def _is_hub_id(source: str, option: str) -> bool:
    """Or a folder; raises `UserError` for neither."""
    if Path(source).is_dir():
        return False
    if not _HUB_ID.fullmatch(source):
        raise UserError(one_line(f"{option}={source}: no such folder, and not a hub id of the form owner/name"))
    return True

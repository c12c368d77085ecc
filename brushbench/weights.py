"""Where the components of a method come from, and the digests of the files that were used.

A source is a local folder in diffusers layout or a hub id. A *family* is a TOML file that names the source of every
component of every method, and what its models take by default; a folder given instead of a family has `unet/ vae/
text_encoder/ tokenizer/ scheduler/` and, beside them, the methods' own parts.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from pydantic import BaseModel, ValidationError, model_validator

from brushbench.errors import UserError, one_line, unknown
from brushbench.options import Value

BASE = "base"
MODEL = "model"
_WHOLE = (BASE, MODEL)
"""How the parts begin that are a whole diffusion model; other parts are named like their folder."""
DEFAULT_FAMILY = "sd15"
FAMILIES = Path(__file__).parent.parent / "baselines" / "weights"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CONFIGS = ["model_index.json", "config.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.jinja"]
_TENSORS = [
    "diffusion_pytorch_model{}.safetensors",
    "*/diffusion_pytorch_model{}.safetensors",
    "*/diffusion_pytorch_model{}-?????-of-?????.safetensors",
    "*/model{}.safetensors",
    "*/model{}-?????-of-?????.safetensors",
]
"""The placeholder is for the variant."""
# No method looks at its own pictures with a safety checker, and it weighs more than a UNet.
_NEVER = ["safety_checker/*"]


class _Component(BaseModel, extra="forbid"):
    source: str
    """A hub id or a folder, also one relative to the family's file."""
    revision: str | None = None
    licence: str
    citation: str


class Family(BaseModel, extra="forbid"):
    """A family file: components, and for each method which component each of its parts is."""

    summary: str
    components: dict[str, _Component]
    methods: dict[str, dict[str, str]]
    """For each method its parts: `base`, what it has beside that, and what replaces a component of the base."""
    defaults: dict[str, str | int | float | bool] = {}
    """Options that methods take with these models unless they are given."""

    @model_validator(mode="after")
    def _every_part_is_a_component(self) -> "Family":
        for method, parts in self.methods.items():
            if lost := sorted(set(parts.values()) - set(self.components)):
                raise ValueError(f"methods.{method} names {lost[0]!r}, which is no component")
        return self


def families() -> dict[str, Path]:
    """The families that come with the suite."""
    return {path.stem: path for path in sorted(FAMILIES.glob("*.toml"))}


def read_family(path: Path) -> Family:
    """Raises `UserError` for a file that isn't a family."""
    try:
        family = Family.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(one_line(f"{path}: not a family of weights ({error})")) from error
    for component in family.components.values():
        beside = path.parent / component.source
        if beside.is_dir():
            component.source = str(beside.resolve())
    return family


def present(source: str) -> bool:
    """Whether a source can be used without a download."""
    if Path(source).is_dir():
        return True
    try:
        snapshot_download(source, allow_patterns=_downloaded(None), local_files_only=True)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError):
        return False
    return True


@final
class Weights:
    """The components of one method. `digests` grows as their files are opened."""

    def __init__(self, source: str | Path | None, method: str) -> None:
        self.digests: dict[str, str] = {}
        self.name = str(DEFAULT_FAMILY if source is None else source)
        self._method = method
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
        if self._family is None or not self._parts():
            return ", ".join(dict.fromkeys(self._used)) or self.name
        sources = [self._family.components[name].source for name in self._parts().values()]
        return f"{self.name} ({', '.join(dict.fromkeys(sources))})"

    def folder(
        self, part: str, override: str | None = None, revision: str | None = None, variant: str | None = None
    ) -> Path:
        """The folder of a part, downloaded if it is on the hub.

        `override` is what the user gave instead: a folder, a hub id, or the name of a component of the family;
        `revision` is of a hub id given so, `variant` (`fp16`, for example) of anything downloaded.

        Raises `UserError` if it is neither here nor to be had.
        """
        known = self._family.components if self._family else {}
        if revision and (override is None or override in known or Path(override).is_dir()):
            raise UserError(one_line(f"revision={revision} means nothing here; valid only with -o {part}=owner/name"))
        if override is not None and override in known:
            return self._component(override, part, variant)
        if override is not None:
            self._used.append(override)
            return _fetched(override, part, revision, variant)
        if self._folder is not None:
            self._used.append(self.name)
            path = self._folder if part.startswith(_WHOLE) else self._folder / part
            if not path.is_dir():
                raise UserError(one_line(f"weights: {self._folder} has no {part}/ folder, which {self._method} needs"))
            return path
        parts = self._parts()
        if part not in parts:
            valid = f"valid: -o {part}=FOLDER, or a hub id"
            raise UserError(one_line(f"the weights {self.name} have no {part!r} for {self._method}; {valid}"))
        return self._component(parts[part], part, variant)

    def replacement(self, part: str) -> Path | None:
        """The folder of what the family gives this method in place of a component of its base, None for nothing."""
        return self.folder(part) if part in self._parts() else None

    def _parts(self) -> Mapping[str, str]:
        return self._family.methods.get(self._method, {}) if self._family else {}

    def _component(self, name: str, part: str, variant: str | None) -> Path:
        assert self._family is not None
        component = self._family.components[name]
        return _fetched(component.source, part, component.revision, variant)

    def record(self, name: str, files: list[Path]) -> None:
        """Remember the digest of the files that a component was loaded from."""
        total = hashlib.sha256()
        for path in sorted(files):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        self.digests[name] = total.hexdigest()


def _fetched(source: str, part: str, revision: str | None, variant: str | None) -> Path:
    if Path(source).is_dir():
        return Path(source)
    if not _HUB_ID.fullmatch(source):
        raise UserError(one_line(f"{part}={source}: no such folder, and not a hub id of the form owner/name"))
    try:
        folder = Path(
            snapshot_download(source, revision=revision, allow_patterns=_downloaded(variant), ignore_patterns=_NEVER)
        )
        if variant and (plain := _without_weights(folder)):
            snapshot_download(source, revision=revision, allow_patterns=plain)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = "not on this machine, and it can't be downloaded"
        raise UserError(
            one_line(
                f"{part}: {source} is {reason} ({type(error).__name__}); give a folder: -o {part}=FOLDER or --weights"
            )
        ) from error
    return folder


def _downloaded(variant: str | None) -> list[str]:
    return [*_CONFIGS, *(pattern.format(f".{variant}" if variant else "") for pattern in _TENSORS)]


def _without_weights(folder: Path) -> list[str]:
    """Patterns of the weights that some models of a pipeline have in one variant only: the plain one."""
    models = [config.parent for config in folder.glob("*/config.json") if config.parent.name != "safety_checker"]
    bare = [model.name for model in models if not any(model.glob("*.safetensors"))]
    return [f"{name}/{pattern.format('').removeprefix('*/')}" for name in bare for pattern in _TENSORS[1:]]

"""Families of weights: TOML files that name the source of every component of every method.

A source is a local folder in diffusers layout, a hub id, or one file with all models of a base.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, model_validator

from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists, read_toml
from brushbench.weights.hub import HubFolder
from brushbench.weights.layouts import Request, reads_of
from brushbench.weights.sources import Local, Source

BASE = "base"
MODEL = "model"
DEFAULT_FAMILY = "sd15"
FAMILIES = Path(__file__).parent.parent / "baselines" / "weights"
SINGLE_FILES = (".safetensors", ".ckpt")


class Component(BaseModel, extra="forbid"):
    """A checkpoint, and what its use asks for."""

    source: str
    """A hub id, a folder, or a single file of a base; folder and file also relative to the family's file."""
    subfolder: str = ""
    """Where in the source the component is."""
    revision: str | None = None
    part: str = ""
    """What it is read as, for a component that no method of the family names: `brushnet`, for example."""
    config: str | None = None
    """For a single file: the component by whose configs, tokenizer and scheduler it is used."""
    licence: str
    citation: str

    @property
    def on_hub(self) -> HubFolder:
        """Where it is, if its source is no local folder."""
        return HubFolder(self.source, self.revision, Request(self.subfolder), reads_of(self.part))

    @property
    def taken_from(self) -> Source:
        """Where it is."""
        return Local(self.local) if self.local else self.on_hub

    def asked_for(self, part: str, request: Request) -> Source:
        """Where it is, as a method's part reads it."""
        inside = dataclasses.replace(request, subfolder=self.subfolder)
        return Local(self.local) if self.local else HubFolder(self.source, self.revision, inside, reads_of(part))

    @property
    def local(self) -> Path | None:
        """The folder or single file, if its source is one."""
        if exists(Path(self.source)) and Path(self.source).is_dir():
            return Path(self.source) / self.subfolder
        return Path(self.source) if is_single_file(self.source) else None


class Family(BaseModel, extra="forbid"):
    """A family file: components, and for each method which component each of its parts is."""

    summary: str
    components: dict[str, Component]
    methods: dict[str, dict[str, str]]
    """For each method its parts: `base`, what it has beside that, and what replaces a component of the base."""
    masks: dict[MaskKind, dict[str, dict[str, str]]] = {}
    """For a kind of masks, by method, the parts that take the place of the method's own."""
    defaults: dict[str, str | int | float | bool] = {}
    """Options that methods take with these models unless they are given."""

    @model_validator(mode="after")
    def _every_part_is_a_component(self) -> "Family":
        for method, parts in self.methods.items():
            if lost := sorted(set(parts.values()) - set(self.components)):
                raise ValueError(f"methods.{method} names {lost[0]!r}, which is no component")
        for kind, changes in self.masks.items():
            for method, parts in changes.items():
                if lost := sorted(set(parts) - set(self.methods.get(method, {}))):
                    raise ValueError(f"masks.{kind}.{method} names {lost[0]!r}, which methods.{method} has not")
                if lost := sorted(set(parts.values()) - set(self.components)):
                    raise ValueError(f"masks.{kind}.{method} names {lost[0]!r}, which is no component")
        folders = {name for name, component in self.components.items() if not is_single_file(component.source)}
        for name, component in self.components.items():
            if is_single_file(component.source) != (component.config in folders):
                raise ValueError(f"components.{name}: a single file, and nothing else, has a config: another component")
        return self

    def parts(self, method: str, masks: MaskKind) -> Mapping[str, str]:
        """Which component each part of a method is on a data set with this kind of masks."""
        return self.methods.get(method, {}) | self.masks.get(masks, {}).get(method, {})


def families() -> dict[str, Path]:
    """The families that come with the suite."""
    return {path.stem: path for path in sorted(FAMILIES.glob("*.toml"))}


def read_family(path: Path) -> Family:
    """Raises `UserError` for a file that isn't a family."""
    try:
        family = Family.model_validate(read_toml(path))
    except ValueError as error:
        raise UserError(one_line(f"{path}: not a family of weights ({error})")) from error
    for component in family.components.values():
        beside = path.parent / component.source
        if exists(beside) and (beside.is_dir() or (is_single_file(component.source) and beside.is_file())):
            component.source = str(beside.resolve())
    for parts in family.methods.values():
        for part, name in parts.items():
            family.components[name].part = family.components[name].part or part
    return family


def is_single_file(source: str) -> bool:
    """Whether a source is named like a checkpoint with all models of a base."""
    return Path(source).suffix in SINGLE_FILES

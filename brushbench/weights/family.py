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
"""The family of every method that it supports, and of any method that no family supports."""
FAMILIES = Path(__file__).parent.parent / "baselines" / "weights"
SINGLE_FILES = (".safetensors", ".ckpt")


class Component(BaseModel, extra="forbid"):
    """A checkpoint: where it is, how it is read, and its terms of use."""

    source: str
    """A hub id, a folder, or a single file of a base; paths may be relative to the family's file."""
    subfolder: str = ""
    """The component's folder in the source."""
    revision: str | None = None
    part: str = ""
    """The part as which it is read, such as `brushnet`, if no method of the family uses it."""
    config: str | None = None
    """For a single file: the component whose configs, tokenizer and scheduler it uses."""
    licence: str
    citation: str

    @property
    def on_hub(self) -> HubFolder:
        """The component on the hub, for a source that isn't local."""
        return HubFolder(self.source, self.revision, Request(self.subfolder), reads_of(self.part))

    @property
    def taken_from(self) -> Source:
        """The component's source."""
        return Local(self.local) if self.local else self.on_hub

    def asked_for(self, part: str, request: Request) -> Source:
        """Return the component's source, limited to the files that this part of a method reads."""
        inside = dataclasses.replace(request, subfolder=self.subfolder)
        return Local(self.local) if self.local else HubFolder(self.source, self.revision, inside, reads_of(part))

    @property
    def local(self) -> Path | None:
        """The local folder or single file; None for a source on the hub."""
        if exists(Path(self.source)) and Path(self.source).is_dir():
            return Path(self.source) / self.subfolder
        return Path(self.source) if is_single_file(self.source) else None


class Family(BaseModel, extra="forbid"):
    """A family file: its components, and which of them each method uses for each of its parts."""

    summary: str
    components: dict[str, Component]
    methods: dict[str, dict[str, str]]
    """The parts of each method: `base`, its own parts, and replacements for components of the base."""
    masks: dict[MaskKind, dict[str, dict[str, str]]] = {}
    """Replacements for a method's parts, by kind of mask and by method."""
    size: int | None = None
    """The size of the pictures that its models were made for, in pixels; None if any size will do, or none is known."""
    defaults: dict[str, str | int | float | bool] = {}
    """Default options of the methods with these models."""

    @model_validator(mode="after")
    def _every_part_is_a_component(self) -> "Family":
        for method, parts in self.methods.items():
            if lost := sorted(set(parts.values()) - set(self.components)):
                raise ValueError(f"methods.{method} names {lost[0]!r}, which isn't a component")
        for kind, changes in self.masks.items():
            for method, parts in changes.items():
                if lost := sorted(set(parts) - set(self.methods.get(method, {}))):
                    raise ValueError(f"masks.{kind}.{method} names {lost[0]!r}, which isn't in methods.{method}")
                if lost := sorted(set(parts.values()) - set(self.components)):
                    raise ValueError(f"masks.{kind}.{method} names {lost[0]!r}, which isn't a component")
        folders = {name for name, component in self.components.items() if not is_single_file(component.source)}
        for name, component in self.components.items():
            if is_single_file(component.source) != (component.config in folders):
                raise ValueError(
                    f"components.{name}: a single file must name another component as its config; no other source may"
                )
        return self

    def parts(self, method: str, masks: MaskKind) -> Mapping[str, str]:
        """Return the component of each part of a method, for a data set with this kind of masks."""
        return self.methods.get(method, {}) | self.masks.get(masks, {}).get(method, {})


def families() -> dict[str, Path]:
    """Return the files of the suite's own families, by name."""
    return {path.stem: path for path in sorted(FAMILIES.glob("*.toml"))}


def default_family(method: str) -> str:
    """Name the family that a method uses by default: `DEFAULT_FAMILY`, unless only another one supports it."""
    supporting = [name for name, path in families().items() if method in read_family(path).methods]
    return supporting[0] if supporting and DEFAULT_FAMILY not in supporting else DEFAULT_FAMILY


def read_family(path: Path) -> Family:
    """Read a family file. Raises `UserError` for a file that isn't one."""
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
    """Tell whether a source is named like a single checkpoint with all models of a base."""
    return Path(source).suffix in SINGLE_FILES

"""The options of methods: which there are, and how a run's record holds them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import torch
from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.options import Value, checked, made_of, parameters
from brushbench.core.registry import load_class

DEVICE = "device"
"""A field or parameter of a method without weights that is no option: where the run computes."""
NOT_IN_FINGERPRINT = "no number"
"""In the metadata of an option: it changes no image, and so is no part of a run's identity."""
ADDED = "added later"
"""In the metadata of an option that the first release hasn't: stored only where it isn't at its default, so that runs
without it are the runs that they were."""


# Any: the class of a method, or the function that is one, which nobody has checked yet.
def loads_weights(cls: Any) -> bool:
    """Whether a method's class is made from weights: by its classmethod `load`, with its type of options, `Options`."""
    return hasattr(cls, "load") and hasattr(cls, "Options")


# Any: likewise, and a class or function.
def options_type(cls: Any) -> Any:
    """The class or function whose fields or parameters are the options of a method."""
    return cls.Options if loads_weights(cls) else cls


# Any: likewise.
def option_names(cls: Any) -> set[str]:
    """The options of a method."""
    return set(parameters(_named(cls), options_type(cls))) - set(supplied(cls, _anywhere))


# Any: likewise, and the device in the type that it is stated to have.
def supplied(cls: Any, device: Callable[[], torch.device]) -> dict[str, Any]:
    """What a method is given beside its options: the device, if it has no weights and a place for one."""
    if loads_weights(cls) or not (found := parameters(_named(cls), cls).get(DEVICE)):
        return {}
    return {DEVICE: device() if found.hint is torch.device else str(device())}


# Any: likewise, and options of any type.
def check_options(method: str, cls: Any, options: Mapping[str, Value]) -> dict[str, Any]:
    """The options of a method by name, converted to their types and refused where a dataclass refuses them.

    A class with an `__init__` of its own isn't made: that may be where it loads what it needs.
    """
    target, given = options_type(cls), supplied(cls, _anywhere)
    values = checked(method, target, options, given)
    if not dataclasses.is_dataclass(target):
        return values
    built = made_of(method, target, {**values, **given})
    return {key: getattr(built, key) for key in values}


def default_options(method: str) -> dict[str, JsonValue]:
    """The options of a method, all at their default: the official value. Options `ADDED` later are among them."""
    target = options_type(load_class("method", method))
    built = made_of(method, target, {})
    added = cast(dict[str, JsonValue], to_jsonable_python(_added(target)))
    return stored_options(method, target, built, {}) | added


# Any: the options' type, an object of it if it is a class, and values of any type.
def stored_options(
    owner: str, target: Any, built: Any, values: Mapping[str, Any], without: Collection[str] = ()
) -> dict[str, JsonValue]:
    """All options as run.json holds them, also those at their default but for `ADDED` ones.

    Raises `UserError` for one that JSON can't hold.
    """
    if dataclasses.is_dataclass(target):
        silent = {field.name for field in dataclasses.fields(target) if NOT_IN_FINGERPRINT in field.metadata}
        silent |= {name for name, default in _added(target).items() if getattr(built, name) == default}
        found = {name: getattr(built, name) for name in parameters(owner, target) if name not in silent}
    else:
        found = {name: values.get(name, each.default) for name, each in parameters(owner, target).items()}
    stored = capture(to_jsonable_python, {name: value for name, value in found.items() if name not in without})
    if isinstance(stored, Failure):
        raise UserError(one_line(f"the options of {owner} can't be stored: {stored.error}"))
    return cast(dict[str, JsonValue], stored)


# Any: likewise, and the defaults of its options.
def _added(target: Any) -> dict[str, Any]:
    """The options that are newer than the first release, with their defaults."""
    fields = dataclasses.fields(target) if dataclasses.is_dataclass(target) else ()
    return {field.name: field.default for field in fields if ADDED in field.metadata}


# Any: likewise.
def _named(cls: Any) -> str:
    return str(getattr(cls, "__name__", cls))


def _anywhere() -> torch.device:
    return torch.device("cpu")

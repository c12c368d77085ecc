"""The options of methods: find them, check them, and store them in a run's record."""

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
"""The field or parameter by which a method without weights gets the run's device. It isn't an option."""
NOT_IN_FINGERPRINT = "no number"
"""The metadata key of an option that changes no image and so isn't part of a run's identity."""
ADDED = "added later"
"""The metadata key of an option newer than the first release. It is stored only if it isn't at its default, so that
older runs keep their identity."""


# Any: a method's class or function, not checked yet.
def loads_weights(cls: Any) -> bool:
    """Tell whether a method loads weights: its class has a classmethod `load` and a type of options, `Options`."""
    return hasattr(cls, "load") and hasattr(cls, "Options")


# Any: a method's class or function, and its options' class or function.
def options_type(cls: Any) -> Any:
    """The class or function whose fields or parameters are the options of a method."""
    return cls.Options if loads_weights(cls) else cls


# Any: a method's class or function, not checked yet.
def option_names(cls: Any) -> set[str]:
    """The names of a method's options."""
    return set(parameters(_named(cls), options_type(cls))) - set(supplied(cls, _anywhere))


# Any: a method's class or function, and the device as the type that its hint names.
def supplied(cls: Any, device: Callable[[], torch.device]) -> dict[str, Any]:
    """The arguments beside its options: the device, for a method without weights that has a parameter for it."""
    if loads_weights(cls) or not (found := parameters(_named(cls), cls).get(DEVICE)):
        return {}
    return {DEVICE: device() if found.hint is torch.device else str(device())}


# Any: a method's class or function, and options of any type.
def check_options(method: str, cls: Any, options: Mapping[str, Value]) -> dict[str, Any]:
    """Convert the options of a method to their types. Raises `UserError` for values that they don't allow.

    A dataclass is created, so that its own checks run. Any other class isn't, as its `__init__` may load files.
    """
    target, given = options_type(cls), supplied(cls, _anywhere)
    values = checked(method, target, options, given)
    if not dataclasses.is_dataclass(target):
        return values
    built = made_of(method, target, {**values, **given})
    return {key: getattr(built, key) for key in values}


def default_options(method: str) -> dict[str, JsonValue]:
    """All options of a method at their defaults, which are the official values; includes options `ADDED` later."""
    target = options_type(load_class("method", method))
    built = made_of(method, target, {})
    added = cast(dict[str, JsonValue], to_jsonable_python(_added(target)))
    return stored_options(method, target, built, {}) | added


# Any: the options' class or function, its object if it is a class, and values of any type.
def stored_options(
    owner: str, target: Any, built: Any, values: Mapping[str, Any], without: Collection[str] = ()
) -> dict[str, JsonValue]:
    """All options as run.json stores them. Defaults are stored, too, except those of `ADDED` options.

    Raises `UserError` for an option that can't be stored as JSON.
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


# Any: the options' class or function, and defaults of any type.
def _added(target: Any) -> dict[str, Any]:
    """The options newer than the first release, with their defaults."""
    fields = dataclasses.fields(target) if dataclasses.is_dataclass(target) else ()
    return {field.name: field.default for field in fields if ADDED in field.metadata}


# Any: a method's class or function, not checked yet.
def _named(cls: Any) -> str:
    return str(getattr(cls, "__name__", cls))


def _anywhere() -> torch.device:
    return torch.device("cpu")

"""Options of methods, metrics and data sets, from Python or from `-o key=value`.

They are the fields of a dataclass, the parameters of any other class's `__init__`, or the parameters after `batch` and
`seeds` of a function that is a method.
"""

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from brushbench.core.capture import plugged
from brushbench.core.errors import UserError, one_line, unknown

Value = str | int | float | bool | Path | None
T = TypeVar("T")


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """`["scale=0.5"]` -> `{"scale": "0.5"}`. Raises `UserError` for a pair without `=` and for a repeated key."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UserError(one_line(f"option {pair!r} is not of the form key=value"))
        if key in options:
            raise UserError(one_line(f"option {key!r} is given twice"))
        options[key] = value
    return options


def parse_metric_pairs(pairs: Iterable[str]) -> dict[str, dict[str, Value]]:
    """`["lpips.net=alex"]` -> `{"lpips": {"net": "alex"}}`. Raises `UserError` as `parse_pairs` does."""
    options: dict[str, dict[str, Value]] = {}
    for name, value in parse_pairs(pairs).items():
        metric, _, key = name.rpartition(".")
        if not metric or not key:
            raise UserError(one_line(f"metric option {name!r} is not of the form metric.key=value"))
        options.setdefault(metric, {})[key] = value
    return options


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One option of a class or function. Any: a type hint, and a value of that type."""

    hint: Any
    """Any if no type is stated."""
    default: Any
    required: bool


# Any: a class, or the function that is a method.
def parameters(owner: str, target: Any) -> dict[str, Parameter]:
    """The options of a class or function by name. Raises `UserError` if its hints or its signature can't be read."""
    if not dataclasses.is_dataclass(target):
        return _of_signature(owner, target)
    hints = plugged(f"options of {owner}", _hints, target)
    return {
        field.name: Parameter(hints[field.name], field.default, _is_required(field))
        for field in dataclasses.fields(target)
        if field.init
    }


def build(owner: str, target: Callable[..., T], values: Mapping[str, Value]) -> T:
    """Return `target(**values)`, with each value converted to its type.

    Raises `UserError` as `checked` does, and if `target` refuses the values.
    """
    return cast(T, made_of(owner, target, checked(owner, target, values)))


# Any: a class or a function, and values of the types of its options.
def checked(owner: str, target: Any, values: Mapping[str, Value], supplied: Collection[str] = ()) -> dict[str, Any]:
    """Convert the values to the types of their options. The caller passes parameters in `supplied` itself.

    Raises `UserError` for an unknown key, for a value that its type doesn't allow, and for a missing option that has
    no default.
    """
    valid = {name: each for name, each in parameters(owner, target).items() if name not in supplied}
    if values and not valid:
        raise UserError(one_line(f"{owner} takes no options, got {', '.join(sorted(values))}"))
    for key in values:
        if key not in valid:
            raise unknown(f"option of {owner}", key, valid)
    for key, parameter in valid.items():
        if parameter.required and key not in values:
            raise UserError(one_line(f"option {key} of {owner} has no default; give it as {key}=VALUE"))
    return {key: _converted(owner, key, value, valid[key].hint) for key, value in values.items()}


def default_problem(owner: str, key: str, parameter: Parameter) -> str:
    """The reason why an option's default isn't a valid value; empty if it is valid, or if it comes from a factory."""
    if parameter.required or parameter.default is dataclasses.MISSING:
        return ""
    adapter = plugged(f"option {key} of {owner}", _adapter, parameter.hint)
    try:
        adapter.validate_python(parameter.default, strict=True)
    except ValidationError as error:
        return _problem(error)
    return ""


# Any: a class or a function, its options' values, and the result.
def made_of(owner: str, target: Any, values: Mapping[str, Any]) -> Any:
    """Return `target(**values)` for a class, and a partial of the function for a function; the values are checked."""
    if not inspect.isclass(target):
        return functools.partial(target, **values)
    return plugged(f"{owner} can't be created", functools.partial(target, **values))


# Any: a class or a function.
def _of_signature(owner: str, target: Any) -> dict[str, Parameter]:
    if inspect.isclass(target) and target.__init__ is object.__init__:
        return {}
    found = [*plugged(f"options of {owner}", inspect.signature, target).parameters.values()]
    named = {
        each.name: each
        for each in (found if inspect.isclass(target) else found[2:])
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    # Annotations are strings in a file with `from __future__ import annotations`. Only those of options are resolved.
    written = {name: each.annotation for name, each in named.items() if each.annotation is not each.empty}
    scope = getattr(inspect.unwrap(target.__init__ if inspect.isclass(target) else target), "__globals__", {})
    hints = plugged(f"options of {owner}", _hints, SimpleNamespace(__annotations__=written), scope)
    return {
        name: Parameter(hints.get(name, _type_of(each.default)), each.default, required=each.default is each.empty)
        for name, each in named.items()
    }


# Any: an object with annotations, the names in their scope, and their types.
def _hints(annotated: Any, scope: dict[str, Any] | None = None) -> dict[str, Any]:
    return get_type_hints(annotated, scope, include_extras=True)


# Any: the default of an option without a type hint, and the type that follows from it.
def _type_of(default: Any) -> Any:
    if type(default) is int:
        return int | float
    return type(default) if isinstance(default, bool | float | str) else Any


# Any: a field of any type.
def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


# Any: a type hint, and a value of that type.
def _converted(owner: str, key: str, value: Value, hint: Any) -> Any:
    adapter = plugged(f"option {key} of {owner}", _adapter, hint)
    if value == "none" and _allows(adapter, None):
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if get_origin(hint) is Literal:
        # On the command line a number is text, which equals none of the choices.
        value = next((choice for choice in get_args(hint) if str(choice) == value), value)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(one_line(f"option {key}={value!r} of {owner}: {_problem(error)}")) from error


def _problem(error: ValidationError) -> str:
    problem = error.errors()[0]["msg"]
    return f"{problem[0].lower()}{problem[1:]}"


# Any: pydantic's adapter for a type hint.
def _allows(adapter: Any, value: Value) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


# Any: a type hint, and pydantic's adapter for it.
def _adapter(hint: Any) -> Any:
    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))

"""Options of methods, metrics and data sets: the typed fields of a dataclass, from Python or from `-o key=value`."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from brushbench.errors import UserError, one_line, unknown

Value = str | int | float | bool | Path | None
T = TypeVar("T")


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """`["scale=0.5"]` -> `{"scale": "0.5"}`. Raises `UserError` for a pair without `=` or a key given twice."""
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
        metric, separator, key = name.partition(".")
        if not separator or not key:
            raise UserError(one_line(f"metric option {name!r} is not of the form metric.key=value"))
        options.setdefault(metric, {})[key] = value
    return options


def build(owner: str, options_type: type[T], values: Mapping[str, Value]) -> T:
    """`options_type(**values)`, each value converted to its field's type.

    Raises `UserError` for a key that `options_type` has no field for, and for a value that its type doesn't allow.
    """
    if not dataclasses.is_dataclass(options_type):
        if values:
            raise UserError(one_line(f"{owner} takes no options, got {', '.join(sorted(values))}"))
        return options_type()
    hints = get_type_hints(options_type, include_extras=True)
    valid = {field.name: hints[field.name] for field in dataclasses.fields(options_type) if field.init}
    for key in values:
        if key not in valid:
            raise unknown(f"option of {owner}", key, valid)
    return options_type(**{key: _converted(owner, key, value, valid[key]) for key, value in values.items()})


# Any: a type hint, and a value of that type.
def _converted(owner: str, key: str, value: Value, hint: Any) -> Any:
    if value == "none" and _allows(hint, None):
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if get_origin(hint) is Literal:
        # From the command line a number comes as text, which is none of the choices.
        value = next((choice for choice in get_args(hint) if str(choice) == value), value)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise UserError(one_line(f"option {key}={value!r} of {owner}: {problem[0].lower()}{problem[1:]}")) from error


def _allows(hint: Any, value: Value) -> bool:
    try:
        _adapter(hint).validate_python(value)
    except ValidationError:
        return False
    return True


def _adapter(hint: Any) -> Any:
    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))

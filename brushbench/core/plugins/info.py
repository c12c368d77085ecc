"""Check the facts that plug-ins state about themselves, whose fields may hold anything."""

import dataclasses
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo

Info = TypeVar("Info", MetricInfo, DatasetInfo)


def checked_info(what: str, info: Info) -> Info:
    """A plug-in's stated facts, each field converted to its type. Raises `UserError` if a field can't be converted."""
    values = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)}
    try:
        return TypeAdapter(type(info)).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        text = f"{what}: info.{field} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise UserError(one_line(text)) from error

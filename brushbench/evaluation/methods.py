"""Methods by name, with their options and weights."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from brushbench.core.capture import plugged
from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import UserError, one_line
from brushbench.core.method_info import Role
from brushbench.core.method_options import DEVICE, loads_weights, option_names, options_type, stored_options, supplied
from brushbench.core.options import Value, build, checked, made_of
from brushbench.core.plugins.code import digest_of_place, distribution_digests, imported_files, is_local
from brushbench.core.plugins.files import file_of
from brushbench.core.registry import built_in_version, distribution_of, is_built_in, resolve, role_of_class
from brushbench.core.types import Method
from brushbench.datasets.source import digest_of
from brushbench.imaging.padding import side_multiple
from brushbench.runs.record import FILE
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime, device_named, dtype_named


@dataclass(frozen=True, slots=True)
class LoadedMethod:
    """A method ready to paint, and everything about it that may change a number."""

    name: str
    call: Method
    options: Mapping[str, JsonValue]
    """All of them, also the ones left at their default."""
    digests: Mapping[str, str]
    """The digests of its weights by component, and of the code and files of a method of the user's own."""
    dtype: str
    """Empty for a method without weights."""
    device: str
    """Where it computes; empty for a method without weights."""
    origin: str
    """Where its weights come from, to read; likewise."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each part of its weights was taken from, as `Weights.places` has it."""
    role: Role = "contender"
    """What it is for."""
    version: int = 1
    """The version of one of the suite's own methods."""
    side_multiple: int = 1
    """What both sides of an image must be multiples of for it."""
    notes: tuple[str, ...] = ()
    """What libraries warned of while it was loaded for a run."""


def open_method(
    name: str,
    *,
    weights: str | Path | None,
    device: str,
    dtype: str,
    options: Mapping[str, Value],
    masks: MaskKind = "segmentation",
) -> LoadedMethod:
    """Load a method. Raises `UserError` for an unknown name or option, and for weights that can't be used.

    A method is a class. If it has a classmethod `load(options, runtime)` and an options type `Options`, it is loaded
    with these; otherwise its own fields or parameters are its options, but for `device`, which is where it shall
    compute. It can also be a function, which is called as an object of the class would be.
    """
    cls = resolve("method", name)
    role = role_of_class(name, cls)
    digests = _own_digests(name, cls)
    version = built_in_version(name)
    target = options_type(cls)
    if not loads_weights(cls):
        if weights is not None:
            raise UserError(f"method {name!r} has no weights, so --weights means nothing to it")
        given = supplied(cls, partial(device_named, device))
        values = checked(name, target, options, given)
        digests |= _option_digests(values)
        built = made_of(name, target, {**values, **given})
        stored = stored_options(name, target, built, values, without=given)
        where = str(given.get(DEVICE, ""))
        method, multiple = _callable(name, built), plugged(f"method {name!r}", side_multiple, name, cls, built)
        return LoadedMethod(
            name, method, stored, digests, "", where, "", role=role, version=version, side_multiple=multiple
        )
    build(name, target, options)
    torch_device = device_named(device)
    torch_dtype = dtype_named(dtype, torch_device)
    source = Weights(weights, name, masks)
    usual = {key: value for key, value in source.defaults.items() if key in option_names(cls)}
    values = checked(name, target, {**usual, **options})
    built = made_of(name, target, values)
    if not is_built_in("method", name):
        digests |= _option_digests(values)
    runtime = Runtime(torch_device, torch_dtype, source, offload=getattr(built, "offload", "none") == "model")
    method = _callable(name, plugged(f"method {name!r} can't be loaded", cls.load, built, runtime))
    return LoadedMethod(
        name,
        method,
        stored_options(name, target, built, values),
        digests | source.digests,
        str(torch_dtype).removeprefix("torch."),
        str(torch_device),
        source.origin,
        source.places,
        role,
        version,
        plugged(f"method {name!r}", side_multiple, name, cls, method),
    )


# Any: the class of a method.
def _own_digests(name: str, cls: Any) -> dict[str, str]:
    """The digests of a method that isn't the suite's: its file, the local modules behind it, its distribution."""
    if file := file_of(name):
        own = {module: digest_of_place(path) for module, path in imported_files(file).items()}
        return {FILE: digest_of([file])} | own
    distribution = distribution_of(name)
    if distribution is None:
        return {}
    digests = distribution_digests(distribution)
    code = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if code and is_local(Path(code)):
        # An editable installation has its files elsewhere.
        files = {Path(code).name: Path(code)} | imported_files(Path(code))
        digests |= {module: digest_of_place(path) for module, path in files.items()}
    return digests


# Any: the options of any method.
def _option_digests(values: Mapping[str, Any]) -> dict[str, str]:
    """The digests of files and folders that options name: by their type, or as a text with a separator in it."""
    paths = {
        name: Path(value)
        for name, value in values.items()
        if isinstance(value, Path) or (isinstance(value, str) and os.sep in value)
    }
    return {f"the file of option {name}": digest_of_place(path) for name, path in paths.items() if path.exists()}


def load_method(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Value,
) -> Method:
    """A method by name, or by `path/to/file.py:Class`, with its options as keywords.

    `device` and `dtype` `auto`: float16 on a GPU if there is one, else float32 on the CPU.

    Raises `UserError` for an unknown name or option, and for weights that can't be used.

    >>> method = load_method("telea", radius=5)
    """
    return open_method(name, weights=weights, device=device, dtype=dtype, options=options).call


# Any: an object that should be a method.
def _callable(name: str, method: Any) -> Method:
    if not callable(method):
        raise UserError(one_line(f"method {name!r} has no __call__(batch, seeds)"))
    return cast(Method, method)

"""Find and load methods by name, with their options and weights."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from brushbench.core.capture import plugged
from brushbench.core.compute import PLAIN, recipe_named, refuse_without_weights
from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import UserError, one_line
from brushbench.core.method_info import Role
from brushbench.core.method_options import DEVICE, loads_weights, option_names, options_type, stored_options, supplied
from brushbench.core.options import Value, build, checked, made_of
from brushbench.core.plugins.code import digest_of_place, distribution_digests, imported_files, is_local
from brushbench.core.plugins.files import plugin_file
from brushbench.core.registry import built_in_version, distribution_of, is_built_in, load_class, role_of_class
from brushbench.core.types import Method
from brushbench.datasets.source import digest_of_parts
from brushbench.imaging.padding import side_multiple
from brushbench.runs.record import FILE
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime, device_named, dtype_named


@dataclass(frozen=True, slots=True)
class LoadedMethod:
    """A method that is ready to generate, and all about it that can change a number."""

    name: str
    call: Method
    options: Mapping[str, JsonValue]
    """All options, including those left at their defaults."""
    digests: Mapping[str, str]
    """Digests of its weights by component, and of its code and files if it isn't one of the suite's."""
    dtype: str
    """Empty for a method without weights."""
    device: str
    """The device on which it computes; empty for a method without weights."""
    origin: str
    """Where its weights come from, as a text for users; empty for a method without weights."""
    branch: str = ""
    """The branch that it uses for this kind of masks, as a text for users; empty if it has no choice."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each part of its weights comes from, see `Weights.places`."""
    role: Role = "contender"
    """Contender, reference or floor."""
    version: int = 1
    """The version of the method, if it is one of the suite's own."""
    side_multiple: int = 1
    """It needs images whose sides are multiples of this."""
    notes: tuple[str, ...] = ()
    """Warnings of libraries while it was loaded for a run."""
    compute: str = PLAIN
    """The compute recipe of its models, with its number."""
    offload: str = ""
    """Its option `offload`: `none`, or `model` if idle models leave the GPU; empty if it has no such option."""
    family: str = ""
    """The suite's family of weights that it was loaded from, see `Weights.family`."""


@dataclass(frozen=True, slots=True)
class FoundMethod:
    """A method that is found, with its weights, but not loaded yet.

    A method is a class. If it has a classmethod `load(options, runtime)` and an options type `Options`, it is loaded
    with these; otherwise its own fields or parameters are its options, except `device`, which the suite fills in with
    the device to compute on. It can also be a function, which is called like an instance of such a class.
    """

    name: str
    # Any: the class, or function, of a method.
    cls: Any
    weights: Weights | None
    """None for a method without weights."""

    def branch(self, options: Mapping[str, Value]) -> str:
        """The branch that it uses for this kind of masks, as a text for users; empty if it has no choice."""
        return self.weights.branches(options) if self.weights else ""

    def load(self, *, device: str, dtype: str, options: Mapping[str, Value], compute: str = PLAIN) -> LoadedMethod:
        """Load the method. Raises `UserError` for an unknown option or recipe, and for weights that can't be used."""
        if self.weights is None:
            refuse_without_weights(compute, self.name)
            return _made(self.name, self.cls, device, options)
        method = _from_weights(self.name, self.cls, self.weights, (device, dtype, compute), options)
        return replace(method, branch=self.branch(options))


def find_method(
    name: str, *, weights: str | Path | None, usual: str = "", masks: MaskKind = "segmentation"
) -> FoundMethod:
    """Find a method by name, and its weights by a family's name, a file or a folder; without one, the `usual` weights.

    Raises `UserError` for an unknown name, for weights that are missing, and if `weights` is given for a method that
    has none.
    """
    cls = load_class("method", name)
    if loads_weights(cls):
        return FoundMethod(name, cls, Weights(usual or None if weights is None else weights, name, masks))
    if weights is not None:
        raise UserError(f"method {name!r} has no weights, so --weights has no effect on it")
    return FoundMethod(name, cls, None)


def open_method(
    name: str,
    *,
    weights: str | Path | None,
    device: str,
    dtype: str,
    options: Mapping[str, Value],
    compute: str = PLAIN,
) -> LoadedMethod:
    """Find a method and load it. Raises `UserError` as `find_method` and `FoundMethod.load` do."""
    return find_method(name, weights=weights).load(device=device, dtype=dtype, options=options, compute=compute)


# Any: the class of a method.
def _made(name: str, cls: Any, device: str, options: Mapping[str, Value]) -> LoadedMethod:
    """Make a method without weights."""
    digests, target = _own_digests(name, cls), options_type(cls)
    given = supplied(cls, partial(device_named, device))
    values = checked(name, target, options, given)
    built = made_of(name, target, {**values, **given})
    return LoadedMethod(
        name,
        _callable(name, built),
        stored_options(name, target, built, values, without=given),
        digests | _option_digests(values),
        dtype="",
        device=str(given.get(DEVICE, "")),
        origin="",
        role=role_of_class(name, cls),
        version=built_in_version(name),
        side_multiple=plugged(f"method {name!r}", side_multiple, name, cls, built),
    )


# Any: the class of a method.
def _from_weights(
    name: str, cls: Any, weights: Weights, place: tuple[str, str, str], options: Mapping[str, Value]
) -> LoadedMethod:
    """Load a method with weights; `place` is its device, its precision and its compute recipe."""
    recipe = recipe_named(place[2])
    digests, target = _own_digests(name, cls), options_type(cls)
    build(name, target, options)
    device = device_named(place[0])
    dtype = dtype_named(place[1], device)
    usual = {key: value for key, value in weights.defaults.items() if key in option_names(cls)}
    values = checked(name, target, {**usual, **options})
    built = made_of(name, target, values)
    if not is_built_in("method", name):
        digests |= _option_digests(values)
    offload = str(getattr(built, "offload", ""))
    runtime = Runtime(device, dtype, weights, offload=offload == "model", compute=place[2])
    runtime.check_tools()
    try:
        method = _callable(name, plugged(f"method {name!r} can't be loaded", cls.load, built, runtime))
    except UserError:
        # Weights that were tampered with are the first thing to know of.
        weights.settle()
        raise
    return LoadedMethod(
        name,
        method,
        stored_options(name, target, built, values),
        digests | weights.digests,
        dtype=str(dtype).removeprefix("torch."),
        device=str(device),
        origin=weights.origin,
        places=weights.places,
        role=role_of_class(name, cls),
        version=built_in_version(name),
        side_multiple=plugged(f"method {name!r}", side_multiple, name, cls, method),
        compute=recipe,
        offload=offload,
        family=weights.family,
    )


# Any: the class of a method.
def _own_digests(name: str, cls: Any) -> dict[str, str]:
    """The digests of a method that isn't the suite's: of its file, the local modules it imports, its distribution."""
    if file := plugin_file(name):
        own = {module: digest_of_place(path) for module, path in imported_files(file).items()}
        return {FILE: digest_of_parts([file])} | own
    distribution = distribution_of(name)
    if distribution is None:
        return {}
    digests = distribution_digests(distribution)
    code = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if code and is_local(Path(code)):
        # An editable installation keeps its files elsewhere.
        files = {Path(code).name: Path(code)} | imported_files(Path(code))
        digests |= {module: digest_of_place(path) for module, path in files.items()}
    return digests


# Any: the options of any method.
def _option_digests(values: Mapping[str, Any]) -> dict[str, str]:
    """The digests of files and folders that options name, as a `Path` or as a text with a path separator."""
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
    compute: str = PLAIN,
    **options: Value,
) -> Method:
    """Load a method by name or by `path/to/file.py:Class`, with its options as keywords.

    With `device` and `dtype` `auto`, it computes in float16 on a GPU if there is one, else in float32 on the CPU. With
    `compute` `fast`, a method with weights uses a faster recipe, whose images differ by a few levels.

    Raises `UserError` for an unknown name, option or recipe, and for weights that can't be used.

    >>> method = load_method("telea", radius=5)
    """
    return open_method(name, weights=weights, device=device, dtype=dtype, options=options, compute=compute).call


# Any: an object that should be a method.
def _callable(name: str, method: Any) -> Method:
    if not callable(method):
        raise UserError(one_line(f"method {name!r} has no __call__(batch, seeds)"))
    return cast(Method, method)

"""Names of methods, metrics and data sets, each for a `module:Class` that is imported only when it is requested.

Each package of the suite lists its own in a catalogue, which this module finds by name. Other distributions register
theirs in the entry-point groups `brushbench.methods`, `brushbench.metrics` and `brushbench.datasets`. Any of them can
also be a class in a file: `path/to/file.py:Class`.
"""

import importlib
import inspect
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from brushbench.core.capture import plugged
from brushbench.core.dataset_info import DatasetInfo, MaskKind
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_info import ROLES, MethodInfo, Role
from brushbench.core.metric_info import MetricInfo
from brushbench.core.plugins.files import SUFFIX, check_plugin_file, module_of, plugin_file, public_names
from brushbench.core.registered import Registered

if TYPE_CHECKING:
    # Where the backport importlib_metadata is installed, Python's own functions return its class in place of this one.
    from importlib.metadata import Distribution

PluginKind = Literal["method", "metric", "dataset"]
CATALOGUES: Mapping[PluginKind, str] = {
    "method": "brushbench.baselines.catalogue:METHODS",
    "metric": "brushbench.metrics.catalogue:METRICS",
    "dataset": "brushbench.datasets.catalogue:DATASETS",
}


# Any: the caller knows the type of what it imports.
def by_name(target: str) -> Any:
    """Import and return `module:name`. This is how a layer uses a layer above it."""
    module, _, name = target.partition(":")
    return vars(importlib.import_module(module))[name]


@cache
def built_in(kind: PluginKind) -> Mapping[str, Registered[MethodInfo | MetricInfo | DatasetInfo]]:
    """The suite's own methods, metrics or data sets, by name."""
    return {entry.name: entry for entry in by_name(CATALOGUES[kind])}


def method_info(name: str) -> MethodInfo | None:
    """The facts about one of the suite's own methods; None for any other method."""
    entry = built_in("method").get(name)
    return cast(MethodInfo, entry.info) if entry else None


def metric_info(name: str) -> MetricInfo | None:
    """The facts about one of the suite's own metrics, named with or without a region; None for any other metric."""
    entry = built_in("metric").get(name.partition("@")[0])
    return cast(MetricInfo, entry.info) if entry else None


def dataset_info(name: str) -> DatasetInfo:
    """The facts about one of the suite's own data sets; for any other data set, the default facts."""
    entry = built_in("dataset").get(name)
    return cast(DatasetInfo, entry.info) if entry else DatasetInfo()


def mask_kind(dataset: str, split: str) -> MaskKind:
    """The kind of masks in a split of a data set, both given by name."""
    return dataset_info(dataset).mask_kind(split)


@cache
def registered(kind: PluginKind) -> dict[str, Registered[MethodInfo | MetricInfo | DatasetInfo | None]]:
    """All registered entries of this kind, by name. An entry point can't replace one of the suite's own names."""
    entries: dict[str, Registered[MethodInfo | MetricInfo | DatasetInfo | None]] = {
        point.name: Registered(point.name, f"{point.module}:{point.attr}", f"plug-in {point.value}", None)
        for point in entry_points(group=f"brushbench.{kind}s")
    }
    entries.update(built_in(kind))
    return dict(sorted(entries.items()))


def check_name(kind: PluginKind, name: str) -> None:
    """Raise `UserError` unless `name` is registered or names a class in an existing file."""
    if file := plugin_file(name):
        check_plugin_file(name, file)
        if is_built_in(kind, own := short_name(name)):
            raise UserError(one_line(f"{name}: the suite already has a {kind} called {own!r}; valid: any other name"))
    elif name.endswith(SUFFIX) and Path(name).is_file():
        raise UserError(one_line(f"{kind} {name!r} names no class or function of the file; valid: {name}:NAME"))
    elif name not in registered(kind):
        raise unknown(kind, name, registered(kind))


def short_name(name: str) -> str:
    """The name that folders and tables use: the registered name, or for a file the name of its class."""
    return name.rpartition(":")[2] if plugin_file(name) else name


def is_built_in(kind: PluginKind, name: str) -> bool:
    """Tell whether this is one of the suite's own names."""
    return name in built_in(kind)


# Any: the caller checks what the class is.
def load_class(kind: PluginKind, name: str) -> Any:
    """Import and return the class behind a name, or a method's function.

    Raises `UserError` if the name is unknown or the class can't be imported.
    """
    check_name(kind, name)
    if file := plugin_file(name):
        return _named(module_of(file), name, str(file))
    return _built_in_class(kind, name) if is_built_in(kind, name) else _imported(kind, name)


# Any: the caller checks what the class is.
@cache
def _built_in_class(kind: PluginKind, name: str) -> Any:
    return _imported(kind, name)


# Any: the caller checks what the class is.
def _imported(kind: PluginKind, name: str) -> Any:
    target = registered(kind)[name].target
    path = target.partition(":")[0]
    module = plugged(f"{kind} {name!r} can't be imported", importlib.import_module, path)
    return _named(module, target, path)


# Any: the class of a method.
def role_of_class(name: str, cls: Any) -> Role:
    """A method's role: from the catalogue for the suite's own, else from its class, `contender` by default.

    Raises `UserError` if a class states an unknown role.
    """
    if own := method_info(name):
        return own.role
    role = getattr(cls, "role", "contender")
    if role not in ROLES:
        raise UserError(one_line(f"method {name!r}: role {role!r} is not one of {', '.join(ROLES)}"))
    return cast(Role, role)


# Any: the class of a method.
def ignores_seed(name: str, cls: Any) -> bool:
    """Tell whether a method's images are the same under every seed, by the catalogue or by its class."""
    own = method_info(name)
    return own.ignores_seed if own else getattr(cls, "ignores_seed", False) is True


def built_in_version(name: str) -> int:
    """The version of one of the suite's own methods; 1 for any other, as digests identify its code."""
    own = method_info(name)
    return own.version if own else 1


def distribution_of(name: str) -> "Distribution | None":
    """The installed distribution that registers a method; None for the suite's own, and for a file."""
    if is_built_in("method", name):
        return None
    points = entry_points(group="brushbench.methods", name=name)
    return next((point.dist for point in points if point.dist), None)


# Any: the caller checks what the class is.
def _named(module: ModuleType, target: str, place: str) -> Any:
    name = target.rpartition(":")[2]
    if name not in vars(module):
        raise unknown(f"class or function of {place}", name, public_names(module))
    found = vars(module)[name]
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        valid = ", ".join(public_names(module)) or "none"
        raise UserError(
            one_line(f"{name} of {place} is of type {type(found).__name__}, not a class or function; valid: {valid}")
        )
    return found

"""Find out what kind of plug-in a name stands for, and check it accordingly."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from brushbench.core.capture import Failure, capture
from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import parted
from brushbench.core.plugins.files import check_plugin_file, plugin_file
from brushbench.core.registry import PluginKind, check_name, load_class, registered
from brushbench.evaluation.validation import datasets, methods, metrics
from brushbench.evaluation.validation.findings import Asked, Violation

KINDS: tuple[PluginKind, ...] = get_args(PluginKind)
FINDINGS: Mapping[PluginKind, Callable[[Asked], list[Violation]]] = {
    "method": methods.method_violations,
    "metric": metrics.metric_violations,
    "dataset": datasets.dataset_violations,
}


def validate_plug_in(asked: Asked) -> list[Violation]:
    """Find everything that is wrong with a plug-in. Raises `UserError` for an unknown name or option."""
    check_name(asked.kind, parted(asked.name)[0])
    return FINDINGS[asked.kind](asked)


def kind_of(name: str) -> PluginKind:
    """The kind of plug-in that a name stands for. Raises `UserError` if it is unknown or ambiguous."""
    base = parted(name)[0]
    if file := plugin_file(base):
        check_plugin_file(base, file)
        return _kind_of_class(capture(load_class, "method", base))
    kinds = [kind for kind in KINDS if base in registered(kind)]
    if not kinds:
        raise unknown("method, metric or data set", base, [each for kind in KINDS for each in registered(kind)])
    if len(kinds) > 1:
        raise UserError(one_line(f"{name!r} is a {' and a '.join(kinds)}; valid: one of them, with --kind {kinds[0]}"))
    return kinds[0]


# Any: a class, a function, or a failure to load it, which the checks of any kind report later.
def _kind_of_class(cls: Any) -> PluginKind:
    if isinstance(cls, Failure):
        return "method"
    info = getattr(cls, "info", None)
    if callable(getattr(cls, "open", None)) or isinstance(info, DatasetInfo):
        return "dataset"
    return "metric" if info is not None else "method"

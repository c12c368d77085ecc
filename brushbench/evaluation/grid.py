"""One command line to many runs: methods x splits, each with the options that it knows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_options import check_options, loads_weights, option_names
from brushbench.core.options import Value
from brushbench.core.registry import is_built_in, load_class, registered
from brushbench.runs.config import RunConfig

ALL = "all"


def expand_methods(names: Sequence[str]) -> list[str]:
    """The methods meant; `all` is every registered one."""
    chosen = [*registered("method")] if ALL in names else list(names)
    if not chosen:
        raise UserError("no method is named; valid: `brushbench list methods`, or all")
    if len(set(chosen)) != len(chosen):
        raise UserError(one_line(f"a method is named twice in {', '.join(chosen)}"))
    return chosen


def expand_jobs(
    template: RunConfig, methods: Sequence[str], splits: Sequence[str], *, lenient: bool = False
) -> list[list[RunConfig]]:
    """For each method its runs, one per split.

    An option goes to the methods that have it, weights to those that are made from some. Raises `UserError` for what
    none of them takes, and for a value that a method refuses. If `lenient`, what is wrong with a plug-in is only found
    out when it is loaded.
    """
    if not splits or len(set(splits)) != len(splits):
        raise UserError(one_line(f"splits {list(splits)}: valid is at least one, each once"))
    options = template.method_options()
    strict = [method for method in methods if not lenient or is_built_in("method", method)]
    known = {method: option_names(load_class("method", method)) for method in strict}
    weighty = {method: loads_weights(load_class("method", method)) for method in strict}
    for method in set(methods) - set(strict):
        cls = capture(load_class, "method", method)
        names = cls if isinstance(cls, Failure) else capture(option_names, cls)
        known[method] = set() if isinstance(names, Failure) else names
        weighty[method] = loads_weights(cls)
    if template.weights is not None and not any(weighty.values()):
        raise UserError(one_line(f"weights: {', '.join(methods)} has none"))
    for key in options:
        if not any(key in names for names in known.values()):
            raise unknown(f"option of {', '.join(methods)}", key, {name for names in known.values() for name in names})
    jobs = []
    for method in methods:
        own: Mapping[str, Value] = {key: value for key, value in options.items() if key in known[method]}
        if method in strict:
            check_options(method, load_class("method", method), own)
        weights = template.weights if weighty[method] else None
        config = replace(template, method=method, options=own, weights=weights, steps=None, guidance=None)
        jobs.append([replace(config, split=split) for split in splits])
    return jobs

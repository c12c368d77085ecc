"""Print what `list methods NAME` says about a method, a metric or a data set: its facts and every option."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.described.family_defaults import family_defaults
from brushbench.core.described.options import Description, OptionDescription, describe_options
from brushbench.core.errors import one_line
from brushbench.core.method_info import MethodInfo
from brushbench.core.metric_info import MetricInfo, parted
from brushbench.core.registry import PluginKind, registered

NARROWEST, WIDEST = 40, 110
INDENT = "  "
SET_WITH: Mapping[PluginKind, str] = {
    "method": "-o {option}=VALUE",
    "metric": "--metric-option {name}.{option}=VALUE",
    "dataset": "--data-option {option}=VALUE",
}
NO_OPTIONS = "It has no options."


def description_lines(kind: PluginKind, name: str) -> Iterator[str]:
    """Yield the lines about a registered name or `FILE.py:CLASS`, which is read but not executed.

    Raises `UserError` for an unknown name, and for a file that can't be parsed.
    """
    base = parted(name)[0] if kind == "metric" else name
    found = describe_options(kind, base)
    entry = registered(kind).get(base)
    yield one_line(f"{base}: {entry.summary if entry else found.summary or 'not described'}")
    yield from (line for told in _facts(entry.info if entry else None) for line in _wrapped(told, INDENT))
    if not found.options:
        yield NO_OPTIONS
        return
    yield "Options, set with " + SET_WITH[kind].format(name=base, option="OPTION") + ":"
    for option in found.options:
        yield f"{INDENT}{option.name}"
        yield from _wrapped(option.meaning, INDENT * 3)
        yield from _wrapped(" ".join(_details(found, option)), INDENT * 3)


def _details(found: Description, option: OptionDescription) -> Iterator[str]:
    yield f"Default: {option.default}."
    if found.has_weights:
        for family, given in family_defaults(found.name).items():
            if option.name in given:
                yield f"With --weights {family}: {given[option.name]}."
    yield f"Values: {option.values}."
    if option.unit:
        yield f"Unit: {option.unit}."
    if option.paper:
        yield f"Paper: {option.paper}."


def _facts(info: MethodInfo | MetricInfo | DatasetInfo | None) -> Iterator[str]:
    if isinstance(info, MethodInfo):
        yield f"Role: {info.role}. Version: {info.version}."
        if info.citation:
            yield f"Paper: {info.citation}."
    if isinstance(info, MetricInfo):
        better = "higher" if info.higher_is_better else "lower"
        yield f"Unit: {info.unit or 'none'}. Better: {better}. Region: {info.region}. Version: {info.version}."
        yield f"Paper: {info.citation}. Licence: {info.licence}."
    if isinstance(info, DatasetInfo):
        yield f"Splits: {', '.join(info.splits) or 'inside, or those of the file'}. Masks: {info.masks}."
        yield f"Paper: {info.citation}. Licence: {info.licence}."


def _wrapped(text: str, indent: str) -> list[str]:
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    line = one_line(text, 4000)
    return textwrap.wrap(
        line, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )

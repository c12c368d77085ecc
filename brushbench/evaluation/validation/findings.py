"""Findings about a plug-in, and the request to check one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import one_line
from brushbench.core.options import Value, default_problem, parameters
from brushbench.core.registry import PluginKind

T = TypeVar("T")
Check = Literal["loading", "options", "error", "dtype", "shape", "value", "determinism", "independence", "input"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation of a plug-in's contract."""

    check: Check
    text: str
    """What is wrong, in one line."""

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


@dataclass(frozen=True, slots=True)
class Asked:
    """The plug-in to check, and how to load it."""

    name: str
    """A registered name, or `path/to/file.py:Name`."""
    kind: PluginKind
    options: Mapping[str, Value] = field(default_factory=dict)
    weights: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    root: Path | None = None
    splits: tuple[str, ...] = ()
    """The splits of a data set to check; if empty, all that it declares, or else `inside`."""


def tried(found: list[Violation], check: Check, what: str, make: Callable[..., T], *arguments: object) -> T | None:
    """Call `make` and return its result; if anything goes wrong in it, add a finding and return None."""
    made = capture(make, *arguments)
    if isinstance(made, Failure):
        place = f" ({made.place})" if made.place and not made.by_user else ""
        found.append(Violation(check, one_line(f"{what}{made.error}{place}")))
        return None
    return made


# Any: the class or function that has the options.
def default_findings(owner: str, target: Any) -> Iterator[Violation]:
    """Find options whose default isn't valid for their own type."""
    for key, parameter in parameters(owner, target).items():
        if problem := default_problem(owner, key, parameter):
            yield Violation("options", one_line(f"the default of {key}, {parameter.default!r}, isn't valid: {problem}"))

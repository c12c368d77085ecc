"""List published numbers, and the set-ups by which they are grouped, as text, CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence

from brushbench.core.columns import columns
from brushbench.core.errors import UserError, one_line
from brushbench.reports.published.registry import Published
from brushbench.reports.published.setups import UNSAID, group, groups, setups

FORMATS = ("text", "csv", "json")
HEADING = (
    *("benchmark", "split", "method", "blend", "metric", "value", "confidence", "source", "set-up", "group", "note"),
)
SETUPS = ("group", "paper", "numbers", "on", "base", "steps", "prompts", "storage", "blending", "note")


def listed(numbers: Sequence[Published], form: str = "text") -> str:
    """Return the numbers in a form of `FORMATS`, one row each."""
    return _formed(HEADING, [_row(number) for number in numbers], form)


def listed_setups(numbers: Sequence[Published], form: str = "text") -> str:
    """Return the groups of these numbers with their set-ups, side by side."""
    return _formed(SETUPS, [_setup(name, found) for name, found in groups(numbers).items()], form)


def of_methods(numbers: Sequence[Published], names: Iterable[str]) -> list[Published]:
    """Return the numbers of some methods, also with another method or addition to them, whatever the case of letters.

    Raises `UserError` for a method without a number.
    """
    found: list[Published] = []
    for name in names:
        one = [number for number in numbers if name.casefold() in number.method.casefold()]
        if not one:
            known = ", ".join(dict.fromkeys(number.method for number in numbers))
            raise UserError(one_line(f"nothing is published for {name!r}; valid: {known}", 2000))
        found += [number for number in one if number not in found]
    return found


def _row(number: Published) -> tuple[str, ...]:
    value = f"{number.value:.2f}" if round(number.value, 2) == number.value else f"{number.value:g}"
    row = *number.row[:4], number.metric, value, number.confidence, number.source, number.setup
    return (*row, group(number), number.note)


def _setup(name: str, numbers: Sequence[Published]) -> tuple[str, ...]:
    where = ", ".join(dict.fromkeys(f"{number.benchmark} {number.split}" for number in numbers))
    known = setups().get(name)
    if known is None:
        return (name, numbers[0].source, str(len(numbers)), where, *[UNSAID] * 5, "")
    said = known.base, known.steps, known.prompts, known.storage, known.blending
    return (name, known.paper, str(len(numbers)), where, *said, known.note)


def _formed(heading: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> str:
    if form == "json":
        return json.dumps([dict(zip(heading, row, strict=True)) for row in rows], indent=2, ensure_ascii=False)
    if form == "csv":
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([heading, *rows])
        return written.getvalue().rstrip("\n")
    return "\n".join(columns([heading, *(tuple(map(one_line, row)) for row in rows)]))

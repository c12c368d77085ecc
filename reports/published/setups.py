"""How published numbers were obtained, and which of them may therefore stand in one table."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from brushbench.core.files import read_toml
from brushbench.reports.published.registry import Published

FILE = Path(__file__).parent / "setups.toml"
UNSAID = "not said"
AUTHORS = "brushnet"
"""The group of the numbers of BrushNet's authors."""
SAME = "paper"
"""The set-up of numbers that a user adds and that were measured as those."""


class SetUp(BaseModel, extra="forbid", frozen=True):
    """What public texts say about how the numbers of one group were obtained."""

    paper: str
    sources: tuple[str, ...]
    """Sources of its numbers; a derived number has two."""
    methods: tuple[str, ...] = ()
    """Only these methods of the sources; empty for all."""
    base: str
    steps: str
    prompts: str
    storage: str
    blending: str
    note: str = ""

    def has(self, number: Published) -> bool:
        """Tell whether a number is of this set-up."""
        return set(number.sources) <= set(self.sources) and (not self.methods or number.method in self.methods)


_SETUPS = TypeAdapter(dict[str, SetUp])


@cache
def setups() -> dict[str, SetUp]:
    """Return all set-ups by the names of their groups; the first that has a number is its set-up."""
    return _SETUPS.validate_python(read_toml(FILE))


def group(number: Published) -> str:
    """Return the group of a number. Numbers of one group, benchmark and split may stand in one table; others may not.

    What a user has added with another set-up is grouped by its source and its set-up.
    """
    if number.setup == SAME:
        return AUTHORS
    found = next((name for name, setup in setups().items() if setup.has(number)), "")
    return found or "; ".join(filter(None, (number.source, number.setup)))


def groups(numbers: Iterable[Published]) -> dict[str, list[Published]]:
    """Return numbers by their groups, in the order of the numbers."""
    found: dict[str, list[Published]] = {}
    for number in numbers:
        found.setdefault(group(number), []).append(number)
    return found

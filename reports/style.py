"""How a table or figure for a paper shall look: which columns and rows, under which names, at which width."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from brushbench.core.errors import UserError, one_line, unknown

Notes = Literal["", "brief", "full", "none"]
Seeds = Literal["", "rows", "mean"]
Pairs = Mapping[str, str]
LATEX = "latex:"
"""Prefix of a text that is LaTeX, which is not escaped; other formats ignore it."""
MOST_DECIMALS = 8
LONGEST = 2000
_KEY = re.compile(r"[^\s{}\\%#~$^&\"',]+(,[^\s{}\\%#~$^&\"',]+)*")
"""Keys of a bibliography, or of a label: without what LaTeX would interpret."""


@dataclass(frozen=True, slots=True)
class Names:
    """Texts that replace names; the keys are names of methods, metrics, splits, data sets and groups of metrics."""

    texts: Pairs = field(default_factory=dict)
    """By name, as plain text, which every format escapes."""
    latex: Pairs = field(default_factory=dict)
    """By name, as LaTeX, which only that format prints, as it is."""
    cites: Pairs = field(default_factory=dict)
    """By name of a method, the keys for `\\cite`."""

    def of(self, name: str) -> str:
        """Return the text for a metric, split, data set or group."""
        return self.texts.get(name, name)

    def of_method(self, label: str) -> str:
        """Return the text for a row: that of its whole label or, with the options that follow, of its method."""
        return _of_method(self.texts, label) or label


@dataclass(frozen=True, slots=True)
class Style:
    """What was wished for; whatever is empty is as usual."""

    columns: tuple[str, ...] = ()
    """Metrics, or `split/metric`, in this order; each may be several, separated by commas."""
    rows: tuple[str, ...] = ()
    """Methods, or whole labels of rows, likewise."""
    order: tuple[str, ...] = ()
    """Methods that come first, or a metric whose best mean comes first, or `name`."""
    splits: tuple[str, ...] = ()
    renames: tuple[str, ...] = ()
    """Each as `NAME=TEXT`."""
    cites: tuple[str, ...] = ()
    """Each as `NAME=KEY` or `NAME=KEY,KEY`."""
    decimals: tuple[str, ...] = ()
    """Each a number, or `METRIC=number`."""
    shared: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """From a file that serves several tables, `rename` and `cite` by name, some of which may not occur here."""
    caption: str = ""
    label: str = ""
    notes: Notes = ""
    width: str = ""
    """`column`, `text`, or a length with its unit."""
    seeds: Seeds = ""
    """Whether runs that differ only in their seed have a row each, which is usual, or one row with their mean."""

    def names(self, known: Sequence[str], methods: Sequence[str]) -> Names:
        """Return the names. Raises `UserError` for a name that does not occur, and for text that LaTeX cannot take."""
        texts, latex = {}, {}
        for name, text in [
            *_shared(self.shared, "rename"),
            *(_split(pair, known, "--rename") for pair in self.renames),
        ]:
            if text.startswith(LATEX):
                latex[name] = checked_latex(text, f"--rename {name}")
            else:
                texts[name] = one_line(text, LONGEST)
        given = [*_shared(self.shared, "cite"), *(_split(pair, methods, "--cite") for pair in self.cites)]
        return Names(texts, latex, {name: checked_key(key, f"--cite {name}") for name, key in given})

    def digits(self, known: Iterable[str]) -> dict[str, int]:
        """Return the decimals by metric, under an empty name those of all others. Raises `UserError` for others."""
        found = {}
        for text in separated(self.decimals):
            name, _, number = text.rpartition("=")
            if name and name not in known:
                raise unknown("metric of --decimals", name, known)
            if not (number.isascii() and number.isdigit() and int(number) <= MOST_DECIMALS):
                raise UserError(
                    one_line(f"--decimals {text}: {number!r} must be a whole number from 0 to {MOST_DECIMALS}")
                )
            found[name] = int(number)
        return found


def separated(texts: Sequence[str], known: Iterable[str] = ()) -> list[str]:
    """Return the names in a list whose entries may be several, separated by commas; a known name may contain one."""
    whole = set(known)
    found = [part.strip() for text in texts for part in ([text] if text in whole else text.split(","))]
    return list(dict.fromkeys(filter(None, found)))


def chosen(kind: str, texts: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names in a list. Raises `UserError` for an unknown one, with the nearest that is known."""
    found = separated(texts, known)
    for name in found:
        if name not in known:
            raise unknown(kind, name, known)
    return found


def checked_latex(text: str, place: str) -> str:
    """Return LaTeX without its prefix, on one line. Raises `UserError` if its braces would end those around it."""
    source = one_line(text.removeprefix(LATEX), LONGEST)
    depth = 0
    for found in re.finditer(r"\\.|[{}%]", source):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth < 0 or found[0] == "%":
            break
    else:
        if not depth and not source.endswith("\\"):
            return source
    raise UserError(one_line(f"{place}: LaTeX must have paired braces and no comment, but is {source}"))


def checked_key(text: str, place: str) -> str:
    """Return a key of a citation or a label. Raises `UserError` for characters that LaTeX would interpret."""
    if not (_KEY.fullmatch(text) and text.isprintable()):
        raise UserError(
            one_line(f"{place}: {text!r} must be letters, digits and marks such as : - _ ., as LaTeX's keys are")
        )
    return text


def by_method(names: Pairs, label: str) -> str:
    """Return the text for a row's label, or that of its method alone without the options; empty if there is none."""
    return names.get(label) or names.get(label.partition(" ")[0], "")


def _of_method(names: Pairs, label: str) -> str:
    if label in names:
        return names[label]
    method, space, options = label.partition(" ")
    return f"{names[method]}{space}{options}" if method in names else ""


def _shared(shared: Mapping[str, Mapping[str, Sequence[str]]], key: str) -> list[tuple[str, str]]:
    return [(name, text) for name, texts in shared.get(key, {}).items() for text in texts]


def _split(pair: str, known: Sequence[str], option: str) -> tuple[str, str]:
    """Split `NAME=TEXT` where the name is a known one, the longest, as names and texts may contain `=`."""
    places = [place for place, character in enumerate(pair) if character == "="]
    if not places or pair.endswith("="):
        raise UserError(one_line(f"{option} {pair!r}: give NAME=TEXT"))
    for place in reversed(places):
        if pair[:place] in known:
            return pair[:place], pair[place + 1 :].strip()
    raise unknown(f"name for {option}", pair[: places[0]], known)

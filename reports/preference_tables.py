"""Render counted votes as text, Markdown, CSV or JSON."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from scipy import special
from tabulate import tabulate

from brushbench.core.errors import unknown
from brushbench.reports.formats.escaping import each_word, markdown, plain, words
from brushbench.reports.formats.records import csv_of
from brushbench.reports.preference import PairCount, Strength, is_connected, methods_of, pair_counts, strengths
from brushbench.reports.votes import Vote

PAIRS = ("A", "B", "A wins", "ties", "B wins", "samples", "win rate of A", "95 % interval")
STRENGTHS = ("method", "votes", "strength", "95 % interval", "wins against the mean")
Value = str | int | float | bool | None


def render_votes(votes: Sequence[Vote], table_format: str) -> str:
    """Count votes and render them without a final line break. Raises `UserError` for an unknown format."""
    if table_format not in FORMATS:
        raise unknown("format for votes", table_format, FORMATS)
    return FORMATS[table_format](votes)


def _text(votes: Sequence[Vote]) -> str:
    return _told(votes, "simple", plain, words)


def _markdown(votes: Sequence[Vote]) -> str:
    return _told(votes, "pipe", markdown, lambda text: f"* {each_word(markdown, text)}")


def _told(votes: Sequence[Vote], style: str, name: Callable[[str], str], note: Callable[[str], str]) -> str:
    parts = [_table(heads, rows, style) for heads, rows in vote_tables(votes, name)]
    return "\n\n".join([*parts, "\n".join(map(note, vote_notes(votes)))])


def vote_tables(votes: Sequence[Vote], name: Callable[[str], str]) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    """Return heads and rows of the table of pairs, and those of strengths if there are any; `name` escapes names."""
    tables = [(PAIRS, [_pair(each, name) for each in pair_counts(votes)])]
    if not _has_strengths(votes):
        return [*tables]
    return [*tables, (STRENGTHS, [_strength(each, name) for each in strengths(votes)])]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    return tabulate(rows, heads, tablefmt=style, disable_numparse=True, colalign=["left"] * len(heads))


def _has_strengths(votes: Sequence[Vote]) -> bool:
    return len(methods_of(votes)) > 2 and is_connected(votes)


def _pair(count: PairCount, name: Callable[[str], str]) -> list[str]:
    counts = [str(each) for each in (count.wins, count.ties, count.losses, count.samples)]
    return [name(count.a), name(count.b), *counts, f"{count.rate:.1%}", f"[{count.low:.1%}, {count.high:.1%}]"]


def _strength(found: Strength, name: Callable[[str], str]) -> list[str]:
    interval = "-" if math.isnan(found.low) else f"[{found.low:+.2f}, {found.high:+.2f}]"
    against = f"{special.expit(found.strength):.1%}"
    return [name(found.method), str(found.votes), f"{found.strength:+.2f}", interval, against]


def vote_notes(votes: Sequence[Vote]) -> Iterator[str]:
    """Yield the notes below the tables."""
    voters = {vote.voter for vote in votes}
    samples = {vote.sample for vote in votes}
    named = f" by {len(voters)} voter{'s' * (len(voters) > 1)}" if voters != {""} else ""
    yield f"{len(votes)} vote{'s' * (len(votes) > 1)}{named} on {len(samples)} sample{'s' * (len(samples) > 1)}"
    yield "ties count as half a win; Wilson's interval, with votes on one sample as one cluster"
    sides = Counter(vote.choice for vote in votes)
    if decided := sides["left"] + sides["right"]:
        yield f"the left image was preferred in {sides['left']} of {decided} decided votes"
    if _has_strengths(votes):
        yield (
            "strength: log-odds against a method of mean strength, by Bradley and Terry's model with half a win and "
            "half a loss added for each method; the interval is a bootstrap of the samples"
        )
    elif len(methods_of(votes)) > 2:
        yield "no strengths: the votes don't connect all methods"


def _csv(votes: Sequence[Vote]) -> str:
    return csv_of(_records(votes))


def _json(votes: Sequence[Vote]) -> str:
    return json.dumps(_records(votes), allow_nan=False, indent=2)


def _records(votes: Sequence[Vote]) -> list[dict[str, Value]]:
    """Return a record per pair, and one per method, which has no `b` and a strength in place of a rate."""
    found = [_pair_record(one) for one in pair_counts(votes)]
    return found + [_strength_record(one) for one in (strengths(votes) if _has_strengths(votes) else ())]


def _pair_record(one: PairCount) -> dict[str, Value]:
    counts: dict[str, Value] = {"wins": one.wins, "ties": one.ties, "losses": one.losses}
    votes = one.wins + one.ties + one.losses
    found: dict[str, Value] = {"votes": votes, "estimate": one.rate, "low": one.low, "high": one.high}
    return {"kind": "pair", "a": one.a, "b": one.b, **counts, **found}


def _strength_record(one: Strength) -> dict[str, Value]:
    nothing: dict[str, Value] = {"b": None, "wins": None, "ties": None, "losses": None}
    found: dict[str, Value] = {"estimate": one.strength, "low": _known(one.low), "high": _known(one.high)}
    return {"kind": "strength", "a": one.method, **nothing, "votes": one.votes, **found}


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


FORMATS: dict[str, Callable[[Sequence[Vote]], str]] = {
    "text": _text,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
}

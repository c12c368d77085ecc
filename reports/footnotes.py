"""What stands below a table: how to read it, of how many samples it is, and what is missing from it and why."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import pandas as pd

from reports.run_notes import note_lines
from reports.summary import BOTH, GROUP, SECTION, Summary

PROTOCOLS = {
    "paper": "protocol paper: JPEG storage and x3 squared errors, as the official script, for published tables",
    "strict": "protocol strict: lossless storage, means over pixels and channels; not comparable with published tables",
}
MINIATURE = (
    "papercut is a miniature world with models of its own: its numbers compare methods there, and say nothing about "
    "published checkpoints"
)
STAND_IN = "papercut-clip is the miniature CLIP of that world; it stands in for CLIP Sim, and is on another scale"
READING = {
    "summary": "mean ± the longer side of its 95 % interval (both ends: csv, json)",
    "paper": "means, as the paper prints them",
    "ablation": "means of the inside and the outside row",
}


def footnotes(summary: Summary, rows: pd.DataFrame, table: str) -> Iterator[str]:
    """Of one table; `rows` are those of the summary that it prints."""
    protocol, dataset = (str(rows.iloc[0][name]) for name in ("protocol", "dataset"))
    yield counts(rows)
    yield PROTOCOLS[protocol]
    yield f"{READING[table]}; ↑ higher is better, ↓ lower is better"
    if (rows["n_identical"] > 0).any():
        yield from _identical(rows, in_cells=table == "summary")
    if dataset.partition("@")[0] == "papercut":
        yield MINIATURE
        if "papercut-clip" in set(rows["metric"]):
            yield STAND_IN
    for name, versions in summary.versions.items():
        if name in set(rows["metric"]):
            yield f"{name}: mixed versions ({', '.join(versions)}) that may differ in their numbers; score again"
    if summary.left_out:
        yield f"left out, as they aren't scored on both inside and outside: {', '.join(summary.left_out)}"
    if summary.not_scored:
        yield f"left out, as they aren't scored (`brushbench score RUN`): {', '.join(summary.not_scored)}"
    if _differ(summary, rows):
        yield "the rows are means over different samples; --significant and `brushbench compare` take shared ones"
    yield from _remarks(summary, rows)
    yield from note_lines(summary.run_notes, rows, any_split=BOTH in set(rows["split"]))
    yield from _not_scored(summary)


def counts(rows: pd.DataFrame) -> str:
    """Samples with a score / samples asked for, of every method, split and section, said as shortly as it can be."""
    keys = (SECTION, "split", "method")
    found = {tuple(map(str, key)): _count(own) for key, own in rows.groupby(list(keys), sort=False)}
    for size in range(len(keys) + 1):
        for places in combinations(range(len(keys)), size):
            told: dict[tuple[str, ...], dict[str, None]] = {}
            for key, count in found.items():
                told.setdefault(tuple(key[place] for place in places), {})[count] = None
            if all(len(each) == 1 for each in told.values()):
                return f"scored/asked: {_told({key: next(iter(each)) for key, each in told.items()})}"
    raise AssertionError("every method, split and section has one count")


def _told(found: Mapping[tuple[str, ...], str]) -> str:
    names: dict[str, list[str]] = {}
    for key, count in found.items():
        names.setdefault(count, []).append(" ".join(reversed(key)))
    if list(found) == [()]:
        return f"{found[()]} for each"
    return "; ".join(f"{count} for {', '.join(each)}" for count, each in names.items())


def _differ(summary: Summary, rows: pd.DataFrame) -> bool:
    """Whether one method was asked for other samples than another."""
    tidy = summary.tidy.merge(rows[[*GROUP, SECTION]].drop_duplicates(), on=[*GROUP, SECTION])
    samples = tidy[[*GROUP, SECTION, "method", "sample"]].drop_duplicates()
    by_method = samples.groupby([*GROUP, SECTION, "method"])["sample"].agg(frozenset)
    return bool((by_method.groupby([*GROUP, SECTION]).nunique() > 1).any())


def _count(rows: pd.DataFrame) -> str:
    scored = rows["n_scored"] + rows["n_identical"]
    usual = scored.max()
    fewer = rows[scored < usual]
    text = f"{usual}/{rows['n_asked'].max()}"
    if fewer.empty:
        return text
    each = zip(fewer["metric"], scored[scored < usual], strict=True)
    return f"{text} ({', '.join(f'{metric} {count}' for metric, count in each)})"


def _identical(rows: pd.DataFrame, *, in_cells: bool) -> Iterator[str]:
    meaning = "samples without any difference to the source there; they have no PSNR, no part in its mean"
    if in_cells:
        yield f"identical: {meaning}"
        return
    own = rows[rows["n_identical"] > 0].groupby(["split", "method"], sort=False)["n_identical"].sum().reset_index()
    several = own["split"].nunique() > 1
    each = [
        f"{row['n_identical']} of {row['method']}{' ' + row['split'] if several else ''}"
        for row in own.to_dict("records")
    ]
    yield f"identical, {meaning}: {', '.join(each)}"


def _remarks(summary: Summary, rows: pd.DataFrame) -> Iterator[str]:
    """What the metrics say of single scores, counted."""
    places = rows[[*GROUP, "metric"]].drop_duplicates()
    for row in summary.notes.merge(places, on=[*GROUP, "metric"]).to_dict("records"):
        yield f"{row['metric']}: {row['count']} of the scores: {row['note']}"


def _not_scored(summary: Summary) -> Iterator[str]:
    """The usual metrics that are missing from the table, by reason."""
    names: dict[str, list[str]] = {}
    for name, reason in summary.unscored.items():
        names.setdefault(reason, []).append(name)
    for reason, metrics in names.items():
        yield f"not scored: {', '.join(metrics)}: {reason}"

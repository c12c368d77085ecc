"""Decide which runs are compared, and find the scores that both have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import IDENTICAL
from brushbench.reports.counting import ceiling_of, counted, is_capped
from brushbench.reports.frame import labels_of
from brushbench.reports.roles import role_of
from brushbench.runs.folder import Run
from brushbench.runs.scores import Scores, read_scores, status_column


@dataclass(frozen=True, slots=True)
class RunPair:
    """A run of A and one of B on the same samples under the same protocol."""

    a: Run
    b: Run
    label_a: str
    label_b: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Return data set, split and protocol."""
        identity = self.a.record.identity
        return identity.dataset.name, identity.dataset.split, identity.protocol

    @property
    def standing(self) -> str:
        """Say which of the two is a reference or a floor, and so in no family of tests; empty for two contenders."""
        roles = {label: role_of(run) for label, run in ((self.label_a, self.a), (self.label_b, self.b))}
        return ", ".join(f"{label} is a {role}" for label, role in roles.items() if role != "contender")


def paired(a: Sequence[Run], b: Sequence[Run]) -> tuple[list[RunPair], list[str]]:
    """Return the pairs of runs, and a remark on each run that is in no pair.

    Both runs have the same data set (to the byte), split and protocol. If either side has only one such run, it is
    paired with each run of the other side; else runs of the same method are paired. Raises `UserError` for no pair.
    """
    labels = labels_of([*a, *b])
    sides = [list(zip(runs, own, strict=True)) for runs, own in ((a, labels[: len(a)]), (b, labels[len(a) :]))]
    places = list(dict.fromkeys(map(_place, a)))
    pairs: list[RunPair] = []
    for place in places:
        left, right = ([found for found in side if _place(found[0]) == place] for side in sides)
        alone = len(left) == 1 or len(right) == 1
        pairs += [
            RunPair(one, other, label, label_b)
            for one, label in left
            for other, label_b in right
            if (alone or _name(one) == _name(other)) and one.path.resolve() != other.path.resolve()
        ]
    used = {run.path.resolve() for pair in pairs for run in (pair.a, pair.b)}
    remarks = [
        f"only in {side}: {label} on {'/'.join(_place(run)[:2])}, protocol {_place(run)[2]}"
        for side, runs in zip("AB", sides, strict=True)
        for run, label in runs
        if run.path.resolve() not in used
    ]
    if not pairs:
        raise UserError(
            one_line(f"nothing to compare: no run of A has the data, split and protocol of a run of B. {remarks}", 2000)
        )
    return pairs, remarks


def pairs_of_both_splits(pairs: Sequence[RunPair]) -> list[list[RunPair]]:
    """Return the pairs of the same two methods on inside and on outside."""
    found: dict[tuple[str, str, str, str], list[RunPair]] = {}
    for pair in pairs:
        dataset, split, protocol = pair.place
        if split in ("inside", "outside"):
            found.setdefault((dataset, protocol, pair.label_a, pair.label_b), []).append(pair)
    return [both for both in found.values() if len(both) == 2]


def paired_scores(run: Run) -> Scores:
    """Read the scores of a run. Raises `UserError` if it is not scored."""
    scores = read_scores(run)
    if scores is None:
        raise UserError(one_line(f"{run.place} is not scored; run `brushbench score {run.place}` first"))
    return scores


def common(a: Scores, b: Scores) -> list[str]:
    """Return the metrics of both that give the same number on the same pixels."""
    return [name for name, info in a.metrics.items() if name in b.metrics and info.same_numbers(b.metrics[name])]


def shared(a: Scores, b: Scores, metric: str, protocol: str) -> pd.DataFrame:
    """Return the scores of both sides as they count, in columns a and b, for all samples of either side.

    A missing score is NaN. `a.capped` and `b.capped` say which scores count as the metric's ceiling.
    """
    columns = {}
    for side, scores in (("a", a), ("b", b)):
        values = scores.table[metric].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
        statuses, info = scores.table[status_column(metric)].fillna("").to_numpy(dtype=str), scores.metrics[metric]
        index = scores.table.index
        columns[side] = pd.Series(counted(values, statuses, info, protocol), index)
        columns[f"{side}.capped"] = pd.Series(is_capped(values, statuses, info, protocol), index)
    table = pd.DataFrame(columns)
    return table.assign(**{name: table[name].eq(True) for name in ("a.capped", "b.capped")})


def differing(pair: RunPair, a: Scores, b: Scores) -> Iterator[str]:
    """Yield what a reader must know about a pair: metrics that are not compared, and scores at the ceiling."""
    where, protocol = f"{pair.label_a} and {pair.label_b} on {'/'.join(pair.place[:2])}", pair.place[2]
    for name, info in a.metrics.items():
        if name in b.metrics and not info.same_numbers(b.metrics[name]):
            yield f"{name} is not compared for {where}: version {info.version} in A, {b.metrics[name].version} in B"
    for name in common(a, b):
        capped = shared(a, b, name, protocol)
        counts = [f"{int(capped[f'{side}.capped'].sum())} of {side.upper()}" for side in "ab"]
        if capped[["a.capped", "b.capped"]].any(axis=None):
            info = a.metrics[name]
            told = f"{ceiling_of(info, protocol):g} {info.unit}".strip()
            yield f"{name}: identical images and those above {told} count as {told}: {', '.join(counts)}; {where}"
    for side, own, other in (("A", a, b), ("B", b, a)):
        for name in common(a, b):
            count = int((own.table[status_column(name)] == IDENTICAL).sum())
            if count and ceiling_of(own.metrics[name], protocol) is None:
                yield f"{name}: {count} images of {side} are identical to their source and have no score: {where}"
        if missing := [name for name in own.metrics if name not in other.metrics]:
            yield f"only {side} has {', '.join(missing)}: {where}"


def _place(run: Run) -> tuple[str, str, str, str]:
    identity = run.record.identity
    return identity.dataset.name, identity.dataset.split, identity.protocol, identity.dataset.digest


def _name(run: Run) -> str:
    return run.record.identity.method.name

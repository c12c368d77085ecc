"""Two runs, or two sets of them, sample by sample: what changed, how surely, and where most.

Differences are B - A, and improvements have the sign that makes positive better. Everything is computed on the samples
that both have a score for; how many only one has is part of the result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float64

from brushbench.errors import UserError, one_line, unknown
from brushbench.metric_info import IDENTICAL, MetricInfo
from brushbench.score_file import Scores, read_scores, status_column
from brushbench.store import Run
from reports.frame import labels_of
from reports.statistics import (
    ALPHA,
    DRAWS,
    Estimate,
    balanced,
    bootstrap_test,
    detectable_difference,
    difference_interval,
    holm,
    wilcoxon_test,
    wins_ties_losses,
)
from reports.summary import BOTH

USUAL = ("clip", "papercut-clip", "image-reward", "psnr")
"""Metrics by which samples are ranked, the first that is there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A run of A and one of B on the same samples under the same protocol."""

    a: Run
    b: Run
    label_a: str
    label_b: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Data set, split, protocol."""
        identity = self.a.record.identity
        return identity.dataset.name, identity.dataset.split, identity.protocol


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one pair."""

    dataset: str
    split: str
    """Or `summary.BOTH`: inside and outside count alike, and the two masks of an image are a cluster."""
    protocol: str
    a: str
    """Labels."""
    b: str
    info: MetricInfo
    mean_a: float
    """On the shared samples, like all that follows; not scaled."""
    mean_b: float
    difference: Estimate
    """B - A, with Student's 95 % interval."""
    bootstrap: float
    """p-values, as they are."""
    wilcoxon: float
    bootstrap_holm: float
    """The same, corrected for their number by Holm."""
    wilcoxon_holm: float
    better: int
    """Samples on which B is better, is the same, is worse."""
    same: int
    worse: int
    detectable: float
    """The smallest true difference that would be found with a power of 80 % at 5 %, without correction."""
    only_a: int
    """Samples that only one side has a score for; they are in no number here."""
    only_b: int
    neither: int
    """Asked for, and scored by neither: failed, or identical to the source."""

    @property
    def tested(self) -> bool:
        """Whether there are samples enough for any statement; if not, both p-values are 1 and count for no other."""
        return self.difference.clusters > 1

    @property
    def verdict(self) -> str:
        """`better` or `worse` when the corrected bootstrap p-value is at most 5 %, else empty."""
        if self.bootstrap_holm > ALPHA or self.difference.mean == 0:
            return ""
        return "better" if (self.difference.mean > 0) == self.info.higher_is_better else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, and what could not be compared."""

    changes: tuple[Change, ...]
    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...]
    seed: int


def compare(a: Sequence[Run], b: Sequence[Run], seed: int = 0) -> Comparison:
    """Pair the runs of both sides and compare every metric that both of a pair have.

    Runs pair on the same data set (to the byte), split and protocol: where one side has only one run there, with each
    of the other; else those of one method. Raises `UserError` if none do, or if no pair shares a metric.
    """
    pairs, remarks = _paired(a, b)
    changes: list[Change] = []
    for pair in pairs:
        own, other = _scores(pair.a), _scores(pair.b)
        remarks += list(_differing(pair, own, other))
        changes += [_change([(pair, own, other)], name, seed) for name in _common(own, other)]
    for both in _both_splits(pairs):
        parts = [(pair, _scores(pair.a), _scores(pair.b)) for pair in both]
        common = [name for name in _common(*parts[0][1:]) if name in _common(*parts[1][1:])]
        changes += [_change(parts, name, seed) for name in common]
    if not changes:
        raise UserError(one_line(f"the runs share no metric. {'; '.join(remarks)}"))
    return Comparison(tuple(_corrected(changes)), tuple(pairs), tuple(remarks), seed)


def _corrected(changes: Sequence[Change]) -> Iterator[Change]:
    tested = [change for change in changes if change.tested]
    bootstrap, wilcoxon = (iter(holm([getattr(one, test) for one in tested])) for test in ("bootstrap", "wilcoxon"))
    for change in changes:
        if change.tested:
            yield replace(change, bootstrap_holm=float(next(bootstrap)), wilcoxon_holm=float(next(wilcoxon)))
        else:
            yield change


def improvements(pair: Pair, metric: str) -> pd.Series:
    """By sample that both have, the best for B first; positive is better, not scaled.

    Raises `UserError` for a metric that they don't share.
    """
    scores = _scores(pair.a), _scores(pair.b)
    if metric not in _common(*scores):
        raise unknown("metric", metric, _common(*scores))
    shared = _shared(*scores, metric).dropna()
    sign = 1 if scores[0].metrics[metric].higher_is_better else -1
    return ((shared["b"] - shared["a"]) * sign).sort_values(ascending=False, kind="stable")


def usual_metric(pair: Pair) -> str:
    """The one to rank samples by when none is asked for."""
    common = _common(_scores(pair.a), _scores(pair.b))
    return next((name for name in USUAL if name in common), common[0] if common else "")


def _paired(a: Sequence[Run], b: Sequence[Run]) -> tuple[list[Pair], list[str]]:
    labels = labels_of([*a, *b])
    sides = [list(zip(runs, own, strict=True)) for runs, own in ((a, labels[: len(a)]), (b, labels[len(a) :]))]
    places = list(dict.fromkeys(map(_place, a)))
    pairs: list[Pair] = []
    for place in places:
        left, right = ([found for found in side if _place(found[0]) == place] for side in sides)
        alone = len(left) == 1 or len(right) == 1
        pairs += [
            Pair(one, other, label, label_b)
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
            one_line(f"nothing to compare: no run of A and B is of the same data, split and protocol. {remarks}", 2000)
        )
    return pairs, remarks


def _place(run: Run) -> tuple[str, str, str, str]:
    identity = run.record.identity
    return identity.dataset.name, identity.dataset.split, identity.protocol, identity.dataset.digest


def _name(run: Run) -> str:
    return run.record.identity.method.name


def _scores(run: Run) -> Scores:
    scores = read_scores(run)
    if scores is None:
        raise UserError(one_line(f"{run.path} is not scored; run `brushbench score {run.path}` first"))
    return scores


def _common(a: Scores, b: Scores) -> list[str]:
    """Metrics that give the same number on the same pixels."""
    return [name for name, info in a.metrics.items() if name in b.metrics and info.same_numbers(b.metrics[name])]


def _differing(pair: Pair, a: Scores, b: Scores) -> Iterator[str]:
    where = f"{pair.label_a} and {pair.label_b} on {'/'.join(pair.place[:2])}"
    for name, info in a.metrics.items():
        if name in b.metrics and not info.same_numbers(b.metrics[name]):
            yield f"{name} is not compared for {where}: version {info.version} in A, {b.metrics[name].version} in B"
    for side, own, other in (("A", a, b), ("B", b, a)):
        for name in _common(a, b):
            if count := int((own.table[status_column(name)] == IDENTICAL).sum()):
                yield f"{name}: {count} images of {side} are identical to their source, and have none: {where}"
        if missing := [name for name in own.metrics if name not in other.metrics]:
            yield f"only {side} has {', '.join(missing)}: {where}"


def _both_splits(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs of the same two methods on inside and on outside."""
    found: dict[tuple[str, str, str, str], list[Pair]] = {}
    for pair in pairs:
        dataset, split, protocol = pair.place
        if split in ("inside", "outside"):
            found.setdefault((dataset, protocol, pair.label_a, pair.label_b), []).append(pair)
    return [both for both in found.values() if len(both) == 2]


def _shared(a: Scores, b: Scores, metric: str) -> pd.DataFrame:
    """Columns a and b by sample, missing where a side has no score; all samples of either side."""
    columns = {side: scores.table[metric].astype("Float64") for side, scores in (("a", a), ("b", b))}
    return pd.DataFrame(columns).astype("float64")


def _change(parts: Sequence[tuple[Pair, Scores, Scores]], metric: str, seed: int) -> Change:
    pair, info = parts[0][0], parts[0][1].metrics[metric]
    tables = [_shared(a, b, metric).assign(split=part.place[1]) for part, a, b in parts]
    table = pd.concat(tables)
    both = table.dropna()
    splits, samples = both["split"].to_numpy(str), both.index.to_numpy(str)
    a, b = (balanced(both[side].to_numpy(np.float64), splits) for side in "ab")
    differences: Float64[np.ndarray, " n"] = b - a
    clusters = samples if len(parts) > 1 else None
    estimate = difference_interval(differences, clusters)
    improved = both["b"].to_numpy(np.float64) - both["a"].to_numpy(np.float64)
    better, same, worse = wins_ties_losses(improved if info.higher_is_better else -improved)
    known_a, known_b = table["a"].notna(), table["b"].notna()
    dataset, split, protocol = pair.place
    return Change(
        dataset=dataset,
        split=split if len(parts) == 1 else BOTH,
        protocol=protocol,
        a=pair.label_a,
        b=pair.label_b,
        info=info,
        mean_a=float(a.mean()) if len(a) else float("nan"),
        mean_b=float(b.mean()) if len(b) else float("nan"),
        difference=estimate,
        bootstrap=bootstrap_test(differences, clusters, seed=seed, draws=DRAWS),
        wilcoxon=wilcoxon_test(differences, clusters),
        bootstrap_holm=1.0,
        wilcoxon_holm=1.0,
        better=better,
        same=same,
        worse=worse,
        detectable=detectable_difference(estimate),
        only_a=int((known_a & ~known_b).sum()),
        only_b=int((known_b & ~known_a).sum()),
        neither=int((~known_a & ~known_b).sum()),
    )

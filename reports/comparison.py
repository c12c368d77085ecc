"""Two runs, or two sets of them, sample by sample: what changed, how surely, and where most.

Improvements are of B over A: positive is better, whether high or low scores are. Everything is computed on the samples
that both have a score for; how many only one has is part of the result. How a metric is tested, and when it gets a
verdict, is in `brushbench.reports.verdicts`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float64

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.pairing import RunPair, common, differing, paired, paired_scores, pairs_of_both_splits, shared
from brushbench.reports.statistics import (
    ALPHA,
    Estimate,
    balanced,
    detectable_difference,
    draws_for,
    holm,
    paired_bootstrap,
    wilcoxon_test,
    wins_ties_losses,
)
from brushbench.reports.summary import BOTH
from brushbench.reports.verdicts import last_digit, no_verdict, on_test_scale, primary
from brushbench.runs.folder import Run
from brushbench.runs.scores import Scores

USUAL = ("clip", "papercut-clip", "image-reward", "psnr")
"""Metrics by which samples are ranked, the first that is there."""


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
    """How much better B is than A, with its 95 % interval by the bootstrap.

    On the scale of the test: of a metric that is compared by a ratio, the logarithm of how many times better.
    """
    bootstrap: float
    """p-values, as they are."""
    wilcoxon: float
    family: int
    """Tests that the p-values are corrected for; 0: outside of the family, not corrected."""
    bootstrap_holm: float
    """The bootstrap's p-value, corrected by Holm for the size of the family; NaN outside of it."""
    wilcoxon_holm: float
    better: int
    """Samples on which B is better, is the same in the printed digits, is worse."""
    same: int
    worse: int
    detectable: float
    """The smallest true improvement found with a power of 80 % at 5 %, corrected for the family (by Bonferroni)."""
    only_a: int
    """Samples that only one side has a score for; they are in no number here."""
    only_b: int
    neither: int
    """Asked for, and scored by neither."""
    capped_a: int
    """Samples that count as the metric's ceiling."""
    capped_b: int
    unsafe: str
    """Why there is no verdict; empty if there is one."""

    @property
    def tested(self) -> bool:
        """Whether there are samples enough for any statement; if not, both p-values are 1."""
        return self.difference.clusters > 1

    @property
    def verdict(self) -> str:
        """`better`, `worse`, empty for neither at 5 %, or `no verdict`.

        By the corrected bootstrap p-value; outside of the family by the p-value as it is.
        """
        if self.unsafe:
            return "no verdict"
        p_value = self.bootstrap_holm if self.family else self.bootstrap
        if p_value > ALPHA or self.difference.mean == 0:
            return ""
        return "better" if self.difference.mean > 0 else "worse"

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """Geometric mean of B / of A with its interval, for a metric that is compared so; of errors, below 1 is better.

        NaN where there is none.
        """
        if self.info.compared != "ratio":
            return None
        sign = 1 if self.info.higher_is_better else -1
        found = self.difference
        ends = sorted((math.exp(sign * found.low), math.exp(sign * found.high)))
        return math.exp(sign * found.mean), ends[0], ends[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, and what could not be compared."""

    changes: tuple[Change, ...]
    pairs: tuple[RunPair, ...]
    remarks: tuple[str, ...]
    seed: int
    draws: int
    """How many draws the bootstrap has."""


Part = tuple[RunPair, Scores, Scores]


def compare(a: Sequence[Run], b: Sequence[Run], seed: int = 0) -> Comparison:
    """Pair the runs of both sides and compare every metric that both of a pair have.

    Runs pair as in `pairing.paired`. Each pair is a family of tests of its own, and so is the mean of its inside and
    outside: the primary metrics of the data set, whether or not they are scored. Raises `UserError` if no runs pair, or
    if no pair shares a metric.
    """
    pairs, remarks = paired(a, b)
    changes: list[Change] = []
    groups: list[list[Part]] = []
    for pair in pairs:
        own, other = paired_scores(pair.a), paired_scores(pair.b)
        remarks += list(differing(pair, own, other))
        if pair.standing:
            remarks.append(f"in no family of tests, as it doesn't compete: {pair.standing}")
        groups.append([(pair, own, other)])
    groups += [
        [(pair, paired_scores(pair.a), paired_scores(pair.b)) for pair in both] for both in pairs_of_both_splits(pairs)
    ]
    draws = max(draws_for(len(primary(pair.place[0]))) for pair in pairs)
    for parts in groups:
        names = [name for name in common(*parts[0][1:]) if all(name in common(*part[1:]) for part in parts)]
        changes += _corrected([_change(parts, name, seed, draws) for name in names])
    if not changes:
        raise UserError(one_line(f"the runs share no metric. {'; '.join(remarks)}"))
    return Comparison(tuple(changes), tuple(pairs), tuple(dict.fromkeys(remarks)), seed, draws)


def _corrected(changes: Sequence[Change]) -> Iterator[Change]:
    """The changes of one pair, corrected for its family; one without a verdict counts as a test that finds nothing."""
    own = [change for change in changes if change.family]
    size = own[0].family if own else 0
    bootstrap, wilcoxon = (
        iter(holm([1.0 if one.unsafe else getattr(one, test) for one in own], size))
        for test in ("bootstrap", "wilcoxon")
    )
    for change in changes:
        if change.family:
            yield replace(change, bootstrap_holm=float(next(bootstrap)), wilcoxon_holm=float(next(wilcoxon)))
        else:
            yield change


def improvements(pair: RunPair, metric: str) -> pd.Series:
    """By sample that both have, the best for B first; positive is better, not scaled.

    Raises `UserError` for a metric that they don't share.
    """
    a, b = paired_scores(pair.a), paired_scores(pair.b)
    if metric not in common(a, b):
        raise unknown("metric", metric, common(a, b))
    both = shared(a, b, metric, pair.place[2]).dropna()
    sign = 1 if a.metrics[metric].higher_is_better else -1
    return ((both["b"] - both["a"]) * sign).sort_values(ascending=False, kind="stable")


def usual_metric(pair: RunPair) -> str:
    """The one to rank samples by when none is asked for."""
    names = common(paired_scores(pair.a), paired_scores(pair.b))
    return next((name for name in USUAL if name in names), names[0] if names else "")


def _change(parts: Sequence[Part], metric: str, seed: int, draws: int) -> Change:
    pair, info = parts[0][0], parts[0][1].metrics[metric]
    dataset, split, protocol = pair.place
    tables = [shared(a, b, metric, protocol).assign(split=part.place[1]) for part, a, b in parts]
    table = pd.concat(tables)
    both = table.dropna()
    splits, samples = both["split"].to_numpy(str), both.index.to_numpy(str)
    scores = {side: both[side].to_numpy(np.float64) for side in "ab"}
    sign = 1 if info.higher_is_better else -1
    tested = {side: on_test_scale(values, info, protocol) for side, values in scores.items()}
    improved: Float64[np.ndarray, " n"] = balanced(sign * (tested["b"] - tested["a"]), splits)
    clusters = samples if len(parts) > 1 else None
    p_value, estimate = paired_bootstrap(improved, clusters, seed=seed, draws=draws)
    family = primary(dataset)
    size = len(family) if metric in family and not pair.standing else 0
    better, same, worse = wins_ties_losses(sign * (scores["b"] - scores["a"]), last_digit(info) / 2)
    known_a, known_b = table["a"].notna(), table["b"].notna()
    means = {
        side: float(balanced(values, splits).mean()) if len(values) else math.nan for side, values in scores.items()
    }
    return Change(
        dataset=dataset,
        split=split if len(parts) == 1 else BOTH,
        protocol=protocol,
        a=pair.label_a,
        b=pair.label_b,
        info=info,
        mean_a=means["a"],
        mean_b=means["b"],
        difference=estimate,
        bootstrap=p_value,
        wilcoxon=wilcoxon_test(improved, clusters),
        family=size,
        bootstrap_holm=math.nan,
        wilcoxon_holm=math.nan,
        better=better,
        same=same,
        worse=worse,
        detectable=detectable_difference(estimate, ALPHA / max(size, 1)),
        only_a=int((known_a & ~known_b).sum()),
        only_b=int((known_b & ~known_a).sum()),
        neither=int((~known_a & ~known_b).sum()),
        capped_a=int(both["a.capped"].sum()),
        capped_b=int(both["b.capped"].sum()),
        unsafe=no_verdict(improved, clusters, info, p_value),
    )

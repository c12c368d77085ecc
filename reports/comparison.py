"""Compare two runs, or two sets of runs, sample by sample: what changed, how surely, and where most.

Improvements are those of B over A: positive is better, whether higher or lower scores are. Everything is computed on
the samples scored on both sides; how many only one side has is part of the result. `brushbench.reports.verdicts` says
how a metric is tested, and when it gets a verdict.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.pairing import RunPair, common, differing, paired, paired_scores, pairs_of_both_splits, shared
from brushbench.reports.set_comparison import SetChange, set_changes
from brushbench.reports.statistics import (
    ALPHA,
    Clusters,
    Estimate,
    Values,
    balanced,
    detectable_difference,
    draws_for,
    holm,
    paired_bootstraps,
    wilcoxon_test,
    wins_ties_losses,
)
from brushbench.reports.summary import BOTH
from brushbench.reports.verdicts import last_digit, no_verdict, on_test_scale, primary
from brushbench.runs.folder import Run
from brushbench.runs.scores import Scores

USUAL = ("clip", "papercut-clip", "image-reward", "psnr")
"""Metrics to rank samples by; the first one that is scored is used."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one metric between the runs of a pair."""

    dataset: str
    split: str
    """The split, or `summary.BOTH`: inside and outside count alike, and the two masks of an image are a cluster."""
    protocol: str
    a: str
    """Label of the first run."""
    b: str
    info: MetricInfo
    mean_a: float
    """Mean over the shared samples, as is everything that follows; not scaled."""
    mean_b: float
    difference: Estimate
    """How much better B is than A, with its 95 % interval by the bootstrap.

    It is on the scale of the test: for a metric that is compared by a ratio, the logarithm of how many times better.
    """
    bootstrap: float
    """p-value of the bootstrap, not corrected; `wilcoxon` is that of Wilcoxon's test."""
    wilcoxon: float
    family: int
    """Number of tests that the p-values are corrected for; 0 if the metric is outside the family, so not corrected."""
    bootstrap_holm: float
    """The bootstrap's p-value, corrected by Holm for the size of the family; NaN outside the family."""
    wilcoxon_holm: float
    better: int
    """Samples on which B is better; on those of `same`, the printed digits are equal."""
    same: int
    worse: int
    detectable: float
    """The smallest true improvement found with a power of 80 % at 5 %, corrected for the family (by Bonferroni)."""
    only_a: int
    """Samples that only A has a score for; like those of `only_b`, they enter no other number."""
    only_b: int
    neither: int
    """Requested samples that neither side has a score for."""
    capped_a: int
    """Samples of A that count as the metric's ceiling."""
    capped_b: int
    unsafe: str
    """Why no verdict is possible; empty if one is."""

    @property
    def tested(self) -> bool:
        """Tell whether there are enough samples for a test; if not, both p-values are 1."""
        return self.difference.clusters > 1

    @property
    def verdict(self) -> str:
        """Return `better`, `worse`, empty for neither at 5 %, or `no verdict`.

        The corrected p-value of the bootstrap decides; outside the family, the uncorrected one.
        """
        if self.unsafe:
            return "no verdict"
        p_value = self.bootstrap_holm if self.family else self.bootstrap
        if p_value > ALPHA or self.difference.mean == 0:
            return ""
        return "better" if self.difference.mean > 0 else "worse"

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """Return geometric mean of B / geometric mean of A and its interval, for a metric that is compared by a ratio.

        For errors, below 1 is better. NaN if it cannot be computed.
        """
        if self.info.compared != "ratio":
            return None
        sign = 1 if self.info.higher_is_better else -1
        found = self.difference
        ends = sorted((math.exp(sign * found.low), math.exp(sign * found.high)))
        return math.exp(sign * found.mean), ends[0], ends[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes between two sets of runs, and what could not be compared."""

    changes: tuple[Change, ...]
    pairs: tuple[RunPair, ...]
    remarks: tuple[str, ...]
    seed: int
    draws: int
    """Number of draws of the bootstrap."""
    sets: tuple[SetChange, ...] = ()
    """The changes of set metrics, each of which has one number for all samples."""


Part = tuple[RunPair, Scores, Scores]


def compare(a: Sequence[Run], b: Sequence[Run], seed: int = 0) -> Comparison:
    """Pair the runs of both sides and compare every metric that both runs of a pair have.

    Runs are paired as in `pairing.paired`. Each pair is a family of tests of its own, and so is the mean of its inside
    and outside: the primary metrics of the data set, whether or not they are scored. Raises `UserError` if no runs can
    be paired, or if no pair shares a metric.
    """
    pairs, remarks = paired(a, b)
    changes: list[Change] = []
    groups: list[list[Part]] = []
    for pair in pairs:
        own, other = paired_scores(pair.a), paired_scores(pair.b)
        remarks += list(differing(pair, own, other))
        if pair.standing:
            remarks.append(f"in no family of tests, as only contenders are tested: {pair.standing}")
        groups.append([(pair, own, other)])
    groups += [
        [(pair, paired_scores(pair.a), paired_scores(pair.b)) for pair in both] for both in pairs_of_both_splits(pairs)
    ]
    draws = max(draws_for(len(primary(pair.place[0]))) for pair in pairs)
    for parts in groups:
        names = [name for name in common(*parts[0][1:]) if all(name in common(*part[1:]) for part in parts)]
        tested = [_Tested.of(parts, name) for name in names]
        results = paired_bootstraps([(one.improved, one.clusters) for one in tested], seed=seed, draws=draws)
        changes += _corrected([one.change(*found) for one, found in zip(tested, results, strict=True)])
    sets, not_compared = set_changes(pairs)
    remarks += not_compared
    if not changes and not sets:
        raise UserError(one_line(f"the runs share no metric. {'; '.join(remarks)}"))
    return Comparison(tuple(changes), tuple(pairs), tuple(dict.fromkeys(remarks)), seed, draws, tuple(sets))


def _corrected(changes: Sequence[Change]) -> Iterator[Change]:
    """Correct the changes of one pair for its family; one without a verdict counts as a test that finds nothing."""
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
    """Return how much B improves each shared sample, the best for B first; positive is better, not scaled.

    Raises `UserError` for a metric that the two runs do not share.
    """
    a, b = paired_scores(pair.a), paired_scores(pair.b)
    if metric not in common(a, b):
        raise unknown("metric", metric, common(a, b))
    both = shared(a, b, metric, pair.place[2]).dropna()
    return ((both["b"] - both["a"]) * _sign(a.metrics[metric])).sort_values(ascending=False, kind="stable")


def usual_metric(pair: RunPair) -> str:
    """Return the metric to rank samples by if none is requested."""
    names = common(paired_scores(pair.a), paired_scores(pair.b))
    return next((name for name in USUAL if name in names), names[0] if names else "")


@dataclass(frozen=True, slots=True)
class _Tested:
    """One metric of a pair of runs, or of the pairs on inside and outside together."""

    parts: Sequence[Part]
    info: MetricInfo
    scores: Mapping[str, Values]
    """The scores of either side as they count, `a` and `b`, of the samples that both have."""
    splits: Shaped[np.ndarray, " n"]
    """The place in `parts` of each of these samples' pair."""
    clusters: Clusters | None
    improved: Values
    """Improvements on the scale of the test."""
    capped: Mapping[str, int]
    """Scores of either side that count as the metric's ceiling."""
    known: tuple[int, ...]
    """Number of samples that only A has a score for, that only B has, and that neither has."""

    @classmethod
    def of(cls, parts: Sequence[Part], metric: str) -> "_Tested":
        """Collect the scores of both sides."""
        info, protocol = parts[0][1].metrics[metric], parts[0][0].place[2]
        table = pd.concat(
            [shared(a, b, metric, protocol).assign(split=place) for place, (_, a, b) in enumerate(parts)],
        )
        known_a, known_b, both = table["a"].notna(), table["b"].notna(), table.dropna()
        scores = {side: both[side].to_numpy(np.float64) for side in "ab"}
        splits = both["split"].to_numpy(np.int8)
        tested = {side: on_test_scale(values, info, protocol) for side, values in scores.items()}
        return cls(
            parts=parts,
            info=info,
            scores=scores,
            splits=splits,
            clusters=both.index.to_numpy(str) if len(parts) > 1 else None,
            improved=balanced(_sign(info) * (tested["b"] - tested["a"]), splits),
            capped={side: int(both[f"{side}.capped"].sum()) for side in "ab"},
            known=tuple(int(own.sum()) for own in (known_a & ~known_b, known_b & ~known_a, ~known_a & ~known_b)),
        )

    def change(self, p_value: float, estimate: Estimate) -> Change:
        """Return the change, given the p-value and the interval of the bootstrap."""
        pair, info = self.parts[0][0], self.info
        dataset, split, protocol = pair.place
        family = primary(dataset)
        size = len(family) if info.name in family and not pair.standing else 0
        change = _sign(info) * (self.scores["b"] - self.scores["a"])
        better, same, worse = wins_ties_losses(change, last_digit(info) / 2)
        means = {
            side: float(balanced(values, self.splits).mean()) if len(values) else math.nan
            for side, values in self.scores.items()
        }
        only_a, only_b, neither = self.known
        return Change(
            dataset=dataset,
            split=split if len(self.parts) == 1 else BOTH,
            protocol=protocol,
            a=pair.label_a,
            b=pair.label_b,
            info=info,
            mean_a=means["a"],
            mean_b=means["b"],
            difference=estimate,
            bootstrap=p_value,
            wilcoxon=wilcoxon_test(self.improved, self.clusters),
            family=size,
            bootstrap_holm=math.nan,
            wilcoxon_holm=math.nan,
            better=better,
            same=same,
            worse=worse,
            detectable=detectable_difference(estimate, ALPHA / max(size, 1)),
            only_a=only_a,
            only_b=only_b,
            neither=neither,
            capped_a=self.capped["a"],
            capped_b=self.capped["b"],
            unsafe=no_verdict(self.improved, self.clusters, info, p_value),
        )


def _sign(info: MetricInfo) -> int:
    return 1 if info.higher_is_better else -1

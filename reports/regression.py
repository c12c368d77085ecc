"""The gate: is a run worse than its baseline by more than a margin?

For every metric the paired differences of the samples decide, by a one-sided 95 % bound of their mean
(non-inferiority): a run passes a metric when it is proven not to be worse by more than the margin. All metrics of all
runs must pass, so a run that is worse in any of them gets through in at most 5 % of the cases, however many metrics
there are. A metric that cannot be proven either way, because samples are few and differ widely, is `undecided`. Every
sample that had a score must still have one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import IDENTICAL, MetricInfo
from brushbench.reports.baseline import (
    Baseline,
    MetricBaseline,
    RunBaseline,
    RunKey,
    Scored,
    changes,
    described_key,
    key_of,
)
from brushbench.reports.baseline_making import by_seeds, capped, means_over_seeds, numbers, scores_by_metric
from brushbench.reports.statistics import NonInferiority, non_inferiority
from brushbench.runs.folder import Run
from brushbench.runs.record import Identity

NOT_THERE = "not scored"


@dataclass(frozen=True, slots=True)
class MetricChange:
    """The change of one metric of one run."""

    metric: str
    baseline: MetricBaseline
    before: float
    """Mean of the baseline over the pairs, as `after` is that of the run; NaN without pairs."""
    after: float
    count: int
    """Number of pairs."""
    result: NonInferiority
    """The test of the differences; positive is better."""
    capped: tuple[int, int] = (0, 0)
    """Samples that count as the metric's ceiling, in the baseline and now."""

    @property
    def improved(self) -> bool:
        """Tell whether the metric is better by more than the margin."""
        return self.result.verdict == "better" and self.result.mean > self.result.margin

    @property
    def samples_needed(self) -> int | None:
        """Return about how many samples would decide, if an undecided metric is not worse."""
        room = self.result.margin + self.result.mean
        if self.result.verdict != "undecided" or room <= 0:
            return None
        return int(np.ceil(self.count * ((self.result.mean - self.result.low) / room) ** 2))


@dataclass(frozen=True, slots=True)
class Checked:
    """One run of the baseline, checked."""

    key: RunKey
    findings: tuple[MetricChange, ...] = ()
    changed: tuple[str, ...] = ()
    """Changes of the method."""
    lost: Mapping[str, str] | None = None
    """Why each sample that had a score has none; None if the run itself is missing."""
    added: int = 0
    """Number of samples that the baseline lacks, or has no score for."""

    @property
    def failures(self) -> list[str]:
        """List what is surely wrong; empty if the run passes or is undecided."""
        if self.lost is None:
            return ["is not among the runs"]
        lost = [f"{len(self.lost)} samples lost their score"] if self.lost else []
        return lost + [f"{name} worse" for name in self.of("worse")]

    def of(self, verdict: str) -> list[str]:
        """Return the metrics with this verdict."""
        return [finding.metric for finding in self.findings if finding.result.verdict == verdict]


def verdict_of(checked: Sequence[Checked]) -> Literal["passed", "failed", "undecided"]:
    """Return the verdict on all runs together: anything worse or lost fails, whatever else is undecided."""
    if any(part.failures for part in checked):
        return "failed"
    return "undecided" if any(part.of("undecided") for part in checked) else "passed"


def check_runs(runs: Sequence[Run], baseline: Baseline) -> tuple[list[Checked], list[str]]:
    """Compare every run of the baseline with its counterpart; return also the runs that the baseline lacks.

    Runs that differ only in their seeds are one counterpart: each sample's mean over them is compared. If a split has
    one method on either side, these are counterparts whatever their names. Raises `UserError`, with the reason, for
    runs that cannot be compared: another data set, seed or protocol, another version of a metric, a metric that is not
    scored, or no run that is in the baseline.
    """
    given = by_seeds(runs)
    stored = {key_of(run.identity): run for run in baseline.runs}
    for key in stored.keys() - given.keys():
        _check_protocol(key, given, stored)
    names = _renamed(given, stored)
    counterparts = {key: given.get(names.get(key, key)) for key in stored}
    if not any(counterparts.values()):
        held = "; ".join(map(described_key, stored))
        raise UserError(one_line(f"{described_key(next(iter(given)))} is not in the baseline, which holds {held}"))
    checked = [_checked(key, before, counterparts[key]) for key, before in stored.items()]
    return checked, [described_key(key) for key in given if key not in stored and key not in names.values()]


def _renamed(given: Mapping[RunKey, Sequence[Run]], stored: Mapping[RunKey, RunBaseline]) -> dict[RunKey, RunKey]:
    """Return the keys in the baseline whose run now has another name."""
    pairs = {}
    for key in stored:
        here, there = ([other for other in keys if other[:3] == key[:3]] for keys in (given, stored))
        if len(here) == len(there) == 1 and here != there:
            pairs[key] = here[0]
    return pairs


def _check_protocol(key: RunKey, given: Mapping[RunKey, Sequence[Run]], stored: Mapping[RunKey, RunBaseline]) -> None:
    for other in given:
        if (other[0], other[1], other[3]) == (key[0], key[1], key[3]) and other not in stored:
            raise UserError(one_line(f"not comparable: {described_key(other)}, but protocol {key[2]} in the baseline"))


def _checked(key: RunKey, before: RunBaseline, runs: Sequence[Run] | None) -> Checked:
    if not runs:
        return Checked(key)
    for run in runs:
        _check_identity(key, before, run.record.identity)
    samples, infos, columns = _scores_over_seeds(key, before, runs)
    lost: dict[str, str] = {}
    added: set[str] = set(samples) - set(before.samples)
    findings = []
    for name, metric in before.metrics.items():
        after = dict(zip(samples, columns[name], strict=True))
        now = [after.get(sample, NOT_THERE) for sample in before.samples]
        pairs = np.stack([numbers(scores, infos[name], key[2]) for scores in (metric.scores, now)], axis=1)
        # Images that are identical in both, with a metric that has no ceiling.
        same = np.array([old == new == IDENTICAL for old, new in zip(metric.scores, now, strict=True)])
        pairs[same & ~np.isfinite(pairs).all(axis=1)] = 0.0
        finite = np.isfinite(pairs)
        identical = np.array([[score == IDENTICAL for score in own] for own in (metric.scores, now)]).T
        had, has = (finite | identical).T
        for place in np.flatnonzero(had & ~finite.all(axis=1)):
            old, new = metric.scores[place], now[place]
            lost[before.samples[place]] = str(new) if isinstance(new, str) else f"{name} was {old}"
        added |= {before.samples[place] for place in np.flatnonzero(has & ~had)}
        found = _finding(name, metric, pairs[finite.all(axis=1)])
        counts = tuple(capped(scores, infos[name], key[2]) for scores in (metric.scores, now))
        findings.append(replace(found, capped=(counts[0], counts[1])))
    changed = tuple(changes(before.identity, runs[0].record.identity))
    return Checked(key, tuple(findings), changed, lost, len(added))


def _scores_over_seeds(
    key: RunKey, before: RunBaseline, runs: Sequence[Run]
) -> tuple[list[str], Mapping[str, MetricInfo], dict[str, list[Scored]]]:
    """Return samples, metrics and scores of runs under different seeds; a sample needs a score under each of them."""
    read = [scores_by_metric(run) for run in runs]
    for _, infos, _ in read:
        for name, metric in before.metrics.items():
            _check_metric(key, name, metric, infos)
    if len(runs) == 1:
        return read[0]
    samples = list(dict.fromkeys(sample for own, _, _ in read for sample in own))
    infos = read[0][1]
    columns = {}
    for name in before.metrics:
        by_seed = [_aligned(samples, own, scores[name]) for own, _, scores in read]
        means = means_over_seeds(by_seed, np.stack([numbers(each, infos[name], key[2]) for each in by_seed]))
        lacking = [_lacking(runs, each) for each in zip(*by_seed, strict=True)]
        columns[name] = [lack or mean for lack, mean in zip(lacking, means, strict=True)]
    return samples, infos, columns


def _aligned(samples: Sequence[str], own: Sequence[str], scores: Sequence[Scored]) -> list[Scored]:
    known = dict(zip(own, scores, strict=True))
    return [known.get(sample, NOT_THERE) for sample in samples]


def _lacking(runs: Sequence[Run], scores: Sequence[Scored]) -> str:
    """Return why a sample has no score under some seed; empty if it has one under each."""
    return next(
        (
            f"seed {run.record.identity.seed}: {score}"
            for run, score in zip(runs, scores, strict=True)
            if isinstance(score, str) and score != IDENTICAL
        ),
        "",
    )


def _finding(name: str, metric: MetricBaseline, pairs: np.ndarray) -> MetricChange:
    sign = 1.0 if metric.higher_is_better else -1.0
    differences = sign * (pairs[:, 1] - pairs[:, 0])
    result = non_inferiority(differences, metric.margin)
    if len(differences) == 1:
        # One sample has no interval, so the difference itself decides.
        fine = result.mean >= -metric.margin
        result = replace(result, verdict="not worse" if fine else "worse", low=result.mean, high=result.mean)
    elif not len(differences):
        # Samples that no longer have a score are counted as lost; nothing is left to compare here.
        result = replace(result, verdict="not worse")
    elif result.verdict == "undecided" and result.mean < -metric.margin:
        result = replace(result, verdict="worse")
    before, after = pairs.mean(axis=0) if len(pairs) else (float("nan"), float("nan"))
    return MetricChange(name, metric, float(before), float(after), len(pairs), result)


def _check_identity(key: RunKey, before: RunBaseline, after: Identity) -> None:
    if before.identity.dataset.digest != after.dataset.digest:
        raise UserError(one_line(f"not comparable: {described_key(key)} uses other data than the baseline"))
    if len(before.seeds) < 2 and before.identity.seed != after.seed:
        raise UserError(
            one_line(
                f"not comparable: {described_key(key)} has seed {after.seed}, but the baseline has "
                f"{before.identity.seed}; use that seed, or a baseline of several (`check RUN RUN... --write FILE`, "
                "one run for each seed)"
            )
        )


def _check_metric(key: RunKey, name: str, metric: MetricBaseline, infos: Mapping[str, MetricInfo]) -> None:
    if name not in infos:
        raise UserError(one_line(f"not comparable: {described_key(key)} isn't scored with {name}, but the baseline is"))
    if (infos[name].version, infos[name].region) != (metric.version, metric.region):
        versions = f"version {infos[name].version}, but {metric.version} in the baseline"
        raise UserError(one_line(f"not comparable: {name} of {described_key(key)} is {versions}; write a new baseline"))

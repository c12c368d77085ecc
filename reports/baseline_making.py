"""Make a baseline of runs: group them by seed, collect their scores, and compute how much worse is acceptable."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import IDENTICAL, MetricInfo
from brushbench.core.registry import metric_info
from brushbench.reports.baseline import (
    Baseline,
    MetricBaseline,
    RunBaseline,
    RunKey,
    Scored,
    described_key,
    key_of,
    with_margins,
)
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.statistics import difference_interval
from brushbench.runs.features import read_sets
from brushbench.runs.folder import Run
from brushbench.runs.looking import changed_images
from brushbench.runs.record import IMPORTED, WEIGHTS, Identity
from brushbench.runs.scores import read_scores, status_column

SPREAD, RELATIVE = 0.05, 1e-6
NOISE = {"psnr": 0.02, "mse": 1e-5, "ssim": 3e-4, "seam": 0.02, "papercut-clip": 0.15}
"""Numerical noise of the mean of each metric, whatever its region."""
LEVEL, POWER = 0.95, 0.99
"""Level of the check's bound, and how often an unchanged run under another seed shall pass each metric."""
CHANGED = "its image is missing, or isn't the one that was scored"
_LOG = logging.getLogger("brushbench.baseline")
Numbers = Float64[np.ndarray, " n"]


def scores_by_metric(run: Run) -> tuple[list[str], dict[str, MetricInfo], dict[str, list[Scored]]]:
    """Return the samples, metrics and scores of a run; an image that has changed since has a reason, not a score.

    Raises `UserError` if the run is not scored.
    """
    scores = read_scores(run)
    if scores is None or not scores.metrics:
        raise UserError(one_line(f"{run.place} is not scored; run `brushbench score {run.place}` first"))
    # What `check` has found out about the images before isn't looked at again.
    changed = changed_images(run) if run.images.exist() else run.statuses()
    intact = {
        name: entry.sha256 for name, entry in run.ledger().items() if entry.status == "done" and name not in changed
    }
    samples = [str(name) for name in scores.table.index]
    hashes = scores.table["sha256"].fillna("")
    whole = [intact.get(name) == digest for name, digest in zip(samples, hashes, strict=True)]
    columns: dict[str, list[Scored]] = {}
    for metric in scores.metrics:
        values, statuses = scores.table[metric], scores.table[status_column(metric)]
        columns[metric] = [
            str(status) if status and status != IDENTICAL else CHANGED if not same else str(status) or float(value)
            for value, status, same in zip(values, statuses, whole, strict=True)
        ]
    return samples, scores.metrics, columns


def numbers(scores: Sequence[Scored], info: MetricInfo, protocol: str) -> Numbers:
    """Return the scores as they count (see `brushbench.reports.counting`), NaN where there is none."""
    return counted(*_parts(scores), info, protocol)


def numbers_of_baseline(scores: Sequence[Scored], metric: str, protocol: str) -> Numbers:
    """Return the scores that are numbers, of a metric that a file knows only by name."""
    values, statuses = _parts(scores)
    info = metric_info(metric)
    return _known(counted(values, statuses, info, protocol) if info else values)


def capped(scores: Sequence[Scored], info: MetricInfo, protocol: str) -> int:
    """Count the scores that count as the metric's ceiling."""
    return int(is_capped(*_parts(scores), info, protocol).sum())


def _parts(scores: Sequence[Scored]) -> tuple[Numbers, np.ndarray]:
    values = np.array([math.nan if isinstance(score, str) else score for score in scores], dtype=np.float64)
    return values, np.array([score if isinstance(score, str) else "" for score in scores], dtype=object)


def samples_needed(deviation: float, margin: float, power: float = POWER) -> int | None:
    """Return how many pairs it takes to prove "not worse" with this power if nothing is worse.

    `deviation` is the standard deviation of the differences. None if no number of pairs is enough.
    """
    if margin <= 0:
        return 0 if deviation == 0 else None
    return math.ceil((_quantiles(power) * deviation / margin) ** 2)


def _quantiles(power: float) -> float:
    return NormalDist().inv_cdf(LEVEL) + NormalDist().inv_cdf(power)


def baseline_of(
    runs: Sequence[Run], reruns: Sequence[Run], metrics: Sequence[str] | None, margins: Mapping[str, float]
) -> Baseline:
    """Make a baseline of runs, on `metrics` (None for all scored metrics), with noise also from the reruns.

    Runs of one method that differ only in their seeds become one entry, with the noise of these seeds. `margins`
    replace the computed ones. Raises `UserError` for unscored runs, for two runs of one method on one split with the
    same seed or with other differences, for reruns of something else, and for metrics that are not scored.
    """
    chosen = by_seeds(runs)
    repeated: dict[RunKey, list[Run]] = {}
    for rerun in reruns:
        if (key := key_of(rerun.record.identity)) not in chosen:
            raise UserError(one_line(f"{rerun.place} is not a rerun of any of the runs: it is {described_key(key)}"))
        repeated.setdefault(key, []).append(rerun)
    found = Baseline(runs=[_run_baseline(same, repeated.get(key, []), metrics) for key, same in chosen.items()])
    return with_margins(found, margins) if margins else found


def by_seeds(runs: Sequence[Run]) -> dict[RunKey, list[Run]]:
    """Group the runs by method and split, with one run for each seed."""
    found: dict[RunKey, list[Run]] = {}
    for run in runs:
        same = found.setdefault(key_of(run.record.identity), [])
        for other in same:
            first, second = (each.record.identity for each in (other, run))
            if first.seed == second.seed or first != _under_seed_of(first, second):
                raise UserError(
                    one_line(
                        f"two runs are {described_key(key_of(first))}: {other.place} and {run.place}; "
                        "give one of them, or runs that differ only in their seeds"
                    )
                )
        same.append(run)
    return found


def _under_seed_of(first: Identity, second: Identity) -> Identity:
    """Return the second identity with the seed of the first; images made elsewhere have another digest under it."""
    own, other = first.method.digests, second.method.digests
    digests = {**other, IMPORTED: own[IMPORTED]} if IMPORTED in own and IMPORTED in other else other
    method = second.method.model_copy(update={"digests": digests})
    return second.model_copy(update={"seed": first.seed, "method": method})


def _run_baseline(runs: Sequence[Run], reruns: Sequence[Run], wanted: Sequence[str] | None) -> RunBaseline:
    """Make the baseline of runs under different seeds, with the identity of the first."""
    first = runs[0]
    protocol = first.record.identity.protocol
    read = [scores_by_metric(run) for run in runs]
    samples, infos, columns = read[0]
    for run, (others, other_infos, _) in zip(runs, read, strict=True):
        _check_alike(first, samples, run, others)
        _check_scope(run, wanted)
        for name in wanted or infos:
            if name not in other_infos:
                raise unknown(f"metric of {run.place}", name, other_infos)
            if not other_infos[name].same_numbers(infos[name]):
                raise UserError(one_line(f"{name} has different versions in {run.place} and {first.place}"))
    if not any(np.isfinite(numbers(column, infos[name], protocol)).any() for name, column in columns.items()):
        raise UserError(one_line(f"{first.place} has no score at all, so it cannot be a baseline"))
    repeats = [scores_by_metric(rerun) for rerun in reruns]
    metrics = {}
    for name in wanted or infos:
        info = infos[name]
        by_seed = [scored[name] for _, _, scored in read]
        table = np.stack([numbers(column, info, protocol) for column in by_seed])
        if not _has_scores(first, name, by_seed[0], table, requested=wanted is not None):
            continue
        noise = [NOISE.get(name.partition("@")[0], 0.0)]
        for other, _, scored in repeats:
            again = dict(zip(other, scored.get(name, []), strict=False))
            aligned = numbers([again.get(sample, CHANGED) for sample in samples], info, protocol)
            noise.append(_noise(table[0], aligned))
        deviation = _seed_noise(table)
        scores = means_over_seeds(by_seed, table)
        metrics[name] = MetricBaseline(
            version=info.version,
            region=info.region,
            unit=info.unit,
            higher_is_better=info.higher_is_better,
            scale=info.scale,
            margin=_margin(_known(numbers(scores, info, protocol)), max(noise), _moved(table, deviation)),
            scores=scores,
            noise=deviation,
        )
    # Without the folder of the data, which means nothing on another machine.
    provenance = {key: value for key, value in first.record.provenance.items() if not _is_circumstance(key, value)}
    return RunBaseline(
        fingerprint=first.record.fingerprint,
        identity=first.record.identity,
        provenance=provenance,
        seeds=[run.record.identity.seed for run in runs],
        samples=samples,
        metrics=metrics,
    )


def _check_alike(first: Run, samples: Sequence[str], run: Run, others: Sequence[str]) -> None:
    if list(others) != list(samples):
        raise UserError(one_line(f"{run.place} has other samples than {first.place}; give runs of the same samples"))


def _check_scope(run: Run, wanted: Sequence[str] | None) -> None:
    """Raise `UserError` for a requested set metric, and warn of one that isn't requested."""
    names = [name for name in read_sets(run) if wanted is None or name in wanted]
    told = f"{', '.join(names)}: one number for all images, while a baseline compares image by image"
    if names and wanted is not None:
        raise UserError(one_line(f"{told}; valid: metrics that score each image, or `brushbench compare`"))
    if names:
        _LOG.warning("%s; left out of the baseline", told)


def _has_scores(run: Run, name: str, scores: Sequence[Scored], table: np.ndarray, *, requested: bool) -> bool:
    """Tell whether later scores can be compared with any; raises `UserError` if not and the metric is requested."""
    if np.isfinite(table).any() or IDENTICAL in scores:
        return True
    why = one_line(f"{run.place} has no score for {name} at all: {scores[0]}")
    if requested:
        raise UserError(f"{why}; it cannot be part of a baseline")
    _LOG.warning("%s; the metric is left out of the baseline", why)
    return False


def means_over_seeds(by_seed: Sequence[Sequence[Scored]], table: np.ndarray) -> list[Scored]:
    """Return each sample's mean over the seeds that have a score, or the first seed's reason if none has."""
    if len(by_seed) == 1:
        return list(by_seed[0])
    known = np.isfinite(table)
    sums, counts = np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0)
    return [
        float(total / count) if count else reason for total, count, reason in zip(sums, counts, by_seed[0], strict=True)
    ]


def _seed_noise(table: np.ndarray) -> float | None:
    """Return the standard deviation of a sample's score under another seed, less the seeds' mean; None for one seed."""
    seeds = len(table)
    complete = table[:, np.isfinite(table).all(axis=0)]
    if seeds < 2 or not complete.size:
        return None
    return math.sqrt(float(complete.var(axis=0, ddof=1).mean()) * (1 + 1 / seeds))


def _moved(table: np.ndarray, deviation: float | None) -> float:
    """Return how much worse the mean may seem under another seed if nothing is: with it, `POWER` of such runs pass.

    It is computed from the samples' own noise, or from the means of the seeds if these differ by more: samples that
    share their noise, as under `paper`, move together.
    """
    if deviation is None:
        return 0.0
    complete = table[:, np.isfinite(table).all(axis=0)]
    error = deviation / math.sqrt(complete.shape[1])
    shared = math.sqrt(float(complete.mean(axis=1).var(ddof=1)) * (1 + 1 / len(table)))
    return _quantiles(POWER) * error + max(0.0, shared - error)


def _margin(scores: Numbers, noise: float, moved: float) -> float:
    if not len(scores):
        return noise
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    # Four digits are enough to read.
    return float(f"{noise + moved + SPREAD * spread + RELATIVE * abs(float(np.mean(scores))):.4g}")


def _noise(scores: Numbers, again: Numbers) -> float:
    """Return how far from 0 the mean difference to a rerun may be, at the level of the intervals."""
    differences = _known(again - scores)
    if not len(differences):
        return 0.0
    found = difference_interval(differences)
    ends = [abs(end) for end in (found.mean, found.low, found.high) if not math.isnan(end)]
    return max(ends)


def _known(values: Numbers) -> Numbers:
    found: Numbers = values[np.isfinite(values)]
    return found


def _is_circumstance(key: str, value: str) -> bool:
    """Tell whether a fact is a time or a folder on the run's machine, which mean nothing to readers of the baseline."""
    return key in ("root", "begun") or (key.startswith(WEIGHTS) and Path(value).is_absolute())

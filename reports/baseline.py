"""A baseline: the scores of some runs, sample by sample, with the margin by which each metric may get worse.

It is a JSON file to be kept under version control. How a margin is made:

    margin = noise + 0.05 x standard deviation of the scores between samples + 1e-6 x |mean|

`noise` is what a rerun on another machine, or with another dtype, changes the mean by: measured by
`benchmarks/gate_noise.py` for the metrics in `NOISE`, or on the reruns that are given. A twentieth of a standard
deviation is an effect too small to be seen in any picture.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from brushbench import atomic
from brushbench.errors import UserError, one_line, unknown
from brushbench.metric_info import IDENTICAL, MetricInfo
from brushbench.score_file import read_scores, status_column
from brushbench.store import Identity, Run
from reports.statistics import difference_interval

SPREAD, RELATIVE = 0.05, 1e-6
NOISE = {"psnr": 0.02, "mse": 1e-5, "ssim": 2e-4, "seam": 0.02, "papercut-clip": 0.15}
"""By metric, whatever its region."""
CEILING = 60.0
"""dB. From here on the error is below rounding to 8 bits: identical images count as this, and better ones too."""
LARGEST_FILE = 1 << 28
"""Bytes."""
CHANGED = "its image is missing, or isn't the one that was scored"
_LOG = logging.getLogger("brushbench.baseline")
Scored = float | str
"""A score, or why there is none."""
Key = tuple[str, str, str, str]
"""Data set, split, protocol and method."""


class MetricBaseline(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """The scores of one metric."""

    version: str
    region: str
    unit: str
    higher_is_better: bool
    scale: float
    margin: Annotated[float, Field(ge=0)]
    """By so much the mean may get worse, in the metric's own unit, before `scale`."""
    scores: list[Scored]
    """One per sample."""


class RunBaseline(BaseModel, extra="forbid", frozen=True):
    """The scores of one run, and what it was."""

    fingerprint: str
    identity: Identity
    provenance: dict[str, str]
    samples: Annotated[list[str], Field(min_length=1)]
    metrics: Annotated[dict[str, MetricBaseline], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "RunBaseline":
        if len(set(self.samples)) != len(self.samples):
            raise ValueError("a sample occurs twice")
        for name, metric in self.metrics.items():
            if len(metric.scores) != len(self.samples):
                raise ValueError(f"{name} has {len(metric.scores)} scores for {len(self.samples)} samples")
        if self.fingerprint != self.identity.fingerprint():
            raise ValueError("the fingerprint doesn't fit; the file was changed by hand")
        return self


class Baseline(BaseModel, extra="forbid", frozen=True):
    """The file."""

    schema_version: Literal[1] = 1
    runs: Annotated[list[RunBaseline], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> "Baseline":
        if len({key_of(run.identity) for run in self.runs}) != len(self.runs):
            raise ValueError("a method occurs twice on one split")
        return self


def key_of(identity: Identity) -> Key:
    """What a run is matched by."""
    return identity.dataset.name, identity.dataset.split, identity.protocol, identity.method.name


def called(key: Key) -> str:
    """To read."""
    return f"{key[3]} on {key[0]}/{key[1]}, protocol {key[2]}"


def by_key(runs: Sequence[Run]) -> dict[Key, Run]:
    """Raises `UserError` if two runs are of one method on one split: then it is unclear which is meant."""
    found: dict[Key, Run] = {}
    for run in runs:
        key = key_of(run.record.identity)
        if key in found:
            raise UserError(one_line(f"two runs are {called(key)}: {found[key].path} and {run.path}; give one of them"))
        found[key] = run
    return found


def scores_of(run: Run) -> tuple[list[str], dict[str, MetricInfo], dict[str, list[Scored]]]:
    """Samples, metrics, and the scores of images that are still the ones that were scored.

    Raises `UserError` if the run isn't scored.
    """
    scores = read_scores(run)
    if scores is None or not scores.metrics:
        raise UserError(one_line(f"{run.path} isn't scored; run `brushbench score {run.path}` first"))
    intact = {name: entry.sha256 for name, entry in run.intact().items()}
    samples = [str(name) for name in scores.table.index]
    hashes = scores.table["sha256"]
    whole = [intact.get(name) == digest for name, digest in zip(samples, hashes, strict=True)]
    columns: dict[str, list[Scored]] = {}
    for metric in scores.metrics:
        values, statuses = scores.table[metric], scores.table[status_column(metric)]
        columns[metric] = [
            str(status) if status and status != IDENTICAL else CHANGED if not same else str(status) or float(value)
            for value, status, same in zip(values, statuses, whole, strict=True)
        ]
    return samples, scores.metrics, columns


def number(score: Scored, unit: str) -> float | None:
    """A score as the gate counts it; None where there is none."""
    if score == IDENTICAL and unit == "dB":
        return CEILING
    if isinstance(score, str):
        return None
    return min(score, CEILING) if unit == "dB" else score


def baseline_of(
    runs: Sequence[Run], reruns: Sequence[Run], metrics: Sequence[str] | None, margins: Mapping[str, float]
) -> Baseline:
    """The baseline of these runs, on these metrics (None: all that are scored), with noise also from the reruns.

    `margins` take the place of those that are computed. Raises `UserError` for runs that aren't scored, two of one
    method on one split, reruns of something else, and metrics that aren't scored.
    """
    repeated: dict[Key, list[Run]] = {}
    chosen = by_key(runs)
    for rerun in reruns:
        if (key := key_of(rerun.record.identity)) not in chosen:
            raise UserError(one_line(f"{rerun.path} is a rerun of none of the runs: it is {called(key)}"))
        repeated.setdefault(key, []).append(rerun)
    found = [_run_baseline(run, repeated.get(key, []), metrics) for key, run in chosen.items()]
    return Baseline(runs=[_with_margins(run, margins) for run in found]) if margins else Baseline(runs=found)


def read_baseline(file: Path) -> Baseline:
    """Raises `UserError` for a file that isn't there, or isn't a baseline."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise UserError(one_line(f"{file}: over {LARGEST_FILE >> 20} MiB; that is no baseline"))
        return Baseline.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UserError(
            one_line(f"{file}: can't be read ({error.strerror}); `brushbench check RUN --write FILE` writes a baseline")
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(one_line(f"{file} is no baseline: {where}{': ' if where else ''}{first['msg']}")) from error


def write_baseline(file: Path, baseline: Baseline) -> None:
    """In one step. Raises `UserError` if there is no such folder."""
    if not file.parent.is_dir():
        raise UserError(one_line(f"{file}: there is no folder {file.parent}"))
    atomic.write(file, (baseline.model_dump_json(indent=1) + "\n").encode())


def with_margins(baseline: Baseline, margins: Mapping[str, float]) -> Baseline:
    """The baseline with other margins. Raises `UserError` for a metric that no run of it has."""
    known = {name for run in baseline.runs for name in run.metrics}
    for name in margins:
        if name not in known:
            raise unknown("metric", name, known)
    return Baseline(runs=[_with_margins(run, margins) for run in baseline.runs])


def _with_margins(run: RunBaseline, margins: Mapping[str, float]) -> RunBaseline:
    changed = {
        name: metric.model_copy(update={"margin": margins.get(name, metric.margin)})
        for name, metric in run.metrics.items()
    }
    return run.model_copy(update={"metrics": changed})


def _run_baseline(run: Run, reruns: Sequence[Run], wanted: Sequence[str] | None) -> RunBaseline:
    samples, infos, columns = scores_of(run)
    for name in wanted or ():
        if name not in infos:
            raise unknown(f"metric of {run.path}", name, infos)
    if not any(number(score, infos[name].unit) is not None for name, column in columns.items() for score in column):
        raise UserError(one_line(f"{run.path} has no score at all: that is no baseline"))
    repeats = [scores_of(rerun) for rerun in reruns]
    metrics = {}
    for name in wanted or infos:
        info = infos[name]
        if not _has_scores(run, name, columns[name], info.unit, asked=wanted is not None):
            continue
        noise = [NOISE.get(name.partition("@")[0], 0.0)]
        for other, _, scored in repeats:
            again = dict(zip(other, scored.get(name, []), strict=False))
            noise.append(_noise(dict(zip(samples, columns[name], strict=True)), again, info.unit))
        metrics[name] = MetricBaseline(
            version=info.version,
            region=info.region,
            unit=info.unit,
            higher_is_better=info.higher_is_better,
            scale=info.scale,
            margin=_margin(columns[name], info.unit, max(noise)),
            scores=columns[name],
        )
    record = run.record
    # Not the folder of the data: it says where something is on one machine.
    provenance = {key: value for key, value in record.provenance.items() if key != "root"}
    return RunBaseline(
        fingerprint=record.fingerprint,
        identity=record.identity,
        provenance=provenance,
        samples=samples,
        metrics=metrics,
    )


def _has_scores(run: Run, name: str, scores: Sequence[Scored], unit: str, *, asked: bool) -> bool:
    """Whether there is anything to hold later scores against; raises `UserError` if not and the metric is asked for."""
    if any(number(score, unit) is not None for score in scores):
        return True
    why = one_line(f"{run.path} has no score of {name} at all: {scores[0]}")
    if asked:
        raise UserError(f"{why}; that is no baseline")
    _LOG.warning("%s; it is left out of the baseline", why)
    return False


def _margin(scores: Sequence[Scored], unit: str, noise: float) -> float:
    numbers = [value for value in (number(score, unit) for score in scores) if value is not None]
    if not numbers:
        return noise
    spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else 0.0
    # Four digits: nobody should have to read more.
    return float(f"{noise + SPREAD * spread + RELATIVE * abs(float(np.mean(numbers))):.4g}")


def _noise(scores: Mapping[str, Scored], again: Mapping[str, Scored], unit: str) -> float:
    """How far from 0 the mean difference to a rerun may be, at the level of the intervals."""
    pairs = [(number(scores[name], unit), number(score, unit)) for name, score in again.items() if name in scores]
    differences = np.array([new - old for old, new in pairs if old is not None and new is not None])
    if not len(differences):
        return 0.0
    found = difference_interval(differences)
    ends = [abs(end) for end in (found.mean, found.low, found.high) if not math.isnan(end)]
    return max(ends)


def changes(before: Identity, after: Identity) -> list[str]:
    """What is another in the method: name, options, weights, dtype; one text for each."""
    plain = (("method", before.method.name, after.method.name), ("dtype", before.dtype, after.dtype))
    found = [one_line(f"{what} {old} -> {new}", 200) for what, old, new in plain if old != new]
    pairs: list[tuple[str, Mapping[str, JsonValue], Mapping[str, JsonValue]]] = [
        ("", before.method.options, after.method.options),
        ("weights or code of ", dict(before.method.digests), dict(after.method.digests)),
    ]
    for prefix, old, new in pairs:
        found += [
            f"{prefix}{key} {_short(old.get(key))} -> {_short(new.get(key))}"
            for key in dict.fromkeys([*old, *new])
            if old.get(key) != new.get(key)
        ]
    return found


def _short(value: JsonValue) -> str:
    text = one_line(str(value), 60)
    return text[:8] if len(text) == 64 and all(c in "0123456789abcdef" for c in text) else text

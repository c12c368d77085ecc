"""A baseline: the scores of some runs, sample by sample, with the margin by which each metric may get worse.

It is a JSON file to be kept under version control. A margin is computed as

    margin = noise + 0.05 x standard deviation of the scores between samples + 1e-6 x |mean|

`noise` is how much a rerun on another machine, or with another dtype, changes the mean. It is measured by
`benchmarks/gate_noise.py` for the metrics in `NOISE`, or on given reruns; a baseline of several seeds adds how much
another seed changes the mean. A twentieth of a standard deviation is an effect too small to be seen in any picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import read_bytes
from brushbench.runs.record import Identity

LARGEST_FILE = 1 << 28
"""Most bytes of a baseline file."""
Scored = float | str
"""A score, or the reason why there is none."""
RunKey = tuple[str, str, str, str]
"""Data set, split, protocol and method of a run."""


class MetricBaseline(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """The scores of one metric in the baseline."""

    version: str
    region: str
    unit: str
    higher_is_better: bool
    scale: float
    margin: Annotated[float, Field(ge=0)]
    """How much worse the mean may get, in the metric's own unit, before `scale`."""
    scores: list[Scored]
    """One score per sample; the mean over several seeds."""
    noise: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of a sample's score under another seed around the mean of the baseline's seeds; None for one
    seed."""


class RunBaseline(BaseModel, extra="forbid", frozen=True):
    """The scores and the identity of one run."""

    fingerprint: str
    identity: Identity
    provenance: dict[str, str]
    seeds: list[int] = []
    """All seeds; empty in files of schema version 1, whose runs have the seed of the identity."""
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
            raise ValueError("the fingerprint does not match; the file was changed by hand")
        return self


class Baseline(BaseModel, extra="forbid", frozen=True):
    """The content of a baseline file."""

    schema_version: Literal[1, 2] = 2
    runs: Annotated[list[RunBaseline], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> "Baseline":
        if len({key_of(run.identity) for run in self.runs}) != len(self.runs):
            raise ValueError("a method occurs twice on one split")
        return self


def key_of(identity: Identity) -> RunKey:
    """Return the key by which a run is matched with its baseline."""
    return identity.dataset.name, identity.dataset.split, identity.protocol, identity.method.name


def described_key(key: RunKey) -> str:
    """Describe a key for messages."""
    return f"{key[3]} on {key[0]}/{key[1]}, protocol {key[2]}"


def read_baseline(file: Path) -> Baseline:
    """Read a baseline. Raises `UserError` for a file that does not exist or is not a baseline."""
    try:
        return Baseline.model_validate_json(read_bytes(file, LARGEST_FILE))
    except UserError as error:
        raise UserError(one_line(f"{error}; `brushbench check RUN --write FILE` writes a baseline")) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(one_line(f"{file} is not a baseline: {where}{': ' if where else ''}{first['msg']}")) from error


def write_baseline(file: Path, baseline: Baseline) -> None:
    """Write a baseline atomically. Raises `UserError` if its folder does not exist."""
    if not file.parent.is_dir():
        raise UserError(one_line(f"{file}: no such folder: {file.parent}"))
    atomic.write(file, (baseline.model_dump_json(indent=1) + "\n").encode())


def with_margins(baseline: Baseline, margins: Mapping[str, float]) -> Baseline:
    """Return the baseline with other margins. Raises `UserError` for a metric that none of its runs has."""
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


def changes(before: Identity, after: Identity) -> list[str]:
    """List the changes of a method: name, options, weights, dtype and compute recipe, one text for each."""
    plain = (
        ("method", before.method.name, after.method.name),
        ("dtype", before.dtype, after.dtype),
        ("compute", before.compute, after.compute),
    )
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

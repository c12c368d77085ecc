"""The weights of metrics: whether they are on this machine, and how they mark a metric's version."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from brushbench.core.capture import Failure, capture, plugged
from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo, ScoredRegion
from brushbench.core.types import Metric, SetMetric
from brushbench.weights.sources import Source, digest_of_files

ABSENT = "its weights are not on this machine; `brushbench doctor` tells how to get them"
DIGITS = 8
"""Number of a digest's digits in a metric's version."""


@runtime_checkable
class Weighted(Protocol):
    """A metric with weights."""

    def weights(self) -> Sequence[Source]:
        """Return the sources of everything that the metric loads."""
        ...


@runtime_checkable
class Networked(Protocol):
    """A metric with a network that it can load before the first sample is scored."""

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for weights that can't be used."""
        ...


def sources_of(metric: Metric | SetMetric) -> Sequence[Source]:
    """Return the sources of everything that a metric loads."""
    # A plug-in may have an option called `weights`.
    weights = metric.weights if isinstance(metric, Weighted) else None
    return plugged(f"metric {metric.info.name}: weights()", weights) if callable(weights) else ()


def unavailable_reason(metric: Metric | SetMetric, *, download: bool) -> str:
    """Say why a metric's weights can't be used on this machine; empty if they can.

    With `download`, missing weights are downloaded; without it, that they are missing is the reason.
    """
    for source in sources_of(metric):
        found = capture(source.get if download else source.here)
        if isinstance(found, Failure):
            return found.error
        if found is None:
            return ABSENT
    return ""


def described(
    info: MetricInfo, region: ScoredRegion, number: str, sources: Sequence[Source], others: Sequence[Path] = ()
) -> MetricInfo:
    """Return the metric's info; if all its files are on this machine, the version includes their digest.

    `others` are files that the metric loads from elsewhere.
    """
    loaded: list[Path] = []
    for source in sources:
        try:
            files = source.files()
        except UserError:
            files = ()
        if not files:
            return info.named(region, number)
        loaded += files
    loaded += others
    return info.named(region, f"{number} {digest_of_files(loaded)[:DIGITS]}" if loaded else number)

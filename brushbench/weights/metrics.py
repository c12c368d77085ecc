"""What metrics load, whether it is here, and which versions of metrics it makes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from brushbench.core.capture import Failure, capture, plugged
from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo, ScoredRegion
from brushbench.core.types import Metric
from brushbench.weights.sources import Source, digest_of_files

ABSENT = "its weights are not on this machine; `brushbench doctor` tells how to get them"
DIGITS = 8
"""How much of a digest stands in a metric's version."""


@runtime_checkable
class Weighted(Protocol):
    """A metric that is made from weights."""

    def weights(self) -> Sequence[Source]:
        """All that it loads."""
        ...


@runtime_checkable
class Networked(Protocol):
    """A metric with a network, which it can load before there is anything to score."""

    def load_network(self) -> None:
        """Load it. Raises `UserError` for weights that can't be used."""
        ...


def sources_of(metric: Metric) -> Sequence[Source]:
    """All that a metric loads."""
    # A plug-in may have an option of that name.
    weights = metric.weights if isinstance(metric, Weighted) else None
    return plugged(f"metric {metric.info.name}: weights()", weights) if callable(weights) else ()


def unavailable_reason(metric: Metric, *, download: bool) -> str:
    """Why a metric can't be computed here: what of its weights isn't to be had; empty if nothing is in the way.

    `download`: what is missing is downloaded; otherwise that it is missing is the reason.
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
    """The metric's info with the digest of the files that it loads in the version, if all are here.

    `others` are files that it loads from somewhere else.
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

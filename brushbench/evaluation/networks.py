"""Load the networks of metrics before anything is scored, so that a damaged checkpoint is reported at once."""

from collections.abc import Mapping

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Metric, SetMetric
from brushbench.evaluation.memory import Free, free_bytes, stages
from brushbench.weights.memory import release
from brushbench.weights.metrics import Networked

_SOUND: set[tuple[str, str]] = set()
"""Metrics, with their options and versions, whose networks have been loaded in this process."""


def prepare(metrics: Mapping[str, Metric | SetMetric], *, keep: bool, free: Free = free_bytes) -> None:
    """Load the network of each of these metrics. Raises `UserError` for one that can't be loaded.

    With `keep`, the networks stay in memory if there is room for all of them, as they are needed next. Otherwise those
    that don't share weights are loaded one after another and released, to leave the memory for the next step.
    """
    groups = stages(metrics, free)
    kept = keep and len(groups) == 1
    for group in groups:
        networks = {name: metric for name in group if isinstance(metric := metrics[name], Networked)}
        needed = {name: metric for name, metric in networks.items() if kept or _key(metric) not in _SOUND}
        for name, metric in needed.items():
            _load(name, metric)
        if needed and not kept:
            release()


def _load(name: str, metric: Networked) -> None:
    loaded = capture(metric.load_network)
    if isinstance(loaded, Failure) and loaded.out_of_memory:
        release()
        loaded = capture(metric.load_network)
    if not isinstance(loaded, Failure):
        _SOUND.add(_key(metric))
    # Running out of memory says nothing about the checkpoint.
    elif not loaded.out_of_memory:
        valid = "valid: an intact checkpoint, or --metrics without this metric"
        raise UserError(one_line(f"metric {name} can't be computed: {one_line(loaded.error, 700)}; {valid}", 1000))


def _key(metric: Networked) -> tuple[str, str]:
    version = metric.info.version if isinstance(metric, Metric | SetMetric) else ""
    return repr(metric), version

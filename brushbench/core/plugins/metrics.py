"""Check that a plug-in's metric provides what scoring and reports rely on."""

import re
from typing import Any, cast

from brushbench.core.capture import plugged
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo, parted
from brushbench.core.options import parameters
from brushbench.core.plugins.files import plugin_file
from brushbench.core.plugins.info import checked_info
from brushbench.core.registry import is_built_in
from brushbench.core.types import Metric, SetMetric

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


# Any: the class of a metric, and its object.
def checked_metric(name: str, cls: Any, metric: Any) -> Metric | SetMetric:
    """Return the metric. Raises `UserError` if the facts that it states don't fit the name that was requested."""
    what = f"metric {name!r}"
    of_sets = all(callable(getattr(metric, name, None)) for name in ("features", "distance"))
    if not callable(metric) and not of_sets:
        told = "has no __call__(batch, images), nor features(batch, images) and distance(references, images)"
        raise UserError(one_line(f"{what} {told}"))
    info = plugged(f"{what}: info", lambda: getattr(metric, "info", None))
    if not isinstance(info, MetricInfo):
        raise UserError(one_line(f"{what}: its info is of type {type(info).__name__}, must be MetricInfo"))
    checked_info(what, info)
    scope = "image" if callable(metric) else "set"
    if info.scope != scope:
        kind = "scores each image" if scope == "image" else "has features and a distance of sets"
        raise UserError(one_line(f"{what}: it {kind}, so its info.scope must be {scope!r}, not {info.scope!r}"))
    base, region = parted(name)
    own = info.name.partition("@")[0]
    if not plugin_file(base) and own != base:
        raise UserError(one_line(f"{what}: its info.name is {info.name!r}, must begin with {base!r}, as registered"))
    if is_built_in("metric", own) or not _NAME.fullmatch(own):
        valid = "letters, digits, - and _, but not the name of one of the suite's metrics"
        raise UserError(one_line(f"{what}: its info.name is {info.name!r}; valid: {valid}"))
    if region:
        usual = parameters(base, cls)["region"].default
        expected = own if region == usual else f"{own}@{region}"
        if (info.region, info.name) != (region, expected):
            told = f"its info states {info.name!r} on {info.region}"
            raise UserError(one_line(f"{what}: {told}, must be {expected!r} on {region}; use MetricInfo.named"))
    return cast(Metric | SetMetric, metric)

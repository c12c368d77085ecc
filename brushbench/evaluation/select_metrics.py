"""Which metrics a run is scored with: those asked for by name, or the usual ones that can be computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from brushbench.core.dataset_info import DatasetInfo, MaskKind
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import REGIONS, parted
from brushbench.core.options import Value, build, parameters
from brushbench.core.plugins.metrics import checked_metric
from brushbench.core.registry import check_name, is_built_in, load_class
from brushbench.core.types import Metric
from brushbench.weights.metrics import unavailable_reason
from brushbench.weights.runtime import device_named

PIXEL = ("psnr", "mse", "ssim", "ssim@whole")
LEARNED = ("lpips", "clip", "image-reward", "hps", "aesthetic")
"""The paper's, with the pixel metrics; SSIM isn't among its."""
USUAL_WITH: dict[MaskKind, tuple[str, ...]] = {"segmentation": (), "random": ("seam",)}
"""By the kind of masks: where a mask follows an object, the object's own edge can't be told from a seam."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to score with, and what not."""

    metrics: tuple[Metric, ...]
    unscored: dict[str, str]
    """Usual metrics that can't be computed here, each with the reason."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What metrics take from a run, where they have such an option."""

    protocol: str
    info: DatasetInfo
    split: str = "inside"
    device: str = "auto"
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """By the metric's name, without its region."""

    @property
    def masks(self) -> MaskKind:
        """What kind of masks the run has."""
        return self.info.mask_kind(self.split)

    def usual(self) -> list[str]:
        """The metrics that a run is scored with if none are named."""
        if self.info.metrics:
            return [*self.info.metrics]
        return [*PIXEL, *(self.info.learned or LEARNED), *USUAL_WITH[self.masks]]


def select(names: Sequence[str] | None, setting: Setting) -> Selection:
    """The metrics by these names, with their weights at hand; `names` None: the usual ones, as far as they can be had.

    A metric that is given options is asked for by name. Raises `UserError` for an unknown name, region or option, a
    name given twice, options of a metric that isn't among them, and for weights of a metric asked for by name that are
    neither here nor to be downloaded.
    """
    chosen = list(names) if names is not None else setting.usual()
    if not chosen:
        raise UserError("metrics: none are given; valid is at least one, or nothing for the usual ones")
    bases = [parted(name)[0] for name in chosen]
    for base in setting.options:
        check_name("metric", base)
        if base not in bases:
            raise UserError(
                one_line(f"an option of {base} is given, which isn't among the metrics: {', '.join(chosen)}")
            )
    metrics: list[Metric] = []
    unscored: dict[str, str] = {}
    for name, base in zip(chosen, bases, strict=True):
        metric = _loaded(name, setting)
        by_name = names is not None or base in setting.options
        if reason := unavailable_reason(metric, download=by_name):
            if by_name:
                raise UserError(one_line(f"metric {name}: {reason}", 1000))
            unscored[metric.info.name] = reason
        else:
            metrics.append(metric)
    columns = [metric.info.name for metric in metrics]
    if len(set(columns)) != len(columns):
        raise UserError(one_line(f"metrics: one is asked for twice in {', '.join(names or ())}"))
    return Selection(tuple(metrics), unscored)


def _loaded(name: str, setting: Setting) -> Metric:
    base = parted(name)[0]
    cls = load_class("metric", base)
    known = parameters(base, cls)
    # The suite's own find out what `auto` is when they need it.
    device = setting.device if is_built_in("metric", base) else str(device_named(setting.device))
    given: dict[str, Value] = {"protocol": setting.protocol, "device": device, "masks": setting.masks}
    own = {key: value for key, value in given.items() if key in known}
    return _built(name, cls, {**own, **setting.options.get(base, {})})


def load_metric(name: str, **options: Value) -> Metric:
    """A metric by name or `path/to/file.py:Class`, also with its region as `psnr@painted`.

    Raises `UserError` for an unknown name or option.

    >>> metric = load_metric("psnr", protocol="paper")
    """
    return _built(name, load_class("metric", parted(name)[0]), options)


# Any: the class of a metric.
def _built(name: str, cls: Any, options: Mapping[str, Value]) -> Metric:
    base, region = parted(name)
    if region or base != name:
        if region not in REGIONS:
            raise UserError(one_line(f"metric {name!r}: region {region!r} is not one of {', '.join(REGIONS)}"))
        if "region" not in parameters(base, cls):
            raise UserError(one_line(f"metric {base!r} has no regions: valid is its name alone"))
        options = {**options, "region": region}
    metric = build(base, cls, options)
    return cast(Metric, metric) if is_built_in("metric", base) else checked_metric(name, cls, metric)

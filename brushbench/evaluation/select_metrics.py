"""Choose the metrics of a run: those requested by name, or the usual ones that can be computed on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from brushbench.core.dataset_info import DatasetInfo, MaskKind
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import REGIONS, parted
from brushbench.core.options import Value, build, parameters
from brushbench.core.plugins.metrics import checked_metric
from brushbench.core.registry import check_name, is_built_in, load_class
from brushbench.core.types import Metric, SetMetric
from brushbench.weights.metrics import unavailable_reason
from brushbench.weights.runtime import device_named

PIXEL = ("psnr", "mse", "ssim", "ssim@whole")
LEARNED = ("lpips", "clip", "image-reward", "hps", "aesthetic")
"""The paper's metrics, together with the pixel metrics; the paper has no SSIM."""
USUAL_WITH: dict[MaskKind, tuple[str, ...]] = {"segmentation": (), "random": ("seam",)}
"""Further metrics by the kind of masks. Along a mask that follows an object, its edge looks like a seam."""


@dataclass(frozen=True, slots=True)
class ChosenSet:
    """A set metric, with what it is loaded from again when its number is computed."""

    metric: SetMetric
    name: str
    """Its name as requested."""
    options: Mapping[str, Value]
    """Its options as given."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The metrics to score with, and those that are left out."""

    metrics: tuple[Metric, ...]
    unscored: dict[str, str]
    """Usual metrics that can't be computed here, each with the reason."""
    names: tuple[str, ...] = ()
    """The names of these metrics as requested, from which another machine can select the same ones."""
    sets: tuple[ChosenSet, ...] = ()
    """The set metrics, which need no score of a single image."""

    @property
    def networks(self) -> dict[str, Metric | SetMetric]:
        """All metrics by name, also those of sets: whatever may have a network to load."""
        every: list[Metric | SetMetric] = [*self.metrics, *(each.metric for each in self.sets)]
        return {metric.info.name: metric for metric in every}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run passes to metrics that have an option for it."""

    protocol: str
    info: DatasetInfo
    split: str = "inside"
    device: str = "auto"
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """By the metric's name, without its region."""

    @property
    def masks(self) -> MaskKind:
        """The kind of the run's masks."""
        return self.info.mask_kind(self.split)

    def usual(self) -> list[str]:
        """The names of the metrics to score with if none are requested."""
        if self.info.metrics:
            return [*self.info.metrics]
        return [*PIXEL, *(self.info.learned or LEARNED), *USUAL_WITH[self.masks]]


def select(names: Sequence[str] | None, setting: Setting, *, download: bool | None = None) -> Selection:
    """Load the metrics of these names; if `names` is None, the usual ones whose weights are on this machine.

    A metric with options counts as requested by name, and its weights are downloaded if necessary; `download` says
    otherwise whether weights are downloaded, of all metrics alike. Raises `UserError`
    for an unknown name, region or option, for a name given twice, for options of a metric that isn't requested, and for
    weights of a metric requested by name that can't be had.
    """
    chosen = list(names) if names is not None else setting.usual()
    if not chosen:
        raise UserError("metrics: the list is empty; name at least one metric, or omit it for the default metrics")
    bases = [parted(name)[0] for name in chosen]
    for base in setting.options:
        check_name("metric", base)
        if base not in bases:
            raise UserError(
                one_line(f"an option is given for metric {base}, which isn't requested; requested: {', '.join(chosen)}")
            )
    metrics: list[Metric] = []
    loaded: list[str] = []
    unscored: dict[str, str] = {}
    columns: list[str] = []
    sets: list[ChosenSet] = []
    for name, base in zip(chosen, bases, strict=True):
        metric = _loaded(name, setting)
        columns.append(metric.info.name)
        by_name = names is not None or base in setting.options
        if reason := unavailable_reason(metric, download=by_name if download is None else download):
            if by_name:
                raise UserError(one_line(f"metric {name}: {reason}", 1000))
            unscored[metric.info.name] = reason
        elif isinstance(metric, SetMetric):
            sets.append(ChosenSet(metric, name, setting.options.get(base, {})))
        else:
            metrics.append(metric)
            loaded.append(name)
    if len(set(columns)) != len(columns):
        raise UserError(one_line(f"metrics: one is named twice in {', '.join(names or ())}"))
    return Selection(tuple(metrics), unscored, tuple(loaded), tuple(sets))


def _loaded(name: str, setting: Setting) -> Metric | SetMetric:
    base = parted(name)[0]
    cls = load_class("metric", base)
    known = parameters(base, cls)
    # The suite's own metrics resolve `auto` themselves, when they need a device.
    device = setting.device if is_built_in("metric", base) else str(device_named(setting.device))
    given: dict[str, Value] = {"protocol": setting.protocol, "device": device, "masks": setting.masks}
    own = {key: value for key, value in given.items() if key in known}
    return _built(name, cls, {**own, **setting.options.get(base, {})})


def load_metric(name: str, **options: Value) -> Metric:
    """Load a metric by name or by `path/to/file.py:Class`, optionally with a region, as in `psnr@painted`.

    Raises `UserError` for an unknown name or option, and for a metric of sets: see `load_set_metric`.

    >>> metric = load_metric("psnr", protocol="paper")
    """
    metric = load_any(name, options)
    if isinstance(metric, SetMetric):
        raise UserError(one_line(f"metric {name!r} gives a number for a set of images; valid: load_set_metric"))
    return metric


def load_set_metric(name: str, **options: Value) -> SetMetric:
    """Load a set metric by name or by `path/to/file.py:Class`, optionally with a region, as in `fid@painted`.

    Raises `UserError` for an unknown name or option, and for a metric that scores each image: see `load_metric`.

    >>> fid = load_set_metric("fid")
    """
    metric = load_any(name, options)
    if not isinstance(metric, SetMetric):
        raise UserError(one_line(f"metric {name!r} scores each image; valid: load_metric"))
    return metric


def load_any(name: str, options: Mapping[str, Value]) -> Metric | SetMetric:
    """Load a metric of either kind. Raises `UserError` for an unknown name or option."""
    return _built(name, load_class("metric", parted(name)[0]), options)


# Any: the class of a metric.
def _built(name: str, cls: Any, options: Mapping[str, Value]) -> Metric | SetMetric:
    base, region = parted(name)
    if region or base != name:
        if region not in REGIONS:
            raise UserError(one_line(f"metric {name!r}: region {region!r} is not one of {', '.join(REGIONS)}"))
        if "region" not in parameters(base, cls):
            raise UserError(one_line(f"metric {base!r} has no regions; valid: its name without @{region}"))
        options = {**options, "region": region}
    metric = build(base, cls, options)
    return cast(Metric | SetMetric, metric) if is_built_in("metric", base) else checked_metric(name, cls, metric)

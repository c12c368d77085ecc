"""Which metrics a run is scored with: those asked for by name, or the usual ones that can be computed here."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from brushbench.errors import UserError, one_line
from brushbench.loading import load_metric
from brushbench.metric_weights import obstacle
from brushbench.options import Value
from brushbench.registry import resolve
from brushbench.types import Metric

PIXEL = ("psnr", "mse", "ssim", "ssim@whole")
USUAL = (*PIXEL, "lpips", "clip", "image-reward", "hps", "aesthetic", "seam")
"""The paper's, SSIM and the seam."""
USUAL_ON = {"papercut": (*PIXEL, "seam", "papercut-clip")}
"""By data set: where the paper's networks would look at a world that they don't know."""


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
    dataset: str
    device: str = "auto"


def select(names: Sequence[str] | None, setting: Setting) -> Selection:
    """The metrics by these names, with their weights at hand; `names` None: the usual ones, as far as they can be had.

    Raises `UserError` for an unknown name or region, a name given twice, and for weights of a metric asked for by name
    that are neither here nor to be downloaded.
    """
    metrics: list[Metric] = []
    unscored: dict[str, str] = {}
    for name in names if names is not None else USUAL_ON.get(setting.dataset, USUAL):
        metric = _loaded(name, setting)
        if reason := obstacle(metric, download=names is not None):
            if names is not None:
                raise UserError(one_line(f"metric {name}: {reason}", 1000))
            unscored[metric.info.name] = reason
        else:
            metrics.append(metric)
    columns = [metric.info.name for metric in metrics]
    if len(set(columns)) != len(columns):
        raise UserError(one_line(f"metrics: one is asked for twice in {', '.join(names or ())}"))
    return Selection(tuple(metrics), unscored)


def _loaded(name: str, setting: Setting) -> Metric:
    cls = resolve("metric", name.partition("@")[0])
    known = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    given: dict[str, Value] = {"protocol": setting.protocol, "device": setting.device}
    return load_metric(name, **{key: value for key, value in given.items() if key in known})

"""Check the contract of metrics."""

import torch
from torch import Tensor

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.metric_info import REGIONS, MetricInfo, parted
from brushbench.core.options import checked, parameters
from brushbench.core.registry import load_class
from brushbench.core.types import Batch, Metric, Noting, SetMetric
from brushbench.evaluation.parts import notes_of_metric
from brushbench.evaluation.select_metrics import Setting, select
from brushbench.evaluation.validation.findings import Asked, Violation, default_findings, tried
from brushbench.evaluation.validation.probe import (
    COUNT,
    KEPT,
    copied,
    describe_returned,
    is_changed,
    probe,
    with_other_neighbours,
)
from brushbench.evaluation.validation.set_metrics import set_metric_violations
from brushbench.weights.metrics import Networked

RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""How much a score may differ if its image is in another batch: networks compute in float32."""


def metric_violations(asked: Asked) -> list[Violation]:
    """Find what is wrong with a metric. Raises `UserError` for options that are unknown, missing or invalid."""
    found: list[Violation] = []
    base, region = parted(asked.name)
    cls = tried(found, "loading", "", load_class, "metric", base)
    if cls is None:
        return found
    checked(base, cls, asked.options)
    found += default_findings(base, cls)
    names = [f"{base}@{each}" for each in REGIONS] if "region" in parameters(base, cls) and not region else []
    for name in [asked.name, *names]:
        when = f"{name}: " if name in names else ""
        metric = tried(found, "loading", when, _loaded, name, asked)
        if metric is None:
            return found
        found += set_metric_violations(metric, when) if isinstance(metric, SetMetric) else _called(metric, when)
    return list(dict.fromkeys(found))


def _loaded(name: str, asked: Asked) -> Metric | SetMetric:
    setting = Setting("strict", DatasetInfo(), device=asked.device, options={parted(name)[0]: asked.options})
    (metric,) = select([name], setting).networks.values()
    return metric


def _called(metric: Metric, when: str) -> list[Violation]:
    found: list[Violation] = []
    if not metric.info.version:
        found.append(
            Violation("value", f"{when}info.version is empty: scores of different versions could not be told apart")
        )
    if isinstance(metric, Networked):
        tried(found, "loading", f"{when}load_network(): ", metric.load_network)
    if isinstance(metric, Noting):
        tried(found, "error", f"{when}notes(): ", notes_of_metric, metric, probe().batch)
    first, images = probe().batch, _images()
    given, own = copied(first), images.clone()
    scores = _scores(found, metric, given, own, when)
    if is_changed(given, first) or not torch.equal(own, images):
        found.append(
            Violation("input", f"{when}it changes the tensors that it is given in place; it must copy them first")
        )
    if scores is None:
        return found
    found += _out_of_range(metric.info, scores, when)
    again = _scores(found, metric, first, images, f"{when}called again: ")
    if again is not None and not torch.equal(scores.nan_to_num(-1), again.nan_to_num(-1)):
        found.append(Violation("determinism", f"{when}the same images get other scores when it is called again"))
        return found
    others = with_other_neighbours(probe()).batch
    mixed = torch.where(torch.arange(COUNT)[:, None, None, None] == KEPT, images, 255 - images)
    beside = _scores(found, metric, others, mixed, f"{when}with other images: ")
    if beside is not None and not _close(scores[KEPT], beside[KEPT]):
        told = f"{scores[KEPT].item():.6g} becomes {beside[KEPT].item():.6g}"
        found.append(Violation("independence", f"{when}a score depends on the other images in the batch: {told}"))
        return found
    order = list(reversed(range(COUNT)))
    turned = _scores(found, metric, first.take(order), images[order], f"{when}in another order: ")
    if turned is not None and not _close(scores, turned[order]):
        found.append(Violation("independence", f"{when}scores depend on an image's place in the batch"))
    _scores(found, metric, first.take([0]), images[:1], f"{when}with a batch of one: ")
    _scores(found, metric, first, first.images, f"{when}with images equal to their sources: ")
    for filled in (False, True):
        masks = torch.full_like(first.masks, filled)
        batch = Batch(first.ids, first.images, masks, first.captions)
        what = "full" if filled else "empty"
        _scores(found, metric, batch, images, f"{when}with {what} masks: ")
    return found


def _images() -> Tensor:
    """Images as a poor method might generate them: a grey gradient in the mask."""
    batch = probe().batch
    slope = torch.linspace(60, 200, batch.images.shape[3]).to(torch.uint8).expand_as(batch.images)
    return torch.where(batch.masks, slope, batch.images.clamp(8, 240))


def _scores(found: list[Violation], metric: Metric, batch: Batch, images: Tensor, when: str) -> Tensor | None:
    """The scores that the metric returns; if they can't be used, add a finding and return None."""
    # An object: a plug-in may return anything, so its type is checked.
    scores: object = tried(found, "error", when, lambda: [metric(batch, images)])
    if not isinstance(scores, list):
        return None
    score = scores[0]
    if not isinstance(score, Tensor) or list(score.shape) != [len(batch)]:
        found.append(Violation("shape", f"{when}it returns {describe_returned(score)}, must be float64 [{len(batch)}]"))
        return None
    if score.dtype != torch.float64:
        found.append(Violation("dtype", f"{when}it returns {describe_returned(score)}, must be float64 [{len(batch)}]"))
        return None
    return score.detach().cpu().clone()


def _out_of_range(info: MetricInfo, scores: Tensor, when: str) -> list[Violation]:
    known = scores[scores.isfinite()].tolist()
    low = [
        f"{value:.6g} is below info.lowest, {info.lowest:.6g}"
        for value in known
        if info.lowest is not None and value < info.lowest
    ]
    high = [
        f"{value:.6g} is above info.highest, {info.highest:.6g}"
        for value in known
        if info.highest is not None and value > info.highest
    ]
    return [Violation("value", f"{when}a score of {told}") for told in (*low, *high)][:1]


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)

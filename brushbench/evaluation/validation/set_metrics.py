"""Check the contract of set metrics."""

import math

import numpy as np
import torch
from torch import Tensor

from brushbench.core.types import Batch, SetMetric
from brushbench.evaluation.validation.findings import Violation, tried
from brushbench.evaluation.validation.probe import COUNT, KEPT, describe_returned, probe, with_other_neighbours
from brushbench.weights.metrics import Networked

RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How much a feature may differ if its image is in another batch: networks compute in float32."""


def set_metric_violations(metric: SetMetric, when: str) -> list[Violation]:
    """Find what is wrong with the features and the distance of a set metric."""
    found: list[Violation] = []
    if not metric.info.version:
        found.append(Violation("value", f"{when}info.version is empty: versions could not be told apart"))
    if isinstance(metric, Networked):
        tried(found, "loading", f"{when}load_network(): ", metric.load_network)
    batch = probe().batch
    images = 255 - batch.images
    rows, sources = (_rows(found, metric, batch, own, when) for own in (images, batch.images))
    if rows is None or sources is None:
        return found
    again = _rows(found, metric, batch, images, f"{when}called again: ")
    if again is not None and not torch.equal(rows.nan_to_num(-1), again.nan_to_num(-1)):
        found.append(Violation("determinism", f"{when}the same images get other features when it is called again"))
        return found
    mixed = torch.where(torch.arange(COUNT)[:, None, None, None] == KEPT, images, 128)
    beside = _rows(found, metric, with_other_neighbours(probe()).batch, mixed, f"{when}with other images: ")
    if beside is not None and not torch.allclose(rows[KEPT], beside[KEPT], RELATIVE, ABSOLUTE, equal_nan=True):
        found.append(Violation("independence", f"{when}features depend on the other images in the batch"))
    _rows(found, metric, batch.take([0]), images[:1], f"{when}with a batch of one: ")
    return [*found, *_distances(metric, sources, rows, when)]


def _rows(found: list[Violation], metric: SetMetric, batch: Batch, images: Tensor, when: str) -> Tensor | None:
    """The features that the metric returns; if they can't be used, add a finding and return None."""
    # An object: a plug-in may return anything, so its type is checked.
    returned: object = tried(found, "error", when, lambda: [metric.features(batch, images)])
    if not isinstance(returned, list):
        return None
    rows = returned[0]
    if isinstance(rows, Tensor) and rows.ndim == 2 and len(rows) == len(batch) and rows.is_floating_point():
        return rows.detach().cpu().double()
    told = describe_returned(rows)
    found.append(Violation("shape", f"{when}features() returns {told}, must be float [{len(batch)}, d]"))
    return None


def _distances(metric: SetMetric, sources: Tensor, images: Tensor, when: str) -> list[Violation]:
    found: list[Violation] = []
    usable = sources.isfinite().all(dim=1) & images.isfinite().all(dim=1)
    if int(usable.sum()) < 2:
        return found
    given = [np.asarray(rows[usable]) for rows in (sources, images)]
    values = [
        tried(found, "error", f"{when}distance(): ", lambda rows=rows: [metric.distance(*rows)])
        for rows in (given, [rows[::-1].copy() for rows in given])
    ]
    numbers = [value[0] for value in values if isinstance(value, list)]
    if not all(isinstance(number, float | int) and math.isfinite(number) for number in numbers):
        found.append(Violation("value", f"{when}distance() returns {numbers[0]!r}, must be a finite number"))
    elif len(numbers) == 2 and not math.isclose(*numbers, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        found.append(Violation("independence", f"{when}distance() depends on the order of the rows"))
    return found

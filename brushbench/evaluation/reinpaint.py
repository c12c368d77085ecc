"""Measure the re-inpainting consistency of a run, and store it among its scores."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import parted
from brushbench.core.options import Value
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import PROTOCOLS
from brushbench.core.registry import short_name
from brushbench.datasets.open import OpenedDataset
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.identity import identity_of_method
from brushbench.evaluation.methods import LoadedMethod, find_method
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.patches import Patches
from brushbench.evaluation.reinpainting import Reinpainting
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection, Setting, select
from brushbench.runs.adoption import check_ledger
from brushbench.runs.config import DTYPES
from brushbench.runs.data import opened_of
from brushbench.runs.folder import Run
from brushbench.runs.record import FILE, unequal_values
from brushbench.weights.metrics import DIGITS

NAME, VERSION = "reinpaint", "1"
DISTANCE = "lpips@whole"
IMPORTED = "images"
"""In the digests of a run whose images were made elsewhere."""
BATCH = 4
"""Images per call of the method, if the run doesn't say."""


@dataclass(frozen=True, slots=True)
class ReinpaintOptions:
    """What inpaints again, and how. Raises `UserError` for invalid values."""

    method: str | None = None
    """A registered name, or `path/to/file.py:Class`. None: the run's own method, with its own options."""
    weights: str | None = None
    """As for a run."""
    options: Mapping[str, Value] = field(default_factory=dict)
    """The options of `method`."""
    device: str = "auto"
    dtype: str = "auto"
    patches: Patches = field(default_factory=Patches)
    distance: str = DISTANCE
    """The metric that compares an image with its re-inpainted version."""
    metric_options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """The options of `distance`, by its name without a region."""
    limit: int | None = None
    """The number of samples, from the first. None: all."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit={self.limit}; valid: 1 or more")
        if self.method is None and self.options:
            raise UserError("options of the method need --method; without it, the run's own options are used")
        if self.dtype not in DTYPES:
            raise UserError(one_line(f"dtype {self.dtype!r}; valid: {', '.join(DTYPES)}"))


def reinpaint(
    run: Run, asked: ReinpaintOptions, root: str | Path | None, watch: ProgressCallback, tell: Callable[[str], None]
) -> str:
    """Inpaint the images of a run again, store how much changes among its scores, and return the metric's name.

    What is stored already isn't computed again, and scores are stored batch by batch, so that an interrupted command
    can be resumed. `tell` gets a line with the number of images to generate. Raises `UserError` for a method, data set
    or distance that can't be had; and, unless another method is requested, if the run's own has changed since.
    """
    check_ledger(run)
    with run.noting():
        opened = opened_of(run, root)
        metric = _metric(run, opened, asked)
        scoring = Scoring(run, opened.data, Selection((metric,), {}))
        prepare({metric.name: metric}, keep=True)

        def announce(samples: int) -> None:
            tell(f"{metric.name}: {asked.patches.count} x {samples} images to generate, for {run.place}")

        scoring.store_in_parts(watch, run.record.identity.batch_size or BATCH, asked.limit, announce)
    return metric.name


def _metric(run: Run, opened: OpenedDataset, asked: ReinpaintOptions) -> Reinpainting:
    identity = run.record.identity
    setting = Setting(identity.protocol, opened.info, opened.data.split, asked.device, asked.metric_options)
    distance = select([asked.distance], setting).metrics[0]
    if distance.info.region != "whole":
        valid = f"a metric of whole images, such as {parted(asked.distance)[0]}@whole"
        raise UserError(one_line(f"distance {asked.distance}: compares only a part of the images; valid: {valid}"))
    method = _own_method(run, opened, asked) if asked.method is None else _load(asked.method, opened, asked)
    named = [] if asked.method is None else [short_name(asked.method)]
    measured = [] if asked.distance == DISTANCE else [parted(distance.info.name)[0]]
    inside = ["inside"] if asked.patches.where == "inside" else []
    told = "self" if asked.method is None else _described(method, identity.seed)
    return Reinpainting(
        "-".join([NAME, *inside, *named, *measured]),
        MethodCall(method.call, PROTOCOLS["strict"], identity.seed, method.side_multiple),
        asked.patches,
        distance,
        f"{VERSION} {told} {asked.patches.described()}",
    )


def _own_method(run: Run, opened: OpenedDataset, asked: ReinpaintOptions) -> LoadedMethod:
    """The method of the run with its options. Raises `UserError` if it can't be had as it was then."""
    identity, place = run.record.identity, run.place
    then = identity.method
    remedy = "give --method, with its options, to inpaint again with another one"
    if IMPORTED in then.digests or FILE in then.digests:
        what = "images were made elsewhere" if IMPORTED in then.digests else f"method {then.name} is in a file"
        raise UserError(one_line(f"{place}: its {what}; {remedy}"))
    options = {key: value for key, value in then.options.items() if not isinstance(value, list | dict)}
    found = find_method(then.name, weights=asked.weights, usual=opened.info.weights, masks=opened.masks)
    dtype = asked.dtype if asked.dtype != "auto" else identity.dtype or "auto"
    recipe = identity.compute.partition("-")[0]
    method = found.load(device=asked.device, dtype=dtype, options=options, compute=recipe)
    now = identity_of_method(method)
    changed = next(unequal_values(then.model_dump(), now.model_dump()), None)
    if changed:
        told = f"{changed[0]} was {changed[1]} and is now {changed[2]}"
        raise UserError(one_line(f"{place}: its method has changed: {told}; give the run's own --weights, or {remedy}"))
    return method


def _load(name: str, opened: OpenedDataset, asked: ReinpaintOptions) -> LoadedMethod:
    found = find_method(name, weights=asked.weights, usual=opened.info.weights, masks=opened.masks)
    return found.load(device=asked.device, dtype=asked.dtype, options=asked.options)


def _described(method: LoadedMethod, seed: int) -> str:
    """The method's name and a digest of all that may change an image of it."""
    own = identity_of_method(method)
    content = {**own.model_dump(), "dtype": method.dtype, "seed": seed}
    whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{own.name} {whole[:DIGITS]}"

"""A part of a run's samples, of which metrics get all images in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import SampleError
from brushbench.core.metric_info import unscored
from brushbench.core.types import Batch, Metric, Noting, Sample
from brushbench.runs.ledger import LedgerEntry
from brushbench.weights.memory import release

SampleWithImage = tuple[Sample, UInt8[Tensor, "3 h w"]]
Pairs = Mapping[int, SampleWithImage | Failure]
"""Samples with their images, or why there are none, by the sample's position in the data set."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's result for one sample: a value, or a status that says why there is none."""

    value: float | None
    status: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What determines the scores of a part: its samples as they are in the ledger, and the metrics that they lack."""

    entries: Mapping[int, LedgerEntry | None]
    """By position in the data set."""
    metrics: tuple[str, ...]

    def includes(self, other: "Part") -> bool:
        """Whether the scores of the other one are among its own: it has the same samples with the same images."""
        return (
            list(self.entries) == list(other.entries)
            and set(other.metrics) <= set(self.metrics)
            and all(
                entry.same_outcome(other.entries[index]) if entry else other.entries[index] is None
                for index, entry in self.entries.items()
            )
        )

    def first(self, count: int) -> "Part":
        """Return the part without the samples that aren't among the first `count` of the data set."""
        return replace(self, entries={index: entry for index, entry in self.entries.items() if index < count})

    def failed(self, pairs: Pairs) -> int:
        """The number of samples without a score; an image that isn't generated yet doesn't count as a failure."""
        return sum(isinstance(pair, Failure) and self.entries[index] is not None for index, pair in pairs.items())


@dataclass(frozen=True, slots=True)
class Described:
    """What is found out about samples while they are read, by id."""

    sizes: dict[str, str] = field(default_factory=dict)
    mask_shares: dict[str, float] = field(default_factory=dict)
    wrong_sizes: dict[str, str] = field(default_factory=dict)
    """Both sizes, as a text, of each sample whose image and source differ in size."""

    def add(self, other: "Described") -> None:
        """Take over what another one has."""
        self.sizes.update(other.sizes)
        self.mask_shares.update(other.mask_shares)
        self.wrong_sizes.update(other.wrong_sizes)


class UnsettledError(Exception):
    """A metric or an image failed in a way that may be another one when it is tried again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.out_of_memory = failure.out_of_memory


def scores_of_pairs(metrics: Mapping[str, Metric], pairs: Pairs, *, settle: bool = True) -> dict[int, dict[str, Score]]:
    """The scores of a part, by position and metric.

    If not `settle`, whatever fails is neither tried again nor a status, unless the sample itself is wrong: it raises
    `UnsettledError`.
    """
    failures = {index: pair for index, pair in pairs.items() if isinstance(pair, Failure)}
    for failure in failures.values():
        if not settle and not failure.by_user:
            raise UnsettledError(failure)
    scores = {index: {metric: Score(None, pair.error) for metric in metrics} for index, pair in failures.items()}
    read = {index: pair for index, pair in pairs.items() if not isinstance(pair, Failure)}
    for size in dict.fromkeys(image.shape for _, image in read.values()):
        group = {index: pair for index, pair in read.items() if pair[1].shape == size}
        batch = Batch.of([sample for sample, _ in group.values()])
        # One tensor for all metrics: metrics that share a network recognise it, and the network runs only once.
        images = torch.stack([image for _, image in group.values()])
        by_metric = {name: _scores_of(metric, batch, images, settle=settle) for name, metric in metrics.items()}
        for place, index in enumerate(group):
            scores[index] = {name: by_metric[name][place] for name in metrics}
    return scores


def _scores_of(metric: Metric, batch: Batch, images: UInt8[Tensor, "n 3 h w"], *, settle: bool) -> list[Score]:
    values = capture(_values, metric, batch, images)
    if isinstance(values, Failure) and not settle:
        raise UnsettledError(values)
    if isinstance(values, Failure) and values.out_of_memory:
        # The networks of the other metrics may take up the memory.
        release()
        values = capture(_values, metric, batch, images)
    if isinstance(values, Failure):
        if len(batch) == 1:
            return [Score(None, values.error)]
        # One bad sample must not spoil the rest of its batch.
        return [
            score
            for place in range(len(batch))
            for score in _scores_of(metric, batch.take([place]), images[place : place + 1], settle=settle)
        ]
    notes = capture(notes_of_metric, metric, batch) if isinstance(metric, Noting) else [""] * len(batch)
    if isinstance(notes, Failure) and not settle:
        raise UnsettledError(notes)
    told = [notes.error] * len(batch) if isinstance(notes, Failure) else notes
    return [
        Score(None, why) if (why := unscored(value)) else Score(value, note=note)
        for value, note in zip(values, told, strict=True)
    ]


def _values(metric: Metric, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> list[float]:
    """One value per image. Raises `SampleError` if the metric returns anything else."""
    values = metric(batch, images)
    if not isinstance(values, Tensor) or values.shape != (len(batch),) or not values.is_floating_point():
        shape = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise SampleError(f"the metric returned {shape}, must be float64 [{len(batch)}]")
    return values.double().tolist()


def notes_of_metric(metric: Noting, batch: Batch) -> Sequence[str]:
    """One note per sample. Raises `SampleError` if the metric returns another number of notes."""
    notes = [str(note) for note in metric.notes(batch)]
    if len(notes) != len(batch):
        raise SampleError(f"the metric has {len(notes)} notes for {len(batch)} images")
    return notes

"""Score the images of a run against its data set, and write scores.parquet."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.errors import SampleError
from brushbench.core.files import exists, read_bytes
from brushbench.core.metric_info import HOLDING, MetricInfo, unscored
from brushbench.core.progress import Advance, ProgressCallback
from brushbench.core.types import Batch, Dataset, Metric, Noting, Sample
from brushbench.evaluation.memory import KEPT, Free, blocks, device_of, free_bytes, stages, total_bytes
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.select_metrics import Selection
from brushbench.imaging.images import EncodedImage, read_image
from brushbench.runs.folder import CHANGED, DELETED, Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.scores import (
    MASK_SHARE,
    SIZE,
    Scores,
    note_column,
    read_scores,
    status_column,
    tag_column,
    write_scores,
)
from brushbench.weights.memory import release

CHUNK, GPU_CHUNK = 8, 32
"""Number of images that metrics get in one call."""
LARGE_GPU = 24 * 10**9
"""Bytes of total memory from which a GPU gets the larger number; its free memory differs from run to run."""
SampleWithImage = tuple[Sample, UInt8[Tensor, "3 h w"]]


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's result for one sample: a value, or a status that says why there is none."""

    value: float | None
    status: str = ""
    note: str = ""


@final
class Scoring:
    """Score the images of a run that have no scores yet; scores of unchanged images are kept.

    Threads decode each image once for all metrics, a chunk ahead. If memory is too small for all networks, a block of
    images stays decoded while one network after another is loaded, scores the block, and is released.
    """

    def __init__(self, run: Run, dataset: Dataset, selection: Selection, free: Free = free_bytes) -> None:
        self._run = run
        self._dataset = dataset
        self._metrics = {metric.info.name: metric for metric in selection.metrics}
        self._unscored = selection.unscored
        self._free = free
        self.wrong_sizes: dict[str, str] = {}
        """Both sizes, as a text, by the id of each sample whose image and source differ in size."""
        self._mask_shares: dict[str, float] = {}
        self._sizes: dict[str, str] = {}

    def __call__(self, watch: ProgressCallback) -> Scores:
        """Score, write scores.parquet and return its whole content.

        Raises `UserError`, before anything is scored, for a metric whose network can't be loaded.
        """
        with self._run.scoring():
            entries = self._entries()
            stored = read_scores(self._run)
            kept, infos = self._kept(entries, stored)
            if stored and MASK_SHARE in stored.table:
                known = stored.table[MASK_SHARE].dropna()
                self._mask_shares |= {str(name): float(share) for name, share in known.items()}
            if stored and SIZE in stored.table:
                self._sizes |= {str(name): str(size) for name, size in stored.table[SIZE].dropna().items()}
            missing = [name for name in entries if not self._is_complete(name, kept[name], entries[name])]
            if missing:
                prepare(self._metrics, keep=True, free=self._free)
            method = self._run.record.identity.method.name
            stage = f"scoring {method}, {self._dataset.name}/{self._dataset.split}"
            advance = watch(stage, len(entries), len(entries) - len(missing))
            scored = dict(self._scored({name: entries[name] for name in missing}, kept, advance))
            infos |= {name: metric.info for name, metric in self._metrics.items()}
            rows = {name: kept[name] | scored.get(name, {}) for name in entries}
            unscored = (stored.unscored if stored else {}) | self._unscored
            scores = Scores(
                pd.concat([_table(entries, rows, list(infos)), self._descriptions(entries)], axis="columns"),
                infos,
                {name: reason for name, reason in unscored.items() if name not in infos},
            )
            write_scores(self._run, scores)
            return scores

    def _entries(self) -> dict[str, LedgerEntry | None]:
        ledger = self._run.ledger()
        return {name: ledger.get(name) for name in self._dataset.ids[: self._run.record.asked]}

    def _is_complete(self, name: str, kept: Mapping[str, Score], entry: LedgerEntry | None) -> bool:
        """Whether a sample has all scores and, if it was generated, its size and the share of its mask."""
        painted = entry is not None and entry.status == "done"
        described = name in self._mask_shares and name in self._sizes
        return self._metrics.keys() <= kept.keys() and (described or not painted)

    def _descriptions(self, names: Iterable[str]) -> pd.DataFrame:
        """Columns that describe the samples in reports: tags, the share of masked pixels, the size."""
        tags, ids = self._dataset.tags(), list(names)
        columns: dict[str, pd.Series] = {
            tag_column(tag): pd.Series([tags.get(name, {}).get(tag) for name in ids], dtype="string")
            for tag in dict.fromkeys(tag for of_sample in tags.values() for tag in of_sample)
        }
        columns[MASK_SHARE] = pd.Series([self._mask_shares.get(name) for name in ids], dtype="Float64")
        columns[SIZE] = pd.Series([self._sizes.get(name) for name in ids], dtype="string")
        return pd.DataFrame(columns).set_axis(pd.Index(ids, name="id", dtype="string"))

    def _kept(
        self, entries: Mapping[str, LedgerEntry | None], stored: Scores | None
    ) -> tuple[dict[str, dict[str, Score]], dict[str, MetricInfo]]:
        """The scores on disk that hold: of the same image, by a metric that hasn't changed."""
        kept: dict[str, dict[str, Score]] = {name: {} for name in entries}
        if stored is None:
            return kept, {}
        same = {
            name: info
            for name, info in stored.metrics.items()
            if name not in self._metrics or self._metrics[name].info.same_numbers(info)
        }
        digests = stored.table["sha256"].fillna("").to_dict()
        for name, row in stored.table.iterrows():
            entry = entries.get(str(name))
            if entry is not None and entry.sha256 is not None and entry.sha256 == digests[name]:
                kept[str(name)] = {
                    metric: Score(None if status else float(row[metric]), status, row.get(note_column(metric), ""))
                    for metric in same
                    if (status := row[status_column(metric)]) in HOLDING
                }
        return kept, same

    def _scored(
        self, entries: Mapping[str, LedgerEntry | None], kept: Mapping[str, Mapping[str, Score]], advance: Advance
    ) -> Iterator[tuple[str, dict[str, Score]]]:
        positions = {name: index for index, name in enumerate(self._dataset.ids)}
        names = self._dataset.ids
        groups = stages(self._metrics, self._free)
        with ThreadPoolExecutor(THREADS) as pool:
            chunks = prefetch(self._decoding(pool, {positions[name]: entry for name, entry in entries.items()}))
            for block in blocks(chunks, _bytes_of, KEPT if len(groups) > 1 else 0):
                scores: dict[int, dict[str, Score]] = {index: {} for pairs in block for index in pairs}
                for group in groups:
                    needed = [[name for name in group if _lacking(name, pairs, names, kept)] for pairs in block]
                    for pairs, metrics in zip(block, needed, strict=True):
                        for index, found in self._score_chunk(pairs, metrics).items():
                            scores[index] |= found
                        if group is groups[-1]:
                            # An image that isn't generated yet doesn't count as a failure.
                            made = {index: pair for index, pair in pairs.items() if entries[names[index]] is not None}
                            advance(len(pairs), sum(isinstance(pair, Failure) for pair in made.values()))
                    if len(groups) > 1 and any(needed):
                        release()
                yield from ((names[index], found) for index, found in scores.items())

    def _decoding(
        self, pool: ThreadPoolExecutor, entries: Mapping[int, LedgerEntry | None]
    ) -> Iterator[dict[int, Future[SampleWithImage | Failure]]]:
        indices, size = list(entries), chunk_size(device_of(self._metrics.values()))
        for start in range(0, len(indices), size):
            chunk = indices[start : start + size]
            yield {index: pool.submit(capture, self._pair, index, entries[index]) for index in chunk}

    def _pair(self, index: int, entry: LedgerEntry | None) -> SampleWithImage:
        if entry is None or entry.status == "failed":
            # Read the sample nevertheless, so that it is counted among the masks of its size.
            capture(self._described, index)
        if entry is None:
            raise SampleError("not generated")
        if entry.status == "failed":
            raise SampleError(f"failed: {entry.error}")
        sample = self._described(index)
        image = read_image(self._content(entry))
        if image.shape != sample.image.shape:
            own, source = (f"{part.shape[1]}x{part.shape[2]}" for part in (image, sample.image))
            self.wrong_sizes[sample.id] = f"{own}, its source is {source}"
            raise SampleError(f"the image is {own}, its source is {source}")
        return sample, image

    def _content(self, entry: LedgerEntry) -> EncodedImage:
        """The bytes of the stored image. Raises `SampleError` if their digest isn't the one in the ledger."""
        path = self._run.image_path(entry)
        if not exists(path):
            raise SampleError(DELETED)
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise SampleError(CHANGED)
        return EncodedImage(content, path.name)

    def _described(self, index: int) -> Sample:
        """Read a sample of the data set, and remember its size and the share of its mask."""
        sample = self._dataset[index]
        self._mask_shares[sample.id] = sample.mask.float().mean().item()
        self._sizes[sample.id] = f"{sample.image.shape[1]}x{sample.image.shape[2]}"
        return sample

    def _score_chunk(
        self, pairs: Mapping[int, SampleWithImage | Failure], metrics: Sequence[str]
    ) -> dict[int, dict[str, Score]]:
        scores = {
            index: {metric: Score(None, pair.error) for metric in metrics}
            for index, pair in pairs.items()
            if isinstance(pair, Failure)
        }
        read = {index: pair for index, pair in pairs.items() if not isinstance(pair, Failure)}
        for size in dict.fromkeys(image.shape for _, image in read.values()):
            group = {index: pair for index, pair in read.items() if pair[1].shape == size}
            batch, images = Batch.of([sample for sample, _ in group.values()]), _stacked(group.values())
            # One tensor for all metrics: metrics that share a network recognise it, and the network runs only once.
            by_metric = {metric: _scores_of(self._metrics[metric], batch, images) for metric in metrics}
            for place, index in enumerate(group):
                scores[index] = {metric: by_metric[metric][place] for metric in metrics}
        return scores


def chunk_size(device: torch.device, total: Free = total_bytes) -> int:
    """The number of images that metrics get in one call on a device."""
    return GPU_CHUNK if device.type == "cuda" and total(device) >= LARGE_GPU else CHUNK


def _lacking(
    metric: str,
    pairs: Mapping[int, SampleWithImage | Failure],
    names: Sequence[str],
    kept: Mapping[str, Mapping[str, Score]],
) -> bool:
    """Whether any of the samples lacks a valid score of the metric."""
    return any(metric not in kept[names[index]] for index in pairs)


def _bytes_of(pairs: Mapping[int, SampleWithImage | Failure]) -> int:
    return sum(
        part.nbytes
        for pair in pairs.values()
        if not isinstance(pair, Failure)
        for part in (pair[0].image, pair[0].mask, pair[1])
    )


def _stacked(pairs: Iterable[SampleWithImage]) -> UInt8[Tensor, "n 3 h w"]:
    return torch.stack([image for _, image in pairs])


def _scores_of(metric: Metric, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> list[Score]:
    values = capture(_values, metric, batch, images)
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
            for score in _scores_of(metric, batch.take([place]), images[place : place + 1])
        ]
    notes = capture(notes_of_metric, metric, batch) if isinstance(metric, Noting) else [""] * len(batch)
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


def notes_of_metric(metric: Noting, batch: Batch) -> list[str]:
    """One note per sample. Raises `SampleError` if the metric returns another number of notes."""
    notes = [str(note) for note in metric.notes(batch)]
    if len(notes) != len(batch):
        raise SampleError(f"the metric has {len(notes)} notes for {len(batch)} images")
    return notes


def _table(
    entries: Mapping[str, LedgerEntry | None], rows: Mapping[str, Mapping[str, Score]], metrics: Sequence[str]
) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {
        "sha256": pd.Series([entry.sha256 if entry else None for entry in entries.values()], dtype="string")
    }
    unknown = Score(None, "not scored")
    for metric in metrics:
        scores = [rows[name].get(metric, unknown) for name in entries]
        columns[metric] = pd.Series([score.value for score in scores], dtype="Float64")
        columns[status_column(metric)] = pd.Series([score.status for score in scores], dtype="string")
        if any(score.note for score in scores):
            columns[note_column(metric)] = pd.Series([score.note for score in scores], dtype="string")
    table = pd.DataFrame(columns)
    table.index = pd.Index(list(entries), name="id", dtype="string")
    return table

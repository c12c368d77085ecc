"""Score the images of a run against its data set, and write scores.parquet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import pandas as pd
import torch

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.metric_info import HOLDING, MetricInfo
from brushbench.core.progress import Advance, ProgressCallback
from brushbench.core.types import Dataset
from brushbench.evaluation.memory import KEPT, Free, blocks, device_of, free_bytes, stages, total_bytes
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.pairs import PairReader, stored_image
from brushbench.evaluation.parts import Described, Pairs, Part, SampleWithImage, Score, scores_of_pairs
from brushbench.evaluation.select_metrics import Selection
from brushbench.runs.folder import Run
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
from brushbench.runs.seed_folders import seed_told
from brushbench.weights.memory import release

CHUNK, GPU_CHUNK = 8, 32
"""Number of images that metrics get in one call."""
LARGE_GPU = 24 * 10**9
"""Bytes of total memory from which a GPU gets the larger number; its free memory differs from run to run."""
Scored = tuple[dict[int, dict[str, Score]], int]
"""The scores of a part, by position and metric, and the number of its samples without any."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What the scores of a run lack when its scoring begins."""

    parts: Sequence[Part]
    """The samples that lack a score, in parts of the number of images that metrics get in one call."""

    entries: Mapping[str, LedgerEntry | None]
    stored: Scores | None
    kept: Mapping[str, dict[str, Score]]
    """The scores on disk that hold, by sample and metric."""
    infos: dict[str, MetricInfo]
    """The facts about the metrics of these scores."""


def nothing_ahead(_part: Part, _found: Described) -> Scored | None:
    """None: no part was scored ahead."""
    return None


@final
class Scoring:
    """Score the images of a run that have no scores yet; scores of unchanged images are kept.

    Threads decode each image once for all metrics, a chunk ahead. If memory is too small for all networks, a block of
    images stays decoded while one network after another is loaded, scores the block, and is released.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        selection: Selection,
        free: Free = free_bytes,
        ahead: Callable[[Part, Described], Scored | None] = nothing_ahead,
    ) -> None:
        """`ahead` returns the scores of a part computed while the run was generated, None if there are none."""
        self._run = run
        self._dataset = dataset
        self._metrics = {metric.info.name: metric for metric in selection.metrics}
        self._unscored = selection.unscored
        self._free = free
        self._ahead = ahead
        self._found = Described()
        self._pair = PairReader(dataset, partial(stored_image, run))

    @property
    def wrong_sizes(self) -> dict[str, str]:
        """Both sizes, as a text, by the id of each sample whose image and source differ in size."""
        return self._found.wrong_sizes

    def __call__(self, watch: ProgressCallback) -> Scores:
        """Score, write scores.parquet and return its whole content.

        Raises `UserError`, before anything is scored, for a metric whose network can't be loaded.
        """
        with self._run.scoring():
            missing = self.missing()
            if missing.parts:
                self.load_networks()
            return self.finish(missing, self._all_scored(missing.parts, self.begin(missing, watch)))

    def begin(self, missing: Missing, watch: ProgressCallback) -> Advance:
        """Say that scoring begins; returns what to call as it goes on."""
        method = self._run.record.identity.method.name
        stage = f"scoring {method}, {self._dataset.name}/{self._dataset.split}{seed_told(self._run.path)}"
        entries = missing.entries
        return watch(stage, len(entries), len(entries) - sum(len(part.entries) for part in missing.parts))

    def finish(self, missing: Missing, scored: Mapping[int, Mapping[str, Score]]) -> Scores:
        """Write scores.parquet with new scores, by position and metric, and return its whole content.

        The caller holds the lock for the run's scoring since it asked what is `missing`.
        """
        entries, stored = missing.entries, missing.stored
        by_id = {self._dataset.ids[index]: found for index, found in scored.items()}
        infos = missing.infos | {name: metric.info for name, metric in self._metrics.items()}
        rows = {name: {**missing.kept[name], **by_id.get(name, {})} for name in entries}
        unscored = (stored.unscored if stored else {}) | self._unscored
        scores = Scores(
            pd.concat([_table(entries, rows, list(infos)), self._descriptions(entries)], axis="columns"),
            infos,
            {name: reason for name, reason in unscored.items() if name not in infos},
        )
        write_scores(self._run, scores)
        return scores

    def missing(self, size: int | None = None) -> Missing:
        """What the scores lack now, in parts of `size` images; None stands for the usual number."""
        entries = self._entries()
        stored = read_scores(self._run)
        if stored and MASK_SHARE in stored.table:
            known = stored.table[MASK_SHARE].dropna()
            self._found.mask_shares.update({str(name): float(share) for name, share in known.items()})
        if stored and SIZE in stored.table:
            self._found.sizes.update({str(name): str(size) for name, size in stored.table[SIZE].dropna().items()})
        kept, infos = self._kept(entries, stored)
        each = size or chunk_size(device_of(self._metrics.values()))
        return Missing(self._parts(entries, kept, each), entries, stored, kept, infos)

    def learn(self, found: Described) -> None:
        """Take over what was found out about samples elsewhere."""
        self._found.add(found)

    def parts(self) -> list[Part]:
        """What would be scored if the run stayed as it is now, in the order in which it would be."""
        return [*self.missing().parts]

    def score_alone(self, part: Part) -> tuple[Scored, Described]:
        """Score a part by itself; raises `UnsettledError` for whatever may end differently when it is tried again."""
        found = Described()
        with ThreadPoolExecutor(THREADS) as pool:
            futures = {
                index: pool.submit(copy_context().run, capture, self._pair, index, entry, found)
                for index, entry in part.entries.items()
            }
        pairs = {index: future.result() for index, future in futures.items()}
        scores = scores_of_pairs({name: self._metrics[name] for name in part.metrics}, pairs, settle=False)
        return (scores, part.failed(pairs)), found

    def load_networks(self) -> None:
        """Load the networks of all metrics; they stay in memory if there is room."""
        prepare(self._metrics, keep=True, free=self._free)

    def fits(self) -> bool:
        """Whether there is memory for the networks of all metrics at once."""
        return len(stages(self._metrics, self._free)) == 1

    def _entries(self) -> dict[str, LedgerEntry | None]:
        ledger = self._run.ledger()
        return {name: ledger.get(name) for name in self._dataset.ids[: self._run.record.asked]}

    def _parts(
        self, entries: Mapping[str, LedgerEntry | None], kept: Mapping[str, Mapping[str, Score]], size: int
    ) -> list[Part]:
        missing = [name for name in entries if not self._is_complete(name, kept[name], entries[name])]
        positions = {name: index for index, name in enumerate(self._dataset.ids)}
        return [
            Part(
                {positions[name]: entries[name] for name in chunk},
                tuple(metric for metric in self._metrics if any(metric not in kept[name] for name in chunk)),
            )
            for chunk in (missing[start : start + size] for start in range(0, len(missing), size))
        ]

    def _is_complete(self, name: str, kept: Mapping[str, Score], entry: LedgerEntry | None) -> bool:
        """Whether a sample has all scores and, if it was generated, its size and the share of its mask."""
        painted = entry is not None and entry.status == "done"
        described = name in self._found.mask_shares and name in self._found.sizes
        return self._metrics.keys() <= kept.keys() and (described or not painted)

    def _descriptions(self, names: Iterable[str]) -> pd.DataFrame:
        """Columns that describe the samples in reports: tags, the share of masked pixels, the size."""
        tags, ids = self._dataset.tags(), list(names)
        columns: dict[str, pd.Series] = {
            tag_column(tag): pd.Series([tags.get(name, {}).get(tag) for name in ids], dtype="string")
            for tag in dict.fromkeys(tag for of_sample in tags.values() for tag in of_sample)
        }
        columns[MASK_SHARE] = pd.Series([self._found.mask_shares.get(name) for name in ids], dtype="Float64")
        columns[SIZE] = pd.Series([self._found.sizes.get(name) for name in ids], dtype="string")
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
        # A row of a frame takes a hundred times as long to read as the same place in a list for each column.
        columns = {metric: _column(stored.table, metric) for metric in same}
        digests = stored.table["sha256"].fillna("").tolist()
        for place, (name, digest) in enumerate(zip(map(str, stored.table.index), digests, strict=True)):
            entry = entries.get(name)
            if entry is not None and entry.sha256 is not None and entry.sha256 == digest:
                kept[name] = {
                    metric: Score(None if status else values[place], status, notes[place] if notes else "")
                    for metric, (values, statuses, notes) in columns.items()
                    if (status := statuses[place]) in HOLDING
                }
        return kept, same

    def _all_scored(self, parts: Sequence[Part], advance: Advance) -> dict[int, dict[str, Score]]:
        """The scores by position and metric."""
        ready = [self._ahead(part, self._found) for part in parts]
        scored: dict[int, dict[str, Score]] = {}
        for scores, failed in filter(None, ready):
            scored |= scores
            advance(len(scores), failed)
        rest = [part for part, found in zip(parts, ready, strict=True) if found is None]
        for scores in self._scored(rest, advance):
            scored |= scores
        return scored

    def _scored(self, parts: Sequence[Part], advance: Advance) -> Iterator[dict[int, dict[str, Score]]]:
        groups = stages(self._metrics, self._free)
        with ThreadPoolExecutor(THREADS) as pool:
            chunks = zip(parts, prefetch(self._decoding(pool, part) for part in parts), strict=True)
            for block in blocks(chunks, lambda chunk: _bytes_of(chunk[1]), KEPT if len(groups) > 1 else 0):
                scores: dict[int, dict[str, Score]] = {index: {} for part, _ in block for index in part.entries}
                for group in groups:
                    needed = [[name for name in group if name in part.metrics] for part, _ in block]
                    for (part, pairs), names in zip(block, needed, strict=True):
                        for index, found in scores_of_pairs(
                            {name: self._metrics[name] for name in names}, pairs
                        ).items():
                            scores[index] |= found
                        if group is groups[-1]:
                            advance(len(pairs), part.failed(pairs))
                    if len(groups) > 1 and any(needed):
                        release()
                yield scores

    def _decoding(self, pool: ThreadPoolExecutor, part: Part) -> dict[int, Future[SampleWithImage | Failure]]:
        return {
            index: pool.submit(capture, self._pair, index, entry, self._found) for index, entry in part.entries.items()
        }


def chunk_size(device: torch.device, total: Free = total_bytes) -> int:
    """The number of images that metrics get in one call on a device."""
    return GPU_CHUNK if device.type == "cuda" and total(device) >= LARGE_GPU else CHUNK


def _bytes_of(pairs: Pairs) -> int:
    return sum(
        part.nbytes
        for pair in pairs.values()
        if not isinstance(pair, Failure)
        for part in (pair[0].image, pair[0].mask, pair[1])
    )


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


def _column(table: pd.DataFrame, metric: str) -> tuple[list[float], list[str], list[str]]:
    """The values, statuses and notes of a metric, by sample; no notes if no sample has one. A missing value is NaN."""
    values = table[metric].to_numpy(np.float64, na_value=np.nan)
    notes = table[name].tolist() if (name := note_column(metric)) in table else []
    return values.tolist(), table[status_column(metric)].tolist(), notes

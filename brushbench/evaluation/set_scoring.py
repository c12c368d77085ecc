"""Compute the features that set metrics compare, for the images of a run and for their references."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import in_threads
from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.files import file_digest
from brushbench.core.progress import ProgressCallback
from brushbench.core.types import Batch, Dataset, Referring, Sample, SetMetric, Sharing
from brushbench.evaluation.pairs import PairReader, stored_image
from brushbench.evaluation.parts import Described
from brushbench.evaluation.select_metrics import ChosenSet
from brushbench.imaging.images import SUFFIXES, read_image
from brushbench.runs.features import (
    Features,
    StoredSet,
    joined,
    read_features,
    read_sets,
    write_features,
    write_sets,
)
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.weights.memory import release
from brushbench.weights.metrics import DIGITS

CHUNK = 32
"""Number of images that a set metric gets in one call."""
EVERY = 8
"""Number of such calls after which the features so far are stored, so that a killed command can be resumed."""
Row = Float32[np.ndarray, " d"]
Pair = tuple[UInt8[Tensor, "3 h w"], UInt8[Tensor, "3 h w"], Sample]


@final
class SetScoring:
    """Bring the features of a run up to date for some set metrics; rows of unchanged images are kept."""

    def __init__(self, run: Run, dataset: Dataset, sets: Sequence[ChosenSet]) -> None:
        self._run = run
        self._dataset = dataset
        self._sets = sets
        self._pair = PairReader(dataset, partial(stored_image, run))
        self._of_data = f"data {run.record.identity.dataset.digest[:16]}"

    def __call__(self, watch: ProgressCallback) -> None:
        """Compute what is missing and store it. Raises `UserError` for a network or a folder that can't be used."""
        with self._run.scoring():
            found = read_sets(self._run)
            done: set[str] = set()
            for chosen in self._sets:
                stored = self._stored(chosen)
                for name in filter(None, (stored.features, stored.references)):
                    if name not in done:
                        done.add(name)
                        self._bring_up_to_date(name, chosen, watch)
                found[stored.info.name] = stored
            write_sets(self._run, found)

    def _stored(self, chosen: ChosenSet) -> StoredSet:
        metric, info = chosen.metric, chosen.metric.info
        network = metric.network if isinstance(metric, Sharing) else f"{info.name} {info.version}, {info.region}"
        folder, references = _reference_of(metric), ""
        if folder:
            digest = _digest_of_folder(folder)
            references = f"{network}; folder {digest}"
            # Distances from different references can't be compared.
            info = replace(info, version=f"{info.version}, references {digest[:DIGITS]}")
        return StoredSet(
            info=info,
            features=f"{network}; {self._of_data}",
            references=references,
            asked=chosen.name,
            options={key: str(value) if isinstance(value, Path) else value for key, value in chosen.options.items()},
        )

    def _bring_up_to_date(self, name: str, chosen: ChosenSet, watch: ProgressCallback) -> None:
        if name.endswith(self._of_data):
            self._of_samples(name, chosen.metric, watch)
        elif read_features(self._run, name) is None:
            folder = _reference_of(chosen.metric)
            write_features(self._run, name, _of_folder(chosen.metric, Path(folder or ""), watch))

    def _of_samples(self, name: str, metric: SetMetric, watch: ProgressCallback) -> None:
        ledger = self._run.ledger()
        asked = list(self._dataset.ids[: self._run.record.asked])
        entries = {each: entry for each in asked if (entry := ledger.get(each)) is not None}
        rows = _Rows.kept(read_features(self._run, name), entries)
        missing = [each for each in entries if each not in rows.digests]
        advance = watch(f"features for {metric.info.name}", len(entries), len(entries) - len(missing))
        positions = {each: place for place, each in enumerate(self._dataset.ids)}
        chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
        for number, chunk in enumerate(chunks, start=1):
            failed = self._add(rows, metric, {each: (positions[each], entries[each]) for each in chunk})
            advance(len(chunk), failed)
            if number % EVERY == 0 and number < len(chunks):
                write_features(self._run, name, rows.features())
        if chunks or set(rows.before) != set(rows.digests):
            write_features(self._run, name, rows.features())

    def _add(self, rows: "_Rows", metric: SetMetric, wanted: Mapping[str, tuple[int, LedgerEntry]]) -> int:
        """Add the rows of a chunk; returns the number of images that can't be compared."""

        def read(each: str) -> Pair | Failure:
            pair = capture(self._pair, *wanted[each], Described())
            return pair if isinstance(pair, Failure) else (pair[1], pair[0].image, pair[0])

        pairs = dict(zip(wanted, in_threads(read, list(wanted)), strict=True))
        rows.reasons.update({each: pair.error for each, pair in pairs.items() if isinstance(pair, Failure)})
        read_pairs = {each: pair for each, pair in pairs.items() if not isinstance(pair, Failure)}
        for size in dict.fromkeys(pair[0].shape for pair in read_pairs.values()):
            group = {each: pair for each, pair in read_pairs.items() if pair[0].shape == size}
            batch = Batch.of([sample for _, _, sample in group.values()])
            images = torch.stack([image for image, _, _ in group.values()])
            for each, own, source in zip(
                group, _rows_of(metric, batch, images), _rows_of(metric, batch, batch.images), strict=True
            ):
                if isinstance(own, Failure):
                    rows.reasons[each] = own.error
                elif isinstance(source, Failure):
                    rows.reasons[each] = source.error
                else:
                    rows.images[each], rows.sources[each] = own, source
                    rows.digests[each] = wanted[each][1].sha256 or ""
        return sum(each in rows.reasons for each in wanted)


class _Rows:
    """Rows by id, as they are collected."""

    def __init__(self) -> None:
        self.images: dict[str, Row] = {}
        self.sources: dict[str, Row] = {}
        self.digests: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.before: tuple[str, ...] = ()

    @classmethod
    def kept(cls, stored: Features | None, entries: Mapping[str, LedgerEntry]) -> "_Rows":
        """The stored rows of images that haven't changed."""
        rows = cls()
        if stored is None or len(stored.sources) != len(stored.ids):
            return rows
        rows.before = stored.ids
        for place, (each, digest) in enumerate(zip(stored.ids, stored.digests, strict=True)):
            entry = entries.get(each)
            if entry is not None and entry.status == "done" and entry.sha256 == digest:
                rows.images[each], rows.sources[each] = stored.images[place], stored.sources[place]
                rows.digests[each] = digest
        return rows

    def features(self) -> Features:
        """The rows as they are stored."""
        images, sources = (joined([row[None] for row in own.values()]) for own in (self.images, self.sources))
        return Features(tuple(self.images), tuple(self.digests.values()), images, sources, self.reasons)


def _rows_of(metric: SetMetric, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> list[Row | Failure]:
    """A row for each image. One bad image doesn't spoil the rest of its batch."""
    made = capture(_features, metric, batch, images)
    if isinstance(made, Failure) and made.out_of_memory:
        release()
        made = capture(_features, metric, batch, images)
    if not isinstance(made, Failure):
        return list(made)
    if len(batch) == 1:
        return [made]
    return [
        row for place in range(len(batch)) for row in _rows_of(metric, batch.take([place]), images[place : place + 1])
    ]


def _features(metric: SetMetric, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n d"]:
    """The features. Raises `SampleError` if the metric returns anything else."""
    found = metric.features(batch, images)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(batch) or not found.is_floating_point():
        shape = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise SampleError(f"the metric returned features {shape}, must be float [{len(batch)}, d]")
    rows: Float32[np.ndarray, "n d"] = found.detach().cpu().float().numpy()
    return rows


def _reference_of(metric: SetMetric) -> str | None:
    return metric.reference if isinstance(metric, Referring) else None


def _digest_of_folder(folder: str) -> str:
    files = _pictures(Path(folder))
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()[:16]


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder of references. Raises `UserError` if it doesn't exist, or has fewer than two."""
    if not folder.is_dir():
        raise UserError(one_line(f"reference={folder}: no such folder"))
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(found) < 2:
        raise UserError(one_line(f"reference={folder}: {len(found)} pictures; valid: a folder with at least two"))
    return found


def _of_folder(metric: SetMetric, folder: Path, watch: ProgressCallback) -> Features:
    """The features of a folder's pictures. Raises `UserError` for a picture that can't be used."""
    files = _pictures(folder)
    advance = watch(f"references of {metric.info.name}", len(files), 0)
    rows: list[Float32[np.ndarray, "1 d"]] = []
    for file, image in _read_all(files):
        nothing = torch.zeros(1, 1, *image.shape[1:], dtype=torch.bool)
        made = capture(_features, metric, Batch((file.name,), image[None], nothing, ("",)), image[None])
        if isinstance(made, Failure) or not np.isfinite(made).all():
            why = made.error if isinstance(made, Failure) else "its features aren't finite"
            raise UserError(one_line(f"{metric.info.name}: {file} can't be a reference: {why}"))
        rows.append(made)
        advance(1, 0)
    names = tuple(file.name for file in files)
    return Features(names, tuple(map(file_digest, files)), joined(rows), np.zeros((0, 1), dtype=np.float32))


def _read_all(files: Sequence[Path]) -> Iterator[tuple[Path, UInt8[Tensor, "3 h w"]]]:
    for start in range(0, len(files), CHUNK):
        part = files[start : start + CHUNK]
        yield from zip(part, in_threads(read_image, part), strict=True)

"""Run folders without images, for reports: what they read is run.json and scores.parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from brushbench.core.metric_info import IDENTICAL, REGIONS, MetricInfo, unscored
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import DatasetIdentity, Identity, MethodIdentity
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


@dataclass(frozen=True)
class Made:
    """A run to write. Values: a number is a score, infinity identical, NaN nothing to score, None failed."""

    method: str
    scores: Mapping[str, Sequence[float | None]]
    dataset: str = "brushbench"
    split: str = "inside"
    protocol: str = "strict"
    options: Mapping[str, object] = field(default_factory=dict)
    seed: int = 1234
    digest: str = "0" * 64
    tags: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    mask_shares: Sequence[float | None] | None = None
    ids: Sequence[str] | None = None
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dtype: str = "float32"
    digests: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    data_options: Mapping[str, object] = field(default_factory=dict)
    size: str = ""
    """Height x width of every sample."""
    suffix: str = ""
    """The suffix of the images that the ledger names; without it there is no ledger."""

    def identity(self) -> Identity:
        return Identity(
            dataset=DatasetIdentity(
                name=self.dataset, split=self.split, digest=self.digest, options=dict(self.data_options)
            ),
            method=MethodIdentity(name=self.method, options=dict(self.options), digests=dict(self.digests)),
            seed=self.seed,
            dtype=self.dtype,
            protocol=self.protocol,
        )

    def write(self, folder: Path) -> Run:
        count = len(next(iter(self.scores.values())))
        run = Run.start(folder, self.identity(), count, self.provenance)
        columns: dict[str, pd.Series] = {"sha256": pd.Series(["0" * 64] * count, dtype="string")}
        for metric, values in self.scores.items():
            status = ["failed" if value is None else unscored(value) for value in values]
            known = [None if why else value for value, why in zip(values, status, strict=True)]
            columns[metric] = pd.Series(known, dtype="Float64")
            columns[status_column(metric)] = pd.Series(status, dtype="string")
            if metric in self.notes:
                columns[note_column(metric)] = pd.Series(self.notes[metric], dtype="string")
        for tag, texts in self.tags.items():
            columns[tag_column(tag)] = pd.Series(texts, dtype="string")
        if self.mask_shares is not None:
            columns[MASK_SHARE] = pd.Series(self.mask_shares, dtype="Float64")
        if self.size:
            columns[SIZE] = pd.Series([self.size] * count, dtype="string")
        ids = list(self.ids) if self.ids is not None else [f"{index:09d}" for index in range(count)]
        table = pd.DataFrame(columns).set_axis(pd.Index(ids, name="id", dtype="string"))
        write_scores(run, Scores(table, {name: info_of(name) for name in self.scores}))
        if self.suffix:
            entries = [
                LedgerEntry(id=name, status="done", image=f"{name}{self.suffix}", sha256="0" * 64) for name in ids
            ]
            lines = "".join(f"{entry.model_dump_json(exclude_none=True)}\n" for entry in entries)
            (folder / "samples.jsonl").write_text(lines)
            # As in a run whose pictures were put away.
            (folder / "images").rmdir()
        return run


def with_images(run: Run) -> Run:
    """Add images to a run, as far as the gate looks: files whose digests are those of the scores."""
    scores = read_scores(run)
    assert scores is not None
    names = [str(name) for name in scores.table.index]
    digests = {name: run.write_image(f"{name}.png", name.encode()) for name in names}
    run.append(*(LedgerEntry(id=name, status="done", image=f"{name}.png", sha256=digests[name]) for name in names))
    scores.table["sha256"] = [digests[name] for name in names]
    write_scores(run, scores)
    return run


def info_of(name: str) -> MetricInfo:
    """Return a metric's facts, also on a region that isn't its default: `psnr@painted`."""
    base, _, region = name.partition("@")
    info = CATALOGUE[base]
    return info.named(next((known for known in REGIONS if known == region), info.region), info.version)


MEANS = {
    "image-reward": (1.2, 0.3),
    "hps": (0.274, 0.02),
    "aesthetic": (6.5, 0.4),
    "psnr": (21.6, 3.0),
    "mse": (0.0093, 0.004),
    "lpips": (0.048, 0.02),
    "clip": (26.4, 2.5),
}
"""The means of a published row, each with a plausible spread."""


def plausible(count: int, seed: int, metrics: Sequence[str] = tuple(MEANS)) -> dict[str, list[float]]:
    """Scores of a method on so many samples, different for every seed."""
    generator = np.random.default_rng(seed)
    return {name: list(generator.normal(*MEANS[name], count).round(6)) for name in metrics}


__all__ = ["IDENTICAL", "MEANS", "Made", "plausible", "with_images"]

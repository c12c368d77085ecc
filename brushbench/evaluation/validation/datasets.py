"""Check the contract of data sets."""

from concurrent.futures import ThreadPoolExecutor

import torch

from brushbench.core.concurrency import THREADS
from brushbench.core.options import checked
from brushbench.core.registry import is_built_in, load_class
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.open import open_dataset
from brushbench.datasets.plug_in import info_of
from brushbench.evaluation.validation.findings import Asked, Violation, default_findings, tried

MOST = 8
"""Number of samples to check, evenly spaced from the first to the last; `data verify` checks all."""


def dataset_violations(asked: Asked) -> list[Violation]:
    """Find what is wrong with a data set. Raises `UserError` for an unknown option and for an invalid value."""
    found: list[Violation] = []
    cls = tried(found, "loading", "", load_class, "dataset", asked.name)
    if cls is None:
        return found
    if hasattr(cls, "Options"):
        checked(asked.name, cls.Options, asked.options)
        found += default_findings(asked.name, cls.Options)
    splits = asked.splits
    if not splits and not is_built_in("dataset", asked.name):
        info = tried(found, "loading", "", info_of, asked.name, cls)
        splits = info.splits if info else ()
    for split in splits or ("inside",):
        opened = tried(found, "loading", f"{split}: ", open_dataset, asked.name, asked.root, split, asked.options)
        if opened is not None:
            found += _looked_at(opened.data, asked, split)
    return list(dict.fromkeys(found))


def _looked_at(dataset: Dataset, asked: Asked, split: str) -> list[Violation]:
    found: list[Violation] = []
    count = len(dataset)
    places = sorted({round(k * (count - 1) / max(1, MOST - 1)) for k in range(MOST)} & {*range(count)})
    samples: dict[int, Sample] = {}
    for place in places:
        sample = tried(found, "error", f"{split}: sample {dataset.ids[place]!r}: ", dataset.__getitem__, place)
        if sample is not None:
            samples[place] = sample
    with ThreadPoolExecutor(THREADS) as pool:
        again = list(pool.map(lambda place: tried([], "error", "", dataset.__getitem__, place), samples))
    for sample, other in zip(samples.values(), again, strict=True):
        if other is None or not _same(sample, other):
            text = f"{split}: sample {sample.id!r} differs when several threads read the data set again"
            found.append(Violation("determinism", text))
    other_digest = tried(found, "error", f"{split}: ", _digest, asked, split)
    digest = tried(found, "error", f"{split}: ", dataset.digest)
    if digest is not None and other_digest is not None and digest != other_digest:
        found.append(Violation("determinism", f"{split}: digest() differs when the data set is opened again"))
    tags = tried(found, "error", f"{split}: ", dataset.tags)
    other_tags = [
        sample.id for sample in samples.values() if tags is not None and {**tags.get(sample.id, {})} != {**sample.tags}
    ]
    if other_tags:
        found.append(Violation("value", f"{split}: sample {other_tags[0]!r} has other tags than tags() returns"))
    return found


def _digest(asked: Asked, split: str) -> str:
    return open_dataset(asked.name, asked.root, split, asked.options).data.digest()


def _same(one: Sample, other: Sample) -> bool:
    same = torch.equal(one.image, other.image) and torch.equal(one.mask, other.mask)
    return same and (one.id, one.caption, dict(one.tags)) == (other.id, other.caption, dict(other.tags))

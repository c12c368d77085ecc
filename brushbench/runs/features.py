"""Read and write the features that set metrics compare, one row per image, in the run folder.

    features/sets.json      the set metrics: their facts, which features each one compares, and how to load it
    features/<digest>.npz   one file for each network and region, which several metrics may share

A file of features contains the ids of the samples, the SHA-256 of each image that was looked at, and float32 rows for
the images and for their sources; or, for a folder of references, only rows for its pictures. It is read without pickle.
A row of an image that has changed since doesn't count, and a file that can't be read counts as missing.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, TypeAdapter

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists, read_bytes
from brushbench.core.metric_info import MetricInfo
from brushbench.runs.folder import Run

FOLDER: Final = "features"
SETS: Final = f"{FOLDER}/sets.json"
LARGEST: Final = 1 << 33
"""Most bytes of a file of features."""
Rows = Float32[np.ndarray, "_ _"]


class StoredSet(BaseModel, extra="forbid", frozen=True):
    """A set metric of a run."""

    info: MetricInfo
    features: str
    """Name of its features."""
    references: str = ""
    """Name of the features of other references; empty for the sources of the same samples."""
    asked: str
    """The name by which the metric is loaded, with the options that differ from its defaults."""
    options: dict[str, str | int | float | bool | None] = {}


_SETS = TypeAdapter(dict[str, StoredSet])


@dataclass(frozen=True)
class Features:
    """The features of some images, and of their sources or of a folder's pictures."""

    ids: tuple[str, ...]
    digests: tuple[str, ...]
    """SHA-256 of each image; of a folder's picture, in the place of an image."""
    images: Rows
    """Rows that aren't finite are of images with nothing to compare."""
    sources: Rows
    """Rows of the sources of the same samples; none for a folder."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why there is no row, by id."""

    def places(self) -> dict[str, int]:
        """The row of each id whose features can be compared."""
        usable = np.isfinite(self.images).all(axis=1)
        if len(self.sources):
            usable &= np.isfinite(self.sources).all(axis=1)
        return {name: place for place, name in enumerate(self.ids) if usable[place]}


def features_file(name: str) -> str:
    """The file with the features of this name, relative to the run folder."""
    return f"{FOLDER}/{hashlib.sha256(name.encode()).hexdigest()[:16]}.npz"


def read_sets(run: Run) -> dict[str, StoredSet]:
    """The run's set metrics by name; none if the file is missing. Raises `UserError` if it is damaged."""
    path = run.path / SETS
    if not exists(path):
        return {}
    found = capture(_SETS.validate_json, read_bytes(path))
    if isinstance(found, Failure):
        raise UserError(one_line(f"{path}: damaged ({found.error}); remove it and score again"))
    return found


def write_sets(run: Run, sets: Mapping[str, StoredSet]) -> None:
    """Replace the description of the run's set metrics."""
    run.write_file(SETS, (json.dumps(_SETS.dump_python(dict(sets), mode="json"), indent=1) + "\n").encode())


def read_features(run: Run, name: str) -> Features | None:
    """The features of this name; None if there are none, or if the file is damaged or holds those of another name."""
    path = run.path / features_file(name)
    if not exists(path):
        return None
    found = capture(_read, path, name)
    return None if isinstance(found, Failure) else found


def _read(path: Path, name: str) -> Features:
    with np.load(io.BytesIO(read_bytes(path, LARGEST)), allow_pickle=False) as arrays:
        if str(arrays["name"]) != name:
            raise UserError(f"{path} holds other features")
        ids, digests = (tuple(map(str, arrays[key])) for key in ("ids", "digests"))
        images, sources = (np.asarray(arrays[key], dtype=np.float32) for key in ("images", "sources"))
        reasons = {str(key): str(value) for key, value in json.loads(str(arrays["reasons"])).items()}
    if len(ids) != len(digests) or len(images) != len(ids) or len(sources) not in (0, len(ids)):
        raise UserError(f"{path} has {len(images)} rows for {len(ids)} samples")
    return Features(ids, digests, images, sources, reasons)


def write_features(run: Run, name: str, features: Features) -> None:
    """Replace the features of this name."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        name=np.array(name),
        ids=np.array(features.ids or (), dtype=str),
        digests=np.array(features.digests or (), dtype=str),
        images=features.images,
        sources=features.sources,
        reasons=np.array(json.dumps(dict(features.reasons))),
    )
    run.write_file(features_file(name), buffer.getvalue())


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts; a part without any usable row may have another number of columns."""
    width = max((part.shape[1] for part in parts if len(part)), default=1)
    wide = [part if part.shape[1] == width else np.full((len(part), width), np.nan, dtype=np.float32) for part in parts]
    return np.concatenate(wide) if wide else np.zeros((0, 1), dtype=np.float32)

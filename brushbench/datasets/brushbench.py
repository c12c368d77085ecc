"""BrushBench, and any data set in its format: `images/` and a mapping file with captions and run-length masks.

Source: BrushNet, arXiv:2403.06976, section 4; the format of its published `mapping_file.json`.
"""

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import cast, final

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, StrictStr, ValidationError
from torch import Tensor
from torch.nn.functional import interpolate

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.types import Sample
from brushbench.datasets.names import in_one_form, one_form
from brushbench.datasets.sidecar import read_sidecar
from brushbench.datasets.source import (
    check_caption,
    check_id,
    check_split,
    check_unicode,
    digest_of,
    existing_folder,
    inside_root,
    iterate,
    usual_size,
)
from brushbench.datasets.tables import read_json, without_repeated
from brushbench.imaging.images import Size, read_image, size_or_none
from brushbench.imaging.masks import brush_strokes, decode_rle

MAPPING_FILES = ("mapping_file.json", "mapping_file_list.json")
FOLDERS = (".", "BrushBench", "BrushDench")
"""Where below the root the mapping file may be; the authors' README misspells it, and real users have that folder."""
MASK_KEYS = {"inside": "inpainting_mask", "outside": "outpainting_mask"}
BRUSH = "brush"
MAX_ATTEMPTS = 100
STROKE_SIDE = 512
"""The size that brush strokes are drawn at; on another, they are reduced or enlarged."""


class _Record(BaseModel):
    """What every entry of a mapping file has; its masks are read by `decode_rle`."""

    image: StrictStr
    caption: StrictStr
    tags: dict[str, str] = {}


@final
class BrushBench:
    """One split of a data set in BrushBench's format.

    A damaged mapping file raises `UserError` when it is opened; a damaged entry raises `SampleError` when that sample
    is asked for. All images of a data set have one size, the one that most of them have: the masks' run lengths mean
    nothing on another. Tags come from the entries, if they have some, and from `sidecar.FILE`.
    """

    def __init__(self, mapping_file: Path, split: str, name: str = "brushbench") -> None:
        check_split(split, (*MASK_KEYS, BRUSH))
        self.name = name
        self.split = split
        self._mapping_file = mapping_file
        self._root = mapping_file.parent
        self._entries = _read_mapping(mapping_file, MASK_KEYS.get(split))
        self._ids = tuple(self._entries)
        self._sidecar = read_sidecar(self._root, self._ids)

    @classmethod
    def open(cls, root: str | Path | None, split: str) -> "BrushBench":
        """`root` is the folder with the mapping file, the folder above it, or the file itself."""
        path = existing_folder(root, "brushbench")
        mapping_file = path if path.is_file() else find_mapping_file(path)
        if mapping_file is None:
            raise UserError(one_line(f"no {' or '.join(MAPPING_FILES)} in {path}"))
        return cls(mapping_file, split)

    @property
    def ids(self) -> Sequence[str]:
        """The keys of the mapping file in Unicode's form NFC, in its order."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags in the mapping file and in `tags.csv`; the latter's hold."""
        return {sample_id: self._tags_or_none(sample_id) for sample_id in self._ids}

    def image_file(self, index: int) -> Path | None:
        """See `OnDisk`."""
        return self._image_or_none(self._ids[index])

    def digest(self) -> str:
        """Hash of the mapping file and of every image that it names."""
        return digest_of([self._mapping_file, *(self._image_or_none(entry) for entry in self._ids)])

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        sample_id = self._ids[index]
        check_id(sample_id)
        record = self._record(sample_id)
        check_caption(record.caption)
        image = read_image(inside_root(self._root, record.image))
        height, width = image.shape[1:]
        if (height, width) != self._size:
            expected = "x".join(map(str, self._size or ()))
            raise SampleError(one_line(f"{record.image}: {height}x{width}, the data set is {expected}"))
        mask = brush_mask(sample_id, height, width) if self.split == BRUSH else self._drawn(sample_id, height, width)
        return Sample(sample_id, image, mask[None], record.caption, self._tags(record, sample_id))

    def _drawn(self, sample_id: str, height: int, width: int) -> Bool[Tensor, "h w"]:
        try:
            mask = decode_rle(self._runs(sample_id), height, width)
        except UserError as error:
            raise SampleError(str(error)) from error
        if not mask.numpy().any():
            raise SampleError(f"{MASK_KEYS[self.split]} is empty: there is nothing to paint")
        return mask

    @cached_property
    def _size(self) -> Size | None:
        return usual_size(size_or_none(self._image_or_none(name)) for name in self._ids)

    def _record(self, sample_id: str) -> _Record:
        try:
            return _Record.model_validate(self._entries[sample_id])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "entry"
            raise SampleError(one_line(f"mapping file: {where}: {first['msg'].lower()}")) from error

    def _runs(self, sample_id: str) -> list[object] | np.ndarray:
        entry, key = self._entries[sample_id], MASK_KEYS[self.split]
        runs = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(runs, list | np.ndarray):
            raise SampleError(f"mapping file: {key}: a list of runs is required")
        return runs

    def _tags(self, record: _Record, sample_id: str) -> Mapping[str, str]:
        return {**record.tags, **self._sidecar.get(sample_id, {})}

    def _tags_or_none(self, sample_id: str) -> Mapping[str, str]:
        try:
            return self._tags(self._record(sample_id), sample_id)
        except SampleError:
            return {}

    def _image_or_none(self, sample_id: str) -> Path | None:
        try:
            return inside_root(self._root, self._record(sample_id).image)
        except SampleError:
            return None


def brush_mask(sample_id: str, height: int, width: int) -> Bool[Tensor, "h w"]:
    """The strokes of the brush split: of the first seed made from the id that gives any."""
    for attempt in range(MAX_ATTEMPTS):
        seed = int.from_bytes(hashlib.sha256(f"brush:{sample_id}:{attempt}".encode()).digest()[:4])
        strokes = brush_strokes(STROKE_SIDE, STROKE_SIDE, seed)
        if (height, width) != strokes.shape:
            strokes = interpolate(strokes[None, None].float(), size=(height, width))[0, 0] > 0
        if strokes.numpy().any():
            return strokes
    raise SampleError(f"no brush stroke meets a picture of {height}x{width}")


def find_mapping_file(root: Path) -> Path | None:
    """The mapping file in `root` or in the data set's folder below it, None if there is none."""
    candidates = (root / folder / name for folder in FOLDERS for name in MAPPING_FILES)
    return next((path for path in candidates if path.is_file()), None)


def _read_mapping(path: Path, masks: str | None) -> dict[str, object]:
    """Its entries; of their runs only those under the key `masks`."""
    content = read_json(path, partial(_packed, masks))
    if isinstance(content, list):
        content = _by_id(path, content)
    if not isinstance(content, dict):
        raise UserError(one_line(f"{path}: must be a dict of samples or a list of them, is {type(content).__name__}"))
    if not content:
        raise UserError(one_line(f"{path}: no samples"))
    check_unicode(path, content)
    in_one_form(str(path), content)
    return {one_form(name): entry for name, entry in content.items()}


def _by_id(path: Path, entries: list[object]) -> dict[str, object]:
    try:
        return without_repeated([(id_of(entry, index), entry) for index, entry in enumerate(entries)])
    except UserError as error:
        raise UserError(one_line(f"{path}: {error}")) from error


def _packed(masks: str | None, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of the file. Its runs are what is large: those that aren't needed go, numbers take four bytes each."""
    record = without_repeated(pairs)
    for key in MASK_KEYS.values():
        runs = record.get(key)
        if isinstance(runs, list):
            record[key] = _small(runs) if key == masks else None
    return record


def _small(runs: list[object]) -> list[object] | np.ndarray:
    try:
        return np.asarray(array("i", cast(list[int], runs)))
    except (TypeError, OverflowError):
        # Not all of them are whole numbers of this size: the decoder says what is wrong, when this sample is asked for.
        return runs


def id_of(entry: object, index: int) -> str:
    """The `image_id` of an entry of the list variant; an entry without one is named by its place."""
    name = entry.get("image_id") if isinstance(entry, dict) else None
    return f"entry-{index}" if name is None else str(name)

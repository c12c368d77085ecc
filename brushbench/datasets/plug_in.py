"""Wrap data sets of plug-ins: check what the suite relies on, and compute what they lack from their samples."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

from brushbench.core.capture import Failure, capture, plugged
from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.plugins.info import checked_info
from brushbench.core.registry import short_name
from brushbench.core.types import Sample
from brushbench.datasets.names import check_id, check_one_form
from brushbench.datasets.source import check_caption, check_split, iterate


@final
class PlugIn:
    """A data set of a plug-in, which needs `ids` and `__getitem__`.

    If it has no `digest()` or no `tags()`, every sample is decoded once to compute them. Raises `UserError` for ids
    that can't be file names, or that occur twice.
    """

    # Any: the object that a plug-in opened, which can be of any type.
    def __init__(self, name: str, split: str, inner: Any, info: DatasetInfo) -> None:
        self.info = info
        self.name = short_name(name)
        self.split = split
        self._what = f"data set {name!r}"
        self._inner = inner
        for needed in ("ids", "__getitem__"):
            if not hasattr(type(inner), needed) and not hasattr(inner, needed):
                raise UserError(f"{self._what} has no {needed}")
        self.ids: Sequence[str] = plugged(self._what, self._checked_ids)

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The plug-in's tags, or else those of its samples; a sample that can't be decoded has none."""
        own = getattr(self._inner, "tags", None)
        return plugged(f"{self._what}: tags()", lambda: _texts(own())) if callable(own) else self._read[1]

    def digest(self) -> str:
        """The plug-in's digest, or else a hash of the pixels, masks, captions and tags of all samples."""
        own = getattr(self._inner, "digest", None)
        digest = plugged(f"{self._what}: digest()", own) if callable(own) else self._read[0]
        if not isinstance(digest, str) or not digest:
            raise UserError(f"{self._what}: digest() returned {type(digest).__name__}, must be a text")
        return digest

    def image_file(self, index: int) -> Path | None:
        """The file of a sample's image, if the plug-in names it."""
        own = getattr(self._inner, "image_file", None)
        return plugged(f"{self._what}: image_file()", own, index) if callable(own) else None

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        sample = capture(self._checked_sample, index, self.ids[index])
        if isinstance(sample, Failure):
            raise SampleError(sample.error)
        return sample

    def _checked_sample(self, index: int, name: str) -> Sample:
        # An object: a plug-in may return anything, so its type is checked.
        sample: object = self._inner[index]
        if not isinstance(sample, Sample):
            raise SampleError(f"the data set returned {type(sample).__name__}, must be brushbench.Sample")
        if sample.id != name:
            raise SampleError(one_line(f"the data set returned the sample {sample.id!r}, must be {name!r}, as in ids"))
        texts = [sample.caption, *sample.tags.keys(), *sample.tags.values()]
        if other := [text for text in texts if not isinstance(text, str)]:
            raise SampleError(
                one_line(f"its caption and tags must be texts, but {other[0]!r} is {type(other[0]).__name__}")
            )
        check_caption(sample.caption)
        return sample

    def _checked_ids(self) -> tuple[str, ...]:
        ids: tuple[str, ...] = tuple(self._inner.ids)
        for name in ids:
            if not isinstance(name, str):
                raise UserError(one_line(f"{self._what}: id {name!r} is of type {type(name).__name__}, must be a text"))
            check_id(name)
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise UserError(one_line(f"{self._what}: the id {twice!r} occurs twice"))
        check_one_form(self._what, ids)
        if not ids:
            raise UserError(f"{self._what} has no samples")
        return ids

    @cached_property
    def _read(self) -> tuple[str, dict[str, Mapping[str, str]]]:
        """The digest and the tags, computed from all samples."""
        total = hashlib.sha256()
        tags: dict[str, Mapping[str, str]] = {}
        for index, name in enumerate(self.ids):
            sample = capture(self.__getitem__, index)
            if isinstance(sample, Sample):
                tags[name] = sample.tags
            for part in (name.encode(), *(_parts(sample) if isinstance(sample, Sample) else [b"damaged"])):
                total.update(hashlib.sha256(part).digest())
        return total.hexdigest(), tags


def _texts(tags: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {str(name): {str(key): str(value) for key, value in own.items()} for name, own in tags.items()}


def _parts(sample: Sample) -> Iterable[bytes]:
    yield repr((sample.caption, sorted(sample.tags.items()), tuple(sample.image.shape))).encode(errors="replace")
    yield sample.image.contiguous().cpu().numpy().tobytes()
    yield sample.mask.contiguous().cpu().numpy().tobytes()


# Any: the class of a data set, which nobody has checked yet, and an object of its options.
def open_plug_in(name: str, cls: Any, root: Path | None, split: str, built: Any) -> PlugIn:
    """Open a plug-in's data set. Raises `UserError` for a class without `open`, and for any error in it."""
    info = info_of(name, cls)
    if info.splits:
        check_split(split, info.splits)
    if not callable(getattr(cls, "open", None)):
        raise UserError(one_line(f"data set {name!r} has no open(root, split)"))
    arguments = (root, split) if built is None else (root, split, built)
    return PlugIn(name, split, plugged(f"data set {name!r} can't be opened", cls.open, *arguments), info)


# Any: the class of a data set, which nobody has checked yet.
def info_of(name: str, cls: Any) -> DatasetInfo:
    """The `info` of a plug-in's class, or the default. Raises `UserError` if it isn't a `DatasetInfo`."""
    info = getattr(cls, "info", DatasetInfo())
    if not isinstance(info, DatasetInfo):
        raise UserError(one_line(f"data set {name!r}: its info is of type {type(info).__name__}, must be DatasetInfo"))
    return checked_info(f"data set {name!r}", info)

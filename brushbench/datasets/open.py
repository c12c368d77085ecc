"""Open data sets by name, with their options."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from brushbench.core.capture import capture
from brushbench.core.dataset_info import DatasetInfo, MaskKind
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_options import stored_options
from brushbench.core.options import Value, build, checked, parameters
from brushbench.core.registry import dataset_info, is_built_in, load_class
from brushbench.core.sizes import SIZE, checked_size
from brushbench.core.types import Dataset
from brushbench.datasets.locate import locate
from brushbench.datasets.places import looked_in
from brushbench.datasets.plug_in import open_plug_in
from brushbench.datasets.resized import resized
from brushbench.datasets.source import OnDisk
from brushbench.imaging.images import image_size


@dataclass(frozen=True, slots=True)
class OpenedDataset:
    """An open data set, and what is known about it. A data set is opened once, and then passed on."""

    name: str
    """The requested name: a registered one, or `path/to/file.py:Class`."""
    root: Path | None
    """Its folder, or None."""
    data: Dataset
    info: DatasetInfo
    options: Mapping[str, JsonValue]
    """All of its options, in the form in which run.json stores them."""

    @property
    def masks(self) -> MaskKind:
        """The kind of masks of its split."""
        return self.info.mask_kind(self.data.split)


def load_dataset(name: str, *, root: str | Path | None = None, split: str = "inside", **options: Value) -> Dataset:
    """Open a data set by name or by `path/to/file.py:Class`, with its options as keywords.

    If `root` is None, its folder is searched for on this machine. A data set is a class with `open(root, split)` or, if
    it has options, with a dataclass `Options` and `open(root, split, options)`.

    Raises `UserError` for an unknown name, split or option, and for files that aren't that data set.

    >>> dataset = load_dataset("photos", split="outside")
    """
    return open_dataset(name, root, split, options).data


def open_dataset(name: str | None, root: str | Path | None, split: str, options: Mapping[str, Value]) -> OpenedDataset:
    """Locate a data set and open it; without a name, BrushBench if it is on this machine, else the embedded one.

    Raises `UserError` as `load_dataset` does.
    """
    found, folder = locate(name, root)
    cls = load_class("dataset", found)
    size = options.get(SIZE) if resizes(cls) else None
    options = {key: value for key, value in options.items() if size is None or key != SIZE}
    built = _built_options(found, cls, options)
    if folder is None and dataset_info(found).download:
        raise UserError(
            one_line(f"data set {found!r} needs its folder: --root DIR; it was not found in {looked_in(found)}")
        )
    if is_built_in("dataset", found):
        data = cast(Dataset, cls.open(folder, split) if built is None else cls.open(folder, split, built))
        info = dataset_info(found)
    else:
        data = open_plug_in(found, cls, folder, split, built)
        info = data.info
    stored = _stored(found, cls, built, options)
    if size is None or _has_already(data, info, checked_size(size)):
        return OpenedDataset(found, folder, data, info, stored)
    return OpenedDataset(found, folder, resized(data, checked_size(size)), info, {**stored, SIZE: checked_size(size)})


# Any: the class of a data set.
def resizes(cls: Any) -> bool:
    """Tell whether the suite resizes the samples of a data set, which has no option `size` of its own."""
    return not hasattr(cls, "Options") or SIZE not in parameters(cls.__name__, cls.Options)


def _has_already(data: Dataset, info: DatasetInfo, size: int) -> bool:
    """Tell whether all images are squares of this size, as far as their files say."""
    if info.side:
        return info.side == size
    if not isinstance(data, OnDisk):
        return False
    files = [data.image_file(index) for index in range(len(data))]
    return all(file is not None and capture(image_size, file) == (size, size) for file in files)


def stored_dataset_options(name: str, options: Mapping[str, Value]) -> dict[str, JsonValue]:
    """All options of a data set in the form in which run.json stores them, including those left at their defaults."""
    cls = load_class("dataset", name)
    return _stored(name, cls, _built_options(name, cls, options), options)


# Any: the class of a data set, and its options; None if it has none.
def _stored(name: str, cls: Any, built: Any, options: Mapping[str, Value]) -> dict[str, JsonValue]:
    if built is None:
        return {}
    stored = stored_options(name, cls.Options, built, checked(name, cls.Options, options))
    # Options that are None are left out, so that runs from before an option existed keep their fingerprints.
    return {key: value for key, value in stored.items() if value is not None or not is_built_in("dataset", name)}


# Any: the class of a data set, and its options; None if it has none.
def _built_options(name: str, cls: Any, options: Mapping[str, Value]) -> Any:
    if hasattr(cls, "Options"):
        return build(name, cls.Options, options)
    if options:
        raise unknown(f"option of {name}", next(iter(options)), [])
    return None

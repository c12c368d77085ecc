"""Search for data sets: in `--root`, `BRUSHBENCH_DATA`, `brushbench.toml` and the platform's data folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import exists, read_toml
from brushbench.core.registry import built_in, dataset_info, registered
from brushbench.datasets.brushbench import find_mapping_file
from brushbench.datasets.editbench_layouts import FOLDER as EDITBENCH
from brushbench.datasets.editbench_layouts import find_layout, has_tables
from brushbench.datasets.source import check_unicode

VARIABLE = "BRUSHBENCH_DATA"
"""Environment variable with the folder of a data set, or the folder above it."""
SETTINGS = "brushbench.toml"
"""Settings file in the working folder."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder to look in, and who named it."""

    folder: Path
    origin: str
    """Who named it, for messages: `--root`, `BRUSHBENCH_DATA`, ..."""
    own: bool
    """Whether it is named for one data set; if False, it is for all, and may contain another one."""


def find_place(name: str, root: str | Path | None = None) -> DataFolder | None:
    """The first place that contains the data set; None if no place does.

    A place that is named for this data set alone is returned without a look inside: the reader says what is missing.
    Raises `UserError` for an invalid `brushbench.toml`, and for a named place that doesn't exist: it may be a disk that
    isn't mounted, and using another place instead could silently use other data.
    """
    if root is not None:
        return DataFolder(Path(root), "--root", own=True)
    return next((place for place in places(name) if place.own or holds(place.folder, name)), None)


def places(name: str) -> Iterator[DataFolder]:
    """The places to search for a data set without `--root`, in order. Raises `UserError` as `find_place` does."""
    if (named := os.environ.get(VARIABLE)) and name in found_by_name():
        yield _there(DataFolder(Path(named), VARIABLE, own=False))
    if setting := _settings(Path(SETTINGS)).get(name):
        yield _there(setting)
    if name in found_by_name():
        yield DataFolder(data_folder(), "the platform's data folder", own=False)


def found_by_name() -> list[str]:
    """The data sets that are recognised by the contents of their folder: those that `data get` knows."""
    return [name for name in built_in("dataset") if dataset_info(name).download]


def _there(place: DataFolder) -> DataFolder:
    """Check that a place exists; a place for a single data set may be a file, such as Parquet."""
    check_unicode(Path(place.origin), [str(place.folder)])
    if not (exists(place.folder) and (place.own or place.folder.is_dir())):
        raise UserError(
            one_line(
                f"{place.origin} names {str(place.folder)!r}, but there is no such folder; valid: an existing folder"
            )
        )
    return place


def data_folder() -> Path:
    """The platform's folder for this suite's data."""
    return user_data_path("brushbench", appauthor=False)


def looked_in(name: str) -> str:
    """The places that were searched for a data set, for a message."""
    return ", ".join(f"{place.folder} ({place.origin})" for place in places(name))


def holds(folder: Path, name: str) -> bool:
    """Whether a data set of `found_by_name` is in a folder or directly below it.

    BrushBench, and a copy of EditBench in its format, differ only in the folder's name.
    """
    is_editbench = folder.absolute().name.lower() == EDITBENCH.lower()
    if name == "brushbench":
        return not is_editbench and find_mapping_file(folder) is not None
    below = folder if is_editbench else folder / EDITBENCH
    return find_layout(below) is not None or has_tables(folder)


def _settings(file: Path) -> dict[str, DataFolder]:
    """Read the folders in `brushbench.toml`, by data set.

    `data = "DIR"` is for all data sets of `found_by_name`; a table `[data]` names a folder for each data set, as in
    `brushbench = "DIR"`.
    """
    if not file.exists():
        return {}
    try:
        content = read_toml(file)
    except ValueError as error:
        raise UserError(one_line(f"{file}: not TOML ({error})")) from error
    for key in content:
        if key != "data":
            raise _wrong(file, unknown("key", key, ["data"]))
    data = content.get("data", {})
    if isinstance(data, str):
        place = DataFolder(_folder(file, data), SETTINGS, own=False)
        return dict.fromkeys(found_by_name(), place)
    if not isinstance(data, dict):
        raise UserError(one_line(f'{file}: wrong data; valid: data = "DIR", or a table [data] with name = "DIR"'))
    valid = [name for name in registered("dataset") if not dataset_info(name).embedded]
    found = {}
    for name, folder in data.items():
        if name not in valid:
            raise _wrong(file, unknown("data set", name, valid))
        if not isinstance(folder, str):
            raise UserError(one_line(f'{file}: wrong data.{name}; valid: a folder, {name} = "DIR"'))
        found[name] = DataFolder(_folder(file, folder), SETTINGS, own=True)
    return found


def _folder(file: Path, text: str) -> Path:
    """Resolve a path from the settings file, relative to the file's folder."""
    if not text or not text.isprintable():
        raise UserError(one_line(f"{file}: {text!r} can't be a folder"))
    try:
        return file.absolute().parent / Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(one_line(f"{file}: {text}: {error}")) from error


def _wrong(file: Path, error: UserError) -> UserError:
    return UserError(one_line(f"{file}: {error}"))

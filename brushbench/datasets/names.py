"""Names of files and samples: one form of Unicode, and an order on which all programs agree.

`é` can be one character, or an `e` followed by an accent. Programs and file systems write either; here both are the
same name, in Unicode's form NFC.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from brushbench.core.errors import one_line
from brushbench.datasets.defects import DataFinding, DefectError, Report, refuse

MAX_ID_BYTES = 128
NOT_IN_NAMES = '/\\:*?"<>|'
"""Characters that no file name may have on some system."""
_NUMBER = re.compile(r"([0-9]+)")


def one_form(name: str) -> str:
    """The name in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name)


def check_one_form(where: object, names: Iterable[str], report: Report = refuse) -> None:
    """Report names that are the same in Unicode's form NFC; the default report raises `UserError`."""
    first: dict[str, str] = {}
    for name in names:
        if (known := first.setdefault(one_form(name), name)) != name:
            alike = said_alike(known, name)
            report(DataFinding("names-alike", one_form(name), alike, refusal=one_line(f"{where}: {alike}")))


def said_alike(first: str, second: str) -> str:
    """Say that two names are the same; they are escaped, since they would look alike."""
    return f"{first!a} and {second!a} are one name, with its accents encoded in two ways"


def order_problem(files: Mapping[str, Path]) -> str:
    """Say why the order of images, by id, is ambiguous, as programs sort them differently; empty if it isn't.

    `10` comes before `2` by its characters, and after it by its number; `B` before or after `a`; `cat-2.png` before
    `cat.png`, but `cat-2` after `cat`.
    """
    names = list(files)
    for how, key in (
        ("as a number", _natural),
        ("with their suffixes", lambda name: one_form(files[name].name)),
        ("where case doesn't count", str.casefold),
        ("as a number, where case doesn't count", lambda name: _natural(name.casefold())),
        ("as their files are written in Unicode", lambda name: files[name].stem),
    ):
        for first, other in zip(sorted(names), sorted(names, key=key), strict=True):
            if first != other:
                return f"{first!r} comes before {other!r} character by character, and after it {how}"
    return ""


def stored_name(folder: Path, name: str) -> str:
    """The path below a folder as the file system stores it, which may be in another form of Unicode.

    A path that doesn't exist is returned unchanged. Raises `DefectError` if two files or folders have the name.
    """
    if name.isascii() and os.path.lexists(folder / name):
        return name
    place = folder
    for part in Path(name).parts:
        found = _listed(place).get(one_form(part), (part,))
        if len(found) > 1:
            raise DefectError(one_line(f"{place.name}/: {said_alike(found[0], found[1])}"), "names-alike")
        place /= found[0]
    return str(place.relative_to(folder)) if place.is_relative_to(folder) else name


def _listed(folder: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        return _names_in(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _names_in(folder: Path, _changed: int) -> Mapping[str, tuple[str, ...]]:
    """The names in a folder by their NFC form; cached until the folder changes."""
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        found[one_form(name)] = (*found.get(one_form(name), ()), name)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key that compares digits as numbers."""
    parts = _NUMBER.split(name)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def check_id(sample_id: str) -> None:
    """Raises `DefectError` for an id that can't be the name of a file on every system."""
    printable = sample_id.isprintable() and not set(sample_id) & set(NOT_IN_NAMES)
    if not sample_id or not printable or sample_id[0] in ". " or len(sample_id.encode(errors="replace")) > MAX_ID_BYTES:
        valid = f"valid: 1 to {MAX_ID_BYTES} bytes, none of {' '.join(NOT_IN_NAMES)}, and no dot or space first"
        raise DefectError(one_line(f"id can't be a file name ({valid}): {sample_id[:80]!r}"), "bad-id")

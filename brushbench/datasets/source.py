"""Helpers for all readers: safe names, splits, checks and digests."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import file_digest
from brushbench.core.types import Sample
from brushbench.datasets.defects import DataFinding, DefectError, Report, refuse
from brushbench.datasets.names import one_form, said_alike, stored_name
from brushbench.imaging.images import SUFFIXES, UNREAD_SUFFIXES, Size

MAX_CAPTION = 2000
"""Most characters of a caption. Text encoders read 77 tokens, so a longer text is no caption."""
MAX_NAME_BYTES, MAX_PATH = 255, 1024
"""The longest name that file systems accept, and more characters than any path in a data set has."""


@runtime_checkable
class Indexed(Protocol):
    """Anything with ids that returns samples by position."""

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in order."""
        ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class OnDisk(Protocol):
    """A data set with image files."""

    def image_file(self, index: int) -> Path | None:
        """The file of a sample's image; None if it names none, or one that isn't allowed."""
        ...


def iterate(samples: Indexed) -> Iterator[Sample]:
    """The samples in order."""
    return (samples[index] for index in range(len(samples.ids)))


def existing_folder(root: str | Path | None, dataset: str) -> Path:
    """`root` as a path that exists. Raises `UserError` if it is missing."""
    if root is None:
        raise UserError(f"data set {dataset!r} needs its folder: --root DIR")
    path = Path(root)
    try:
        found = path.exists()
    except OSError as error:
        raise UserError(one_line(f"data set {dataset!r}: {path}: {error.strerror}")) from error
    if not found:
        raise UserError(one_line(f"data set {dataset!r}: no such folder: {path}"))
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise UserError(one_line(f"data set {dataset!r}: {path}: no permission to read it"))
    return path


def check_split(split: str, valid: Iterable[str]) -> None:
    """Raises `UserError`, with the nearest valid one, for a split that the data set doesn't have."""
    if split not in valid:
        raise unknown("split", split, valid)


def check_unicode(where: Path, names: Iterable[str], report: Report = refuse) -> None:
    """Report the first sample name that can't be stored in a result; the default report raises `UserError`."""
    bad = next((name for name in names if has_surrogate(name)), None)
    if bad is not None:
        why = one_line(f"{where}: {bad[:80]!r} is not valid Unicode: it has a lone surrogate")
        report(DataFinding("unreadable", "data set", why, refusal=why))


def has_surrogate(text: str) -> bool:
    """Whether a text contains half of a character, which can't be encoded."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def check_caption(caption: str) -> None:
    """Raises `DefectError` for a caption that is too long, or that can't be encoded."""
    if len(caption) > MAX_CAPTION:
        raise DefectError(f"caption has {len(caption)} characters; valid: up to {MAX_CAPTION}", "bad-caption")
    if has_surrogate(caption):
        raise DefectError("caption is not valid Unicode: it has a lone surrogate", "bad-caption")


def check_mask_size(mask: Bool[Tensor, "... h w"], size: Size) -> None:
    """Raises `DefectError` if a mask and its image differ in size."""
    found = tuple(mask.shape[-2:])
    if found != size:
        detail = f"{found[0]}x{found[1]}, its image is {size[0]}x{size[1]}"
        raise DefectError(f"mask is {detail}", "mask-size", detail)


def check_painted(mask: Bool[Tensor, "... h w"], what: str = "mask") -> None:
    """Raises `DefectError` if a mask is empty."""
    if not mask.numpy().any():
        raise DefectError(f"{what} is empty: there is nothing to inpaint", "mask-empty")


def usual_size(sizes: Iterable[Size | None]) -> Size | None:
    """The most frequent size; None if no size is known."""
    counts = Counter(size for size in sizes if size)
    return counts.most_common(1)[0][0] if counts else None


def inside_root(root: Path, name: str) -> Path:
    """The path `root/name`, in the form of Unicode in which the file system stores it.

    Raises `DefectError` if it leads out of `root`, also through a link, or if two files have this name.
    """
    if len(name) > MAX_PATH:
        raise _outside(f"file name is too long for any file: {name[:80]!r}")
    try:
        path = (root / stored_name(root, name)).resolve()
    # Circular links, names that are too long, null characters, lone surrogates.
    except (OSError, RuntimeError, ValueError) as error:
        raise _outside(f"image {name[:80]!r} can't be a file ({error})") from error
    if any(len(part.encode(errors="replace")) > MAX_NAME_BYTES for part in path.parts):
        raise _outside(f"file name is too long for any file: {name[:80]!r}")
    if not path.is_relative_to(root.resolve()):
        raise _outside(f"image {name!r} is outside the data set's folder")
    return path


def _outside(message: str) -> DefectError:
    return DefectError(one_line(message), "image-outside")


def images_in(folder: Path, report: Report = refuse) -> dict[str, Path]:
    """The image files of a folder by their stem in Unicode's form NFC, sorted.

    Reports files that differ only in their suffix or in how accents are encoded, and names that aren't Unicode; the
    default report raises `UserError`. A folder that can't be read always raises `UserError`.
    """
    found: dict[str, Path] = {}
    for path in _files_in(folder, SUFFIXES):
        name = one_form(path.stem)
        first = found.setdefault(name, path)
        if first is not path:
            kind = "duplicate-id" if first.stem == path.stem else "names-alike"
            both, two = _said_two(first, path), f"{folder.name}/ has two images"
            report(DataFinding(kind, name, f"{two}: {both}", refusal=one_line(f"{two} for {name!r}: {both}")))
    check_unicode(folder, found, report)
    return found


def unread_in(folder: Path) -> str:
    """Count the pictures of a folder in unsupported formats, by suffix, as a text; empty if there are none.

    Raises `UserError` if the folder can't be read.
    """
    counts = Counter(path.suffix.lower() for path in _files_in(folder, UNREAD_SUFFIXES))
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))


def _files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    try:
        found = (path for path in folder.iterdir() if path.suffix.lower() in suffixes)
        names = [path.name for path in found if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(one_line(f"{folder}: can't be read ({error.strerror})")) from error
    return [folder / name for name in sorted(names, key=lambda name: (one_form(name), name))]


def _said_two(first: Path, other: Path) -> str:
    """Name two files that belong to the same sample, for a message."""
    alike = first.stem != other.stem
    return said_alike(first.name, other.name) if alike else f"{first.name} and {other.name}"


def digest_of_parts(parts: Iterable[bytes | Path | None]) -> str:
    """SHA-256 over the SHA-256 of every part, which is bytes or a file; a missing file is a part of its own kind."""
    total = hashlib.sha256()
    for part in parts:
        total.update(_digest(part))
    return total.hexdigest()


def _digest(part: bytes | Path | None) -> bytes:
    if isinstance(part, bytes):
        return hashlib.sha256(part).digest()
    if part is None or not _is_file(part):
        return b"missing"
    return bytes.fromhex(file_digest(part))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

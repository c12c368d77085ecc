"""URLs of object stores, as they are given in place of a folder."""

import os
import re
from dataclasses import dataclass

from brushbench.core.errors import UserError, one_line

EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "memory": ""}
"""The schemes, each with the extra of this package that it needs."""
VALID = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or a folder"
LONGEST = 200
"""Bytes in a part of a URL, so that it can be the name of a folder, too."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A `Path` has lost one of the two slashes.
_OF_PATH = re.compile(r"(s3|gs|gcs|memory):/(?!/)")
_FILE = re.compile(r"(?:file|local)://(?:localhost(?=/))?")


@dataclass(frozen=True, slots=True)
class Url:
    """A place in an object store: the bucket is the first of its parts."""

    scheme: str
    parts: tuple[str, ...]

    def __truediv__(self, name: str) -> "Url":
        return Url(self.scheme, (*self.parts, *filter(None, name.split("/"))))

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.parts)}"


def url_in(place: str | os.PathLike[str]) -> Url | None:
    """The URL that was given as a place; None for a folder on this machine, also if it is given as file://.

    Raises `UserError` for a URL that can't contain runs.
    """
    text = os.fspath(place)
    if _FILE.match(text) or not (found := _SCHEME.match(text) or _OF_PATH.match(text)):
        return None
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme not in EXTRAS:
        raise UserError(one_line(f"{text}: runs can't be stored by {scheme}://; valid: {VALID}"))
    parts = tuple(rest.strip("/").split("/")) if scheme == "memory" else tuple(rest.removesuffix("/").split("/"))
    if not all(map(_is_usable, parts)):
        reason = f"a part is empty, . or .., has over {LONGEST} bytes, or has characters that can't be printed"
        raise UserError(one_line(f"{text}: not a place for runs: {reason}; valid: {VALID}"))
    return Url("gs" if scheme == "gcs" else scheme, parts)


def folder_in(place: str | os.PathLike[str]) -> str:
    """The folder that was given as a path or as file://."""
    return _FILE.sub("", os.fspath(place), count=1)


def _is_usable(part: str) -> bool:
    return part.isprintable() and part not in ("", ".", "..") and len(part.encode(errors="replace")) <= LONGEST

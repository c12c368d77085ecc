"""Requests to an object store. Each is repeated if the store fails, and raises an error of one line if it goes on.

    StoreError      the store didn't answer, or not in full, however often it was asked: the run can be resumed
    UserError       the request can't succeed: no such bucket, no permission, no credentials

The client libraries repeat many requests themselves; what they give up, or don't notice, is repeated here.
"""

import base64
import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from errno import EIO
from typing import Any, TypeVar, final

from brushbench.core.errors import UserError, one_line
from brushbench.storage.urls import EXTRAS, Url

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a request is repeated."""
LONGEST_SECONDS = 180.0
"""Time after which a request is given up, as the libraries wait without end for some answers."""
PATIENCE_SECONDS = 90.0
"""No request is repeated after this time, as the libraries' own repetitions can take long."""
CHECK = "check the bucket's name, the credentials and the endpoint"
_RAISED = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("gcsfs.retry", "ChecksumError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
"""What libraries raise besides `OSError`, by module."""
_UNFIT = re.compile("Credential|Profile|Token|ParamValidation|NoRegion|UnknownEndpoint|UnauthorizedSSO|GoogleAuth")
"""In the names of errors that no repetition ends."""
_NOWHERE = ("EndpointConnectionError", "ConnectTimeoutError", "ClientConnectorError")
"""Names of the errors for a server that doesn't answer at all."""
_FORBIDDEN = "Forbidden: "
"""How gcsfs begins the text of an error for what isn't permitted."""
_IS_MD5 = re.compile(r"[0-9a-f]{32}").fullmatch
T = TypeVar("T")


class StoreError(OSError):
    """An object store failed for longer than it was waited for."""


class _DamagedError(OSError):
    """An object isn't what was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing describes it."""

    size: int
    version: str
    """Changes whenever the object is replaced."""
    modified: float
    """When it was stored, by the store's clock, in seconds."""
    md5: str
    """The MD5 of its content, hexadecimal; empty if the store doesn't say it."""


@final
class Store:
    """The objects below a URL, each named by its path there."""

    def __init__(self, url: Url) -> None:
        """Raises `UserError` if the library for the store isn't installed."""
        self.url = url
        self._files = _file_system(url)
        self._tags_are_md5 = True
        self._was_reached = False
        # Files in memory know no limit.
        self._limit = {"timeout": LONGEST_SECONDS} if self._files.async_impl else {}
        self._root = str(self._files._strip_protocol(str(url))).rstrip("/")

    def check(self) -> None:
        """Raise `UserError` or `StoreError` if the bucket doesn't exist or can't be read."""
        try:
            self._repeated("listing", "", lambda: self._files.ls(self._root, **self._limit))
        except FileNotFoundError:
            bucket = Url(self.url.scheme, self.url.parts[:1])
            if self.url.scheme == "memory":
                return
            try:
                self._repeated("listing", "", lambda: self._files.ls(self._root.partition("/")[0], **self._limit))
            except FileNotFoundError as error:
                raise UserError(one_line(f"{self.url}: no such bucket: {bucket}; {CHECK}")) from error

    def top(self) -> dict[str, Entry | None]:
        """The objects directly below the URL by name, and None for each folder; empty if there is nothing."""
        try:
            found = self._repeated("listing", "", lambda: self._files.ls(self._root, detail=True, **self._limit))
        except FileNotFoundError:
            return {}
        return {
            name: None if info["type"] == "directory" else _entry(info)
            for info in found
            if (name := self._name(info["name"]))
        }

    def within(self, folder: str) -> dict[str, Entry]:
        """All objects in a folder at any depth, by their names below the URL; an empty name stands for the URL."""
        try:
            found = self._repeated(
                "listing", folder, lambda: self._files.find(self._key(folder), detail=True, **self._limit)
            )
        except FileNotFoundError:
            return {}
        return {self._name(name): _entry(info) for name, info in found.items() if info["type"] != "directory"}

    def folders_with(self, file: str) -> list[str]:
        """The folders that have a file of this name, at any depth but not inside each other or hidden ones."""
        found, waiting = [], [""]
        while waiting:
            place = waiting.pop()
            here = Store(self.url / place).top()
            if here.get(file) is not None:
                found.append(place)
            else:
                folders = (name for name, entry in here.items() if entry is None and not name.startswith("."))
                waiting += [f"{place}/{name}".lstrip("/") for name in folders]
        return found

    def read(self, name: str) -> bytes:
        """The content of an object. Raises `FileNotFoundError` if it doesn't exist."""
        return self._repeated("reading", name, lambda: bytes(self._files.cat_file(self._key(name), **self._limit)))

    def version(self, name: str) -> str:
        """The version of an object. Raises `FileNotFoundError` if it doesn't exist."""
        return _entry(self._repeated("reading", name, lambda: self._files.info(self._key(name), **self._limit))).version

    def write(self, name: str, content: bytes) -> Entry:
        """Store an object as a whole, replacing an earlier one, and check that the store has all of it."""

        def put() -> Entry:
            self._files.pipe_file(self._key(name), content, **self._limit)
            return self._checked(name, content)

        return self._there(name, put)

    def create(self, name: str, content: bytes) -> bool:
        """Store an object if none has its name, and tell whether this was so.

        A store that can't do this replaces the object.
        """

        created = False

        def put() -> bool:
            nonlocal created
            try:
                self._files.pipe_file(self._key(name), content, mode="create", **self._limit)
                created = True
            except FileExistsError:
                if not created:
                    return self._is(name, content)
            try:
                self._checked(name, content)
            except _DamagedError:
                # It is this process's own, so it may be stored again.
                self._files.rm_file(self._key(name), **self._limit)
                created = False
                raise
            return True

        return self._there(name, put)

    def remove(self, name: str) -> None:
        """Delete an object, which may not exist."""
        try:
            self._repeated("deleting", name, lambda: self._files.rm_file(self._key(name), **self._limit))
        except FileNotFoundError:
            return

    def _is(self, name: str, content: bytes) -> bool:
        """Tell whether an object that exists already is from an earlier try, whose answer was lost."""
        try:
            return bytes(self._files.cat_file(self._key(name), **self._limit)) == content
        except FileNotFoundError:
            return False

    def _there(self, name: str, put: Callable[[], T]) -> T:
        try:
            return self._repeated("writing", name, put)
        except FileNotFoundError as error:
            raise UserError(one_line(f"writing {self._named(name)}: {error}; {CHECK}")) from error

    def _checked(self, name: str, content: bytes) -> Entry:
        entry = _entry(self._files.info(self._key(name), **self._limit))
        same = entry.size == len(content)
        if (
            same
            and self._tags_are_md5
            and entry.md5 not in ("", hashlib.md5(content, usedforsecurity=False).hexdigest())
        ):
            # Amazon's key management gives tags that only look like an MD5.
            same = bytes(self._files.cat_file(self._key(name), **self._limit)) == content
            self._tags_are_md5 = not same
        if not same:
            raise _DamagedError(f"the store has other content than was sent ({entry.size} of {len(content)} bytes)")
        return entry

    def _repeated(self, doing: str, name: str, request: Callable[[], T]) -> T:
        began = time.monotonic()
        for pause in (*PAUSES, None):
            try:
                return self._reached(request())
            except FileNotFoundError:
                raise
            except _errors() as error:
                step = one_line(f"{doing} {self._named(name)}")
                if _is_final(error):
                    raise UserError(one_line(f"{step}: {_text(error)}; {CHECK}", 1000)) from error
                # Where nothing ever answered, the address is probably wrong.
                is_nowhere = not self._was_reached and type(error).__name__ in _NOWHERE
                if pause is None or is_nowhere or time.monotonic() - began > PATIENCE_SECONDS:
                    failed = StoreError(EIO, f"{_text(error)}; {CHECK}, or wait")
                    failed.add_note(step)
                    raise failed from error
            time.sleep(pause)
        raise AssertionError

    def _reached(self, answer: T) -> T:
        self._was_reached = True
        return answer

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _name(self, key: str) -> str:
        return key.removeprefix(self._root).strip("/")

    def _named(self, name: str) -> str:
        return f"{self.url}/{name}" if name else str(self.url)


# Any: a file system of fsspec, which has no types.
def _file_system(url: Url) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(url.scheme, use_listings_cache=False)
    except ImportError as error:
        extra = EXTRAS[url.scheme]
        raise UserError(
            f"{url.scheme}:// needs a library that isn't installed: pip install 'brushbench[{extra}]'; valid without "
            "it: a folder"
        ) from error
    except _errors() as error:
        raise UserError(one_line(f"connecting to {url}: {_text(error)}; {CHECK}", 1000)) from error


def _errors() -> tuple[type[Exception], ...]:
    # A setting of fsspec that its library doesn't know is a `TypeError`.
    return (
        OSError,
        TypeError,
        ValueError,
        *(getattr(sys.modules[module], name) for module, name in _RAISED if module in sys.modules),
    )


def _is_final(error: Exception) -> bool:
    """Tell whether a repetition of the request would fail, too."""
    if isinstance(error, PermissionError | TypeError | ValueError) or _UNFIT.search(type(error).__name__):
        return True
    if str(error).startswith(_FORBIDDEN):
        return True
    code = str(getattr(error, "code", ""))
    return code.isdecimal() and 400 <= int(code) < 500 and code not in ("408", "429")


def _text(error: Exception) -> str:
    return one_line(getattr(error, "strerror", None) or str(error)) or type(error).__name__


# Any: what fsspec says of an object, which each store says in its own way.
def _entry(info: Mapping[str, Any]) -> Entry:
    tag = str(info.get("ETag", info.get("etag", ""))).strip('"')
    told = next((info[key] for key in ("LastModified", "updated", "mtime", "created") if key in info), 0.0)
    when = datetime.fromisoformat(told) if isinstance(told, str) else told
    modified = when.timestamp() if isinstance(when, datetime) else float(when)
    md5 = base64.b64decode(info["md5Hash"]).hex() if "md5Hash" in info else tag
    return Entry(int(info["size"]), tag or f"{info['size']}-{modified}", modified, md5 if _IS_MD5(md5) else "")

"""Download one file, resuming where it broke off, and check it at the end."""

import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, final
from urllib.parse import urlsplit

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest

MAX_BYTES = 64 << 30
PAUSES = (0.0, 1.0, 4.0)
"""Seconds to wait before each attempt."""
PATIENCE_SECONDS = 30.0
"""Seconds without a single byte, after which the next attempt begins."""
SLOWEST, SLOW_SECONDS = 1000, 30.0
"""Fewest bytes per second, and seconds below that rate after which the download is given up."""
_CHUNK = 1 << 18
_clock = time.monotonic
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError)
Tell = Callable[[int, int | None], None]
"""Called with the number of bytes received so far, and with the file's size if it is known."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A server's answer to the request for a file."""

    start: int
    """Position of the first byte in the file."""
    total: int | None
    """Bytes of the whole file; None if the server does not say."""
    version: str
    """What identifies the file's content on the server; empty if nothing does."""


def download(url: str, target: Path, sha256: str | None, tell: Tell) -> str:
    """Download to `target` and return the file's SHA-256; a `target` that already has it is kept.

    An incomplete file is kept in `target`.part. Raises `UserError` for a file that cannot be downloaded, for a server
    that sends too little or too much, and for a wrong checksum.
    """
    _check(url, sha256)
    wanted = sha256.lower() if sha256 else None
    if target.is_file():
        found = file_digest(target)
        if wanted in (None, found):
            return found
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            _go_on(url, part, tell)
            break
        except _BROKEN as error:
            problem = str(error) or type(error).__name__
    else:
        there = part.stat().st_size if part.is_file() else 0
        what = f"broke off after {there} bytes ({problem}); run the same command again to resume"
        raise UserError(one_line(f"{without_secrets(url)}: {what if there else f'cannot be reached ({problem})'}"))
    found = file_digest(part)
    _note(part).unlink(missing_ok=True)
    if wanted not in (None, found):
        part.unlink()
        raise UserError(
            one_line(f"{without_secrets(url)}: the SHA-256 is {found}, not {wanted}; the download was removed")
        )
    part.replace(target)
    return found


def without_secrets(url: str) -> str:
    """Return an address without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _check(url: str, sha256: str | None) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise UserError(one_line(f"address {url!r}; valid: http://... and https://..."))
    if sha256 is not None and not _SHA256.fullmatch(sha256.lower()):
        raise UserError(one_line(f"SHA-256 {sha256!r}; valid: 64 hexadecimal digits"))


def _go_on(url: str, part: Path, tell: Tell) -> None:
    """Append the missing bytes; start over if the server cannot resume, or has another version of the file."""
    there, version = _there(url, part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "brushbench"}
    if there:
        headers |= {"Range": f"bytes={there}-", "If-Range": version}
    try:
        response = _open(url, headers)
    except urllib.error.HTTPError as error:
        error.close()
        if there and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{there}":
                # The last attempt was killed just before the file was renamed.
                return None
            part.unlink()
            return _go_on(url, part, tell)
        raise UserError(
            one_line(f"{without_secrets(url)}: the server answered {error.code} ({error.reason})")
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, _BROKEN):
            raise ConnectionError(str(error.reason)) from error
        raise UserError(one_line(f"{without_secrets(url)}: cannot be reached ({error.reason})")) from error
    with response:
        answer = _answer(response, url)
        if answer.start not in (0, there):
            raise UserError(
                one_line(f"{without_secrets(url)}: the server sent bytes from {answer.start}, not from {there}")
            )
        _check_room(part, answer)
        try:
            atomic.write(_note(part), json.dumps({"url": url, "version": answer.version}).encode())
            with part.open("ab" if answer.start else "wb") as file:
                _copy(response, file, answer, tell)
        except _BROKEN:
            raise
        except OSError as error:
            reason = f"{part}: {error.strerror}; the part is kept, so run the same command again to resume"
            raise UserError(one_line(reason)) from error
    return None


def _open(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    request = urllib.request.Request(url, headers=dict(headers))
    response = _OPENER.open(request, timeout=PATIENCE_SECONDS)
    if not isinstance(response, HTTPResponse):
        raise UserError(one_line(f"{without_secrets(url)}: redirects to an address that is not http or https"))
    return response


def _answer(response: HTTPResponse, url: str) -> _Answer:
    headers = response.headers
    etag = headers.get("ETag", "")
    # Weak ETags say nothing about bytes.
    version = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    if response.status == http.client.PARTIAL_CONTENT:
        if not (found := _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))):
            raise UserError(one_line(f"{without_secrets(url)}: the server sent part of the file without saying which"))
        return _Answer(int(found[1]), None if found[2] == "*" else int(found[2]), version)
    length = headers.get("Content-Length", "")
    return _Answer(0, int(length) if length.isdecimal() else None, version)


def _copy(response: HTTPResponse, file: BinaryIO, answer: _Answer, tell: Tell) -> None:
    there, pace = answer.start, _Pace(without_secrets(response.geturl()))
    # Takes what has arrived without waiting for a whole chunk: a server that sends byte after byte may need days.
    while chunk := pace.timed(lambda: response.read1(_CHUNK)):
        file.write(chunk)
        there += len(chunk)
        if there > min(MAX_BYTES, answer.total or MAX_BYTES):
            raise UserError(f"the server sent more than {min(MAX_BYTES, answer.total or MAX_BYTES)} bytes")
        tell(there, answer.total)
        if there != answer.total:
            pace.check()
    if answer.total is not None and there < answer.total:
        raise ConnectionError(f"only {there} of {answer.total} bytes arrived")


@final
class _Pace:
    """Measures how fast a server sends, over periods of `SLOW_SECONDS` spent waiting for it, not for the disk."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._waited = 0.0
        self._received = 0

    def timed(self, read: Callable[[], bytes]) -> bytes:
        """Read, and count the time that it takes."""
        start = _clock()
        chunk = read()
        self._waited += _clock() - start
        self._received += len(chunk)
        return chunk

    def check(self) -> None:
        """Raise `UserError` at the end of a period in which too little arrived."""
        if self._waited < SLOW_SECONDS:
            return
        if self._received < SLOWEST * self._waited:
            came = f"{self._received} bytes in {self._waited:.0f} seconds"
            least = f"the minimum is {SLOWEST} bytes per second over {SLOW_SECONDS:.0f} seconds"
            kept = "the part is kept, so run the same command again to resume"
            raise UserError(one_line(f"{self._server}: the server is too slow: {came}; {least}; {kept}"))
        self._waited, self._received = 0.0, 0


def _check_room(part: Path, answer: _Answer) -> None:
    if answer.total is None:
        return
    if answer.total > MAX_BYTES:
        raise UserError(f"the file has {answer.total} bytes; the maximum is {MAX_BYTES}")
    free = shutil.disk_usage(part.parent).free
    if (needed := answer.total - answer.start) > free:
        raise UserError(one_line(f"{part.parent}: {needed} bytes are needed, but only {free} are free"))


def _there(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes can be kept and their version; 0 for another address, or without a version."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        version = note["version"] if note["url"] == url else ""
        return (part.stat().st_size, str(version)) if version else (0, "")
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


# Without ftp:// and file://, to which an address could redirect; proxies are taken from the environment.
_OPENER = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
):
    _OPENER.add_handler(_handler())

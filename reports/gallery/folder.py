"""The folder of a gallery: every file is complete or not there at all, and the page that names them is written last.

A name of a picture or of data is made of what is in it, so a page that is there already goes on working while a new one
is built, and after a build that was killed. What no page names is removed when the new page is in its place.
"""

import hashlib
import json
import os
import re
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np
from filelock import FileLock, Timeout

from brushbench.core import atomic
from brushbench.core.errors import UserError, doing, one_line

MARKER, LOCK, PAGE = ".brushbench-gallery", ".lock", "index.html"
PICTURES, FULL, DATA, ASSETS = "thumbs", "full", "data", "assets"
FOLDERS = (PICTURES, FULL, DATA, ASSETS)
KEY = 20
"""Characters of a key, which are hexadecimal: 80 bits."""
_CALL = re.compile(r"^Gallery\.data\.(\w+)\((.*)\);\n$", re.DOTALL)
Json = Mapping[str, object]


def key_of(*parts: str | bytes) -> str:
    """Return the name that stands for this content."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8) + content)
    return found.hexdigest()[:KEY]


@final
class Folder:
    """A folder that a gallery is built in, and what has been used of it since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._earlier: dict[str, list[Path]] | None = None
        """Scripts of earlier builds, by what their names begin with."""
        self._used = array("q")
        """Hashes of names, 8 bytes each, as there are many; if two are equal, a file of no use is kept."""

    def has(self, name: str) -> bool:
        """Tell whether a file is there, which is used from now on; an empty one is what a power cut left."""
        self._used.append(hash(name))
        try:
            return (self.path / name).stat().st_size > 0
        except OSError:
            return False

    def put(self, name: str, content: bytes) -> None:
        """Write a file in one step. The disk isn't waited for: there are thousands, and `has` knows an empty one."""
        self._used.append(hash(name))
        target = self.path / name
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        with doing("writing", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(target)

    def put_script(self, kind: str, place: str, content: Json) -> str:
        """Write data as a script that hands it to the page, under a name of its content; return the name.

        A page from `file://` can't read a file of data, but it can run a script.
        """
        text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        # No character sequence of a caption ends a script or begins a comment.
        script = f"Gallery.data.{kind}({text.replace('<', chr(92) + 'u003c')});\n".encode()
        name = f"{DATA}/{kind}-{place}-{key_of(script)[:8]}.js"
        if not self.has(name):
            self.put(name, script)
        return name

    def earlier(self, kind: str, place: str) -> Iterator[Json]:
        """Yield what earlier builds wrote in this place, if it can be read."""
        if self._earlier is None:
            # Not for each part anew: the more samples, the more parts, and the more files to look through.
            self._earlier = {}
            for file in sorted((self.path / DATA).glob("*-*.js")):
                self._earlier.setdefault(file.name.rpartition("-")[0], []).append(file)
        for file in self._earlier.get(f"{kind}-{place}", ()):
            found = _CALL.match(file.read_text(encoding="utf-8", errors="replace"))
            try:
                content = json.loads(found[2]) if found else None
            except ValueError:
                continue
            if isinstance(content, dict):
                yield content

    def finish(self, page: bytes) -> None:
        """Put the page in its place, then remove what it doesn't name; files of the user's own are left alone."""
        atomic.write(self.path / PAGE, page)
        for file in self.unused():
            file.unlink(missing_ok=True)

    def unused(self) -> Iterator[Path]:
        """Yield the files of earlier builds that this one hasn't used."""
        used = np.unique(np.frombuffer(self._used, dtype=np.int64))
        for file in _files(*(self.path / name for name in FOLDERS)):
            name = hash(file.relative_to(self.path).as_posix())
            place = int(np.searchsorted(used, name))
            if place == len(used) or used[place] != name:
                yield file

    def files(self) -> Iterator[str]:
        """Yield, in the order of their names, those of all files of a finished gallery."""
        for name in sorted((*FOLDERS, PAGE)):
            found = _files(self.path / name) if name in FOLDERS else [self.path / name]
            yield from (file.relative_to(self.path).as_posix() for file in found)


def check_folder(path: Path) -> None:
    """Raise `UserError` for a file, and for a folder that contains anything but a gallery."""
    if path.exists() and not path.is_dir():
        raise UserError(one_line(f"{path} is a file; valid: a folder"))
    if path.is_dir() and not (path / MARKER).exists() and any(path.iterdir()):
        raise UserError(one_line(f"{path} contains other files and no gallery; use another --output"))


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Yield the folder, made if it isn't there, while no other process builds in it.

    Raises `UserError` for a folder that contains anything but a gallery, and if another process is building there.
    """
    check_folder(path)
    with doing("making the folder", path):
        path.mkdir(parents=True, exist_ok=True)
        (path / MARKER).touch()
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(one_line(f"{path}: another process is building this gallery; wait until it is done")) from error
    try:
        yield Folder(path)
    finally:
        lock.release()


def _files(*folders: Path) -> Iterator[Path]:
    """Yield the files in these folders in the order of their names, having listed one folder at a time."""
    for folder in folders:
        for place, below, names in os.walk(folder):
            below.sort()
            yield from (Path(place) / name for name in sorted(names))

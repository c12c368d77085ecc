"""Unpack archives that strangers made: zip and tar (plain, gzip, bzip2, xz)."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, final, runtime_checkable

from brushbench.core.errors import UserError, doing, one_line
from brushbench.core.files import check_file
from brushbench.core.machine import NO_ROOM

MAX_MEMBERS = 200_000
MAX_BYTES = 64 << 30
"""Most bytes of all unpacked files together."""
MAX_RATIO = 100
"""Largest ratio of unpacked to packed size: pictures hardly shrink, and mapping files shrink less than this."""
SMALL = 64 << 20
"""Bytes that any archive may unpack to, whatever its ratio."""
MAX_READ = 32 << 20
"""Most bytes to read at once; both libraries read a central directory or an extended header in one go."""
MAX_NAME_BYTES = 255
MAX_DEPTH = 32
_CHUNK = 1 << 20
_ZIP = (b"PK\3\4", b"PK\5\6")
_END_OF_TAR = bytes(tarfile.BLOCKSIZE)
_BOMB = "archive unpacks to too many bytes for its size; it may be a decompression bomb"
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError),
)
"""What the libraries raise for a damaged archive. `RuntimeError`: a password, an unknown method, nested headers."""


def extract(archive: Path, folder: Path) -> None:
    """Unpack `archive` into `folder`, which must be empty or not exist yet.

    All or nothing: the files are written beside `folder` and moved to it at the end. They have the permissions of new
    files, whatever the archive says. Raises `UserError` for a file that is not zip or tar, for a damaged archive, and
    for members that are neither files nor folders, lead out of `folder`, share a name (ignoring case), or are too many
    or too large for an archive of this size.
    """
    folder = folder.resolve()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(one_line(f"{folder} already exists; an archive is unpacked into a new folder"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".partial") as parts:
            unpacked = Path(parts, "unpacked")
            unpacked.mkdir()
            _unpack(archive, unpacked)
            if folder.is_dir():
                folder.rmdir()
            unpacked.rename(folder)
    except FileNotFoundError as error:
        raise UserError(one_line(f"{archive}: not found ({error.filename})")) from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise UserError(one_line(f"{archive.name}: can't be unpacked ({error})")) from error


@runtime_checkable
class _Stream(Protocol):
    """The reading half of a file."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


@final
class _Limited(io.RawIOBase):
    """A file that refuses to read too much at once, or more than `allowance` bytes in all."""

    def __init__(self, file: _Stream, allowance: int) -> None:
        self._file = file
        self._left = allowance
        self.last = b""
        """The bytes that were read last."""

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            raise UserError(f"archive has a header of more than {MAX_READ} bytes")
        self._left -= len(data)
        if self._left < 0:
            raise UserError(_BOMB)
        self.last = data
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


@final
@dataclass(slots=True)
class _Target:
    """The folder to unpack into, and what was admitted to it so far."""

    root: Path
    left: int
    """Bytes that may still be unpacked."""
    names: set[str] = field(default_factory=set)
    members: int = 0

    def admit(self, name: str, size: int) -> Path | None:
        """Return where a member goes, None for the root itself. Raises `UserError` if it is not allowed."""
        self.members += 1
        self.left -= size
        if self.members > MAX_MEMBERS:
            raise UserError(f"archive has more than {MAX_MEMBERS} members")
        if size < 0 or self.left < 0:
            raise UserError(_BOMB)
        parts = _safe_parts(name)
        return self.root.joinpath(*parts) if parts else None

    def write(self, path: Path, source: _Stream, size: int) -> None:
        """Write `size` bytes of a member to a new file. Raises `UserError` for a second member of that name."""
        key = unicodedata.normalize("NFC", str(path)).casefold()
        if key in self.names:
            raise UserError(one_line(f"archive has {path.relative_to(self.root).as_posix()!r} twice"))
        self.names.add(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with doing("unpacking", path), path.open("xb") as file:
            while size > 0:
                chunk = source.read(min(size, _CHUNK))
                if not chunk:
                    raise EOFError(f"{path.name} ends too early")
                size -= len(chunk)
                file.write(chunk)
            # The library compares the checksum only at the end of the member.
            if source.read(1):
                raise EOFError(f"{path.name} is longer than its header says")


def _unpack(archive: Path, folder: Path) -> None:
    check_file(archive)
    packed = archive.stat().st_size
    allowance = min(MAX_BYTES, max(SMALL, MAX_RATIO * packed))
    target = _Target(folder, allowance)
    with archive.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        # `is_zipfile` looks at the end instead, and a tar may end with a zip.
        if start.startswith(_ZIP):
            _unpack_zip(_Limited(file, packed + 4 * MAX_READ), target)
        else:
            # Headers and padding are at most 1 KiB for each member.
            _unpack_tar(_Limited(_decompressed(file, start), allowance + MAX_MEMBERS * 1024), target)


def _unpack_zip(file: _Limited, target: _Target) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            _unpack_zipped(archive, member, target)


def _unpack_tar(file: _Limited, target: _Target) -> None:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            _unpack_tarred(archive, member, target)
            # Otherwise the library keeps all members in memory.
            archive.members.clear()  # type: ignore[attr-defined]
    # The library takes a damaged header for the end of the archive.
    if file.last != _END_OF_TAR:
        raise EOFError("a header is damaged, or the end is missing")


def _unpack_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: _Target) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(one_line(f"archive has {member.filename!r}, which is a link or a device; only files are valid"))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(one_line(f"archive has {member.filename!r} with a compression other than deflate"))
    path = target.admit(member.filename, member.file_size)
    if path is None or member.is_dir():
        (path or target.root).mkdir(parents=True, exist_ok=True)
        return
    with archive.open(member) as source:
        target.write(path, source, member.file_size)


def _unpack_tarred(archive: tarfile.TarFile, member: tarfile.TarInfo, target: _Target) -> None:
    if not (member.isreg() or member.isdir()) or member.issparse():
        what = "which is a link, a device or sparse; only files are valid"
        raise UserError(one_line(f"archive has {member.name!r}, {what}"))
    path = target.admit(member.name, member.size)
    source = archive.extractfile(member) if member.isreg() else None
    if path is None or source is None:
        (path or target.root).mkdir(parents=True, exist_ok=True)
        return
    target.write(path, source, member.size)


def _safe_parts(name: str) -> tuple[str, ...]:
    """Split a member's name into folders and file. Raises `UserError` for a name that is unsafe on some system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set('\\:*?"<>|'):
        raise UserError(
            one_line(f'archive has {name[:200]!r}, which leads out of the folder or has one of \\:*?"<>| in it')
        )
    if any(len(part.encode(errors="replace")) > MAX_NAME_BYTES for part in path.parts) or len(path.parts) > MAX_DEPTH:
        raise UserError(one_line(f"archive has a name that is too long or too deep: {name[:80]!r}"))
    if not name.isprintable():
        raise UserError(one_line(f"archive has {name[:200]!r}, which has control characters in it"))
    return path.parts


def _decompressed(file: BinaryIO, start: bytes) -> _Stream:
    """Return the tar in `file`, which starts with these bytes."""
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if start == b"\xfd7zXZ\0" else file

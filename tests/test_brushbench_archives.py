import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brushbench.core.errors import UserError
from brushbench.curation.fetch import archives
from brushbench.curation.fetch.archives import extract

FILES = {"EditBench/images/1.png": b"picture" * 1000, "EditBench/mapping_file.json": b"{}", "empty.txt": b""}


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def special(path: Path, kind: bytes, name: str = "link", target: str = "/etc/passwd") -> Path:
    """A good file, then a member that isn't one."""
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("good.txt")
        archive.addfile(good, io.BytesIO())
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, folder: Path, *parts: str) -> None:
    before = sorted(folder.parent.iterdir())
    with pytest.raises(UserError) as error:
        extract(archive, folder)
    message = str(error.value)
    assert message.isprintable()
    assert all(part in message for part in parts), message
    assert sorted(folder.parent.iterdir()) == before, "something was left behind"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_byte_for_byte(tmp_path: Path, mode: str) -> None:
    extract(tarred(tmp_path / "a.tar", FILES, mode), tmp_path / "new" / "data")
    assert tree(tmp_path / "new" / "data") == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_unpacked_byte_for_byte(tmp_path: Path, compression: int) -> None:
    (tmp_path / "data").mkdir()
    extract(zipped(tmp_path / "a.zip", FILES, compression), tmp_path / "data")
    assert tree(tmp_path / "data") == FILES


def test_a_tar_with_a_zip_at_its_end_is_a_tar(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"x": b"1"}).read_bytes()
    extract(tarred(tmp_path / "a.tar", {"y": b"2", "inner.zip": inner}), tmp_path / "data")
    assert set(tree(tmp_path / "data")) == {"y", "inner.zip"}


def test_permissions_of_an_archive_are_not_taken_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("run.sh")
        member.mode = 0o6777
        archive.addfile(member, io.BytesIO())
    extract(tmp_path / "a.tar", tmp_path / "data")
    assert not (tmp_path / "data" / "run.sh").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/etc/out", "..\\out", "C:\\out", "C:out", "a\x1b[31m", "x" * 300, "d/" * 40 + "f"],
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_leaves_the_folder_or_is_unsafe_is_refused(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    refused(make(tmp_path / "archive", {"good.txt": b"good", name: b"bad"}), tmp_path / "data", "archive has")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = special(tmp_path / "a.tar", kind)
    if kind == tarfile.CONTTYPE:  # By POSIX a regular file.
        extract(archive, tmp_path / "data")
    else:
        refused(archive, tmp_path / "data", "'link'", "only files are valid")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = (mode | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    refused(tmp_path / "a.zip", tmp_path / "data", "'link'", "only files are valid")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_two_members_of_one_name_are_refused_also_where_case_does_not_count(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    refused(make(tmp_path / "archive", {"a/B.png": b"1", "a/b.png": b"2"}), tmp_path / "data", "twice")


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 100_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    monkeypatch.setattr(archives, "MAX_READ", 200_000)


@pytest.mark.usefixtures("low_limits")
def test_bombs_are_refused(tmp_path: Path) -> None:
    large = {"a": bytes(1_000_000)}
    refused(zipped(tmp_path / "a.zip", large), tmp_path / "data", "bomb")
    refused(tarred(tmp_path / "a.tar.gz", large, "w:gz"), tmp_path / "data", "bomb")
    many = {str(index): b"" for index in range(51)}
    refused(zipped(tmp_path / "b.zip", many), tmp_path / "data", "more than 50 members")
    refused(tarred(tmp_path / "b.tar", many), tmp_path / "data", "more than 50 members")
    (tmp_path / "c.tar").write_bytes(gzip.compress(_extended_header(250_000)))
    refused(tmp_path / "c.tar", tmp_path / "data", "header of more than 200000 bytes")


def _extended_header(size: int) -> bytes:
    member = tarfile.TarInfo("PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.USTAR_FORMAT) + bytes(size)


def test_headers_in_headers_and_a_size_that_lies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.tar").write_bytes(_extended_header(0) * 5000 + bytes(1024))
    refused(tmp_path / "deep.tar", tmp_path / "data", "deep.tar")
    member = tarfile.TarInfo("a")
    member.size = 1 << 60
    (tmp_path / "lie.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "lie.tar", tmp_path / "data", "bomb")
    content = bytearray(zipped(tmp_path / "lie.zip", {"a": b"abc"}, zipfile.ZIP_STORED).read_bytes())
    central = content.rindex(b"PK\1\2")
    content[central + 24 : central + 28] = struct.pack("<I", 2)
    (tmp_path / "lie.zip").write_bytes(content)
    refused(tmp_path / "lie.zip", tmp_path / "data", "lie.zip")


def test_damage_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    whole = tarred(tmp_path / "a.tar", FILES).read_bytes()
    for name, content in {
        "truncated.tar": whole[:2048],
        "header.tar": whole.replace(b"EditBench/mapping", b"EditBench/nipping", 1),
        "end.tar": whole.rstrip(b"\0"),
        "empty": b"",
        "text": b"<html>not found</html>",
        "half.tgz": gzip.compress(whole)[:-20],
        "half.zip": zipped(tmp_path / "a.zip", FILES).read_bytes()[:-30],
        "crc.zip": zipped(tmp_path / "b.zip", FILES, zipfile.ZIP_STORED)
        .read_bytes()
        .replace(b"picture", b"pidture", 1),
    }.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, tmp_path / "data", name, "can't be unpacked")
    refused(tmp_path / "absent.zip", tmp_path / "data", "not found")


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", FILES)
    extract(archive, tmp_path / "data")
    (tmp_path / "data" / "mine.txt").write_text("mine")
    refused(archive, tmp_path / "data", "already exists")
    assert (tmp_path / "data" / "mine.txt").read_text() == "mine"


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["zip", "tar", "tgz"]))
def test_of_mutated_archives_only_the_suites_error_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    make = {"zip": zipped, "tar": tarred, "tgz": lambda path, files: tarred(path, files, "w:gz")}[kind]
    content = bytearray(make(folder / "archive", {"a/b": b"abc" * 20, "c": b"d"}).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 2048) - 1))] = data.draw(st.integers(0, 255))
    (folder / "archive").write_bytes(content)
    try:
        extract(folder / "archive", folder / "data")
    except UserError:
        assert [path.name for path in folder.iterdir()] == ["archive"]

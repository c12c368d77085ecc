"""`data get` and `data list`: downloads that break off go on, what is wrong is refused, and the rest is said."""

import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import write_benchmark
from file_server import Served, serving
from support import assert_one_line

from brushbench import UserError
from brushbench.curation.fetch import download as downloading
from brushbench.curation.fetch.download import download
from brushbench.curation.fetch.get import Origin, get_dataset

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def untold(_there: int, _total: int | None) -> None:
    pass


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushbench.curation.fetch.download.PAUSES", (0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:
        yield lambda content=CONTENT, **how: stack.enter_context(serving(Served(content, **how)))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A data set as a zip and as a tar, in a folder as archives have it."""
    root = write_benchmark(tmp_path_factory.mktemp("archive") / "BrushBench-main" / "BrushDench")
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root.parent.parent))
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        tar.add(root.parent, "BrushBench-main")
    return {"zip": zipped.getvalue(), "tar": tarred.getvalue()}


def test_a_download(serve, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    digest = download(serve().address, tmp_path / "a", SHA256.upper(), lambda *each: told.append(each))
    assert digest == SHA256
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_it_goes_on_by_itself_where_it_broke_off(serve, tmp_path: Path) -> None:
    served = serve(breaks=[300_000])
    download(served.address, tmp_path / "a", SHA256, untold)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert served.asked == ["", "bytes=300000-"]


def test_the_same_command_goes_on(serve, tmp_path: Path) -> None:
    served = serve(breaks=[300_000, 200_000])
    with pytest.raises(UserError, match=r"broke off after 500000 bytes .*; run the same command again to resume"):
        download(served.address, tmp_path / "a", SHA256, untold)
    assert not (tmp_path / "a").exists()
    download(served.address, tmp_path / "a", SHA256, untold)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert served.asked[-1] == "bytes=500000-"


def test_killed_before_it_got_its_name(serve, tmp_path: Path) -> None:
    served = serve()
    (tmp_path / "a.part").write_bytes(CONTENT)
    (tmp_path / "a.part.json").write_text(json.dumps({"url": served.address, "version": served.etag}))
    download(served.address, tmp_path / "a", SHA256, untold)
    assert served.asked == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("how", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_a_server_that_can_t_go_on_begins_again(how, serve, tmp_path: Path) -> None:
    served = serve(breaks=[300_000], **how)
    download(served.address, tmp_path / "a", SHA256, untold)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("change", ["etag", "url", "note", "shorter"])
def test_another_file_is_never_appended_to_the_old_one(change: str, serve, tmp_path: Path) -> None:
    old = serve(bytes(500_000), breaks=[300_000, 0])
    with pytest.raises(UserError, match="broke off"):
        download(old.address, tmp_path / "a", SHA256, untold)
    if change == "etag":
        old.content, old.etag, served = CONTENT, '"two"', old
    elif change == "shorter":
        old.content, served = CONTENT[:1000], old
    else:
        served = serve()
    if change == "note":
        (tmp_path / "a.part.json").write_text('{"url": 7}')
    expected = served.content
    download(served.address, tmp_path / "a", hashlib.sha256(expected).hexdigest(), untold)
    assert (tmp_path / "a").read_bytes() == expected


def test_a_file_that_is_there_is_only_checked(serve, tmp_path: Path) -> None:
    served = serve()
    (tmp_path / "a").write_bytes(CONTENT)
    assert download(served.address, tmp_path / "a", SHA256, untold) == SHA256
    assert not served.asked
    (tmp_path / "a").write_bytes(b"other")
    assert download(served.address, tmp_path / "a", SHA256, untold) == SHA256
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ({"status": 404}, r"/data\.zip: the server answered 404"),
        ({"status": 403}, "answered 403"),
        ({"status": 500}, "answered 500"),
        ({"content": b"other"}, "the SHA-256 is .*, not .*; the download was removed"),
        ({"length": 10**18}, "the file has 1000000000000000000 bytes; the maximum is"),
        ({"length": 60 << 30}, r"64424509440 bytes are needed, but only \d+ are free"),
        ({"status": 302, "location": "file:///etc/passwd"}, "302|is not http or https|file"),
        ({"status": 302, "location": "ftp://127.0.0.1/x"}, "ftp|302|is not http or https"),
    ],
)
def test_what_can_t_be_downloaded_is_one_line(how, part: str, serve, tmp_path: Path, monkeypatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    served = serve(**how)
    with pytest.raises(UserError, match=part) as error:
        download(served.address, tmp_path / "a", SHA256, untold)
    assert len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_length_is_checked_by_the_checksum(serve, tmp_path: Path) -> None:
    assert download(serve(says_length=False).address, tmp_path / "a", SHA256, untold) == SHA256


def test_a_full_disk_is_one_line(serve, tmp_path: Path) -> None:
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device; the part is kept, so run the same command again"):
        download(serve().address, tmp_path / "a", SHA256, untold)


def test_a_server_that_is_too_slow_is_given_up(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=10_000)
    served, part = serve(), tmp_path / "a.part"
    with monkeypatch.context() as patched:
        patched.setattr(downloading, "_clock", lambda: next(ticks))
        with pytest.raises(UserError) as error:
            download(served.address, tmp_path / "a", None, untold)
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert f"data.zip: the server is too slow: {kept} bytes in 10000 seconds" in str(error.value)
    assert "the minimum is 1000 bytes per second over 30 seconds; the part is kept" in str(error.value)
    # It isn't asked again at once.
    assert served.asked == [""]
    download(served.address, tmp_path / "a", None, untold)
    assert served.asked[1] == f"bytes={kept}-"
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("seconds", "pieces", "slow"),
    [
        (1.0, [999] * 29, False),
        (1.0, [999] * 30, True),
        (1.0, [1000] * 200, False),
        (29.0, [1, 1], True),
        (1.0, [90_000] + [1] * 29 + [1] * 30, True),
        (0.001, [1] * 1000, False),
    ],
)
def test_the_rate_that_is_too_slow(seconds: float, pieces: list[int], slow: bool, monkeypatch) -> None:
    now = 0.0

    def read(size: int) -> bytes:
        nonlocal now
        now += seconds
        return b"x" * size

    monkeypatch.setattr(downloading, "_clock", lambda: now)
    monkeypatch.setattr(downloading, "SLOW_SECONDS", 30.0)
    pace = downloading._Pace("server")
    with pytest.raises(UserError, match="server: the server is too slow") if slow else nullcontext():
        for size in pieces:
            pace.timed(partial(read, size))
            pace.check()


@pytest.mark.parametrize(
    "url", ["", "data.zip", "file:///etc/passwd", "ftp://x/y", "http://", "http://[", "http://x/\n", "http://x y/"]
)
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="valid: http://"):
        download(url, tmp_path / "a", None, untold)


def test_no_secret_is_in_a_message(serve, tmp_path: Path) -> None:
    address = serve(status=404).address.replace("127.0.0.1", "me:password@127.0.0.1") + "?token=secret"
    with pytest.raises(UserError) as error:
        download(address, tmp_path / "a", None, untold)
    assert "password" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_data_set_from_a_link(kind: str, serve, archives, brushbench, tmp_path: Path) -> None:
    served = serve(archives[kind], breaks=[1000])
    arguments = ("data", "get", "--root", tmp_path / "here", "--url", served.address)
    digest = hashlib.sha256(archives[kind]).hexdigest()
    code, out, _ = brushbench(*arguments, "--sha256", digest)
    root = tmp_path / "here" / "BrushBench-main" / "BrushDench"
    assert (code, out.splitlines()[0]) == (0, f"brushbench in {root.parent}, 4 samples")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    asked = len(served.asked)
    assert brushbench(*arguments, "--sha256", digest)[:2] == (0, out)
    assert len(served.asked) == asked


def test_the_place_of_its_own(serve, archives, brushbench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    code, out, err = brushbench("data", "get", "--url", serve(archives["zip"]).address)
    assert code == 0
    assert str(tmp_path / "brushbench" / "BrushBench") in out
    assert hashlib.sha256(archives["zip"]).hexdigest() in err


def test_an_archive_that_is_here(archives, tmp_path: Path, brushbench) -> None:
    (tmp_path / "a.zip").write_bytes(archives["zip"])
    code, out, _ = brushbench("data", "get", "--archive", tmp_path / "a.zip", "--root", tmp_path / "here")
    assert (code, "4 samples" in out) == (0, True)
    assert (tmp_path / "a.zip").exists()


def test_a_page_in_place_of_an_archive(serve, tmp_path: Path, brushbench) -> None:
    served = serve(b"<html>please log in</html>" * 100)
    arguments = ("data", "get", "--url", served.address, "--root", tmp_path / "here")
    assert_one_line(brushbench(*arguments), "can't be unpacked")
    assert not list(tmp_path.iterdir())


def test_an_archive_without_a_data_set(serve, tmp_path: Path, brushbench) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("read me", "nothing")
    code, out, err = brushbench("data", "get", "--url", serve(buffer.getvalue()).address, "--root", tmp_path / "here")
    assert (code, out) == (1, "")
    assert "no data set was recognised" in err


def test_an_archive_that_leads_out(serve, tmp_path: Path, brushbench) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil", "nothing")
    arguments = ("data", "get", "--url", serve(buffer.getvalue()).address, "--root", tmp_path / "a" / "here")
    assert_one_line(brushbench(*arguments), "leads out of the folder")
    assert not (tmp_path / "a" / "evil").exists()


def test_from_the_hub(hub, tmp_path: Path, write_bench) -> None:
    served = write_bench().rename(tmp_path / "served")
    server = hub({"lab/bench": served, "lab/private": (401, "GatedRepo")})
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    code = """
import sys
from pathlib import Path
from brushbench.curation.fetch.get import Origin, get_dataset
from brushbench.core.errors import UserError
here = Path(sys.argv[1])
for _ in range(2):
    got = get_dataset("brushbench", here / "bench", Origin(hub="lab/bench"), print)
    print(got.name, got.root == here / "bench", got.samples)
try:
    get_dataset("brushbench", here / "private", Origin(hub="lab/private"), print)
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["brushbench True 4"] * 2
    assert lines[2].startswith("data set lab/private on the hub: it is gated")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--sha256", "0" * 64), "give one of --url, --archive and --hub"),
        (("--url", "http://x/", "--hub", "a/b"), "give one of"),
        (("--archive", "a.zip", "--sha256", "0" * 64), "--sha256 is only valid with --url"),
        (("--archive", "a.zip", "--revision", "main"), "--revision is only valid with --hub"),
        (("--url", "http://127.0.0.1/", "--sha256", "xyz"), "valid: 64 hexadecimal digits"),
        (("--dataset", "brushbanch"), "did you mean 'brushbench'"),
        (("--archive", "none.zip"), "not found"),
    ],
)
def test_wrong_usage_is_one_line(arguments, part: str, brushbench, tmp_path: Path) -> None:
    assert_one_line(brushbench("data", "get", "--root", tmp_path / "here", *arguments), part)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="exists and holds no data set"):
        get_dataset("brushbench", tmp_path, Origin(archive=tmp_path / "a.zip"), untold)


def test_what_can_t_be_downloaded_is_explained(brushbench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    code, out, _ = brushbench("data", "get", "--dataset", "brushbench", "--root", tmp_path / "BrushBench")
    assert code == 0
    assert "form" in out
    assert "licence" in out
    assert f"brushbench data verify --dataset brushbench --root {tmp_path / 'BrushBench'}" in out
    assert brushbench("data", "get", "--dataset", "papercut")[1] == (
        "papercut is part of the suite; there is nothing to get\n"
    )


def test_list_says_where_everything_is(brushbench, write_bench, monkeypatch) -> None:
    root = write_bench()
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    assert "not on this machine; run `brushbench data get --dataset brushbench`" in brushbench("data", "list")[1]
    monkeypatch.setenv("BRUSHBENCH_DATA", str(root))
    code, out, _ = brushbench("data", "list", "--format", "json")
    found = {each["name"]: each for each in json.loads(out)}
    assert code == 0
    assert (found["brushbench"]["place"], found["brushbench"]["samples"]) == (str(root), 4)
    assert (found["papercut"]["place"], found["papercut"]["samples"]) == ("embedded", 200)
    assert "arXiv:2403.06976" in found["brushbench"]["citation"]
    assert all(each["licence"] for each in found.values())

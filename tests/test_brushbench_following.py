"""A ledger that is followed: every line is read once, a half-written one later, and another file from its beginning."""

import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_runs import Made

from brushbench.core.errors import UserError
from brushbench.runs import following
from brushbench.runs.following import FollowedLedger
from brushbench.runs.ledger import LedgerEntry, entries
from brushbench.runs.status import Watched


def line(name: str, fingerprint: str = "mine") -> bytes:
    entry = LedgerEntry(id=name, status="done", image=f"{name}.png", sha256="0" * 64, fingerprint=fingerprint)
    return f"{entry.model_dump_json(exclude_none=True)}\n".encode()


def append(file: Path, *parts: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(b"".join(parts))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


@pytest.fixture
def followed(file: Path) -> FollowedLedger:
    return FollowedLedger(file, "mine")


def new(followed: FollowedLedger) -> list[str]:
    """The ids of what was appended to a ledger that is still the same."""
    anew, found = followed.appended()
    assert not anew
    return [entry.id for entry in found]


def counted(lines: Iterator[bytes], given: list[bytes]) -> Iterator[bytes]:
    for each in lines:
        given.append(each)
        yield each


def test_each_line_is_read_once(file: Path, followed: FollowedLedger) -> None:
    assert new(followed) == []
    append(file, line("a"), line("b"))
    assert new(followed) == ["a", "b"]
    assert new(followed) == []
    append(file, line("c"))
    append(file, line("a"))
    assert new(followed) == ["c", "a"]


def test_only_what_is_new_is_parsed(file: Path, followed: FollowedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    append(file, *(line(f"{number}") for number in range(100)))
    assert len(new(followed)) == 100
    given: list[bytes] = []
    parsed = following.parsed

    def counting(lines: Iterator[bytes], *more: object) -> object:
        return parsed(counted(lines, given), *more)

    monkeypatch.setattr(following, "parsed", counting)
    append(file, line("last"))
    assert new(followed) == ["last"]
    assert given == [line("last")]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_that_is_half_written_is_read_when_it_is_whole(file: Path, followed: FollowedLedger, cut: int) -> None:
    whole = line("b")
    append(file, line("a"), whole[:cut])
    assert new(followed) == ["a"]
    assert new(followed) == []
    append(file, whole[cut:], line("c"))
    assert new(followed) == ["b", "c"]


def test_half_a_line_that_is_cut_off_changes_nothing(file: Path, followed: FollowedLedger) -> None:
    append(file, line("a"))
    length = file.stat().st_size
    append(file, line("b")[:10])
    assert new(followed) == ["a"]
    with file.open("r+b") as opened:
        opened.truncate(length)
    append(file, line("c"))
    assert new(followed) == ["c"]


def test_a_replaced_file_is_read_anew(file: Path, followed: FollowedLedger) -> None:
    append(file, line("a"), line("b"))
    new(followed)
    other = file.with_name("other")
    # As long as the first one, and longer.
    append(other, line("c"), line("d"), line("e"))
    other.replace(file)
    anew, found = followed.appended()
    assert (anew, [entry.id for entry in found]) == (True, ["c", "d", "e"])
    assert new(followed) == []


@pytest.mark.parametrize("more", [(), ("c",), ("c", "d", "e")], ids=["shorter", "as long", "longer"])
def test_a_file_that_was_cut_off_is_read_anew(file: Path, followed: FollowedLedger, more: tuple[str, ...]) -> None:
    append(file, line("a"), line("b"))
    new(followed)
    with file.open("r+b") as opened:
        opened.truncate(len(line("a")))
    append(file, *map(line, more))
    anew, found = followed.appended()
    assert (anew, [entry.id for entry in found]) == (True, ["a", *more])


def test_a_removed_file_is_empty_until_there_is_another(file: Path, followed: FollowedLedger) -> None:
    append(file, line("a"))
    new(followed)
    file.unlink()
    anew, found = followed.appended()
    assert (anew, list(found)) == (True, [])
    assert new(followed) == []
    append(file, line("b"))
    assert new(followed) == ["b"]


def test_lines_of_other_runs_and_zeros_are_skipped(file: Path, followed: FollowedLedger) -> None:
    append(file, line("a", "other"), b"\0\0\0\n", b"\0" + line("b"))
    assert new(followed) == ["b"]
    assert [entry.id for entry in entries(file, "mine")] == ["b"]


def test_a_damaged_line_is_named_by_its_number(file: Path, followed: FollowedLedger) -> None:
    append(file, line("a"), line("b"))
    new(followed)
    append(file, line("c"), b"no entry\n")
    for _ in range(2):
        with pytest.raises(UserError, match="line 4 is damaged"):
            new(followed)


def counts(watched: Watched) -> tuple[int, int, int]:
    found = watched.status()
    return found.done, found.failed, found.missing


def test_a_watched_run_counts_what_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Made("zeta", {"psnr": [20.0] * 5}).write(tmp_path / "run")
    given: list[bytes] = []
    parsed = following.parsed

    def counting(lines: Iterator[bytes], *more: object) -> object:
        return parsed(counted(lines, given), *more)

    monkeypatch.setattr(following, "parsed", counting)
    watched = Watched(run.path)
    assert counts(watched) == (0, 0, 5)
    run.append(LedgerEntry(id="000000000", status="done", image="000000000.png", sha256="0" * 64))
    run.append(LedgerEntry(id="000000001", status="failed", error="no"))
    assert counts(watched) == (1, 1, 3)
    run.append(LedgerEntry(id="000000001", status="done", image="000000001.png", sha256="0" * 64))
    assert counts(watched) == (2, 0, 3)
    assert watched.status().metrics == {"psnr": 2}
    assert len(given) == 3


def test_a_watched_run_that_starts_over_is_counted_anew(tmp_path: Path) -> None:
    made = Made("zeta", {"psnr": [20.0] * 3}, suffix=".png")
    run = made.write(tmp_path / "run")
    watched = Watched(run.path)
    assert counts(watched) == (3, 0, 0)
    run.ledger_path().write_bytes(b"")
    assert counts(watched) == (0, 0, 3)
    run.append(LedgerEntry(id="000000000", status="failed", error="no"))
    assert counts(watched) == (0, 1, 2)
    shutil.rmtree(run.path)
    other = Made("zeta", {"psnr": [20.0] * 3}, seed=2).write(tmp_path / "run")
    assert counts(watched) == (0, 0, 3)
    other.append(LedgerEntry(id="000000002", status="done", image="000000002.png", sha256="0" * 64))
    assert counts(watched) == (1, 0, 2)


def test_memory_does_not_grow_with_the_lines(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        file = tmp_path / f"{count}"
        # Of different texts, pydantic remembers some thousands.
        append(file, line("same") * count)
        followed = FollowedLedger(file, "mine")
        tracemalloc.start()
        try:
            assert sum(1 for _ in followed.appended()[1]) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(4000) < peak(400) + 100 * len(line("same"))

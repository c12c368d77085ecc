"""The lines of samples.jsonl, one by one."""

from pathlib import Path

import pytest

from brushbench.core.errors import UserError
from brushbench.runs.ledger import LedgerEntry, entries, mend

OURS = "f" * 64
LINE = b'{"id":"a","status":"done","image":"a.png","sha256":"00","fingerprint":"%s"}' % OURS.encode()


def line(name: str, fingerprint: str | None = OURS) -> bytes:
    return LedgerEntry(id=name, status="done", image=f"{name}.png", fingerprint=fingerprint).model_dump_json().encode()


def ids(file: Path) -> list[str]:
    return [entry.id for entry in entries(file, OURS)]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def test_without_a_file_there_is_no_line(ledger: Path) -> None:
    assert ids(ledger) == []
    mend(ledger)
    assert not ledger.exists()


def test_lines_that_do_not_say_for_which_run_count_and_those_of_another_do_not(ledger: Path) -> None:
    ledger.write_bytes(b"\n".join([line("a"), line("b", "0" * 64), line("c", None), b""]))
    assert ids(ledger) == ["a", "c"]


def test_a_line_of_zeros_hides_no_later_one(ledger: Path) -> None:
    ledger.write_bytes(b"\n".join([line("a"), b"\0" * 80, b"", b"\0" + line("b") + b"\0", b""]))
    assert ids(ledger) == ["a", "b"]


def test_a_damaged_line_is_named_by_its_number(ledger: Path) -> None:
    ledger.write_bytes(b"\n".join([line("a"), line("b"), b'{"id":"c"', line("d"), b""]))
    with pytest.raises(UserError, match=r"samples\.jsonl: line 3 is damaged; remove it"):
        ids(ledger)


@pytest.mark.parametrize(
    ("tail", "kept"),
    {
        "nothing": (b"", b""),
        "half a line": (LINE[:40], b""),
        "half a line and zeros": (LINE[:40] + b"\0" * 9, b""),
        "zeros": (b"\0" * 30, b""),
        "a line without its end": (LINE, LINE + b"\n"),
        "a line and zeros": (LINE + b"\0" * 30, LINE + b"\n"),
        "zeros and a line": (b"\0" * 30 + LINE, LINE + b"\n"),
        "a whole line": (LINE + b"\n", LINE + b"\n"),
    }.values(),
)
@pytest.mark.parametrize("before", [b"", line("first") + b"\n" + line("second") + b"\n"])
def test_what_was_not_written_to_its_end_is_mended(before: bytes, tail: bytes, kept: bytes, ledger: Path) -> None:
    ledger.write_bytes(before + tail)
    mend(ledger)
    assert ledger.read_bytes() == before + kept


def test_an_outcome_is_everything_but_the_time_and_the_run() -> None:
    entry = LedgerEntry(id="a", status="failed", error="no", seconds=1.0, fingerprint=OURS)
    assert entry.same_outcome(entry.model_copy(update={"seconds": 2.0, "fingerprint": None}))
    for change in ({"id": "b"}, {"status": "done"}, {"error": "other"}, {"note": "new"}, {"padded": (8, 8)}):
        assert not entry.same_outcome(entry.model_copy(update=change))
    assert not entry.same_outcome(None)

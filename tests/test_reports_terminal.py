"""Tables in a terminal: as wide as it is, styled, with the notes of all tables once; and plain when piped."""

import io
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from report_goldens import COUNTS, HERE, WIDTHS, terminal, terminals
from report_runs import Made, plausible
from rich.cells import cell_len
from rich.console import Console
from terminal import in_forked_terminal

from brushbench.reports.formats import render, shown
from brushbench.reports.formats.terminal import terminal_tables
from brushbench.reports.tables import Report, TableOptions, make_report
from brushbench.runs.folders import expand

STYLE = re.compile(r"\x1b\[[0-9;]*m")
EXPECTED = sorted(file.name for file in (HERE / "terminal").iterdir())


@cache
def report_of(folder: str = "runs", **wanted: object) -> Report:
    # Any: options by name.
    return make_report(expand([HERE / folder]), TableOptions(**wanted))


def seen(report: Report, width: int, **console: object) -> str:
    """What a terminal shows, without its styles."""
    return STYLE.sub("", terminal_tables(shown(report), terminal(width, **console)))


def grid(text: str) -> list[str]:
    """The lines of the tables, above the notes: those from a heading to the next empty line."""
    lines, found, inside = text.splitlines(), [], False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        inside = (inside and bool(line)) or (bool(following) and set(following) <= set("─ "))
        found += [line] if inside and line else []
    return found


@pytest.fixture(scope="module")
def stored() -> dict[str, str]:
    return terminals()


@pytest.mark.parametrize("name", EXPECTED)
def test_tables_fit_their_terminals_byte_for_byte(name: str, stored: dict[str, str]) -> None:
    assert stored[name].encode() == (HERE / "terminal" / name).read_bytes()
    width = int(name.partition("-")[0])
    for line in STYLE.sub("", stored[name]).splitlines():
        assert cell_len(line) <= width, line


def test_every_width_and_number_of_methods_is_stored(stored: dict[str, str]) -> None:
    assert sorted(stored) == EXPECTED
    assert len(EXPECTED) == len(WIDTHS) * len(COUNTS) == 12


@pytest.mark.parametrize("name", EXPECTED)
def test_no_cell_is_wrapped_and_every_number_is_there(name: str, stored: dict[str, str]) -> None:
    count = int(name.split("-")[2])
    lines = grid(STYLE.sub("", stored[name]))
    numbers = [found for line in lines for found in re.findall(r"(?<![\w\[.])\d+\.\d{2,4}|≥ \d+", line)]
    # Nine metrics and the PSNR of the mean MSE, for every method.
    assert len(numbers) == 10 * count


def test_the_interval_goes_first_then_methods_are_columns_then_there_are_blocks() -> None:
    report = report_of(table="summary")
    wide, middle, narrow = (grid(seen(report, width)) for width in (200, 90, 60))
    tight = grid(seen(report, 40))
    assert "[27.60, 30.68]" in "\n".join(wide)
    assert wide[0].split()[0] == middle[0].split()[0] == "method"
    assert "[" not in "\n".join(middle)
    assert narrow[0].split() == ["brushnet", "sd-inpainting", "telea", "(floor)"]
    assert [line.split()[0] for line in narrow[2:9]] == ["PSNR", "PSNR(MSE)", "MSE", "SSIM", "SSIM", "SEAM", "CLIP"]
    assert tight[0].split() == ["brushnet", "sd-inpainting"]
    assert sum(line.split() == ["telea", "(floor)"] for line in tight) == 3
    assert all(cell_len(line) <= 40 for line in seen(report, 40).splitlines())


def test_what_had_no_room_is_said() -> None:
    text = seen(report_of(table="summary"), 80)
    needed = re.search(r"95 % interval takes a terminal of\s+(\d+)\s+columns", text)
    assert needed
    assert "telea (floor): PSNR (8 at the cap)" in text
    assert "(8 at the cap)" not in "\n".join(grid(text))
    assert "takes a terminal" not in seen(report_of(table="summary"), int(needed[1]))
    assert "takes a terminal" in seen(report_of(table="summary"), int(needed[1]) - 1)


def test_heads_are_short_and_what_they_leave_out_is_said_once() -> None:
    text = seen(report_of(table="summary"), 200)
    assert "method         PSNR " in text
    assert text.count("known region: PSNR dB ↑, PSNR(MSE) = PSNR of mean MSE dB ↑, MSE x1e3 ↓, SSIM known ↑") == 1
    assert "CLIP = papercut-clip ↑" in text
    assert "x1e3" not in "\n".join(grid(text))


def test_metrics_that_would_be_called_alike_are_told_apart(tmp_path: Path) -> None:
    scores = {"clip": [26.0] * 6, "papercut-clip": [80.0] * 6, "psnr": [20.0] * 6, "psnr@painted": [10.0] * 6}
    report = make_report([Made("a", scores).write(tmp_path / "a")], TableOptions())
    heads = [line.split("  ")[0] for line in grid(seen(report, 40))[2:]]
    assert len(heads) == len(set(heads)) == 4
    assert {"PSNR known", "PSNR painted"} <= set(heads)


def test_notes_of_several_tables_are_printed_once() -> None:
    report = report_of(table="summary")
    text, plain = seen(report, 200), render(report, "text")
    assert plain.count("papercut is a toy benchmark") == 3
    assert text.count("papercut is a toy benchmark") == text.count("scored/requested") == text.count("second best") == 1
    assert text.index("split brush") < text.index("scored/requested")


def test_a_note_of_one_table_or_of_some_says_whose_it_is(tmp_path: Path) -> None:
    runs = []
    for split, failed in (("inside", 1), ("outside", 0), ("brush", 0)):
        scores = plausible(8, 3) | {"psnr": [20.0] * (8 - failed) + [None] * failed}
        runs.append(Made("mine", scores, split=split).write(tmp_path / split))
    text = seen(make_report(runs, TableOptions()), 200)
    assert text.index("8/8 (psnr 7) for each") < text.index("split outside")
    assert "tables 2, 3: scored/requested: 8/8 for each" in text


def test_long_names_are_shortened_and_written_out_below(tmp_path: Path) -> None:
    names = [
        "a very long name of a method indeed",
        "a very long name of another method",
        "東京東京東京東京東京東京東京東京",
    ]
    runs = [Made(name, plausible(6, seed)).write(tmp_path / str(seed)) for seed, name in enumerate(names)]
    text = seen(make_report(runs, TableOptions()), 50)
    assert all(cell_len(line) <= 50 for line in text.splitlines())
    for number, name in enumerate(names, 1):
        assert f"[{number}] {name}" in text
    assert "a very long na [1]" in grid(text)[0]


def test_the_best_is_bold_the_second_underlined_and_references_grey(tmp_path: Path) -> None:
    for name, level in (("a", 30.0), ("b", 20.0), ("copy", 10.0)):
        Made(name, {"psnr": [level] * 6}).write(tmp_path / "runs" / name)
    tables = shown(make_report(expand([tmp_path / "runs"]), TableOptions()))
    text = terminal_tables(tables, terminal(80))
    assert "\x1b[1m30.00\x1b[0m ± 0.00" in text
    assert "\x1b[4m20.00\x1b[0m ± 0.00" in text
    assert "\x1b[90mcopy (reference)\x1b[0m" in text
    assert "\x1b[90m10.00\x1b[0m\x1b[90m ± 0.00\x1b[0m" in text
    assert "*" not in text
    assert "_" not in text
    # Without colours, and without any styles.
    bare = terminal_tables(tables, terminal(80, _environ={"NO_COLOR": "1"}))
    assert "\x1b[1m30.00\x1b[0m" in bare
    assert "\x1b[4m20.00\x1b[0m" in bare
    assert not re.search(r"\x1b\[(3|9)\d", bare)
    dumb = terminal_tables(
        tables, Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "dumb"})
    )
    assert "*30.00*" in dumb
    assert "_20.00_: second best" not in dumb
    assert "*1.23*: best, _1.23_: second best" in dumb
    assert "\x1b" not in dumb


def test_changes_from_published_numbers_are_coloured_by_their_direction() -> None:
    from brushbench.core.registry import metric_info
    from brushbench.reports.formats.fitted import Fitter
    from brushbench.reports.layout import Cell, Column, Section, Table, TableRow

    psnr, mse = (metric_info(name) for name in ("psnr", "mse"))
    assert psnr
    assert mse
    columns = (Column("inside", "", psnr), Column("inside", "", mse))
    texts = {
        ("+1.00", "not within"): ("better", "worse"),
        ("-1.00", "not within"): ("worse", "better"),
        ("+1.00", "within"): ("", ""),
    }
    for (text, remark), looks in texts.items():
        row = TableRow("measured - published", (Cell(text, remark=remark),) * 2, "difference")
        table = Table("", columns, ("", ""), (Section("", (row,)),), ())
        pieces = Fitter({"psnr": "PSNR", "mse": "MSE"}, {}).rows(table, intervals=True).rows[-1]
        assert tuple(piece.shade for piece in pieces[1:]) == looks


@pytest.mark.parametrize("width", [1, 20, 40, 79, 300])
def test_any_table_at_any_width(width: int) -> None:
    for folder, wanted in (
        *(
            ("runs", {"table": "summary"}),
            ("runs", {"table": "paper", "by": "source"}),
            ("runs", {"table": "ablation"}),
        ),
        *(("published", {"table": "paper", "with_published": True}), ("published", {"table": "summary"})),
    ):
        report = report_of(folder, **wanted)
        text = seen(report, width)
        for part in ("PSNR", "MSE", "best") if width > 20 else ("PSNR", "MSE"):
            assert part in text
        if width >= 40:
            assert all(cell_len(line) <= width for line in text.splitlines())


def test_piped_it_is_plain_and_as_wide_as_ever(brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (HERE / "tables" / "summary.txt").read_text()
    for width in ("30", "300"):
        monkeypatch.setenv("COLUMNS", width)
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert brushbench("report", HERE / "runs")[1] == expected


@pytest.mark.parametrize("columns", [60, 200])
def test_in_a_real_terminal(columns: int, tmp_path: Path) -> None:
    plain = dict.fromkeys(("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"))
    given = {"folder": tmp_path, "columns": columns, "errors": tmp_path / "stderr"}
    done = in_forked_terminal("report", HERE / "runs", **given, **plain)
    assert done.code == 0
    text = done.text.replace("\r\n", "\n")
    assert "\x1b[1m29.09\x1b[0m" in text
    assert ("[27.60, 30.68]" in text) == (columns == 200)
    assert all(cell_len(line) <= columns for line in STYLE.sub("", text).splitlines())


def test_the_table_at_the_end_of_a_run_is_the_same(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("--method", "telea", "--dataset", "papercut", "--limit", 2, "--metrics", "psnr,ssim", "--output", tmp_path)
    brushbench("run", *given)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table = brushbench("report", tmp_path)[1]
    assert "\x1b[" in table
    assert table in brushbench("run", *given)[1]


@pytest.mark.parametrize("width", [40, 60, 90, 200])
def test_a_comparison_is_fitted_and_coloured(width: int, tmp_path: Path, brushbench) -> None:
    from brushbench.reports.comparison import compare
    from brushbench.reports.formats.comparison import terminal_comparison

    better = [20.0 + place % 7 for place in range(40)]
    for name, shift, errors in (("a", 0.0, 0.001), ("b", 2.0, 0.004)):
        psnr = [value + shift + 0.01 * place for place, value in enumerate(better)]
        lpips = [errors * (10 + place % 5) for place in range(40)]
        Made("m", {"psnr": psnr, "lpips": lpips, "ssim": [0.5] * 40}).write(tmp_path / name)
    found = compare(expand([tmp_path / "a"]), expand([tmp_path / "b"]), 0)
    text = terminal_comparison(found, terminal(width))
    assert "\x1b[32mbetter\x1b[0m" in text
    assert "\x1b[31mworse\x1b[0m" in text
    assert re.search(r"\x1b\[32m\+2\.00\x1b\[0m", text)
    shown_text = STYLE.sub("", text)
    assert any(line.startswith("metric ") for line in shown_text.splitlines())
    if width >= 60:
        assert all(cell_len(line) <= width for line in shown_text.splitlines())
    # Every cell of the plain table is there, whole.
    plain = brushbench("compare", tmp_path / "a", tmp_path / "b", "--output", tmp_path / "pictures")[1]
    rows = [line for line in plain.splitlines() if line.startswith(("PSNR", "LPIPS", "SSIM"))]
    assert len(rows) == 3
    cells = {cell for line in rows for cell in re.split(r"\s{2,}", line.strip())}
    assert "x4.000 (-300.0 %)" in cells
    assert cells <= {cell for line in grid(shown_text) for cell in re.split(r"\s{2,}", line.strip())}

"""What `check`, `compare`, `show` and votes print in a terminal: as wide as it is, styled, and plain when piped."""

import re
from pathlib import Path

import pytest
from report_goldens import GATED, HERE, WIDTHS, commands, gated, terminal
from report_runs import Made, with_images
from rich.cells import cell_len
from terminal import in_forked_terminal

from brushbench.reports.baseline_making import baseline_of
from brushbench.reports.formats.gate import terminal_gate
from brushbench.reports.gate_formats import Outcome, gate_row, render_gate
from brushbench.reports.regression import check_runs

STYLE = re.compile(r"\x1b\[[0-9;]*m")
FOLDER = HERE / "terminal_commands"
EXPECTED = sorted(file.name for file in FOLDER.iterdir())
PLAIN = dict.fromkeys(("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"))


@pytest.fixture(scope="module")
def stored() -> dict[str, str]:
    return commands()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs before and after a change, and a baseline of those before."""
    root = tmp_path_factory.mktemp("gate")
    for place, method in enumerate(GATED):
        with_images(gated(method, 0).write(root / "before" / f"{place}"))
    for place, method in enumerate(GATED[:2]):
        with_images(gated(method, 1).write(root / "after" / f"{place}"))
    return root


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Outcome:
    from brushbench.runs.folders import expand

    return Outcome(*check_runs(expand([folder / "after"]), baseline_of(expand([folder / "before"]), [], None, {})))


@pytest.mark.parametrize("name", EXPECTED)
def test_output_fits_its_terminal_byte_for_byte(name: str, stored: dict[str, str]) -> None:
    assert stored[name].encode() == (FOLDER / name).read_bytes()
    width = int(name.partition("-")[0])
    for line in STYLE.sub("", stored[name]).splitlines():
        assert cell_len(line) <= width, line


def test_every_command_is_stored_at_every_width(stored: dict[str, str]) -> None:
    assert sorted(stored) == EXPECTED
    assert len(EXPECTED) == 4 * len(WIDTHS)


@pytest.mark.parametrize("width", [1, 40, *WIDTHS])
def test_the_gate_shows_every_cell_whole_at_any_width(width: int, outcome: Outcome) -> None:
    lines = STYLE.sub("", terminal_gate(outcome, terminal(width))).splitlines()
    shown = {cell for line in lines for cell in re.split(r"\s{2,}", line.strip())}
    findings = [finding for part in outcome.checked for finding in part.findings]
    assert len(findings) == 18
    without_bound = any("takes a terminal of" in line for line in lines)
    assert without_bound == (width == 80)
    for finding in findings:
        cells = gate_row(finding)
        assert {cell for place, cell in enumerate(cells) if place != 4 or not without_bound} <= shown


def test_what_is_left_out_fits_in_the_width_that_is_named(outcome: Outcome) -> None:
    found = re.search(r"takes a terminal of (\d+) columns", terminal_gate(outcome, terminal(80)))
    assert found
    assert "95 % bound" not in terminal_gate(outcome, terminal(int(found[1]) - 1)).replace("the 95 % bound takes", "")
    wide = terminal_gate(outcome, terminal(int(found[1])))
    assert "95 % bound" in wide
    assert "takes a terminal" not in wide


def test_the_verdict_is_bold_the_better_green_and_the_worse_red(outcome: Outcome) -> None:
    text = terminal_gate(outcome, terminal(200))
    assert text.startswith("\x1b[1;31mFAILED\x1b[0m: 1 missing runs")
    assert "\x1b[31mFAILED\x1b[0m: mine on brushbench/inside" in text
    assert "\x1b[32mimproved\x1b[0m: mine on" in text
    assert re.search(r"mse known x1e3 .*\x1b\[32m2\x1b\[0m .*\x1b\[32mbetter\x1b\[0m", text)
    assert re.search(r"psnr known dB .*\x1b\[31m-1.5\x1b\[0m .*\x1b\[31mWORSE\x1b\[0m", text)
    assert "\x1b[1mUNDECIDED\x1b[0m" in text
    # What is the same has no colour.
    assert re.search(r"ssim known  +0.8967 +0.8967 +0 ", text)
    passed = Outcome([part for part in outcome.checked if part.key[3] == "copy"])
    assert terminal_gate(passed, terminal(200)).startswith("\x1b[1;32mPASSED\x1b[0m: 9 metrics of 1 run")


def test_tables_are_numbered_without_the_runs_that_have_none(outcome: Outcome) -> None:
    mine, copy, missing = outcome.checked
    assert missing.lost is None
    text = STYLE.sub("", terminal_gate(Outcome([missing, mine, copy, mine]), terminal(200)))
    assert "tables 1, 3: changed: scale 1.0 -> 0.8" in text
    assert text.count("change: positive is better") == 1


@pytest.mark.parametrize("columns", [60, 120])
def test_the_gate_in_a_real_terminal(columns: int, folder: Path, tmp_path: Path) -> None:
    given = {"folder": tmp_path, "columns": columns, "errors": tmp_path / "stderr"}
    written = in_forked_terminal("check", folder / "before", "--write", tmp_path / "b.json", **given, **PLAIN)
    assert written.code == 0
    done = in_forked_terminal("check", folder / "after", "--against", tmp_path / "b.json", **given, **PLAIN)
    assert done.code == 1
    assert "\x1b[1;31mFAILED\x1b[0m" in done.text
    for seen, name in ((written, "baseline"), (done, "check")):
        lines = STYLE.sub("", seen.text).replace("\r\n", "\n")
        assert STYLE.sub("", (FOLDER / f"{columns}-columns-{name}.txt").read_text()).rstrip() in lines


def test_piped_the_gate_is_plain(folder: Path, outcome: Outcome, brushbench, tmp_path, monkeypatch) -> None:
    for width in ("30", "300"):
        monkeypatch.setenv("COLUMNS", width)
        monkeypatch.setenv("FORCE_COLOR", "1")
        code, out, _ = brushbench("check", folder / "before", "--write", tmp_path / "b.json")
        assert code == 0
        assert "\x1b" not in out
        assert out.startswith("run ")
        out = brushbench("check", folder / "after", "--against", tmp_path / "b.json")[1]
        assert out == render_gate(outcome, "text") + "\n"
        assert "change (positive = better)    95 % bound" in out


def test_the_samples_below_a_comparison_are_folded_between_words(folder: Path, tmp_path: Path) -> None:
    given = {"folder": tmp_path, "columns": 60, "errors": tmp_path / "stderr"}
    arguments = ("compare", folder / "before" / "0", folder / "after" / "0", "--metric", "psnr")
    seen = in_forked_terminal(*arguments, **given, **PLAIN)
    lines = STYLE.sub("", seen.text).replace("\r\n", "\n").splitlines()
    assert any(re.fullmatch(r"worst: (\d{9} -1\.5, ){2}\d{9} -1\.5,", line) for line in lines)
    assert all(cell_len(line) <= 60 for line in lines if "no pictures" not in line)


def test_one_sample_is_bold_and_red_in_a_terminal_and_plain_elsewhere(brushbench, tmp_path: Path) -> None:
    for method, values in (("mine", [20.0, None]), ("telea", [30.0, 31.0])):
        run = with_images(Made(method, {"psnr": values}, split="inside").write(tmp_path / "runs" / method))
        if method == "mine":
            from brushbench.runs.ledger import LedgerEntry

            run.append(LedgerEntry(id="000000001", status="failed", error="ValueError: odd"))
    plain = brushbench("show", tmp_path / "runs", "000000001")[1]
    assert "\x1b" not in plain
    given = {"folder": tmp_path, "columns": 80, "errors": tmp_path / "stderr"}
    seen = in_forked_terminal("show", tmp_path / "runs", "000000001", **given, **PLAIN).text.replace("\r\n", "\n")
    assert "\x1b[1m000000001 on brushbench, split inside\x1b[0m" in seen
    assert "\x1b[1mmine\x1b[0m: \x1b[31mfailed: ValueError: odd\x1b[0m" in seen
    assert "\x1b[1mtelea\x1b[0m: done" in seen
    assert re.search(r"status +\x1b\[31mfailed: ValueError: odd\x1b\[0m  done", seen)
    # The same text, styled.
    assert STYLE.sub("", seen).strip().splitlines()[:9] == plain.strip().splitlines()[:9]

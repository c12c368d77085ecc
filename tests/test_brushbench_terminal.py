"""What a terminal gets: what is loaded, bars that no line breaks, all runs together, failures by run, -q and -v."""

import re
import sys
from pathlib import Path

import pytest
from support import assert_one_line, run_on, slow_but
from terminal import in_forked_terminal, in_terminal

from brushbench.cli.bars import Bars, progress_of_images
from brushbench.cli.failures import MOST_KINDS
from brushbench.cli.progress import Count, Lines, duration
from brushbench.cli.screen import showing, tell

METHODS = """
from brushbench.core.notes import note


class Odd:
    def __call__(self, batch, seeds):
        number = int(batch.ids[0])
        if number in (1, 3):
            raise ValueError(f"{number} is odd")
        if number == 2:
            raise KeyError("two")
        return batch.images
"""
BAR = re.compile("[━╸╺⠀-⣿]")


@pytest.fixture
def methods(tmp_path: Path) -> Path:
    file = tmp_path / "methods.py"
    file.write_text(METHODS)
    return file


@pytest.mark.parametrize("columns", [80, pytest.param(140, marks=pytest.mark.slow)])
def test_lines_and_bars_do_not_break_each_other(columns: int, methods: Path, tmp_path: Path, write_bench) -> None:
    arguments = run_on(
        write_bench(), "runs", "--split", "inside,outside", "--metrics", "psnr", method=f"telea,{methods}:Odd"
    )
    seen = in_terminal(*arguments, "--batch-size", 1, folder=tmp_path, columns=columns)
    assert seen.code == 3, seen.plain()
    lines = seen.lines()
    assert f"data: brushbench, in {tmp_path / 'bench'}"[:columns] in "\n".join(lines)
    for stage in ("generating telea, brushbench/inside", "scoring telea, brushbench/outside"):
        assert any(line.startswith(f"{stage}: 4/4 images, ") for line in lines), lines
    assert any(re.fullmatch(r"generating Odd, brushbench/inside: 4/4 images, .* images/s, 3 failed", x) for x in lines)
    # Nothing of a bar stays, neither in a line of its own nor in a line of text.
    assert [line for line in lines if BAR.search(line)] == []
    # While they were shown, the bars said which run of how many it was, and how long all would take.
    assert all(f"run {number} of 4" in seen.plain() for number in (1, 2, 3, 4))
    assert re.search(r"\d+ s left of all", seen.plain())
    assert any("brushbench, split inside, protocol strict" in line for line in lines)


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_bars_too(tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:backslashreplace")
    seen = in_terminal(*run_on(write_bench(), "runs", "--metrics", "psnr"), folder=tmp_path)
    assert seen.code == 0, seen.plain()
    drawn = seen.plain().partition("data: ")[0]
    assert drawn.isascii()
    assert "\\u" not in drawn


@pytest.mark.slow
def test_a_single_run_needs_no_bar_of_all(tmp_path: Path, write_bench) -> None:
    seen = in_terminal(*run_on(write_bench(), "runs", "--metrics", "psnr"), folder=tmp_path)
    assert seen.code == 0
    assert "run 1 of" not in seen.plain()


def test_what_is_loaded_is_said_before_torch_is_imported(tmp_path: Path, write_bench) -> None:
    """A torch that can't be imported shows the order without measuring a time."""
    place = tmp_path / "broken"
    place.mkdir()
    (place / "torch.py").write_text("raise RuntimeError('torch is imported now')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        sys.path.insert(0, str(place))
        seen = in_terminal(*run_on(write_bench(), "runs", method="telea"), folder=tmp_path)
    text = seen.plain()
    assert "torch is imported now" in text
    assert 0 <= text.find("loading PyTorch, then telea and brushbench") < text.find("torch is imported now")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inpaint", "generate", "score"])
def test_other_commands_say_it_too(command: str, tmp_path: Path) -> None:
    arguments = {
        "inpaint": ("--image", "a.png", "--mask", "b.png", "--caption", "c", "--method", "telea", "--output", "o.png"),
        "generate": ("--method", "telea", "--dataset", "photos", "--root", "nowhere"),
        "score": ("nowhere",),
    }
    seen = in_terminal(command, *arguments[command], folder=tmp_path)
    assert seen.code == 2
    assert "loading PyTorch" in seen.plain()
    # At the end only the mistake is there.
    lines = list(filter(None, seen.lines()))
    assert len(lines) == 1, lines
    assert lines[0].startswith("brushbench: ")


@pytest.mark.parametrize("command", slow_but(["report"], ["report", "show", "check", "compare"]))
def test_reading_runs_is_said_and_leaves_no_trace(command: str, tmp_path: Path, write_bench, brushbench) -> None:
    brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", method="telea,mean-fill"))
    folders = [f"runs/brushbench-inside/{method}" for method in ("telea", "mean-fill")]
    more = {"check": ["--write", "baseline.json"], "show": ["000000001"]}
    seen = in_forked_terminal(command, *folders, *more.get(command, []), folder=tmp_path)
    assert seen.code == 0, seen.plain()
    assert "reading runs/brushbench-inside/telea" in seen.plain()
    lines = list(filter(None, seen.lines()))
    assert [line for line in lines if line.startswith("reading") or BAR.search(line)] == []
    assert len(lines) > 1


def test_quiet_says_only_results_and_failures(methods: Path, tmp_path: Path, write_bench, brushbench) -> None:
    usual = run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", "--batch-size", 1, method=f"{methods}:Odd")
    seen = in_forked_terminal(*usual, "-q", folder=tmp_path)
    assert seen.code == 3
    # A table may have styles, but nothing moves or hides the cursor.
    for part in ("generating", "loading", "data:", "\x1b[?25l", "\x1b[2K"):
        assert part not in seen.text
    assert "failed: 000000001" in seen.text
    assert "brushbench, split inside" in seen.text
    _, out, err = brushbench(*usual, "--quiet")
    assert "brushbench, split inside" in out
    assert [line.partition(":")[0] for line in err.splitlines()] == ["failed", "failed", "tracebacks"]


@pytest.mark.slow
def test_verbose_says_what_is_loaded_and_where_a_mistake_was_found(methods: Path, tmp_path, write_bench, brushbench):
    root = write_bench()
    _, _, err = brushbench(*run_on(root, tmp_path / "runs", "--metrics", "psnr", "-v"))
    lines = err.splitlines()
    assert lines[:2] == ["loading PyTorch, then mean-fill and brushbench", "opening brushbench"]
    assert "loading mean-fill" in lines
    assert "checking the networks of psnr" in lines
    methods.write_text("def broken(:\n")
    mistake = run_on(root, tmp_path / "other", method=f"{methods}:Odd")
    assert_one_line(brushbench(*mistake))
    code, _, err = brushbench(*mistake, "--verbose")
    assert code == 2
    assert "SyntaxError" in err.partition("Traceback (most recent call last):")[2]


def test_quiet_and_verbose_contradict_each_other(tmp_path: Path, brushbench) -> None:
    assert_one_line(brushbench("run", "--method", "telea", "-q", "-v"), "contradict each other")
    # The next command is as usual.
    assert brushbench("run", "--method", "telea", "--help")[0] == 0


def test_failures_are_listed_by_run_with_the_first_of_each_kind(
    methods: Path, tmp_path: Path, write_bench, brushbench
) -> None:
    more = ("--split", "inside,outside", "--metrics", "psnr", "--batch-size", 1)
    _, _, err = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method=f"telea,{methods}:Odd"))
    inside, outside = (tmp_path / "runs" / f"brushbench-{split}" / "Odd" for split in ("inside", "outside"))
    assert err.splitlines()[-5:] == [
        f"failed: 000000001 in {inside}: ValueError: 1 is odd (and 1 more like it)",
        f"failed: 000000002 in {inside}: KeyError: 'two'",
        f"failed: 000000001 in {outside}: ValueError: 1 is odd (and 1 more like it)",
        f"failed: 000000002 in {outside}: KeyError: 'two'",
        "tracebacks: in the folder errors/ of each run, or with `brushbench show RUN ID`",
    ]


def test_of_many_kinds_some_are_listed(tmp_path: Path, write_bench, brushbench) -> None:
    words = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu"]
    file = tmp_path / "zoo.py"
    file.write_text(
        f"class Zoo:\n    def __call__(self, batch, seeds):\n        raise KeyError({words}[int(batch.ids[0])] + '!')\n"
    )
    # Quoted texts are of one kind; so the words stand unquoted.
    file.write_text(file.read_text().replace("KeyError(", "RuntimeError("))
    more = ("--metrics", "psnr", "--batch-size", 1)
    _, _, err = brushbench(*run_on(write_bench(count=7), tmp_path / "runs", *more, method=f"{file}:Zoo"))
    failed = [line for line in err.splitlines() if line.startswith("failed")]
    assert len(failed) == MOST_KINDS + 1
    assert failed[-1].startswith("failed: 2 more kinds of failures in ")


def test_lines_name_the_run_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    lines = Lines(written.append)
    lines.plan([2, 2])
    for number in range(2):
        lines.begin_run(number)
        lines("generating x", 2, 0)(2, 0)
    assert [line.partition(" images")[0] for line in written] == [
        "run 1 of 2: generating x: 2/2",
        "run 2 of 2: generating x: 2/2",
    ]


def test_time_left_counts_only_what_is_made_now(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    count = Count(100, 0)
    count.skip_to(40)
    clock[0] = 10.0
    count.add(10, 0)
    # Ten images in ten seconds; fifty are left. Those that were there before say nothing about the speed.
    assert count.left() == "50 s left"
    assert count.rate() == "1.00 images/s"
    assert [duration(seconds) for seconds in (0.2, 119, 150, 7199, 9000)] == [
        "1 s",
        "119 s",
        "2 min",
        "120 min",
        "2.5 h",
    ]


def test_a_line_with_markup_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """While bars are shown, rich prints the lines."""
    line = f"[bold]a :smile: [/] 1.5 {'long ' * 40}end"
    with showing(progress := progress_of_images()):
        bars = Bars(progress)
        bars.plan([4, 4])
        bars.begin_run(0)
        bars("generating x", 4, 4)
        tell(line)
        bars.end()
    told = capsys.readouterr().err
    assert line in told
    assert "generating x: 4/4 images" in told


def test_help_without_arguments_is_the_whole_help(brushbench) -> None:
    for group in ((), ("data",)):
        code, out, err = brushbench(*group)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) > 10
        assert "\nCommands:\n" in err


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (("run",), ["--protocol [strict|paper]", "--device [auto|cpu|cuda|cuda:N|mps]", "--dtype [auto|float32|"]),
        (
            ("report",),
            ["--format [text|markdown|latex|csv|json|html]", "--table [summary|paper|ablation|components|means|"],
        ),
        (("compare",), ["--format [text|markdown|csv|json]"]),
        (("check",), ["--format [text|markdown|json|junit]"]),
        (("inpaint",), ["--device [auto|cpu|cuda|cuda:N|mps]"]),
        (("score",), ["--protocol [strict|paper]"]),
        (("data", "verify"), ["--format ["]),
        (("data", "list"), ["--format ["]),
    ],
)
def test_help_shows_the_choices(command: tuple[str, ...], parts: list[str], brushbench) -> None:
    code, out, _ = brushbench(*command, "--help")
    assert code == 0
    for part in parts:
        assert part in out


@pytest.mark.parametrize("command", ["run", "generate", "sweep", "score", "inpaint", "report"])
def test_help_lists_options_in_sections(command: str, brushbench) -> None:
    _, out, _ = brushbench(command, "--help")
    sections = re.findall(r"^([A-Z][a-z ]+):$", out, re.MULTILINE)
    assert len(sections) >= 3
    assert len(set(sections)) == len(sections)
    assert sections[-1] == "Other options"
    # All but the help option are in a section.
    assert re.findall(r"^  (-\S+)", out.partition("Other options:")[2], re.MULTILINE) == ["-h,"]

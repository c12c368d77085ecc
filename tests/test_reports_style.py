"""The table of a paper: which columns and rows, under which names, from options or from a file."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from report_runs import Made, plausible
from support import assert_one_line

FORMATS = ("text", "markdown", "latex", "html")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three contenders, one of them with two values of an option, and a floor, on two splits."""
    given = [("zeta", {}), ("Alpha", {}), ("grid", {"scale": 0.5}), ("grid", {"scale": 1.0}), ("telea", {})]
    folder = tmp_path_factory.mktemp("style") / "runs"
    for seed, (method, options) in enumerate(given):
        for place, split in enumerate(("inside", "outside")):
            run = Made(method, plausible(8, 10 * seed + place), split=split, options=options)
            run.write(folder / f"{seed}-{split}")
    return folder


@pytest.fixture
def report(runs: Path, brushbench):
    """Print a report of the runs that must succeed."""

    def call(*more: object) -> str:
        code, out, err = brushbench("report", runs, *more)
        assert code == 0, err
        return str(out)

    return call


def records(text: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(text)
    return found


def body(text: str) -> list[str]:
    """The names of the rows of a LaTeX table, in order."""
    return [line.partition(" & ")[0] for line in text.splitlines() if line.endswith(r"\\") and line.count("&") > 1][2:]


def test_columns_are_the_chosen_ones_in_their_order(report) -> None:
    latex = report("--table", "paper", "--format", "latex", "--columns", "lpips,psnr", "--splits", "inside")
    assert r"Method & LPIPS $\times10^3$ $\downarrow$ & PSNR dB $\uparrow$ \\" in latex
    markdown = report(
        "--table", "paper", "--format", "markdown", "--columns", "inside/psnr", "--columns", "outside/clip"
    )
    assert "| method | inside: PSNR dB ↑ | outside: CLIP Sim ↑ |" in markdown
    assert {row["metric"] for row in records(report("--columns", "clip", "--format", "json"))} == {"clip"}
    # A column that the paper's table hasn't.
    assert "PSNR of mean MSE" in report("--table", "paper", "--columns", "psnr-of-mean-mse,psnr")


def test_rows_are_the_chosen_ones_in_their_order(report) -> None:
    for chosen, expected in (
        ("telea,zeta,Alpha", ["zeta", "Alpha", "telea"]),
        ("grid", ["grid scale=0.5", "grid scale=1.0"]),
        ("grid scale=1.0,zeta", ["grid scale=1.0", "zeta"]),
    ):
        found = records(report("--rows", chosen, "--format", "json", "--columns", "psnr", "--splits", "inside"))
        contenders = [row["method"] for row in found if row["role"] == "contender"]
        assert contenders == [name for name in expected if name != "telea"]
        assert {row["method"] for row in found} == set(expected)


def test_marks_notes_and_counts_are_those_of_the_rows_that_are_left(report) -> None:
    whole = records(report("--format", "json", "--columns", "psnr", "--splits", "inside"))
    best = next(row["method"] for row in whole if row["mark"] == "best")
    others = [str(row["method"]) for row in whole if row["method"] != best and row["role"] == "contender"]
    left = records(report("--format", "json", "--columns", "psnr", "--splits", "inside", "--rows", ",".join(others)))
    assert [row["mark"] for row in left].count("best") == 1
    assert {row["mean"] for row in left} <= {row["mean"] for row in whole}
    assert "floor" not in report("--rows", "zeta")


def test_order_is_by_name_by_a_metric_or_as_said(report) -> None:
    def methods(order: str) -> list[object]:
        found = records(report("--order", order, "--format", "json", "--columns", "psnr,mse", "--splits", "outside"))
        return list(dict.fromkeys(row["method"] for row in found if row["role"] == "contender"))

    found = records(report("--order", "psnr", "--format", "json", "--columns", "psnr", "--splits", "outside"))
    assert [row["role"] for row in found] == ["contender"] * 4 + ["floor"]
    assert methods("name") == ["Alpha", "grid scale=0.5", "grid scale=1.0", "zeta"]
    assert methods("grid,Alpha")[:3] == ["grid scale=0.5", "grid scale=1.0", "Alpha"]
    means = {
        (row["method"], row["metric"]): row["mean"]
        for row in records(report("--format", "json", "--splits", "outside"))
    }
    for metric, sign in (("psnr", -1), ("mse", 1), ("outside/mse", 1)):
        ordered = methods(metric)
        values = [sign * float(str(means[method, metric.removeprefix("outside/")])) for method in ordered]
        assert values == sorted(values)


@pytest.mark.parametrize("table_format", [*FORMATS, "csv", "json"])
def test_methods_have_the_names_of_the_paper_in_every_format(table_format: str, report) -> None:
    text = report("--rename", "zeta=Ours (new)", "--rename", "grid=Grid", "--format", table_format)
    assert "Ours (new)" in text
    assert "zeta" not in text
    assert "Grid scale=0.5" in text.replace("{", "").replace("}", "")


def test_notes_use_the_new_names(tmp_path: Path, brushbench) -> None:
    Made("a", plausible(8, 1) | {"psnr": [30.0] * 6 + [None, None]}).write(tmp_path / "runs" / "a")
    Made("copy", plausible(8, 2)).write(tmp_path / "runs" / "b")
    out = brushbench("report", tmp_path / "runs", "--rename", "a=Ours", "--rename", "copy=Source")[1]
    assert "for Ours; " in out
    assert "Source (reference)" in out
    assert "the source itself" in out or "references are" in out


@pytest.mark.parametrize("table_format", FORMATS)
def test_metrics_splits_groups_and_data_sets_have_names_too(table_format: str, report) -> None:
    given = ("psnr=Fidelity", "inside=Object removal", "text alignment=prompt", "brushbench=BB")
    names = [part for pair in given for part in ("--rename", pair)]
    text = report("--table", "paper", "--format", table_format, "--notes", "full", *names)
    for part in ("Fidelity dB", "Object removal", "prompt", "BB, splits Object removal and outside"):
        assert part in text
    assert "PSNR dB" not in text


def test_names_are_escaped_unless_latex_is_asked_for(report) -> None:
    hostile = r"A_1 & \input{x} 50% {"
    latex = report("--format", "latex", "--rename", f"zeta={hostile}", "--caption", hostile)
    assert r"A\_1 \& \textbackslash{}input\{x\} 50\% \{ &" in latex
    assert r"\caption{A\_1 \& \textbackslash{}input\{x\} 50\% \{ (" in latex
    raw = (r"zeta=latex:\textsc{Ours}~\cite{us2026}", r"psnr=latex:$\mathrm{PSNR}_k$", "caption")
    latex = report("--format", "latex", "--rename", raw[0], "--rename", raw[1], "--caption", r"latex:As \cref{x}")
    assert r"\textsc{Ours}~\cite{us2026} &" in latex
    assert r"& $\mathrm{PSNR}_k$ known dB $\uparrow$ &" in latex
    assert r"\caption{As \cref{x}}" in latex
    text = report("--rename", raw[0], "--rename", "zeta=Ours")
    assert "Ours " in text
    assert "textsc" not in text
    assert "zeta" in report("--rename", raw[0])


def test_methods_are_cited_in_latex_alone(report) -> None:
    cites = ("--cite", "zeta=us2026", "--cite", "grid=a:1,b_2", "--rename", "zeta=Ours", "--cite", "telea=t")
    latex = report("--format", "latex", *cites)
    assert r"Ours~\cite{us2026} &" in latex
    assert r"grid scale=0.5~\cite{a:1,b_2} &" in latex
    assert r"telea (floor)~\cite{t} &" in latex
    for table_format in ("text", "markdown", "html"):
        assert "us2026" not in report("--format", table_format, *cites)


def test_decimals_change_what_is_printed_and_the_marks_by_it(tmp_path: Path, brushbench) -> None:
    for method, level in (("a", 30.04), ("b", 30.01), ("c", 29.0)):
        Made(method, {"psnr": [level] * 6, "ssim": [0.5] * 6}).write(tmp_path / "runs" / method)
    one = brushbench("report", tmp_path / "runs", "--decimals", "1", "--format", "markdown")[1]
    assert one.count("**30.0** ± 0.0") == 2
    assert "| 0.5 ± 0.0 |" in one
    each = brushbench("report", tmp_path / "runs", "--decimals", "psnr=0,ssim=3", "--format", "markdown")[1]
    assert "**30** ± 0 |" in each
    assert "0.500 ± 0.000" in each
    mixed = brushbench("report", tmp_path / "runs", "--decimals", "3", "--decimals", "psnr=1")[1]
    assert "*30.0* ± 0.0" in mixed
    assert "0.500 ± 0.000" in mixed
    stored = json.loads(brushbench("report", tmp_path / "runs", "--decimals", "0", "--format", "json")[1])
    assert {row["mean"] for row in stored if row["metric"] == "psnr"} == {30.04, 30.01, 29.0}


def test_caption_and_label(report) -> None:
    latex = report("--format", "latex", "--table", "paper", "--caption", "Main results", "--label", "tab:main")
    assert "\\caption{Main results.}\n\\label{tab:main}\n" in latex
    # Two tables: each needs a label of its own, and says what it is of.
    latex = report("--format", "latex", "--caption", "Main results", "--label", "tab:main")
    assert r"\caption{Main results (brushbench, split inside, protocol strict).}" in latex
    assert r"\label{tab:main}" in latex
    assert r"\label{tab:main-2}" in latex
    assert r"\label{tab:brushbench-inside-strict-summary}" in report("--format", "latex")
    assert report("--table", "paper", "--caption", "Main results").startswith("Main results\n")


@pytest.mark.parametrize("table_format", FORMATS)
def test_notes_are_full_brief_or_none(table_format: str, report) -> None:
    given = ("--table", "paper", "--format", table_format)
    rule = "not comparable with published tables"
    assert rule in report(*given, "--notes", "full")
    brief, none = report(*given, "--notes", "brief"), report(*given, "--notes", "none")
    assert rule not in brief
    assert any(
        "samples: 8/8 for each; protocol strict" in line and "second best" in line for line in brief.splitlines()
    )
    assert "second best" not in none
    assert "samples" not in none
    assert len(none) < len(brief)
    usual = brief if table_format == "latex" else report(*given, "--notes", "full")
    assert report(*given) == usual


def test_a_narrow_table_stands_in_one_column(report) -> None:
    assert r"\begin{table*}[htbp]" in report("--format", "latex")
    assert r"\begin{table*}[htbp]" in report("--format", "latex", "--width", "text")
    narrow = report("--format", "latex", "--width", "column")
    assert narrow.count(r"\begin{table}[htbp]") == narrow.count(r"\end{table}") == 2
    assert "table*" not in narrow


STYLE = r"""
format = "latex"
table = "paper"
columns = ["psnr", "clip"]
rows = ["zeta", "grid", "telea"]
order = "clip"
decimals = 1
caption = "latex:Results on \\textsc{BB}."
label = "tab:main"
notes = "none"
width = "column"
significant = true

[rename]
zeta = ["Ours", 'latex:\textbf{Ours}']
grid = "Grid"
elsewhere = "Another table's method"

[cite]
grid = "grid2024"
"""


def test_a_file_has_all_of_it(report, tmp_path: Path) -> None:
    (tmp_path / "paper.toml").write_text(STYLE)
    latex = report("--style", tmp_path / "paper.toml")
    for part in (
        *(r"\begin{table}", r"\caption{Results on \textsc{BB}.}", r"\label{tab:main}", r"\textbf{Ours} &"),
        *(r"Grid scale=0.5~\cite{grid2024}", r"Method & PSNR dB $\uparrow$ & CLIP Sim $\uparrow$ & PSNR dB"),
    ):
        assert part in latex
    assert "Alpha" not in latex
    assert "minipage" not in latex
    assert "Ours" in report("--style", tmp_path / "paper.toml", "--format", "text")


def test_the_command_line_wins_over_the_file(report, tmp_path: Path) -> None:
    (tmp_path / "paper.toml").write_text(STYLE)
    given = ("--style", tmp_path / "paper.toml", "--label", "tab:other", "--rename", "grid=Mesh", "--width", "text")
    latex = report(*given, "--columns", "mse", "--decimals", "mse=3", "--notes", "brief")
    for part in (r"\label{tab:other}", r"Mesh scale=0.5~\cite{grid2024}", r"\textbf{Ours} &", r"\begin{table*}"):
        assert part in latex
    assert "Grid" not in latex
    assert "CLIP" not in latex
    assert "samples: 8/8" in latex


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("colums = ['psnr']", ["unknown key in", "'colums'", "did you mean 'columns'?"]),
        ("runs = ['a']", ["unknown key in", "'runs'"]),
        ("style = 'other.toml'", ["unknown key in", "'style'"]),
        ("width = 'wide'", ["width", "'wide'", "column, text"]),
        ("notes = 3", ["notes", "'3'", "brief, full, none"]),
        ("significant = 'yes'", ["significant: must be true or false"]),
        ("decimals = 1.5", ["decimals: must be a text or a number"]),
        ("columns = [['psnr']]", ["columns: must be a text or a number, or a list of them"]),
        ("rename = 'zeta=Ours'", ["rename: must be a table"]),
        ("rename = {zeta = 3}", ["rename.zeta: must be a text"]),
        ("columns = ['psnr'", ["not valid TOML"]),
        ("caption = true", ["caption: must be a text or a number"]),
        ("label = 'a b'", ["--label", "'a b'"]),
        ("rename = {zeta = 'latex:{'}", ["--rename zeta", "paired braces"]),
        ("cite = {zeta = 'a}b'}", ["--cite zeta"]),
        ("columns = 'pnsr'", ["unknown column 'pnsr'", "did you mean 'psnr'?"]),
    ],
)
def test_mistakes_in_a_file_are_one_line(
    content: str, parts: list[str], runs: Path, brushbench, tmp_path: Path
) -> None:
    (tmp_path / "paper.toml").write_text(content)
    assert_one_line(brushbench("report", runs, "--style", tmp_path / "paper.toml"), *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--style", "none.toml"), ["none.toml: can't be read"]),
        (("--columns", "pnsr"), ["unknown column 'pnsr': did you mean 'psnr'?"]),
        (("--columns", "inside/ssim"), ["unknown column 'inside/ssim'"]),
        (("--rows", "zetta"), ["unknown method of --rows 'zetta': did you mean 'zeta'?"]),
        (("--order", "alpha"), ["unknown row or metric of --order 'alpha': did you mean 'Alpha'?"]),
        (("--order", "zeta,psnr"), ["unknown row of --order 'psnr'"]),
        (("--splits", "insid"), ["unknown split 'insid': did you mean 'inside'?"]),
        (("--rename", "zetta=Ours"), ["unknown name for --rename 'zetta': did you mean 'zeta'?"]),
        (("--rename", "zeta"), ["--rename 'zeta': give NAME=TEXT"]),
        (("--rename", "zeta="), ["--rename 'zeta=': give NAME=TEXT"]),
        (("--rename", "zeta=Alpha"), ["would both be called 'Alpha'"]),
        (("--rename", "grid scale=0.5=A", "--rename", "zeta=A"), ["would both be called 'A'"]),
        (("--rename", r"zeta=latex:a}{b"), ["paired braces"]),
        (("--rename", r"zeta=latex:a% b"), ["no comment"]),
        (("--cite", "zeta=a b"), ["--cite zeta: 'a b'"]),
        (("--cite", "psnr=a"), ["unknown name for --cite 'psnr'"]),
        (("--decimals", "x"), ["--decimals x", "whole number from 0 to 8"]),
        (("--decimals", "psnr=9"), ["--decimals psnr=9", "whole number from 0 to 8"]),
        (("--decimals", "pnsr=1"), ["unknown metric of --decimals 'pnsr': did you mean 'psnr'?"]),
        (("--label", "a{b"), ["--label: 'a{b'"]),
        (("--width", "page"), ["width 'page'; valid: column, text, or a length from 144pt to 1440pt"]),
        (("--notes", "few"), ["'few' is not one of 'brief', 'full', 'none'"]),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], parts: list[str], runs: Path, brushbench) -> None:
    assert_one_line(brushbench("report", runs, *arguments), *parts)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("width", ["column", "text"])
def test_tables_stand_in_two_columns_without_an_overfull_box(width: str, report, tmp_path: Path) -> None:
    given = ("--format", "latex", "--width", width, "--cite", "zeta=us2026", "--rename", "grid=A long name & more")
    (tmp_path / "paper.tex").write_text(report(*given, "--table", "paper", "--label", "tab:main"))
    (tmp_path / "short.tex").write_text(report(*given, "--columns", "psnr,lpips,clip", "--splits", "inside"))
    lines = [
        r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}",
        r"\input{paper}\input{short} See Table~\ref{tab:main}.",
        r"\begin{thebibliography}{1}\bibitem{us2026} Us. Ours. 2026.\end{thebibliography}\end{document}",
    ]
    (tmp_path / "main.tex").write_text("\n".join(lines))
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Warning" not in done.stdout, done.stdout[-3000:]

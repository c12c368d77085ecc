"""A study in one file: its runs, its tables, figures and gallery, and what is wrong with a file."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from studies import OUTPUTS, ROW, SEEDS, STUDY, TABLE
from support import assert_one_line
from test_docs import block

from brushbench import RunConfig, UserError
from brushbench.evaluation.study import Study, StudyRow, plan_study
from brushbench.reports.commands.study import prepare_study
from brushbench.runs.folder import Run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(study_place: Path) -> Path:
    """The folder of the study."""
    return study_place


def folders(root: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("run.json"))


def digests(root: Path) -> dict[str, str]:
    """The contents of all files that a resumed run must not change."""
    files = (file for file in root.rglob("*") if file.is_file() and file.suffix in (".png", ".jsonl", ".md", ".tex"))
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.name != "workers.jsonl"
    }


def test_a_study_runs_everything_and_makes_what_it_names_beside_the_file(study, place: Path) -> None:
    code, out, err = study(STUDY + OUTPUTS)
    assert code == 0, err
    own = "study/level=50,share=0.9"
    assert folders(place / "runs") == sorted(
        [f"brushbench-{split}/{name}" for split in ("inside", "outside") for name in ("mean-fill", "Shade")]
        + [f"{own}/brushbench-{split}/Shade" for split in ("inside", "outside")]
    )
    assert "| ours, dark |" in (place / "tables" / "main.md").read_text()
    numbers = json.loads((place / "tables" / "numbers.json").read_text())
    assert {row["method"] for row in numbers} == {"ours, dark", "mean-fill"}
    assert {row["split"] for row in numbers} == {"inside", "outside"}
    assert "ours, dark" in (place / "figures" / "all.svg").read_text()
    assert (place / "page" / "index.html").exists()
    for line in ("table: ", "figure: ", "gallery: "):
        assert line in out
    assert not list((place / "elsewhere").iterdir())


def test_the_printed_table_has_the_names_of_the_study(study, place: Path) -> None:
    renamed = '[style]\nrename = { mean-fill = "Average", psnr = "Fidelity" }\n'
    code, out, err = study(STUDY + renamed + OUTPUTS)
    assert code == 0, err
    printed = out[: out.index("images and scores: ")]
    assert re.search(r"^ours, dark +\S", printed, re.MULTILINE)
    assert re.search(r"^Average \(floor\) ", printed, re.MULTILINE)
    assert "Fidelity known dB" in printed
    # As in the gallery.
    page = (place / "page" / "index.html").read_text()
    for name in ("ours, dark", "Average (floor)", "Fidelity"):
        assert name in page
    assert "mean-fill" not in printed


def test_the_printed_table_has_a_name_and_a_seed_where_every_seed_has_a_row(study) -> None:
    code, out, err = study(SEEDS + '[style]\nseeds = "rows"\n')
    assert code == 0, err
    assert all(re.search(rf"^ours, dark seed={seed} ", out, re.MULTILINE) for seed in (1, 2))
    code, out, err = study(SEEDS)
    assert code == 0, err
    assert re.search(r"^ours, dark +\S", out, re.MULTILINE)
    assert "seed=" not in out[: out.index("images and scores: ")]


def test_a_second_run_generates_nothing_and_writes_the_tables_again(study, place: Path) -> None:
    assert study(STUDY + OUTPUTS)[0] == 0
    before = digests(place)
    (place / "tables" / "main.md").write_text("changed by hand")
    (place / "tables" / "numbers.json").unlink()
    code, _, err = study(STUDY + OUTPUTS)
    assert code == 0, err
    assert digests(place) == before
    assert (place / "tables" / "numbers.json").exists()


def test_an_interrupted_study_resumes_as_a_whole(study, place: Path) -> None:
    (place / "stop").touch()
    code, _, err = study(STUDY + OUTPUTS)
    assert code == 130
    assert "Run the same command again to resume" in err
    assert not (place / "tables").exists()
    done = {name: digest for name, digest in digests(place / "runs").items() if "study" not in name}
    code, _, err = study(STUDY + OUTPUTS)
    assert code == 0, err
    after = digests(place / "runs")
    assert after.items() >= done.items()
    assert study(STUDY, "--output", place / "again")[0] == 0
    images = {name: digest for name, digest in after.items() if "images/" in name}
    assert images == {name: digest for name, digest in digests(place / "again").items() if "images/" in name}
    assert (place / "tables" / "main.md").exists()


def test_several_seeds_have_folders_and_rows_of_their_own(study, place: Path) -> None:
    text = STUDY.replace("[run]", "[run]\nseeds = [1, 2]\nlimit = 2").replace('["inside", "outside"]', '["inside"]')
    code, _, err = study(text + '[style]\nseeds = "rows"\n' + OUTPUTS)
    assert code == 0, err
    own = "level=50,share=0.9"
    shade = [f"seed={seed}{more}/brushbench-inside/Shade" for seed in (1, 2) for more in ("", f",{own}")]
    assert folders(place / "runs" / "study") == sorted([*shade, "seed=1/brushbench-inside/mean-fill"])
    rows = {row["method"] for row in json.loads((place / "tables" / "numbers.json").read_text())}
    assert rows == {*(f"ours, dark seed={seed}" for seed in (1, 2)), "mean-fill"}


def test_the_command_line_wins_over_the_file(study, place: Path) -> None:
    more = ("--limit", 1, "--split", "inside", "--output", place / "other", "--seed", 7, "-o", "level=9")
    code, _, err = study(STUDY.replace("[run]", "[run]\nlimit = 3\nseeds = [1, 2]\noption = { level = 4 }"), *more)
    assert code == 0, err
    assert not (place / "runs").exists()
    runs = [Run.open(place / "other" / name) for name in folders(place / "other")]
    assert {run.record.asked for run in runs} == {1}
    assert {run.record.identity.seed for run in runs} == {7}
    assert {run.record.identity.dataset.split for run in runs} == {"inside"}
    # Also over the options of a row, whose others stay.
    options = [run.record.identity.method.options for run in runs if run.record.identity.method.name == "Shade"]
    assert options == [{"level": 9, "share": 1.0}, {"level": 9, "share": 0.9}]


def test_methods_of_the_command_line_replace_those_of_the_file(study, place: Path) -> None:
    assert study(STUDY, "--method", "telea", "--split", "inside")[0] == 0
    assert folders(place / "runs") == ["brushbench-inside/telea"]


def test_options_of_the_file_are_kept_beside_others_of_the_command_line(study, place: Path) -> None:
    text = '[run]\ndataset = "brushbench"\nroot = "bench"\nmethod = "./shade.py:Shade"\nmetrics = "psnr"\n'
    code, _, err = study(text + "options = { level = 4, share = 0.5 }\n", "-o", "share=0.25")
    assert code == 0, err
    assert Run.open(place / "runs/brushbench-inside/Shade").record.identity.method.options == {
        "level": 4,
        "share": 0.25,
    }


def test_a_table_is_the_one_of_report_with_the_same_style(study, brushbench, place: Path) -> None:
    style = 'columns = ["psnr"]\ndecimals = 1\ncaption = "Main."\nlabel = "tab:main"\nwidth = "column"\n'
    (place / "paper.toml").write_text(style + '[rename]\nmean-fill = "Mean"\n[cite]\nShade = "me2026"\n')
    text = STUDY.partition("[[method]]")[0] + '[[table]]\nfile = "main.tex"\ntable = "paper"\nstyle = "paper.toml"\n'
    assert study(text)[0] == 0
    more = ("--table", "paper", "--format", "latex", "--style", place / "paper.toml")
    code, out, _ = brushbench("report", place / "runs", *more)
    assert code == 0
    assert (place / "main.tex").read_text() == out
    assert r"\cite{me2026}" in out


def test_keys_of_a_table_win_over_those_of_all_tables(study, place: Path) -> None:
    (place / "paper.toml").write_text('decimals = 3\nnotes = "full"\n')
    style = '[style]\nstyle = "paper.toml"\ndecimals = 2\nnotes = "none"\nfont = "serif"\n'
    style += 'rename = {mean-fill = "A", mse = "B"}\n'
    table = '[[table]]\nfile = "{0}.md"\n{1}\n'
    own = 'columns = "psnr"\nformat = "text"\nrename = {mean-fill = "C"}'
    assert study(STUDY + style + table.format("one", "") + table.format("two", own))[0] == 0
    one, two = ((place / f"{name}.md").read_text() for name in ("one", "two"))
    assert "| A (floor) |" in one
    assert "B" in one
    assert "**bold**" not in one
    assert "C (floor)" in two
    assert "MSE" not in two
    assert "|" not in two


def test_names_of_rows_serve_wherever_a_table_names_rows(study, place: Path) -> None:
    table = '[[table]]\nfile = "a.tex"\norder = ["ours, dark"]\ncite = {"ours, dark" = "me2026"}\ncolumns = "psnr"\n'
    assert study(STUDY + table + '[[table]]\nfile = "b.md"\nrename = {"ours, dark" = "Dark"}\n')[0] == 0
    latex = (place / "a.tex").read_text()
    assert r"ours, dark~\cite{me2026}" in latex
    assert latex.index("ours, dark") < latex.index("Shade level")
    assert "| Dark |" in (place / "b.md").read_text()


def test_a_method_file_and_paths_among_options_are_relative_to_the_study(place: Path) -> None:
    from brushbench.cli.run import run_command
    from brushbench.cli.study_file import read_study

    file = place / "study.toml"
    file.write_text(
        '[run]\nmethod = "brushnet"\nweights = "nets/mine"\noutput = "out"\noption = {base = "./base", lora = "a/b"}\n'
    )
    found = read_study(file, run_command).defaults
    assert found["weights"] == str(place / "nets" / "mine")
    assert found["output"] == str(place / "out")
    assert found["options"] == [f"base={place / 'base'}", "lora=a/b"]
    file.write_text('[run]\nmethod = "brushnet"\nweights = "sd15"\nmetric-options = {lpips.net = "alex"}\n')
    found = read_study(file, run_command).defaults
    assert found["weights"] == "sd15"
    assert found["metric_options"] == ["lpips.net=alex"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[rum]\n", ["unknown key in", "study.toml", "'rum'", "did you mean 'run'"]),
        (STUDY.replace("splits", "spilts"), ["study.toml: run", "'spilts'", "did you mean 'splits'"]),
        (STUDY + "[gallery]\noutptu = 'x'\n", ["study.toml: gallery", "'outptu'", "did you mean 'output'"]),
        (STUDY.replace("options =", "option ="), ["study.toml: method 1", "'option'", "did you mean 'options'"]),
        (STUDY + TABLE + "column = 'psnr'\n", ["study.toml: table 1", "'column'", "did you mean 'columns'"]),
        (STUDY + "[[figure]]\nfile = 'a.png'\nkinds = 'x'\n", ["study.toml: figure 1", "'kinds'", "'kind'"]),
        (STUDY + "[style]\nrowz = 'x'\n" + TABLE, ["study.toml: style", "'rowz'", "did you mean 'rows'"]),
        (STUDY.replace('"mean-fill"', '"mean-fil"'), ["study.toml: unknown method", "did you mean 'mean-fill'"]),
        (STUDY.replace("level = 50", "levle = 50"), ["study.toml", "'levle'", "did you mean 'level'"]),
        (STUDY.replace("level = 50", "level = 'dark'"), ["level='dark'"]),
        (STUDY.replace('"mse"', '"msee"'), ["study.toml", "metric 'msee'", "did you mean 'mse'"]),
        (STUDY.replace('"outside"', '"outsid"'), ["'outsid'", "did you mean 'outside'"]),
        (STUDY + TABLE + "columns = ['pnsr']\n", ["study.toml: table 1", "'pnsr'", "did you mean 'psnr'"]),
        (STUDY + TABLE + "rows = ['Shad']\n", ["study.toml: table 1", "'Shad'", "did you mean 'Shade'"]),
        (STUDY + TABLE + "splits = ['brush']\n", ["study.toml: table 1", "'brush'", "inside, outside"]),
        (STUDY + TABLE + "table = 'papr'\n", ["study.toml: table 1", "'papr'", "did you mean 'paper'"]),
        (STUDY + TABLE + "notes = 'all'\n", ["study.toml: table 1: notes", "'all'", "brief, full, none"]),
        (STUDY + TABLE + "strict = 'yes'\n", ["study.toml: table 1: strict", "true or false"]),
        (STUDY + "[[table]]\nfile = 'main.doc'\n", ["study.toml: table 1", "main.doc", ".tex"]),
        (STUDY + "[[table]]\n", ["study.toml: table 1: file"]),
        (STUDY + "[[table]]\nfile = 'shade.py/a.md'\n", ["study.toml: table 1", "not a folder"]),
        (STUDY + "[[table]]\nfile = 'bench'\nformat = 'text'\n", ["study.toml: table 1", "is a folder"]),
        (STUDY + TABLE + TABLE, ["main.md", "named twice"]),
        (STUDY + "[[figure]]\nfile = 'a.gif'\n", ["study.toml: figure 1", "a.gif", ".png"]),
        (STUDY + "[[figure]]\nfile = 'a.png'\nkind = 'pie'\n", ["study.toml: figure 1: kind", "'pie'", "trade-off"]),
        (STUDY + "[gallery]\noutput = 'bench'\n", ["bench", "contains other files"]),
        (STUDY + "[gallery]\nmax-size = 'big'\n", ["study.toml: gallery max-size"]),
        (STUDY.replace("[run]", "[run]\nfresh = true"), ["study.toml: run", "fresh", "--fresh"]),
        (STUDY.replace("[run]", "[run]\nseeds = [1, 1]"), ["study.toml: run: seeds", "twice"]),
        (STUDY.replace("[run]", "[run]\nseeds = ['a']"), ["study.toml: run: seeds", "whole number"]),
        (STUDY.replace("[run]", "[run]\nsplit = 'inside'"), ["study.toml: run", "split and splits"]),
        (STUDY.replace("[run]", "[run]\nlimit = 'few'"), ["study.toml: run: limit", "'few'"]),
        (STUDY + TABLE + "order = ['pnsr']\n", ["study.toml: table 1", "'pnsr'", "did you mean 'psnr'"]),
        (STUDY + TABLE + "label = 'a{b'\n", ["study.toml: table 1", "label", "a{b"]),
        (STUDY + TABLE + "rename = {mse = 'latex:{'}\n", ["study.toml: table 1", "mse", "paired braces"]),
        (STUDY + '[[table]]\nfile = "a\\u0000.md"\n', ["study.toml", "can't be a path"]),
        (STUDY + "[table]\nfile = 'a.md'\n", ["study.toml: table", "[[table]]"]),
        (STUDY.replace("level = 50", "level = [50]"), ["study.toml: method 1 options level", "a number"]),
        (STUDY.replace("[run]", "[run]\nlimit = [1]"), ["study.toml: run: limit"]),
        (STUDY + ROW + 'options = { level = 50, share = 0.90 }\n', ["are the same run", "ours, dark"]),
        (STUDY + ROW + "options = { level = 128 }\n", ["are the same run", "Shade"]),
        (STUDY + ROW + 'options = { level = 1 }\nname = "ours, dark"\n', ["two rows", "ours, dark"]),
        ('[run]\ndataset = "papercut"\n', ["study.toml", "no method"]),
        ("[run\n", ["study.toml", "not valid TOML"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_generated(study, place: Path, text: str, parts: list[str]) -> None:
    assert_one_line(study(text), *parts)
    assert not (place / "runs").exists()
    assert not (place / "main.md").exists()


def test_a_study_that_does_not_exist(brushbench, place: Path) -> None:
    assert_one_line(brushbench("run", place / "none.toml"), "none.toml", "can't be read")


def test_without_a_study_a_method_is_needed(brushbench) -> None:
    assert_one_line(brushbench("run"), "--method")


def test_help_names_the_study(brushbench) -> None:
    code, out, _ = brushbench("run", "--help")
    assert code == 0
    assert "[STUDY.toml]" in out
    assert "brushbench run study.toml" in out


def test_shared_options_go_to_the_methods_that_have_them() -> None:
    template = RunConfig(method="brushnet", options={"scale": 0.5}, steps=3, seed=5, output="out")
    rows = [StudyRow("brushnet"), StudyRow("telea"), StudyRow("brushnet", "own", {"scale": "0.80"}, "papercut")]
    first, second, third = plan_study(template, Study(rows, ["inside", "outside"]))
    assert [dict(made.configs[0].options) for made in (first, second)] == [{"scale": 0.5, "steps": 3}, {}]
    assert dict(third.configs[0].options) == {"scale": "0.80", "steps": 3}
    assert [str(made.configs[0].output) for made in (first, second)] == ["out", "out"]
    assert str(third.configs[1].output) == "out/study/scale=0.8,weights=papercut"
    assert third.configs[1].weights == "papercut"
    assert {config.seed for made in (first, second, third) for config in made.configs} == {5}


def test_an_option_that_no_method_has() -> None:
    with pytest.raises(UserError, match="scael"):
        plan_study(RunConfig(method="brushnet", options={"scael": 1}), Study([StudyRow("brushnet")], ["inside"]))


SHORT = ("--dataset", "papercut", "--limit", 1, "--steps", 1, "--metrics", "psnr,mse,papercut-clip", "--device", "cpu")


def compiled(folder: Path, tables: str, keys: list[str]) -> str:
    """What LaTeX prints when it puts tables into a page of two columns."""
    cited = "".join(rf"\bibitem{{{key}}} {key}." for key in keys)
    page = (
        r"\documentclass[twocolumn]{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}"
        rf"\begin{{document}}A page.{tables}\begin{{thebibliography}}{{9}}{cited}\end{{thebibliography}}"
        r"\end{document}"
    )
    (folder / "paper.tex").write_text(page)
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["comparison", "ablation"])
def test_the_studies_of_the_paper_run_on_papercut(brushbench, tmp_path: Path, name: str) -> None:
    shutil.copyfile(ROOT / "examples" / f"{name}.toml", tmp_path / f"{name}.toml")
    code, _, err = brushbench("run", tmp_path / f"{name}.toml", *SHORT)
    assert code == 0, err
    file = {"comparison": "main", "ablation": "ablation"}[name]
    made = tmp_path / name
    latex = (made / f"{file}.tex").read_text()
    rows = {
        "comparison": [r"BLD~\cite", "SDI", "HDP", "PP", "CNI", r"BrushNet~\cite"],
        "ablation": ["single branch", r"dual branch~\cite", "dual branch, pasted", "dual branch, w = 0.5"],
    }
    for row in rows[name]:
        assert f"\n{row}" in latex
    assert (made / f"{file}.md").exists()
    assert (made / "trade-off.pdf").exists()
    assert (made / "gallery" / "index.html").exists()
    assert len(folders(made)) == {"comparison": 12, "ablation": 10}[name]
    if shutil.which("pdflatex"):
        told = compiled(made, rf"\input{{{file}}}", sorted(set(re.findall(r"\\cite\{(.*?)\}", latex))))
        assert "Overfull" not in told
        assert "Warning" not in told


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_main_table_and_the_ablation_stand_on_one_page(brushbench, tmp_path: Path) -> None:
    for name in ("comparison", "ablation"):
        shutil.copyfile(ROOT / "examples" / f"{name}.toml", tmp_path / f"{name}.toml")
        code, _, err = brushbench("run", tmp_path / f"{name}.toml", *SHORT)
        assert code == 0, err
    files = ("comparison/main", "ablation/ablation")
    latex = "".join((tmp_path / f"{file}.tex").read_text() for file in files)
    refs = r"See Tables~\ref{tab:comparison} and~\ref{tab:ablation}. "
    tables = "".join(rf"\input{{{file}}}" for file in files)
    told = compiled(tmp_path, f"{refs}{tables}", sorted(set(re.findall(r"\\cite\{(.*?)\}", latex))))
    for trouble in ("Overfull", "Underfull", "Warning"):
        assert trouble not in told


def test_the_study_of_the_page_is_valid(place: Path) -> None:
    from brushbench.cli.run import run_command
    from brushbench.cli.study_file import read_study

    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    (place / "study.toml").write_text(block(page, "study"))
    study = read_study(place / "study.toml", run_command)
    rows = [StudyRow("sd-inpainting"), StudyRow("brushnet"), StudyRow("brushnet", "ours, w = 0.8", {"scale": 0.8})]
    assert len(prepare_study(study, rows, ["inside", "outside"]).files) == 2

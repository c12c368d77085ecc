"""A study with several seeds, and the names in its gallery."""

import json
from pathlib import Path

import pytest
from gallery_data import scripts
from studies import OUTPUTS, SEEDS, STUDY, TABLE
from support import assert_one_line

from brushbench.runs.folder import Run


@pytest.fixture
def place(study_place: Path) -> Path:
    """The folder of the study."""
    return study_place


def test_a_row_is_the_mean_over_its_seeds(study, brushbench, place: Path) -> None:
    figure = '[[figure]]\nfile = "a.svg"\nkind = "trade-off"\nmetrics = "psnr,mse"\n'
    code, out, err = study(SEEDS + OUTPUTS + figure)
    assert code == 0, err
    numbers = json.loads((place / "tables" / "numbers.json").read_text())
    assert {row["method"] for row in numbers} == {"ours, dark", "mean-fill"}
    # No seed changes the mean of the known pixels.
    assert {(row["method"], row["seeds"]) for row in numbers} == {("ours, dark", "1 2"), ("mean-fill", "1")}
    alone = json.loads(brushbench("report", place / "runs", "--format", "json")[1])
    means = {(cell["method"], cell["metric"]): cell["mean"] for cell in alone}
    for row in numbers:
        if row["method"] == "ours, dark" and row["metric"] in ("psnr", "mse"):
            each = [means[f"Shade level=50 share=0.9 seed={seed}", row["metric"]] for seed in (1, 2)]
            assert row["mean"] == pytest.approx(sum(each) / 2)
    main = (place / "tables" / "main.md").read_text()
    assert "mean over 2 seeds (1, 2) for Shade" in main
    assert "; 1 seed (1) for mean-fill" in main
    assert "seed=" not in main
    for file in (place / "figures" / "all.svg", place / "a.svg"):
        assert "ours, dark" in file.read_text()
        assert "seed=" not in file.read_text()
    # So is the table at the end.
    assert "mean over 2 seeds (1, 2) for Shade" in " ".join(out.split())


def test_the_table_of_a_study_with_seeds_is_one_command_of_report(study, brushbench, place: Path) -> None:
    (place / "paper.toml").write_text('columns = ["psnr"]\nlabel = "tab:main"\n[rename]\nShade = "Dark"\n')
    text = (
        SEEDS.partition("[[method]]")[0].replace('"mean-fill", ', "")
        + '[[table]]\nfile = "main.tex"\ntable = "paper"\nstyle = "paper.toml"\n'
    )
    assert study(text)[0] == 0
    more = ("--table", "paper", "--format", "latex", "--style", place / "paper.toml", "--seeds", "mean")
    assert (place / "main.tex").read_text() == brushbench("report", place / "runs", *more)[1]


def test_a_table_may_have_a_row_for_each_seed_beside_one_of_means(study, place: Path) -> None:
    table = '[[table]]\nfile = "{0}.md"\nseeds = "{0}"\nrename = {{"ours, dark" = "Dark", mean-fill = "Mean"}}\n'
    code, _, err = study(SEEDS + table.format("rows") + table.format("mean"))
    assert code == 0, err
    rows, mean = ((place / f"{name}.md").read_text() for name in ("rows", "mean"))
    for name in ("Dark seed=1", "Dark seed=2", "Mean (floor)"):
        assert f"| {name} |" in rows
    assert "| Dark |" in mean
    assert "| Mean (floor) |" in mean
    assert "seed=" not in mean


def test_a_row_with_a_seed_is_for_tables_with_a_row_for_each(study, place: Path) -> None:
    table = '[[table]]\nfile = "a.md"\nrows = ["ours, dark seed=2"]\n'
    assert_one_line(study(SEEDS + table), "study.toml: table 1: row 'ours, dark seed=2'", 'seeds = "rows"')
    assert not (place / "runs").exists()
    code, _, err = study(SEEDS + table + 'seeds = "rows"\n')
    assert code == 0, err
    text = (place / "a.md").read_text()
    assert "| ours, dark seed=2 |" in text
    assert "seed=1" not in text


def test_published_numbers_are_not_put_beside_means_of_seeds(study, place: Path) -> None:
    result = study(SEEDS + TABLE + "with-published = true\n")
    assert_one_line(result, "study.toml: table 1", "published numbers are of one seed", 'seeds = "rows"')
    assert not (place / "runs").exists()


def test_the_gallery_has_the_names_of_the_study(study, place: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> & co"
    style = f'[style.rename]\nmean-fill = "{hostile}"\nShade = "latex:\\\\textsc{{Shade}}"\n'
    code, _, err = study(STUDY + style + "[gallery]\n", "--limit", 1, "--gallery")
    assert code == 0, err
    for folder in (place / "gallery", place / "runs" / "gallery"):
        names = {script["method"] for script in scripts(folder, "run")}
        assert names == {hostile, "ours, dark", "Shade level=128 share=1.0"}
        page = (folder / "index.html").read_text()
        assert "&lt;img src=x onerror=alert(1)&gt; &amp; co (floor)" in page
        assert "<img src=x" not in page
        assert "No table" not in page
        assert "ours%2C+dark" in page


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {"Mean", "ours, dark"}),
        ('seeds = "columns"\n', {"Mean", "ours, dark seed=1", "ours, dark seed=2"}),
    ],
)
def test_the_gallery_names_each_row_or_each_seed(study, place: Path, line: str, expected: set[str]) -> None:
    style = '[style]\nrename = { mean-fill = "Mean" }\n[gallery]\n'
    code, _, err = study(SEEDS + style + line, "--limit", 1)
    assert code == 0, err
    names = {script["method"] for script in scripts(place / "gallery", "run")}
    assert expected < names
    assert {name for name in names - expected if not name.startswith("Shade")} == set()


def test_a_gallery_has_its_seeds_in_one_column_or_in_several(study) -> None:
    assert_one_line(study(SEEDS + '[gallery]\nseeds = "rows"\n'), "study.toml: gallery seeds: ", "'flip' or 'columns'")


def test_seeds_of_the_command_line_replace_those_of_the_file(study, place: Path) -> None:
    code, out, err = study(SEEDS, "--seeds", "2,5", "--limit", 1)
    assert code == 0, err
    assert "mean over 2 seeds (2, 5)" in " ".join(out.split())
    assert {folder.name.partition(",")[0] for folder in (place / "runs" / "study").iterdir()} == {"seed=2", "seed=5"}
    code, out, err = study(SEEDS, "--samples", 3, "--limit", 1)
    assert code == 0, err
    assert "mean over 3 seeds (1, 2, 3)" in " ".join(out.split())


@pytest.mark.parametrize(("line", "seeds"), [("", "1234, 1235"), ("seed = 7\n", "7, 8")])
def test_a_file_may_name_a_number_of_samples(study, line: str, seeds: str) -> None:
    code, out, err = study(STUDY.replace("[run]", f"[run]\n{line}samples = 2\nlimit = 1"), "--split", "inside")
    assert code == 0, err
    assert f"mean over 2 seeds ({seeds})" in " ".join(out.split())


def test_a_file_may_name_one_seed(study, place: Path) -> None:
    assert study(STUDY.replace("[run]", "[run]\nseed = 7\nlimit = 1"), "--split", "inside")[0] == 0
    assert {Run.open(file.parent).record.identity.seed for file in (place / "runs").rglob("run.json")} == {7}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("seeds = [1, 2]\nsamples = 3", "run: seeds and samples are both given"),
        ("seeds = [1, -2]", "run: seeds: -2; valid: 0 to 2**63 - 1"),
        ("samples = 0", "--samples 0; valid: 1 to 1000"),
    ],
)
def test_wrong_seeds_in_a_file(study, place: Path, line: str, told: str) -> None:
    assert_one_line(study(STUDY.replace("[run]", f"[run]\n{line}")), "study.toml", told)
    assert not (place / "runs").exists()

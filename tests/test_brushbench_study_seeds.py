"""A study with several seeds, and the names in its gallery."""

import json
from pathlib import Path

import pytest
from gallery_data import scripts
from studies import OUTPUTS, SEEDS, STUDY, TABLE
from support import assert_one_line


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
    assert {row["seeds"] for row in numbers} == {"1 2"}
    labels = {"ours, dark": "Shade level=50 share=0.9", "mean-fill": "mean-fill"}
    alone = json.loads(brushbench("report", place / "runs", "--format", "json")[1])
    means = {(cell["method"], cell["metric"]): cell["mean"] for cell in alone}
    for row in numbers:
        each = [means[f"{labels[row['method']]} seed={seed}", row["metric"]] for seed in (1, 2)]
        if row["metric"] in ("psnr", "mse"):
            assert row["mean"] == pytest.approx(sum(each) / 2)
    main = (place / "tables" / "main.md").read_text()
    assert "mean over 2 seeds (1, 2)" in main
    assert "seed=" not in main
    for file in (place / "figures" / "all.svg", place / "a.svg"):
        assert "ours, dark" in file.read_text()
        assert "seed=" not in file.read_text()
    # So is the table at the end.
    assert "mean over 2 seeds (1, 2)" in " ".join(out.split())


def test_the_table_of_a_study_with_seeds_is_one_command_of_report(study, brushbench, place: Path) -> None:
    (place / "paper.toml").write_text('columns = ["psnr"]\nlabel = "tab:main"\n[rename]\nmean-fill = "Mean"\n')
    text = SEEDS.partition("[[method]]")[0] + '[[table]]\nfile = "main.tex"\ntable = "paper"\nstyle = "paper.toml"\n'
    assert study(text)[0] == 0
    more = ("--table", "paper", "--format", "latex", "--style", place / "paper.toml", "--seeds", "mean")
    assert (place / "main.tex").read_text() == brushbench("report", place / "runs", *more)[1]


def test_a_table_may_have_a_row_for_each_seed_beside_one_of_means(study, place: Path) -> None:
    table = '[[table]]\nfile = "{0}.md"\nseeds = "{0}"\nrename = {{"ours, dark" = "Dark", mean-fill = "Mean"}}\n'
    code, _, err = study(SEEDS + table.format("rows") + table.format("mean"))
    assert code == 0, err
    rows, mean = ((place / f"{name}.md").read_text() for name in ("rows", "mean"))
    for name in ("Dark seed=1", "Dark seed=2", "Mean seed=1 (floor)"):
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


def test_the_gallery_names_each_seed(study, place: Path) -> None:
    style = '[style.rename]\nmean-fill = "Mean"\n'
    code, _, err = study(SEEDS + style + "[gallery]\n", "--limit", 1)
    assert code == 0, err
    names = {script["method"] for script in scripts(place / "gallery", "run")}
    assert {"Mean seed=1", "Mean seed=2", "ours, dark seed=1", "ours, dark seed=2"} < names

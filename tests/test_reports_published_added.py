"""Groups of published numbers, the page about them, and numbers that a user adds."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from report_runs import Made, plausible

from brushbench.reports.published.registry import read
from brushbench.reports.published.setups import group, groups, setups

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
HEADING = "benchmark,split,method,metric,value,source,setup"
MINE = (
    f"{HEADING}\nBrushBench,inside,telea,PSNR,22.10,our paper,paper\nBrushBench,inside,telea,IR,-3.5,our paper,paper\n"
)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of added numbers, which doesn't exist yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "brushbench" / "published.csv"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A good file."""
    (file := tmp_path / "mine.csv").write_text(MINE)
    return file


def test_every_number_has_a_group_and_every_group_has_numbers() -> None:
    found = groups(read())
    assert set(found) == set(setups())
    counts = {name: len(numbers) for name, numbers in found.items()}
    # 204 numbers of the main tables, of which 29 are NTN-Diff's own.
    assert (counts["brushnet"], counts["ntn-diff"], counts["brushnet-ablations"]) == (175, 29, 88)
    assert {number.benchmark for number in found["turbofill"]} == {"DilationBench"}
    ours = {group(one) for one in read() if (one.method, one.benchmark, one.metric) == ("BrushNet", "EditBench", "IR")}
    assert ours == {"brushnet", "follow-your-preference", "mtadiffusion", "freeinpaint"}


def test_the_page_is_of_the_registry() -> None:
    import published_numbers

    page = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    assert page == published_numbers.page()
    for value in ("12.36", "12.52", "12.717", "4.46", "-1.296", "2.729"):
        assert value in page.split("## Which rows")[0]


def test_the_list_by_method_in_three_formats(brushbench) -> None:
    code, out, told = brushbench("list", "published", "brushnet", "NTN", "--format", "json")
    rows = json.loads(out)
    assert (code, told) == (0, "")
    assert {row["group"] for row in rows} >= {"brushnet", "ntn-diff", "freeinpaint", "turbofill"}
    assert all("brushnet" in row["method"].lower() or "ntn" in row["method"].lower() for row in rows)
    assert (
        list(csv.DictReader(io.StringIO(brushbench("list", "published", "BRUSHNET", "ntn", "--format", "csv")[1])))
        == rows
    )
    # 12.717 isn't rounded to two digits.
    assert next(row["value"] for row in rows if row["group"] == "follow-your-preference") == "12.717"
    code, out, told = brushbench("list", "published", "--setups")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(groups(read()))
    assert "mask-simple and mask-rich" in out
    code, _, told = brushbench("list", "published", "nothing")
    assert (code, told.count("\n")) == (2, 1)
    assert "valid: BLD, SDI" in told
    assert brushbench("list", "metrics", "--setups")[0] == 2


def test_added_numbers_are_listed_and_stand_below_measured_ones(
    mine: Path, kept: Path, tmp_path: Path, brushbench
) -> None:
    for seed, split in enumerate(("inside", "outside")):
        Made("telea", plausible(6, seed), split=split, protocol="paper").write(tmp_path / "runs" / split / "telea")
    before = brushbench("report", tmp_path / "runs", "--with-published")[1]
    assert "nothing is published for telea" in before
    assert brushbench("published", "lint", mine)[:2] == (0, "2 numbers: nothing is wrong\n")
    assert not kept.exists()
    assert brushbench("published", "add", mine)[:2] == (0, f"added 2 numbers to {kept}\n")
    rows = json.loads(brushbench("list", "published", "telea", "--format", "json")[1])
    assert [(row["metric"], row["value"], row["confidence"], row["group"]) for row in rows] == [
        ("PSNR", "22.10", "U", "brushnet"),
        ("IR", "-3.50", "U", "brushnet"),
    ]
    after = brushbench("report", tmp_path / "runs", "--with-published")[1]
    assert "22.10(U)" in after.replace(" ", "")
    assert "published in our paper" in after
    # Those of the authors are still there, and are not replaced.
    assert brushbench("list", "published", "--file", kept)[0] == 0
    assert len(brushbench("list", "published")[1].splitlines()) == 1 + len(read()) + 2


def test_numbers_of_another_set_up_are_only_listed(mine: Path, tmp_path: Path, brushbench) -> None:
    mine.write_text(MINE.replace(",paper\n", ",SD 2; 20 steps\n"))
    assert brushbench("published", "add", mine)[0] == 0
    Made("telea", plausible(6, 1), protocol="paper").write(tmp_path / "runs" / "telea")
    assert "nothing is published for telea" in brushbench("report", tmp_path / "runs", "--with-published")[1]
    assert "our paper; SD 2; 20 steps" in brushbench("list", "published", "telea")[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks the column benchmark; valid, each once: benchmark, split, method, blend, metric"),
        ("\xff\xfe", "can't be read as UTF-8 text"),
        (HEADING, "has no numbers"),
        (MINE.replace("setup", "set-up", 1), "lacks the column setup"),
        (MINE.replace("setup", "setup,colour", 1).replace(",paper", ",paper,red"), "has the column 'colour'"),
        (MINE + "BrushBench,inside,telea\n", "line 4 has another number of values"),
        (MINE.replace("22.10", "much"), "line 2: 'much' is not a number; valid: the value as printed, such as 12.36"),
        (MINE.replace("22.10", "nan"), "line 2: BrushBench inside telea paper PSNR: nan is not within 0 and 1000"),
        (MINE.replace("22.10", "-1"), "-1 is not within 0 and 1000"),
        (MINE.replace("inside", "insde"), "line 2: BrushBench has no split 'insde'; valid: inside, outside"),
        (MINE.replace("PSNR", "psnr"), "there is no metric 'psnr'; valid: IR, HPS"),
        (MINE.replace("our paper,paper", "our paper,"), "line 2: setup is empty; valid: paper for that of"),
        (MINE.replace(",our paper", ","), "line 2: source is empty"),
        (MINE.replace("IR,-3.5", "PSNR,22.2"), "occurs 2 times"),
        (MINE.replace("IR,-3.5", "MSE,1.0"), "1.00 is impossible: with a mean PSNR of 22.10 it must be 6.16 or more"),
        (MINE + 'BrushBench,outside,"tel\n', "can't be read as CSV"),
    ],
)
def test_faults_are_told_with_their_lines_and_nothing_is_added(
    text: str, told: str, mine: Path, kept: Path, brushbench
) -> None:
    mine.write_bytes(text.encode("latin-1"))
    for command in ("lint", "add"):
        code, out, err = brushbench("published", command, mine)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
    assert not kept.parent.exists()


def test_the_lint_tells_all_faults_at_once(mine: Path, brushbench) -> None:
    mine.write_text(MINE.replace("22.10", "much").replace("our paper,paper", ","))
    assert brushbench("published", "lint", mine)[2].count("line ") == 5
    assert "(and 4 more: `published lint" in brushbench("published", "add", mine)[2]


def test_a_number_is_added_once_and_the_variable_names_another_file(
    mine: Path, tmp_path: Path, brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert brushbench("published", "add", mine)[0] == 0
    assert (
        "line 2: BrushBench inside telea paper PSNR is in the registry already, from our paper"
        in (brushbench("published", "add", mine)[2])
    )
    monkeypatch.setenv("BRUSHBENCH_PUBLISHED", str(tmp_path / "shared.csv"))
    code, _, told = brushbench("list", "published")
    assert (code, told.count("\n")) == (2, 1)
    assert "`published add FILE.csv` makes it" in told
    assert brushbench("published", "add", mine)[0] == 0
    mine.write_text(MINE.replace("telea", "Schöne Méthode").replace("our paper", '"our ""new"", long paper"'))
    assert brushbench("published", "add", mine)[0] == 0
    assert "Schöne Méthode" in brushbench("list", "published", "schöne")[1]
    assert brushbench("published", "add", tmp_path / "shared.csv")[0] == 2

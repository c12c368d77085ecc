"""Published numbers: the registry, its lint, and which of them stand beside measured ones."""

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from report_runs import Made, plausible

import brushbench
from brushbench.reports.formats import render
from brushbench.reports.published.lint import dominated, impossible_numbers, swapped
from brushbench.reports.published.registry import FILES, OWN, read
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run

NONE = {"steps": 50, "guidance": 7.5, "blend": "none"}


def test_the_registry_is_sound() -> None:
    numbers = read()
    assert impossible_numbers(numbers) == []
    assert {number.confidence for number in numbers} == {"A", "P", "B", "C"}


def test_each_number_has_its_own_sources() -> None:
    """Two for grade A; BrushEdit of December 2024 can't hold a method of October 2025, and prints no IR or HPS."""
    own = read(OWN)
    counts = Counter((number.confidence, len(number.sources)) for number in own if number.confidence != "C")
    assert counts == {("A", 2): 88, ("P", 1): 97 + 88, ("B", 1): 13}
    for number in own:
        if "arXiv:2412.10316 Tab. IV" in number.sources:
            assert number.method != "NTN-Diff"
            assert number.metric not in ("IR", "HPS", "AS")
        if any(source.startswith("arXiv:2510.08273") for source in number.sources):
            assert number.metric != "AS"
            assert number.method != "SDI" or number.benchmark == "EditBench"


def test_other_papers_numbers_say_their_set_up(brushbench) -> None:
    others = [number for number in read() if number not in read(OWN)]
    assert len(others) == 203
    found = {(one.benchmark, one.metric): one for one in others if one.method == "BrushNet" and "10 steps" in one.setup}
    assert found["BrushBench", "IR"].value == 12.717
    assert found["EditBench", "IR"].value == -1.296
    # Four set-ups, and no two of them agree on one number.
    values = {one.value for one in read() if (one.benchmark, one.method, one.metric) == ("EditBench", "BrushNet", "IR")}
    assert values == {4.40, 4.46, -1.296, 2.729}
    assert "10 steps; JPEG; masks guessed from black pixels" in brushbench("list", "published")[1]


def test_rows_whose_error_is_that_of_few_images_are_found() -> None:
    found = dominated(read())
    rows = {line.partition(":")[0] for line in found}
    # PowerPaint, and the ControlNet with blending: between 3.1 and 8.2 dB.
    assert rows == {
        *("BrushBench inside PP none", "BrushBench outside PP none", "EditBench all PP none"),
        *("BrushBench inside CNI blur", "BrushBench outside CNI blur", "EditBench all CNI blur"),
    }
    assert all("a few images dominate" in line for line in found)
    number = next(number for number in read() if number.metric == "PSNR")
    for error, gap in ((10.0, 0.0), (19.9, 2.99), (20.1, 3.03)):
        made = [replace(number, value=20.0), replace(number, metric="MSE", value=error)]
        assert bool(dominated(made)) == (gap > 3)


def test_the_widely_copied_swap_of_columns_is_found() -> None:
    found = impossible_numbers(swapped(read()))
    assert any("BrushBench outside BrushNet none MSE: 15.08 is impossible" in line for line in found)
    assert all("impossible" in line for line in found)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"value": 9.0, "metric": "MSE"}, "occurs 2 times"),
        ({"value": 131.0}, "131 is not within 0 and 100"),
        ({"value": float("nan")}, "nan is not within"),
        ({"confidence": "D"}, "confidence 'D'"),
        ({"metric": "FID"}, "no such metric"),
        ({"source": ""}, "no source"),
        ({"confidence": "A", "source": "arXiv:2412.10316 Tab. IV"}, "confidence A needs two sources"),
    ],
)
def test_other_mistakes_are_found(change: dict[str, object], finding: str) -> None:
    numbers = list(read())
    place = next(place for place, number in enumerate(numbers) if number.metric == "CLIP")
    numbers[place] = replace(numbers[place], **change)
    assert any(finding in line for line in impossible_numbers(numbers))


def test_the_bound_is_jensens(tmp_path: Path) -> None:
    """Real scores keep it, whatever they are; the smallest possible mean squared error is just allowed."""
    numbers = [number for number in read() if number.metric in ("PSNR", "MSE")][:2]
    for error, count in ((10.0, 0), (9.97, 1)):
        psnr, mse = (replace(one, value=value) for one, value in zip(numbers, (20.0, error), strict=True))
        assert len(impossible_numbers([psnr, mse])) == count


def test_list_published(brushbench, tmp_path: Path) -> None:
    code, out, _ = brushbench("list", "published")
    assert code == 0
    assert out.splitlines()[0].split() == [
        *("benchmark", "split", "method", "blend", "metric", "value", "confidence", "source", "set-up", "group", "note")
    ]
    assert len(out.splitlines()) == 1 + len(read())
    code, out, _ = brushbench("list", "published", "--lint")
    assert code == 0
    assert "none is impossible" in out
    assert "EditBench all PP none: PSNR and MSE are 6.4 dB apart: a few images dominate" in out
    assert "swapped" in out
    assert "15.08 is impossible" in out


def test_the_lint_of_another_file(brushbench, tmp_path: Path) -> None:
    file = tmp_path / "copy.csv"
    rows = list(csv.DictReader(io.StringIO(FILES[0].read_text())))
    swap = {"MSE": "LPIPS", "LPIPS": "MSE"}
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, rows[0])
        writer.writeheader()
        writer.writerows(row | {"metric": swap.get(row["metric"], row["metric"])} for row in rows)
    code, out, _ = brushbench("list", "published", "--lint", "--file", file)
    assert code == 1
    assert "impossible" in out
    file.write_text("benchmark,split,method,metric,value,confidence,source\nB,inside,\x1b[31mM,CLIP,much,A,s\n")
    code, _, err = brushbench("list", "published", "--lint", "--file", file)
    assert (code, len(err.splitlines())) == (2, 1)
    assert brushbench("list", "methods", "--lint")[0] == 2


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """BrushNet and Telea on both splits, under the paper's protocol."""
    return [
        Made(method, plausible(6, seed), split=split, protocol="paper", options=options).write(tmp_path / f"{seed}")
        for seed, (method, split, options) in enumerate(
            (method, split, options)
            for method, options in (("brushnet", NONE), ("telea", {"radius": 3}))
            for split in ("inside", "outside")
        )
    ]


def test_published_numbers_stand_beside_measured_ones(runs: list[Run]) -> None:
    text = render(make_report(runs, TableOptions("paper", with_published=True)), "text")
    rows = json.loads(render(make_report(runs, TableOptions("paper", with_published=True)), "json"))
    row = next(row for row in rows if (row["method"], row["split"], row["metric"]) == ("brushnet", "inside", "lpips"))
    assert row["published"] == pytest.approx(0.04828)
    assert row["published_confidence"] == "P"
    assert row["published_source"] == "arXiv:2510.08273 Tab. 1"
    assert "published in arXiv:2510.08273 Tab. 1" in text
    assert "published BrushNet" in text
    assert "6.53 (B)" in text
    assert "no published numbers: nothing is published for telea" in text
    assert {row["published"] for row in rows if row["method"] == "telea"} == {None}
    assert "published" not in render(make_report(runs, TableOptions("paper")), "csv")


def test_the_published_ablation(runs: list[Run]) -> None:
    text = render(make_report(runs, TableOptions("ablation", with_published=True)), "text")
    line = next(line for line in text.splitlines() if line.startswith("published dual branch, base frozen"))
    assert line.split()[-7:] == ["11.59", "27.71", "6.59", "19.86", "16.09", "31.68", "26.91"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"protocol": "strict"}, "published numbers are for protocol paper, these runs for strict"),
        ({"dataset": "papercut"}, "nothing is published for the data set papercut"),
        ({"split": "brush"}, "nothing is published for brushnet with blend=none on split brush of brushbench"),
        ({"options": NONE | {"blend": "paste"}}, "nothing is published for brushnet with blend=paste"),
        ({"options": NONE | {"blend": "blur", "blur": 41}}, "with blur=41, only with blur=21"),
        ({"method": "powerpaint", "options": NONE | {"version": 2}}, "only version 1 of powerpaint is published"),
    ],
)
def test_why_there_is_none(change: dict[str, object], reason: str, tmp_path: Path) -> None:
    made = replace(Made("brushnet", plausible(4, 1), protocol="paper", options=NONE), **change)
    found = make_report([made.write(tmp_path / "run")], TableOptions("paper", with_published=True))
    assert reason in render(found, "text")
    assert all(row["published"] is None for row in json.loads(render(found, "json")))


def test_no_published_numbers_by_tag(runs: list[Run]) -> None:
    with pytest.raises(brushbench.UserError, match="whole splits"):
        make_report(runs, TableOptions("paper", by="source", with_published=True))

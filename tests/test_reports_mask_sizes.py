"""Sections by the size of the mask: inside and outside of an image are in one, whether their samples failed or not."""

import json
from pathlib import Path

import pytest
from report_runs import Made

import brushbench as suite
from brushbench.reports.formats import render
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.config import Shard
from brushbench.runs.folder import Run

SHARES = [0.1, 0.3, 0.5]
OUTSIDE = [0.9, 0.7, 0.5]
FAILING = """
from brushbench.core.errors import SampleError

class Failing:
    def __call__(self, batch, seeds):
        if "000000001" in batch.ids:
            raise SampleError("not this one")
        return batch.images.clone()
"""


def sections(runs: list[Run], table: str) -> dict[str, dict[str, object]]:
    """The record of PSNR by section."""
    records = json.loads(render(make_report(runs, TableOptions(table, by="mask-size")), "json"))
    return {row["section"]: row for row in records if row["metric"] == "psnr"}


def test_an_ablation_pairs_inside_and_outside_by_the_inside_mask(tmp_path: Path) -> None:
    runs = [
        Made("brushnet", {"psnr": [10.0, 20.0, 30.0]}, mask_shares=SHARES).write(tmp_path / "in"),
        Made("brushnet", {"psnr": [50.0, 40.0, 20.0]}, split="outside", mask_shares=OUTSIDE).write(tmp_path / "out"),
    ]
    for given in (runs, runs[::-1]):
        found = sections(given, "ablation")
        assert {name: row["mean"] for name, row in found.items()} == {"small": 30.0, "medium": 30.0, "large": 25.0}
        assert {row["n_asked"] for row in found.values()} == {2}
        text = render(make_report(given, TableOptions("ablation", by="mask-size")), "text")
        assert "mask sizes are those of the inside masks, also for outside" in text
        assert "unknown" not in text
    # On the border of two classes the outside mask's own share is no help: the inside mask decides.
    tidy = suite.frame(runs)
    assert tidy.groupby("sample")["mask_size"].nunique().max() == 1
    assert tidy["mask_share"].tolist() == SHARES + OUTSIDE


def test_outside_alone_is_classed_by_what_it_leaves(tmp_path: Path) -> None:
    run = Made("own", {"psnr": [1.0, 2.0, 3.0]}, split="outside", mask_shares=OUTSIDE).write(tmp_path / "run")
    assert {name: row["mean"] for name, row in sections([run], "summary").items()} == {
        "small": 1.0,
        "medium": 2.0,
        "large": 3.0,
    }
    brush = Made("own", {"psnr": [1.0, 2.0, 3.0]}, split="brush", mask_shares=OUTSIDE).write(tmp_path / "brush")
    assert list(sections([brush], "summary")) == ["large"]


@pytest.mark.parametrize("known", ["another method", "the other split"])
def test_a_failed_sample_has_the_size_that_another_run_knows(known: str, tmp_path: Path) -> None:
    failed = Made("own", {"psnr": [10.0, None, 30.0]}, mask_shares=[0.1, None, 0.5]).write(tmp_path / "own")
    other = (
        Made("other", {"psnr": [1.0, 2.0, 3.0]}, mask_shares=SHARES)
        if known == "another method"
        else Made("own", {"psnr": [1.0, 2.0, 3.0]}, split="outside", mask_shares=OUTSIDE)
    )
    runs = [failed, other.write(tmp_path / "other")]
    records = json.loads(render(make_report(runs, TableOptions(by="mask-size")), "json"))
    own = {row["section"]: row for row in records if (row["method"], row["split"]) == ("own", "inside")}
    assert {name: (row["n_scored"], row["n_asked"]) for name, row in own.items()} == {
        "small": (1, 1),
        "medium": (0, 1),
        "large": (1, 1),
    }
    assert "unknown" not in render(make_report(runs, TableOptions(by="mask-size")), "text")


def test_data_sets_of_one_name_do_not_lend_each_other_sizes(tmp_path: Path) -> None:
    runs = [
        Made("own", {"psnr": [1.0]}, mask_shares=[share], digest=letter * 64).write(tmp_path / letter)
        for letter, share in (("a", 0.1), ("b", None))
    ]
    assert suite.frame(runs)["mask_size"].fillna("none").tolist() == ["small", "none"]


def test_scoring_looks_at_the_masks_of_failed_samples_too(tmp_path: Path, write_bench, brushbench) -> None:
    root = write_bench(count=3, entries={"broken": {"image": "images/none.png", "caption": ""}})
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    arguments = ("--root", root, "--split", "inside,outside", "--metrics", "psnr", "--output", tmp_path / "runs")
    assert brushbench("run", "--method", f"{file}:Failing", "--dataset", "brushbench", *arguments)[0] == 3
    code, out, _ = brushbench(
        *("report", tmp_path / "runs", "--table", "ablation", "--by", "mask-size", "--format", "json")
    )
    assert code == 0
    # A rectangle of half the height and a third of the width; what can't be decoded at all has no size.
    counts = {row["section"]: (row["n_scored"], row["n_asked"]) for row in json.loads(out)}
    assert counts == {"small": (4, 6), "unknown": (0, 2)}


def test_a_picture_that_is_missing_has_a_size(tmp_path: Path, write_bench, brushbench) -> None:
    root = write_bench(count=3)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("000000000.png", "000000002.png"):
        (pictures / name).write_bytes((root / "images" / name).read_bytes())
    arguments = ("--dataset", "brushbench", "--root", root, "--metrics", "psnr", "--output", tmp_path / "runs")
    brushbench("score", "--images", pictures, *arguments)
    tidy = suite.frame(tmp_path / "runs")
    assert tidy["mask_size"].tolist() == ["small"] * 3
    assert tidy["status"].tolist()[1] == "failed: no image given"


def test_what_a_shard_has_not_made_yet_is_scored_when_it_is_there(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=3)
    for index in (1, 2):
        config = suite.RunConfig("telea", "brushbench", root, output=tmp_path, shard=Shard(index, 2), metrics=["mse"])
        run = suite.run(config)
        tidy = suite.frame(run)
        assert tidy["mask_size"].tolist() == ["small"] * 3
        assert tidy["value"].notna().sum() == {1: 2, 2: 3}[index]

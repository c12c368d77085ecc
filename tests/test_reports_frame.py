"""The frame of runs: a row per sample and metric, with tags and the size of the mask."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from report_runs import Made

import brushbench
from brushbench.evaluation import parts
from brushbench.evaluation import score as scoring
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores

CORE = ["run", "dataset", "split", "protocol", "method", "sample", "metric", "value", "status", "note"]


def add_tags(root: Path, tags: Mapping[str, Mapping[str, str]]) -> None:
    mapping = json.loads((root / "mapping_file.json").read_text())
    for name, own in tags.items():
        mapping[name]["tags"] = own
    (root / "mapping_file.json").write_text(json.dumps(mapping))


def test_tags_and_mask_sizes_are_stored_with_the_scores(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=3, entries={"broken": {"image": "images/none.png", "caption": "", "tags": {"a": "x"}}})
    add_tags(root, {"000000000": {"source": "natural"}, "000000001": {"source": "artificial", "value": "high"}})
    run = brushbench.run(brushbench.RunConfig("telea", "brushbench", root, output=tmp_path, metrics=["mse", "seam"]))
    (root / "mapping_file.json").rename(root / "gone.json")
    tidy = brushbench.frame(run)
    assert list(tidy.columns[:10]) == CORE
    assert set(tidy.columns[10:]) == {"source", "tag.value", "a", "mask_share", "mask_size"}
    assert list(tidy.columns[-2:]) == ["mask_share", "mask_size"]
    assert len(tidy) == 2 * 4
    rows = tidy[tidy["metric"] == "seam"].set_index("sample")
    assert rows["source"].fillna("").to_dict() == {
        "000000000": "natural",
        "000000001": "artificial",
        "000000002": "",
        "broken": "",
    }
    assert rows.loc["000000001", "tag.value"] == "high"
    assert rows.loc["broken", "a"] == "x"
    # A rectangle of half the height and a third of the width.
    assert rows.loc["000000000", "mask_share"] == pytest.approx(32 * 21 / 64**2)
    assert rows.loc["000000000", "mask_size"] == "small"
    assert math.isnan(rows.loc["broken", "mask_share"])


def test_scores_without_tags_are_read_and_get_them_when_scored_again(
    tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench(count=2)
    add_tags(root, {"000000000": {"source": "natural"}, "000000001": {"source": "artificial"}})
    run = brushbench.run(brushbench.RunConfig("telea", "brushbench", root, output=tmp_path, metrics=["mse"]))
    with_tags, scores = brushbench.frame(run), read_scores(run)
    assert scores is not None
    scoring.write_scores(run, replace(scores, table=scores.table.drop(columns=["tag.source", "mask_share"])))
    assert list(brushbench.frame(run).columns) == CORE
    called: list[str] = []
    monkeypatch.setattr(parts, "_scores_of", lambda metric, *_, **__: called.append(metric.info.name))
    brushbench.score(run, metrics=["mse"])
    # The masks are looked at, and no score is computed again.
    assert not called
    assert brushbench.frame(run).equals(with_tags)
    before = run.scores_path().read_bytes()
    brushbench.score(run, metrics=["mse"])
    assert run.scores_path().read_bytes() == before


@pytest.mark.parametrize(
    ("share", "size"),
    [(0.0, "small"), (0.2149, "small"), (0.216, "medium"), (0.3689, "medium"), (0.37, "large"), (1.0, "large")],
)
def test_mask_sizes_are_those_of_editbench(share: float, size: str, tmp_path: Path) -> None:
    run = Made("copy", {"mse": [0.0, 0.0]}, mask_shares=[share, None]).write(tmp_path / "run")
    tidy = brushbench.frame(run)
    assert tidy["mask_size"].fillna("none").tolist() == [size, "none"]


def test_runs_with_different_tags_share_a_frame(tmp_path: Path) -> None:
    first = Made("copy", {"mse": [0.0]}, tags={"source": ["natural"]}, mask_shares=[0.5]).write(tmp_path / "a")
    second = Made("telea", {"mse": [1.0]}, tags={"place": ["sea"]}).write(tmp_path / "b")
    tidy = brushbench.frame([first, second])
    assert list(tidy.columns[10:]) == ["source", "place", "mask_share", "mask_size"]
    assert tidy["source"].isna().tolist() == [False, True]


def labels(runs: list[Run]) -> list[str]:
    return brushbench.frame(runs)["method"].tolist()


def test_labels_tell_options_apart_across_splits(tmp_path: Path) -> None:
    """A row of a table must not be of one method inside and of another outside."""
    runs = [
        Made("brushnet", {"mse": [0.0]}, split=split, options={"scale": scale}).write(tmp_path / f"{split}{scale}")
        for split, scale in (("inside", 1.0), ("outside", 0.5))
    ]
    assert labels(runs) == ["brushnet scale=1.0", "brushnet scale=0.5"]
    other = Made("brushnet", {"mse": [0.0]}, dataset="photos", options={"scale": 0.1}).write(tmp_path / "photos")
    assert labels([runs[0], other]) == ["brushnet", "brushnet"]


def test_other_weights_for_other_masks_are_one_method(tmp_path: Path) -> None:
    """Branches of one family are one method; a branch that was trained again between two splits is another."""
    branches = {"inside": "a", "outside": "a", "brush": "b"}
    runs = [
        Made("brushnet", {"mse": [0.0]}, split=split, digests={"brushnet": digest * 64}).write(tmp_path / split)
        for split, digest in branches.items()
    ]
    assert labels(runs) == ["brushnet"] * 3
    again = Made("brushnet", {"mse": [0.0]}, split="outside", digests={"brushnet": "c" * 64}).write(tmp_path / "again")
    assert labels([runs[0], again, runs[2]]) == [
        "brushnet brushnet@=aaaaaaaa",
        "brushnet brushnet@=cccccccc",
        "brushnet",
    ]


def test_two_data_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [Made("copy", {"mse": [0.0]}, digest=letter * 64).write(tmp_path / letter) for letter in "ab"]
    assert brushbench.frame(runs)["dataset"].tolist() == ["brushbench@aaaaaaaa", "brushbench@bbbbbbbb"]
    assert brushbench.frame(runs[0])["dataset"].tolist() == ["brushbench"]
    outside = Made("copy", {"mse": [0.0]}, split="outside", digest="c" * 64).write(tmp_path / "c")
    assert brushbench.frame([runs[0], outside])["dataset"].tolist() == ["brushbench", "brushbench"]

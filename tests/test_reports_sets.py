"""Metrics of sets, from a run to its tables: stored features, values, intervals, comparisons."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from brushbench.core.errors import UserError
from brushbench.evaluation.evaluate import run, score
from brushbench.reports.baseline_making import baseline_of
from brushbench.reports.formats import printed
from brushbench.reports.set_values import Sets
from brushbench.reports.summary import summarise
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.config import RunConfig
from brushbench.runs.features import features_file, read_features, read_sets
from brushbench.runs.folder import Run

EXAMPLE = f"{Path(__file__).parent.parent / 'examples' / 'my_set_metric.py'}:ColourGap"
GAP, LIMIT = "colour-gap", 10
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals needn't be precise here."""
    monkeypatch.setattr("brushbench.reports.set_values.DRAWS", 40)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two floors on a few scenes, with one metric of either kind."""
    output = tmp_path_factory.mktemp("runs")
    return [
        run(RunConfig(method=method, dataset="papercut", limit=LIMIT, metrics=f"psnr,{EXAMPLE}", output=output))
        for method in ("telea", "mean-fill")
    ]


@pytest.fixture
def copied(made: list[Run], tmp_path: Path) -> Run:
    """A run that a test may damage."""
    shutil.copytree(made[0].path, tmp_path / "telea")
    return Run.open(tmp_path / "telea")


def rows_of(found: Run) -> tuple[np.ndarray, np.ndarray]:
    features = read_features(found, read_sets(found)[GAP].features)
    assert features is not None
    return features.sources, features.images


def by_hand(found: Run) -> float:
    sources, images = rows_of(found)
    return float(np.linalg.norm(sources.astype(float).mean(0) - images.astype(float).mean(0)))


def test_sections_have_the_values_of_their_samples(made: list[Run]) -> None:
    summary = summarise(made[:1], "source")
    features = read_features(made[0], read_sets(made[0])[GAP].features)
    assert features is not None
    own = summary.rows[summary.rows["metric"] == GAP]
    assert own["n_scored"].sum() == LIMIT
    for row in own.to_dict("records"):
        chosen = summary.tidy[(summary.tidy["section"] == row["section"]) & (summary.tidy["metric"] == GAP)]["sample"]
        places = [features.ids.index(sample) for sample in chosen]
        gap = np.linalg.norm(features.sources[places].mean(0) - features.images[places].mean(0))
        assert row["mean"] == pytest.approx(float(gap), rel=1e-5)


@pytest.mark.parametrize("table_format", ["text", "markdown", "latex", "csv", "json", "html"])
def test_every_format_prints_it(made: list[Run], table_format: str) -> None:
    value = by_hand(made[0])
    told = printed(make_report(made, TableOptions(significant=True)), table_format)
    assert f"{value:.2f}" in told or f"{value:.6g}" in told
    if table_format == "json":
        marks = {row["mark"] for row in json.loads(told) if row["metric"] == GAP}
        assert marks == {""}


def test_a_baseline_refuses_it(made: list[Run], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match=r"one number for all images.*image by image"):
        baseline_of(made[:1], [], [GAP], {})
    baseline = baseline_of(made[:1], [], None, {})
    assert GAP not in baseline.runs[0].metrics
    assert "left out of the baseline" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 rubbish"])
def test_damaged_features_are_computed_again(copied: Run, damage: bytes) -> None:
    expected = by_hand(copied)
    file = copied.path / features_file(read_sets(copied)[GAP].features)
    file.write_bytes(damage)
    rows = summarise([copied]).rows.set_index("metric")
    assert np.isnan(rows.loc[GAP, "mean"])
    score(copied.path, [EXAMPLE])
    assert by_hand(Run.open(copied.path)) == pytest.approx(expected)


def test_the_mean_over_seeds_draws_images_under_all_seeds_at_once(made: list[Run]) -> None:
    samples = rows_of(made[0])[0]
    ids = list(made[0].ledger())
    both = Sets(made).value(GAP, {each.place: ids for each in made})
    alone = Sets(made).value(GAP, {made[0].place: ids})
    assert both.value == pytest.approx((by_hand(made[0]) + by_hand(made[1])) / 2)
    assert (both.clusters, both.count, alone.count) == (len(samples), 2 * len(samples), len(samples))

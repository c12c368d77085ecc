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
from brushbench.reports.comparison import compare
from brushbench.reports.comparison_tables import render_comparison
from brushbench.reports.formats import printed
from brushbench.reports.set_values import Sets, interval
from brushbench.reports.summary import summarise
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.config import RunConfig
from brushbench.runs.features import file_of, read_features, read_sets
from brushbench.runs.folder import Run

EXAMPLE = f"{Path(__file__).parent.parent / 'examples' / 'my_set_metric.py'}:ColourGap"
GAP, LIMIT = "colour-gap", 10
Main = Callable[..., tuple[int, str, str]]


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


def test_a_table_has_the_value_of_the_whole_set(made: list[Run]) -> None:
    rows = summarise(made).rows.set_index(["method", "metric"])
    for each, name in zip(made, ("telea", "mean-fill"), strict=True):
        row = rows.loc[name, GAP]
        assert row["mean"] == pytest.approx(by_hand(each), rel=1e-12)
        assert row["low"] < row["mean"] < row["high"]
        assert (row["n_scored"], row["n_asked"]) == (LIMIT, LIMIT)


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


def test_a_comparison_resamples_the_images_of_both(made: list[Run]) -> None:
    found = compare(made[:1], made[1:])
    (change,) = found.sets
    assert change.difference == pytest.approx(by_hand(made[0]) - by_hand(made[1]), rel=1e-9)
    assert change.low < change.difference < change.high
    assert change.count == LIMIT
    for table_format in ("text", "markdown", "csv", "json"):
        assert GAP in render_comparison(found, table_format).lower()
    assert all(change.info.scope == "image" for change in found.changes)


def test_a_baseline_refuses_it(made: list[Run], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match=r"one number for all images.*image by image"):
        baseline_of(made[:1], [], [GAP], {})
    baseline = baseline_of(made[:1], [], None, {})
    assert GAP not in baseline.runs[0].metrics
    assert "left out of the baseline" in caplog.text


def test_rows_of_unchanged_images_are_kept(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = copied.path / file_of(read_sets(copied)[GAP].features)
    content = before.read_bytes()
    score(copied.path, [EXAMPLE])
    assert before.read_bytes() == content


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 rubbish"])
def test_damaged_features_are_computed_again(copied: Run, damage: bytes) -> None:
    expected = by_hand(copied)
    file = copied.path / file_of(read_sets(copied)[GAP].features)
    file.write_bytes(damage)
    rows = summarise([copied]).rows.set_index("metric")
    assert np.isnan(rows.loc[GAP, "mean"])
    score(copied.path, [EXAMPLE])
    assert by_hand(Run.open(copied.path)) == pytest.approx(expected)


def test_a_changed_image_leaves_the_set(copied: Run) -> None:
    entry = next(iter(copied.ledger().values()))
    copied.image_path(entry).write_bytes(b"another image")
    score(copied.path, [EXAMPLE])
    row = summarise([Run.open(copied.path)]).rows.set_index("metric").loc[GAP]
    assert (row["n_scored"], row["n_asked"]) == (LIMIT - 1, LIMIT)


def test_the_mean_over_seeds_draws_images_under_all_seeds_at_once(made: list[Run]) -> None:
    samples = rows_of(made[0])[0]
    ids = list(made[0].ledger())
    both = Sets(made).value(GAP, {each.place: ids for each in made})
    alone = Sets(made).value(GAP, {made[0].place: ids})
    assert both.value == pytest.approx((by_hand(made[0]) + by_hand(made[1])) / 2)
    assert (both.clusters, both.count, alone.count) == (len(samples), 2 * len(samples), len(samples))


def test_too_few_images_have_no_value_or_no_interval(made: list[Run]) -> None:
    ids = list(made[0].ledger())
    sets, info = Sets(made), read_sets(made[0])[GAP].info
    assert np.isnan(sets.value(GAP, {made[0].place: ids[:1]}).value)
    few = sets.value(GAP, {made[0].place: ids[:3]}).estimate(info)
    assert np.isfinite(few.mean)
    assert np.isnan(few.low)


def test_an_interval_lies_around_the_value_whatever_the_bias_of_the_draws() -> None:
    draws = np.random.default_rng(0).normal(7.0, 1.0, 20000)
    assert interval(3.0, draws) == pytest.approx((3 - 1.96, 3 + 1.96), abs=0.05)


def test_only_a_metric_of_sets_can_be_all_that_is_scored(tmp_path: Path) -> None:
    alone = run(RunConfig(method="telea", dataset="papercut", limit=3, metrics=EXAMPLE, output=tmp_path))
    assert list(summarise([alone]).rows["metric"]) == [GAP]


def test_a_folder_of_references(made: list[Run], tmp_path: Path) -> None:
    from brushbench.evaluation.select_metrics import ChosenSet, load_set_metric
    from brushbench.evaluation.set_scoring import SetScoring
    from brushbench.runs.data import opened_of

    folder = tmp_path / "references"
    folder.mkdir()
    for entry in list(made[0].ledger().values())[:4]:
        shutil.copy(made[1].image_path(made[1].ledger()[entry.id]), folder)
    copied = Run.open(shutil.copytree(made[0].path, tmp_path / "telea"))
    options = {"reference": str(folder)}
    chosen = ChosenSet(load_set_metric("papercut-fd", **options), "papercut-fd", options)
    SetScoring(copied, opened_of(copied, None).data, [chosen])(lambda *_: lambda *_: None)
    stored = read_sets(copied)["papercut-fd"]
    assert "references" in stored.info.version
    references = read_features(copied, stored.references)
    assert references is not None
    assert len(references.images) == 4
    with pytest.raises(UserError, match="no such folder"):
        SetScoring(
            copied,
            opened_of(copied, None).data,
            [ChosenSet(load_set_metric("papercut-fd", reference="gone"), "papercut-fd", {})],
        )(lambda *_: lambda *_: None)

"""Set metrics from `run` to `report`, `compare` and `check`: features are stored, resumed and invalidated by image."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_metrics_distances import by_sqrtm

import brushbench as library
from brushbench import Batch, RunConfig
from brushbench.evaluation.select_metrics import load_metric, load_set_metric
from brushbench.reports.set_values import Sets, SetValue, bootstrap_interval
from brushbench.reports.summary import summarise
from brushbench.runs.features import features_file, read_features, read_sets
from brushbench.runs.folder import Run

ROOT = Path(__file__).parent.parent
GAP = f"{ROOT / 'examples' / 'my_set_metric.py'}:ColourGap"
LIMIT = 10


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals needn't be precise here."""
    monkeypatch.setattr("brushbench.reports.set_values.DRAWS", 40)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with a metric of images, the built-in set metric and a plug-in's."""
    output = tmp_path_factory.mktemp("sets")
    for method in ("telea", "mean-fill"):
        library.run(
            RunConfig(method, "papercut", limit=LIMIT, output=output, metrics=["psnr@whole", "papercut-fd", GAP])
        )
    return output / "papercut-inside"


def features_of(run: Run, metric: str) -> tuple[np.ndarray, np.ndarray]:
    found = read_features(run, read_sets(run)[metric].features)
    assert found is not None
    return found.sources.astype(np.float64), found.images.astype(np.float64)


def test_a_row_is_the_distance_of_the_stored_features(runs: Path) -> None:
    done = Run.open(runs / "telea")
    rows = summarise([done]).rows.set_index("metric")
    sources, images = features_of(done, "papercut-fd")
    assert len(images) == LIMIT
    assert rows.loc["papercut-fd", "mean"] == pytest.approx(by_sqrtm(sources, images), rel=1e-5)
    assert rows.loc["papercut-fd", "n_scored"] == LIMIT
    low, high = rows.loc["papercut-fd", ["low", "high"]]
    assert 0 <= low < rows.loc["papercut-fd", "mean"] < high


def test_features_are_those_of_the_images_on_disk(runs: Path) -> None:
    dataset, done = library.load_dataset("papercut", split="inside"), Run.open(runs / "telea")
    batch = Batch.of([dataset[index] for index in range(LIMIT)])
    entries = done.ledger()
    images = torch.stack(
        [
            torch.from_numpy(np.asarray(Image.open(done.image_path(entries[name]))).copy()).permute(2, 0, 1)
            for name in batch.ids
        ]
    )
    metric = load_set_metric("papercut-fd")
    sources, stored = features_of(done, "papercut-fd")
    assert torch.from_numpy(stored).float() == pytest.approx(metric.features(batch, images), abs=1e-4)
    assert torch.from_numpy(sources).float() == pytest.approx(metric.features(batch, batch.images), abs=1e-4)


def test_a_plug_ins_number_is_its_closed_form(runs: Path) -> None:
    done = Run.open(runs / "mean-fill")
    sources, images = features_of(done, "colour-gap")
    expected = np.linalg.norm(sources.mean(axis=0) - images.mean(axis=0))
    rows = summarise([done]).rows.set_index("metric")
    assert rows.loc["colour-gap", "mean"] == pytest.approx(expected, rel=1e-6)


def test_scoring_again_computes_only_what_has_changed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brushbench.metrics.sets import PaperCutFD

    seen: list[int] = []
    compute = PaperCutFD.features

    def counting(self: PaperCutFD, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return compute(self, batch, images)

    monkeypatch.setattr(PaperCutFD, "features", counting)
    library.score(runs / "telea", ["papercut-fd"])
    assert not seen
    done = Run.open(runs / "telea")
    file = done.path / features_file(read_sets(done)["papercut-fd"].features)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    library.score(runs / "telea", ["papercut-fd"])
    assert seen == [LIMIT, LIMIT], "a damaged file counts as missing"
    assert file.read_bytes() == content


def test_a_changed_image_is_not_in_the_set(runs: Path, tmp_path: Path) -> None:
    import shutil

    copied = tmp_path / "papercut-inside" / "telea"
    shutil.copytree(runs / "telea", copied)
    first = next((copied / "images").glob("*.png"))
    Image.new("RGB", (128, 128)).save(first)
    rows = summarise([Run.open(copied)]).rows.set_index("metric")
    assert rows.loc["papercut-fd", "n_scored"] == LIMIT - 1


def test_formats_have_a_column(brushbench, runs: Path) -> None:
    for form in ("latex", "html", "markdown", "text"):
        code, out, err = brushbench("report", runs, "--format", form)
        assert code == 0, err
        assert "PAPERCUT" in out
        assert "FD" in out
    assert "one number for all images of a row" in out
    assert f"{LIMIT} images for 104 features" in " ".join(out.split())
    code, out, _ = brushbench("report", runs, "--format", "json")
    record = next(row for row in json.loads(out) if row["metric"] == "papercut-fd")
    assert record["low"] < record["mean"] < record["high"]
    code, out, _ = brushbench("report", runs, "--by", "mask-size", "--significant")
    assert code == 0
    assert "mask-size: " in out


def test_compare_pairs_the_images(brushbench, runs: Path, tmp_path: Path) -> None:
    sides = runs / "telea", runs / "mean-fill"
    code, out, err = brushbench("compare", *sides, "--format", "csv", "--output", tmp_path)
    assert code == 0, err
    record = next(row for row in csv.DictReader(io.StringIO(out)) if row["metric"] == "papercut-fd")
    values = [by_sqrtm(*features_of(Run.open(side), "papercut-fd")) for side in sides]
    assert float(record["difference"]) == pytest.approx(values[0] - values[1], rel=1e-4), "lower is better"
    assert float(record["low"]) < float(record["difference"]) < float(record["high"])
    assert (record["verdict"], record["n_shared"], record["compared"]) == ("no verdict", str(LIMIT), "set")
    code, out, _ = brushbench("compare", *sides, "--output", tmp_path)
    assert "metric of the set" in out


def test_the_gate_refuses_a_set_metric(brushbench, runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    code, _, err = brushbench("check", runs, "--write", file, "--metrics", "papercut-fd")
    assert code == 2
    assert "papercut-fd: one number for all images, while a baseline compares image by image" in err
    assert not file.exists()


def test_only_set_metrics(brushbench, tmp_path: Path) -> None:
    code, out, err = brushbench(
        *("run", "--method", "telea", "--dataset", "papercut", "--limit", 3, "--metrics", "papercut-fd"),
        *("--output", tmp_path),
    )
    assert code == 0, err
    assert "PAPERCUT-FD whole" in out


def test_other_references(brushbench, runs: Path, tmp_path: Path) -> None:
    for place in range(4):
        Image.new("RGB", (128, 128), (60 * place, 90, 200)).save(tmp_path / f"{place}.png")
    output = tmp_path / "runs"
    asked = ("run", "--method", "telea", "--dataset", "papercut", "--limit", 3, "--output", output)
    code, _, err = brushbench(*asked, "--metrics", "psnr,papercut-fd", "--reference", tmp_path)
    assert code == 0, err
    stored = read_sets(Run.open(output / "papercut-inside" / "telea"))["papercut-fd"]
    assert stored.references
    assert "references" in stored.info.version
    code, _, err = brushbench(*asked, "--metrics", "psnr", "--reference", tmp_path)
    assert code == 2
    assert "--reference has no effect without a metric of sets" in err
    code, _, err = brushbench(*asked, "--metrics", "papercut-fd", "--reference", tmp_path / "nowhere")
    assert code == 2
    assert "no such folder" in err


def test_each_kind_is_loaded_by_its_own_function() -> None:
    with pytest.raises(library.UserError, match="valid: load_set_metric"):
        load_metric("papercut-fd")
    with pytest.raises(library.UserError, match="valid: load_metric"):
        load_set_metric("psnr")


def test_too_few_samples_have_no_interval(runs: Path) -> None:
    done = Run.open(runs / "telea")
    names = list(done.ledger())
    found = Sets([done]).value("papercut-fd", {done.place: names[:3]})
    assert np.isfinite(found.value)
    assert np.isnan(found.estimate(read_sets(done)["papercut-fd"].info).low)
    assert np.isnan(Sets([done]).value("papercut-fd", {done.place: names[:1]}).value)


def test_an_interval_mirrors_the_draws_around_the_value() -> None:
    draws = np.concatenate([np.full(90, 10.0), np.full(10, 20.0)])
    low, high = bootstrap_interval(5.0, draws)
    assert (low, high) == pytest.approx((5 - (20 - 11), 5 - (10 - 11)))
    assert SetValue(5.0, draws, 9, 9).estimate(load_set_metric("papercut-fd").info).low == 0, "no less than the least"


WRONG = """
from brushbench import MetricInfo


class Wrong:
    info = MetricInfo("wrong", "", higher_is_better=False, region="whole", version="1", scope="set")

    def features(self, batch, images):
        means = images.double().mean(dim=(2, 3))
        return means - means.mean(dim=0)

    def distance(self, references, images):
        return float(images[0, 0])
"""


def test_validate_finds_features_and_distances_that_break_the_contract(brushbench, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG, encoding="utf-8")
    code, out, err = brushbench("validate", f"{file}:Wrong")
    assert code == 1
    assert "features depend on the other images in the batch" in out + err
    assert "distance() depends on the order of the rows" in out + err

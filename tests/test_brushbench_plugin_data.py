"""Data sets and metrics that are a file, with as little in them as may be, and with what can be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import assert_one_line, run_on

import brushbench as library
from brushbench.evaluation.resolve import find_configured, task_of
from brushbench.runs.config import RunConfig

SQUARES = """
import torch
from brushbench import Sample

class Squares:
    def __init__(self, split):
        self.split = split
        self.ids = ["a", "b", "c"]

    @classmethod
    def open(cls, root, split):
        return cls(split)

    def __getitem__(self, index):
        image = torch.full((3, 32, 32), 40 * index, dtype=torch.uint8)
        image[:, :16] += 30
        mask = torch.zeros(1, 32, 32, dtype=torch.bool)
        mask[:, 8:24, 8:24] = True
        return Sample(self.ids[index], image, mask if self.split == "inside" else ~mask, "a square")
"""


@pytest.fixture
def squares(tmp_path: Path) -> str:
    return written(tmp_path / "squares.py", SQUARES) + ":Squares"


def written(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def test_a_data_set_of_two_methods_goes_through_every_command(
    squares: str, tmp_path: Path, brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = brushbench("run", "--method", "mean-fill", "--dataset", "squares.py:Squares", "--metrics", "psnr")
    assert code == 0, err
    run = tmp_path / "runs" / "Squares-inside" / "mean-fill"
    assert json.loads((run / "run.json").read_text())["identity"]["dataset"]["name"] == "Squares"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert brushbench("score", run, "--metrics", "mse")[0] == 0
    assert brushbench("report", run, "--sheet", "sheet.png")[0] == 0
    code, out, _ = brushbench("data", "verify", "--dataset", squares)
    assert code == 1
    assert "samples: 3\n" in out
    assert "duplicate-caption" in out
    assert brushbench("data", "show", "--dataset", squares)[0] == 0
    assert Path("Squares-inside.png").exists()
    assert brushbench("data", "convert", "--dataset", squares, "--output", "folder", "--to", "folder")[0] == 0
    converted = library.load_dataset("folder", root="folder")
    assert [sample.mask.sum() for sample in converted] == [256] * 3


def test_what_a_data_set_leaves_out_is_found_out(squares: str, tmp_path: Path) -> None:
    dataset = library.load_dataset(squares)
    assert (dataset.name, dataset.split, len(dataset), list(dataset.ids)) == ("Squares", "inside", 3, ["a", "b", "c"])
    assert [sample.id for sample in dataset] == ["a", "b", "c"]
    assert dataset.tags() == {"a": {}, "b": {}, "c": {}}
    other = written(tmp_path / "other.py", SQUARES.replace("40 * index", "41 * index")) + ":Squares"
    assert library.load_dataset(other).digest() != dataset.digest() == library.load_dataset(squares).digest()


def test_a_changed_data_set_is_another_one(squares: str, tmp_path: Path, brushbench) -> None:
    asked = ("run", "--method", "mean-fill", "--dataset", squares, "--metrics", "psnr", "--output", tmp_path / "runs")
    assert brushbench(*asked)[0] == 0
    written(tmp_path / "squares.py", SQUARES.replace("40 * index", "41 * index"))
    assert_one_line(brushbench(*asked), "digest")
    assert_one_line(brushbench("score", tmp_path / "runs"), "was made with another data set than the one found")


def changed(old: str, new: str) -> str:
    assert old in SQUARES
    return SQUARES.replace(old, new)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (changed("def open", "def unfold"), "has no open(root, split)"),
        (
            changed("return cls(split)", "return 1 / 0"),
            "can't be opened: ZeroDivisionError: division by zero (squares.py",
        ),
        (changed("return cls(split)", "raise SystemExit"), "can't be opened: SystemExit"),
        (changed("return cls(split)", "return None"), "has no ids"),
        (changed("def __getitem__", "def item"), "has no __getitem__"),
        (changed('"a", "b", "c"', '"a", "b", "a"'), "the id 'a' occurs twice"),
        (changed('"a", "b", "c"', '"a", "../b"'), "can't be a file name"),
        (changed('"a", "b", "c"', '"a", 3'), "id 3 is of type int"),
        (changed('"a", "b", "c"', ""), "has no samples"),
        (changed("class Squares:", "class Squares:\n    info = 3"), "its info is of type int, must be DatasetInfo"),
        (
            changed("class Squares:", "class Squares:\n    def digest(self): return 3\n"),
            "digest() returned int, must be a text",
        ),
        (changed("return Sample", "return 3 and (lambda *_: 5)"), "the data set returned int"),
        (changed("Sample(self.ids[index]", 'Sample("x"'), "the data set returned the sample 'x', must be 'a'"),
        ("Squares = 3\n", "is of type int"),
        ("def Squares(root, split): return 3\n", "has no open(root, split)"),
    ],
)
def test_a_data_set_that_is_none_is_one_line(text: str, part: str, tmp_path: Path, brushbench) -> None:
    file = written(tmp_path / "squares.py", text)
    asked = ("run", "--method", "mean-fill", "--dataset", f"{file}:Squares", "--output", tmp_path / "runs")
    assert_one_line(brushbench(*asked, "--metrics", "psnr"), part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (changed('"a square"', '"a square", None'), "has no attribute 'keys'"),
        (changed('"a square"', "7"), "its caption and tags must be texts, but 7 is int"),
        (changed("class Squares:", "class Squares:\n    info = DatasetInfo(splits=5)"), "info.splits is 5"),
        (
            changed("class Squares:", "class Squares:\n    info = DatasetInfo(splits='inside')"),
            "info.splits is 'inside'",
        ),
    ],
)
def test_types_are_checked_where_nobody_else_does(text: str, part: str, tmp_path: Path, forked) -> None:
    """Run in a separate process, where no earlier check of types interferes."""
    file = written(tmp_path / "squares.py", text.replace("import Sample", "import DatasetInfo, Sample"))
    code, _, err = forked("data", "show", "--dataset", f"{file}:Squares", "--output", tmp_path / "shown.png").result()
    assert code == 2
    assert part in err
    assert len(err.splitlines()) == 1


def test_what_a_data_set_says_of_itself_decides_on_weights_branch_and_metrics(tmp_path: Path) -> None:
    """A plug-in states what the suite's own data sets do: strokes, its own weights, its own metric."""
    stated = 'info = DatasetInfo(masks="random", weights="papercut", learned=("papercut-clip",))'
    text = changed("class Squares:", f"class Squares:\n    {stated}").replace(
        "import Sample", "import DatasetInfo, Sample"
    )
    config = RunConfig(method="brushnet", dataset=f"{written(tmp_path / 'squares.py', text)}:Squares", device="cpu")
    task = task_of(config)
    assert find_configured(task).branch({}) == "papercut-brushnet-random, for random masks"
    assert task.selection
    metrics = [metric.info.name for metric in task.selection.metrics]
    assert metrics == ["psnr", "mse", "ssim", "ssim@whole", "papercut-clip", "seam"]
    silent = replace(config, dataset=f"{written(tmp_path / 'plain.py', SQUARES)}:Squares")
    assert find_configured(task_of(silent, scored=False)).branch({}).endswith(", for segmentation masks")


def test_one_bad_sample_fails_alone(tmp_path: Path, brushbench) -> None:
    file = written(
        tmp_path / "squares.py", changed("image = torch", "if index == 1: raise SystemExit(0)\n        image = torch")
    )
    asked = ("run", "--method", "mean-fill", "--dataset", f"{file}:Squares", "--output", tmp_path / "runs")
    code, _, err = brushbench(*asked, "--metrics", "psnr")
    assert code == 3
    assert "failed: b" in err


BRIGHTNESS = """
from dataclasses import dataclass
from typing import Literal
from brushbench import MetricInfo

@dataclass(frozen=True)
class Brightness:
    level: float = 255.0
    weights: str = "an option that is called like something of the suite"
    device: str = "auto"

    @property
    def info(self):
        return MetricInfo("brightness", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch, images):
        assert self.device == "cpu"
        return images.double().flatten(1).mean(dim=1) / self.level
"""


def scored(brushbench, root: Path, tmp_path: Path, text: str, metric: str, *more: object) -> tuple[int, str, str]:
    file = written(tmp_path / "bright.py", text)
    metrics = ",".join(f"{file}:{name}" for name in metric.split(","))
    arguments = [str(each).replace("FILE", file) for each in more]
    return brushbench(*run_on(root, tmp_path / "runs", "--device", "cpu", "--metrics", metrics, *arguments))


def test_a_metric_can_be_a_file(write_bench, tmp_path: Path, brushbench) -> None:
    root = write_bench()
    code, out, err = scored(
        brushbench, root, tmp_path, BRIGHTNESS, "Brightness", "--metric-option", "FILE:Brightness.level=1"
    )
    assert code == 0, err
    assert "BRIGHTNESS" in out
    run = tmp_path / "runs" / "brushbench-inside" / "mean-fill"
    first = pd.read_parquet(run / "scores.parquet")["brightness"]
    assert first.min() > 1
    assert brushbench("score", run, "--metrics", f"{tmp_path}/bright.py:Brightness")[0] == 0
    library.score(run, f"psnr,{tmp_path}/bright.py:Brightness")
    assert set(library.frame(run)["metric"]) == {"brightness", "psnr"}


@pytest.mark.parametrize(
    ("old", "new", "metric", "part"),
    [
        ("", "", "Brightness@painted", "has no regions"),
        ("", "", "Brightness@x", "region 'x' is not one of"),
        (
            "level: float = 255.0",
            "region: str = 'whole'",
            "Brightness@painted",
            "must be 'brightness@painted' on painted",
        ),
        ("MetricInfo(", "(lambda *a, **b: {})(", "Brightness", "its info is of type dict, must be MetricInfo"),
        ("return MetricInfo", "raise SystemExit\n        return MetricInfo", "Brightness", "info: SystemExit"),
        ('"brightness"', '"psnr"', "Brightness", "not the name of one of the suite's metrics"),
        ('"brightness"', '"bright ness"', "Brightness", "valid: letters"),
        ("__call__", "score", "Brightness", "has no __call__(batch, images)"),
        ("    device: str", "    must: int\n    device: str", "Brightness", "TypeError"),
        ("level: float = 255.0", "level: float", "Brightness", "option level of"),
        (
            "weights: str =",
            "def weights(self): raise SystemExit(0)\n    text: str =",
            "Brightness",
            "weights(): SystemExit",
        ),
        (
            "    @property",
            "    def load_network(self): raise SystemExit(0)\n    @property",
            "Brightness",
            "SystemExit: 0",
        ),
        ("@dataclass", "def score(batch, images): pass\n@dataclass", "score", "its info is of type NoneType"),
    ],
)
def test_a_metric_that_is_none_is_one_line(
    old: str, new: str, metric: str, part: str, write_bench, tmp_path: Path, brushbench
) -> None:
    assert_one_line(scored(brushbench, write_bench(), tmp_path, BRIGHTNESS.replace(old, new), metric), part)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("0.5", "the metric returned float, must be float64 [4]"),
        ("images.double()", "the metric returned float64 [1, 3, 64, 64], must be float64 [4]"),
        ("images.sum(dim=(1, 2, 3))", "int64 [4]"),
    ],
)
def test_what_a_metric_returns_is_checked(value: str, part: str, write_bench, tmp_path: Path, brushbench) -> None:
    text = BRIGHTNESS.replace("images.double().flatten(1).mean(dim=1) / self.level", value)
    code, _, err = scored(brushbench, write_bench(), tmp_path, text, "Brightness")
    assert code == 3
    assert part.replace("[4]", "[1]") in err.replace("torch.", "")


def test_a_batch_can_be_taken_apart(samples) -> None:
    batch = library.Batch.of(samples)
    taken = batch.take([2, 0, 2])
    assert taken.ids == (samples[2].id, samples[0].id, samples[2].id)
    assert taken.captions == (samples[2].caption, samples[0].caption, samples[2].caption)
    assert torch.equal(taken.images, torch.stack([samples[k].image for k in (2, 0, 2)]))
    assert torch.equal(taken.masks, torch.stack([samples[k].mask for k in (2, 0, 2)]))
    with pytest.raises(IndexError):
        batch.take([3])

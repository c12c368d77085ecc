"""The plug-in in examples/, installed, through every command."""

import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support import assert_one_line

import brushbench as library
from brushbench.core.registry import registered

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"
PACKAGE = "brushbench_stripes"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the plug-in as pip would, without the network that its build needs."""
    site = tmp_path / "site"
    shutil.copytree(EXAMPLE / PACKAGE, site / PACKAGE)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / f"{PACKAGE}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    registered.cache_clear()
    yield
    registered.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def run_example(brushbench, *more: object) -> tuple[int, str, str]:
    return brushbench("run", "--method", "diffusion-fill,mean-fill", "--dataset", "stripes", *more)


def test_the_lists_name_it(brushbench) -> None:
    assert "diffusion-fill  plug-in brushbench_stripes.method:DiffusionFill" in brushbench("list", "methods")[1]
    assert "stripes" in brushbench("list", "datasets")[1]
    (row,) = [line for line in brushbench("list", "metrics")[1].splitlines() if line.startswith("colour-shift")]
    assert row.split()[1:5] == ["levels", "lower", "painted", "1"]
    assert row.endswith("plug-in brushbench_stripes.metric:ColourShift; an example; no weights")


@pytest.mark.parametrize("name", ["diffusion-fill", "colour-shift", "colour-shift@whole", "stripes"])
def test_it_keeps_to_what_is_asked_of_it(name: str, brushbench) -> None:
    code, out, _ = brushbench("validate", name)
    assert code == 0, out


def test_a_metric_that_can_not_be_loaded_is_still_listed(brushbench, tmp_path: Path) -> None:
    (tmp_path / "site" / PACKAGE / "metric.py").write_text("1 / 0\n")
    code, out, _ = brushbench("list", "metrics")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("colour-shift")]
    assert "ZeroDivisionError: division by zero (metric.py, line 1)" in row


@pytest.mark.parametrize("text", ["1 / 0\n", "class DiffusionFill:\n    def __init__(self, ckpt): pass\n"])
def test_all_methods_are_those_that_can_be_loaded(text: str, brushbench, tmp_path: Path) -> None:
    (tmp_path / "site" / PACKAGE / "method.py").write_text(text)
    code, _, err = brushbench("run", "--method", "all", "--dataset", "stripes", "--limit", 2, "--metrics", "psnr")
    assert code == 0, err
    assert "diffusion-fill is left out: " in err
    assert Path("runs/stripes-inside/telea").exists()
    assert brushbench("sweep", "--method", "all", "--vary", "radius=3", "--dataset", "stripes", "--limit", 1)[0] == 0


def test_data_list_tells_what_the_class_says(brushbench) -> None:
    code, out, _ = brushbench("data", "list", "--format", "json")
    assert code == 0
    (found,) = [each for each in json.loads(out) if each["name"] == "stripes"]
    assert found == {
        "name": "stripes",
        "summary": "plug-in brushbench_stripes.dataset:Stripes",
        "place": "in its plug-in",
        "samples": 6,
        "licence": "Apache-2.0",
        "citation": "an example",
        "origin": "",
    }


def test_its_runs_are_scored_with_what_the_data_set_says(brushbench) -> None:
    code, out, err = run_example(brushbench, "-o", "steps=20")
    assert code == 0, err
    assert "data: stripes\n" in err
    assert "colour-shift" in out.lower()
    tidy = library.frame("runs/stripes-inside/diffusion-fill")
    assert set(tidy["metric"]) == {"psnr", "colour-shift"}
    assert set(tidy["stripes"]) == {"wide", "narrow"}
    record = json.loads(Path("runs/stripes-inside/diffusion-fill/run.json").read_text())
    assert record["identity"]["dataset"]["name"] == "stripes"
    assert record["identity"]["dataset"]["options"] == {"count": 6, "size": 64}
    assert record["identity"]["method"]["options"] == {"steps": 20}
    assert run_example(brushbench, "-o", "steps=20")[0] == 0


def test_generate_and_score_can_be_apart(brushbench) -> None:
    assert brushbench("generate", "--method", "diffusion-fill", "--dataset", "stripes", "--split", "outside")[0] == 0
    code, _, err = brushbench("score", "runs", "--metrics", "colour-shift@known,mse")
    assert code == 0, err
    assert set(library.frame("runs/stripes-outside/diffusion-fill")["metric"]) == {"colour-shift@known", "mse"}
    assert brushbench("score", "runs")[0] == 0
    metrics = set(library.frame("runs/stripes-outside/diffusion-fill")["metric"])
    assert metrics == {"colour-shift@known", "mse", "psnr", "colour-shift"}


def test_pictures_made_elsewhere_are_scored_on_it(brushbench) -> None:
    assert brushbench("generate", "--method", "mean-fill", "--dataset", "stripes")[0] == 0
    images = "runs/stripes-inside/mean-fill/images"
    code, out, err = brushbench("score", "--images", images, "--name", "mine", "--dataset", "stripes")
    assert code == 0, err
    assert "mine" in out
    assert "colour-shift" in out.lower()


def test_reports_comparisons_figures_and_the_gate_take_it(brushbench) -> None:
    assert run_example(brushbench, "--split", "inside,outside")[0] == 0
    inside = Path("runs/stripes-inside")
    for arguments in (
        ("report", "runs", "--by", "stripes", "--format", "markdown", "--sheet", "sheet.png"),
        ("report", "runs", "--figure", "spread.svg"),
        ("compare", inside / "diffusion-fill", inside / "mean-fill"),
        ("check", "runs", "--write", "baseline.json"),
        ("check", "runs", "--against", "baseline.json"),
    ):
        code, out, err = brushbench(*arguments)
        assert code == 0, (arguments, err)
        assert "colour-shift" in out.lower() or arguments[0] == "check" or "--figure" in arguments
    assert Path("sheet.png").exists()
    assert Path("spread.svg").exists()


def test_a_sweep_takes_it(brushbench) -> None:
    asked = ("sweep", "--method", "diffusion-fill", "--vary", "steps=1,9", "--dataset", "stripes", "--limit", 3)
    code, out, err = brushbench(*asked)
    assert code == 0, err
    assert "colour-shift" in out.lower()
    assert sorted(path.name for path in Path("runs/sweep").iterdir() if path.is_dir()) == ["steps=1", "steps=9"]


def test_data_commands_take_it(brushbench) -> None:
    code, out, err = brushbench("data", "verify", "--dataset", "stripes")
    assert code == 0, (out, err)
    assert library.load_dataset("stripes").digest() in out
    assert "outside" in out
    assert brushbench("data", "show", "--dataset", "stripes", "--samples", 4)[0] == 0
    assert Path("stripes-inside.png").exists()
    for target, name in (("as_folder", "folder"), ("as.parquet", "parquet"), ("as_bench", "brushbench")):
        to = ("--to", name)
        assert brushbench("data", "convert", "--dataset", "stripes", "--output", target, *to)[0] == 0
        converted = library.load_dataset(name, root=target)
        for ours, theirs in zip(library.load_dataset("stripes"), converted, strict=True):
            assert ours.image.equal(theirs.image)
            assert ours.mask.equal(theirs.mask)
            assert (ours.id, ours.caption, ours.tags) == (theirs.id, theirs.caption, theirs.tags)
    assert brushbench("data", "get", "--dataset", "stripes")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--split", "brush"), ("unknown split 'brush'", "inside, outside")),
        (("--data-option", "count=x"), ("option count='x' of stripes",)),
        (("--data-option", "sides=3"), ("unknown option of stripes 'sides'", "count, size")),
        (("--root", "."), ("takes no --root",)),
        (("--metrics", "colour-shift@border"), ("region 'border' is not one of",)),
        (("--metrics", "colour-shift,colour-shift@painted"), ("one is named twice",)),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], parts: tuple[str, ...], brushbench) -> None:
    assert_one_line(run_example(brushbench, *arguments), *parts)


def test_the_digest_is_that_of_the_samples() -> None:
    digest = library.load_dataset("stripes").digest()
    assert library.load_dataset("stripes").digest() == digest
    others = [
        library.load_dataset("stripes", count=5),
        library.load_dataset("stripes", size=32),
        library.load_dataset("stripes", split="outside"),
    ]
    assert len({digest, *(other.digest() for other in others)}) == 4


def test_scores_of_regions_are_told_apart(brushbench) -> None:
    metrics = "colour-shift,colour-shift@known,colour-shift@whole"
    assert run_example(brushbench, "--metrics", metrics)[0] == 0
    table = pd.read_parquet("runs/stripes-inside/mean-fill/scores.parquet")
    assert (table["colour-shift@known"] == 0).all()
    assert (table["colour-shift"] > table["colour-shift@whole"]).all()

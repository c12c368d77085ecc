"""The gate: what it lets through, what it stops, and what it can't compare."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_benchmark
from support import assert_one_line, run_on

from brushbench import RunConfig, run
from brushbench.cli.main import main

pytestmark = pytest.mark.xdist_group("regression")
"""Many of them look at the same painted runs."""
WEIGHTS = Path(__file__).parent.parent / "baselines" / "papercut" / "weights"
WRAPPED = """
from dataclasses import replace
import torch
from brushbench.baselines.brushnet import BrushNet


class Painter:
    Options = BrushNet.Options

    def __init__(self, brushnet):
        self.brushnet = brushnet

    @classmethod
    def load(cls, options, runtime):
        return cls(BrushNet.load(options, runtime))

    def __call__(self, batch, seeds):
        {body}
"""
BODIES = {
    "good": "return self.brushnet(batch, seeds)",
    "inverted": "return self.brushnet(replace(batch, masks=~batch.masks), seeds)",
    "shuffled": "return self.brushnet(replace(batch, captions=batch.captions[1:] + batch.captions[:1]), seeds)",
    "shifted": "images = self.brushnet(batch, seeds)\n"
    "        return torch.where(batch.masks, images, images.roll(1, dims=-1))",
}
SAMPLES = 12
METRICS = "psnr,mse,papercut-clip"
Painted = Callable[..., Path]


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Painted:
    """The runs of PaperCut's BrushNet, of few samples and steps, with something wrong with it."""
    root = tmp_path_factory.mktemp("gate")

    def paint(body: str, scale: float = 1.0) -> Path:
        output = root / f"{body}-{scale}"
        if not output.exists():
            (root / f"{body}.py").write_text(WRAPPED.format(body=BODIES[body]))
            command = f"run --method {root / body}.py:Painter --weights {WEIGHTS} --dataset papercut --steps 2"
            command += (
                f" --guidance 4 --limit {SAMPLES} -o scale={scale} --output {output} --metrics psnr,mse,papercut-clip"
            )
            with pytest.raises(SystemExit) as exit_:
                main(command.split())
            assert not exit_.value.code
        return output

    return paint


@pytest.fixture
def baseline(painted: Painted, brushbench, tmp_path: Path) -> Path:
    code, out, _ = brushbench("check", painted("good"), "--write", tmp_path / "baseline.json")
    assert code == 0
    assert f"{SAMPLES}/{SAMPLES}" in out
    return tmp_path / "baseline.json"


def test_the_same_run_passes(painted: Painted, baseline: Path, brushbench) -> None:
    code, out, _ = brushbench("check", painted("good"), "--against", baseline)
    assert code == 0
    assert out.startswith("PASSED: 3 metrics of 1 run\n")


@pytest.mark.parametrize(
    ("body", "scale", "metric"),
    [
        ("good", 0.5, "psnr"),
        ("shuffled", 1.0, "papercut-clip"),
        pytest.param("inverted", 1.0, "psnr", marks=pytest.mark.slow),
        pytest.param("shifted", 1.0, "mse", marks=pytest.mark.slow),
    ],
)
def test_a_method_that_got_worse_fails(
    body: str, scale: float, metric: str, painted: Painted, baseline: Path, brushbench
) -> None:
    run = painted(body, scale)
    # What the painting printed.
    brushbench("list", "metrics")
    code, out, _ = brushbench("check", run, "--against", baseline)
    assert code == 1
    assert f"{metric} worse" in out.splitlines()[1]
    assert ("scale 1.0 -> 0.5" if scale != 1 else "weights or code of file") in out


def test_the_only_run_of_a_split_is_compared_whatever_its_name(
    painted: Painted, baseline: Path, brushbench, tmp_path: Path
) -> None:
    run(RunConfig("mean-fill", "papercut", limit=SAMPLES, metrics="psnr,mse,papercut-clip", output=tmp_path))
    code, out, _ = brushbench("check", tmp_path, "--against", baseline)
    assert code == 1
    assert "changed: method Painter -> mean-fill" in out
    assert out.startswith("FAILED: ")
    assert "papercut-clip worse" in out.splitlines()[1]
    # With two to choose from, neither is.
    run(RunConfig("telea", "papercut", limit=SAMPLES, metrics="psnr", output=tmp_path))
    assert_one_line(brushbench("check", tmp_path, "--against", baseline), "is not in the baseline, which holds Painter")


@pytest.mark.parametrize("way", ["image", "ledger", "limit"])
def test_missing_samples_fail(way: str, painted: Painted, baseline: Path, brushbench, tmp_path: Path) -> None:
    folder = shutil.copytree(painted("good"), tmp_path / "runs") / "papercut-inside" / "Painter"
    if way == "image":
        next((folder / "images").iterdir()).unlink()
    elif way == "ledger":
        lines = (folder / "samples.jsonl").read_text().splitlines()
        (folder / "samples.jsonl").write_text("\n".join(lines[1:]) + "\n")
        (folder / "scores.parquet").unlink()
        (folder / "images.sha256").unlink()
        assert brushbench("score", folder, "--metrics", METRICS, "--allow-partial")[0] == 0
    else:
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"asked": SAMPLES - 1}))
        assert brushbench("score", folder, "--metrics", METRICS)[0] == 0
    code, out, _ = brushbench("check", folder, "--against", baseline)
    # An image that was there and isn't any more says more about the folder than about the method.
    assert code == (3 if way == "image" else 1)
    assert "FAILED: Painter on papercut/inside, protocol strict: 1 samples lost their score" in out


@pytest.mark.slow
def test_the_project_s_own_baseline(golden: Path, brushbench, tmp_path: Path) -> None:
    arguments = ("--method", "brushnet,telea", "--dataset", "papercut", "--limit", 16, "--output", tmp_path / "runs")
    assert brushbench("run", *arguments, "--device", "cpu")[0] == 0
    code, out, _ = brushbench("check", tmp_path / "runs", "--against", golden / "gate" / "papercut.json")
    assert code == 0, out
    assert "brushnet on papercut/inside" in out
    assert "telea on papercut/inside" in out


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a run of a method that leaves known pixels alone, and its baseline."""
    root = tmp_path_factory.mktemp("prepared")
    bench = write_benchmark(root / "bench")
    run(RunConfig("mean-fill", "brushbench", bench, metrics="psnr,mse,ssim@whole", output=root / "runs"))
    with pytest.raises(SystemExit):
        main(["check", str(root / "runs"), "--write", str(root / "b.json")])
    return root


@pytest.fixture
def runs(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared / "bench", tmp_path / "bench")
    return shutil.copytree(prepared / "runs", tmp_path / "runs")


@pytest.fixture
def file(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(prepared / "b.json", tmp_path / "first.json"))


def test_what_improved_is_said(runs: Path, file: Path, brushbench, tmp_path: Path) -> None:
    content = json.loads(file.read_text())
    ssim = content["runs"][0]["metrics"]["ssim@whole"]
    ssim["scores"] = [score - 0.1 for score in ssim["scores"]]
    file.write_text(json.dumps(content))
    code, out, _ = brushbench("check", runs, "--against", file, "--format", "markdown")
    assert code == 0
    assert "improved: mean-fill on brushbench/inside, protocol strict: ssim@whole" in out
    ssim["scores"] = [score + 0.2 for score in ssim["scores"]]
    file.write_text(json.dumps(content))
    assert brushbench("check", runs, "--against", file)[0] == 1
    assert brushbench("check", runs, "--against", file, "--margin", "ssim@whole=0.11")[0] == 0


def test_identical_images_count_as_sixty_decibels(runs: Path, file: Path, brushbench) -> None:
    _, out, _ = brushbench("check", runs, "--against", file)
    assert ">= 60" in out
    assert "psnr: 4 samples are at the ceiling of 60 dB, 4 in the baseline" in out
    content = json.loads(file.read_text())
    psnr = content["runs"][0]["metrics"]["psnr"]
    assert set(psnr["scores"]) == {"identical"}
    psnr["scores"] = [70.0, 80.0, 60.0, 99.0]
    file.write_text(json.dumps(content))
    assert brushbench("check", runs, "--against", file)[0] == 0
    psnr["scores"] = [50.0] * 4
    file.write_text(json.dumps(content))
    assert (
        "improved: mean-fill on brushbench/inside, protocol strict: psnr"
        in brushbench("check", runs, "--against", file)[1]
    )


def test_wide_differences_are_undecided_and_fail(runs: Path, file: Path, brushbench) -> None:
    content = json.loads(file.read_text())
    ssim = content["runs"][0]["metrics"]["ssim@whole"]
    ssim["scores"] = [score + change for score, change in zip(ssim["scores"], (0.1, -0.1, 0.1, -0.1), strict=True)]
    file.write_text(json.dumps(content))
    code, out, _ = brushbench("check", runs, "--against", file)
    assert code == 4
    assert out.startswith("UNDECIDED: 1 undecided, 3 metrics of 1 run\n")
    assert "ssim@whole undecided" in out
    code, passed, _ = brushbench("check", runs, "--against", file, "--undecided", "pass")
    assert code == 0
    assert passed.startswith("PASSED: 1 undecided, 3 metrics of 1 run\n")
    # Worse beats undecided, whatever becomes of what is undecided.
    content["runs"][0]["metrics"]["mse"]["scores"] = [-0.1] * 4
    file.write_text(json.dumps(content))
    assert brushbench("check", runs, "--against", file, "--undecided", "pass")[0] == 1
    assert "or a larger --margin, would decide" in out


def test_one_sample_is_enough(brushbench, tmp_path: Path, write_bench) -> None:
    assert brushbench(*run_on(write_bench(count=1), tmp_path / "runs"))[0] == 0
    assert brushbench("check", tmp_path / "runs", "--write", tmp_path / "b.json")[0] == 0
    assert brushbench("check", tmp_path / "runs", "--against", tmp_path / "b.json")[0] == 0
    content = json.loads((tmp_path / "b.json").read_text())
    content["runs"][0]["metrics"]["ssim@whole"]["scores"] = [1.0]
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert brushbench("check", tmp_path / "runs", "--against", tmp_path / "b.json")[0] == 1


def test_a_missing_method_fails_and_a_new_one_is_named(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench()
    for method in ("mean-fill", "telea", "copy"):
        assert brushbench(*run_on(root, tmp_path / "runs", method=method))[0] == 0
    folder = tmp_path / "runs" / "brushbench-inside"
    brushbench("check", folder / "mean-fill", folder / "telea", "--write", tmp_path / "b.json")
    code, out, err = brushbench("check", folder / "mean-fill", folder / "copy", "--against", tmp_path / "b.json")
    assert code == 1
    assert "FAILED: telea on brushbench/inside, protocol strict: is not among the runs" in out
    assert "not in the baseline, so not checked: copy" in err
    assert_one_line(
        brushbench("check", folder / "copy", "--against", tmp_path / "b.json"), "copy on brushbench/inside", "is not in"
    )


def test_reruns_widen_the_margin(runs: Path, file: Path, brushbench, tmp_path: Path) -> None:
    arguments = run_on(tmp_path / "bench", tmp_path / "again", "--metrics", "psnr,mse", method="telea")
    assert brushbench(*arguments)[0] == 0
    rerun = brushbench("check", runs, "--write", tmp_path / "c.json", "--rerun", tmp_path / "again")
    assert_one_line(rerun, "is not a rerun of any of the runs")
    assert brushbench("check", runs, "--write", tmp_path / "c.json", "--rerun", runs, "--metrics", "mse")[0] == 0
    first, second = (json.loads(path.read_text())["runs"][0]["metrics"] for path in (file, tmp_path / "c.json"))
    assert list(second) == ["mse"]
    assert second["mse"]["margin"] == first["mse"]["margin"]


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (("--seed", 5), "seed 5, but the baseline has 1234; use that seed, or a baseline of several"),
        (("--protocol", "paper"), "protocol strict in the"),
    ],
)
def test_other_seeds_and_protocols_are_refused(
    more: tuple[object, ...], part: str, runs: Path, file: Path, brushbench, tmp_path: Path
) -> None:
    assert brushbench(*run_on(tmp_path / "bench", tmp_path / "other", *more))[0] == 0
    assert_one_line(brushbench("check", tmp_path / "other", "--against", file), "not comparable", part)


def test_other_data_and_metrics_are_refused(runs: Path, file: Path, brushbench, tmp_path: Path) -> None:
    (tmp_path / "bench" / "images" / "000000000.png").write_bytes(
        (tmp_path / "bench" / "images" / "000000001.png").read_bytes()
    )
    assert brushbench(*run_on(tmp_path / "bench", tmp_path / "other"))[0] == 0
    assert_one_line(brushbench("check", tmp_path / "other", "--against", file), "uses other data than the baseline")
    content = json.loads(file.read_text())
    metrics = content["runs"][0]["metrics"]
    metrics["mse"]["version"] = "2"
    file.write_text(json.dumps(content))
    assert_one_line(brushbench("check", runs, "--against", file), "mse of mean-fill", "version 1, but 2 in")
    metrics["clip"] = metrics.pop("mse")
    file.write_text(json.dumps(content))
    assert_one_line(brushbench("check", runs, "--against", file), "isn't scored with clip")


RUBBISH = [
    "",
    "{",
    "[" * 100_000,
    "null",
    "[]",
    "{}",
    '{"schema_version": 2, "runs": []}',
    '{"schema_version": 1, "runs": []}',
    '{"runs": [{"fingerprint": "\\u001b[31m"}]}',
    '{"runs": [NaN]}',
    "\ud800".encode("utf-8", "surrogatepass"),
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("content", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_no_baseline(content: str | bytes, runs: Path, brushbench, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_one_line(brushbench("check", runs, "--against", path), "rubbish.json is not a baseline")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("metrics", "mse", "scores"), [1.0]),
        (("metrics", "mse", "margin"), -1),
        (("metrics", "mse", "margin"), 1e999),
        (("metrics", "mse", "unknown"), 1),
        (("metrics",), {}),
        (("samples",), []),
        (("samples",), ["a", "a", "b", "c"]),
        (("identity", "seed"), 7),
        (("fingerprint",), "0"),
    ],
)
def test_a_damaged_baseline_is_one_line(where: tuple[str, ...], value: object, runs, file: Path, brushbench) -> None:
    content = json.loads(file.read_text())
    part = content["runs"][0]
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    file.write_text(json.dumps(content))
    assert_one_line(brushbench("check", runs, "--against", file), "is not a baseline: runs.0")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "check needs either"),
        (("--write", "b.json", "--against", "b.json"), "check needs either"),
        (("--against", "nowhere.json"), "can't be read (No such file"),
        (("--against", "."), "can't be read"),
        (("--write", "nowhere/b.json"), "no such folder: nowhere"),
        (("--write", "b.json", "--metrics", "clip"), "unknown metric of"),
        (("--write", "b.json", "--margin", "psnr"), "not of the form"),
        (("--write", "b.json", "--margin", "psnr=x"), "margin psnr=x; valid: a number"),
        (("--write", "b.json", "--margin", "psnr=-1"), "margin psnr=-1"),
        (("--write", "b.json", "--margin", "psnr=nan"), "margin psnr=nan"),
        (("--write", "b.json", "--margin", "psmr=1"), "did you mean 'psnr'?"),
        (("--against", "b.json", "--metrics", "psnr"), "only valid with --write"),
        (("--write", "b.json", "--format", "junit"), "--format junit is only valid with --against"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], part: str, runs: Path, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(brushbench("check", runs, *arguments), part)
    assert not (tmp_path / "b.json").exists()


def test_runs_that_can_not_be_a_baseline(runs: Path, brushbench, tmp_path: Path, write_bench) -> None:
    twice = shutil.copytree(runs, tmp_path / "twice")
    assert_one_line(brushbench("check", runs, twice, "--write", tmp_path / "b.json"), "two runs are mean-fill on")
    (twice / "brushbench-inside" / "mean-fill" / "scores.parquet").unlink()
    assert_one_line(brushbench("check", twice, "--write", tmp_path / "b.json"), "is not scored; run `brushbench score")
    for image in (runs / "brushbench-inside" / "mean-fill" / "images").iterdir():
        image.unlink()
    code, out, err = brushbench("check", runs, "--write", tmp_path / "b.json")
    assert (code, out) == (3, "")
    assert "its image was deleted after it was made (and 3 more)" in err
    assert not (tmp_path / "b.json").exists()

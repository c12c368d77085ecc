"""Networks are loaded before anything is painted or scored; one that can't be ends with one line, once."""

import functools
import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hub_server import put_in_cache
from support import assert_one_line, run_on
from tiny_metrics import clip_folder, hps_options

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo
from brushbench.core.progress import silent
from brushbench.core.registry import Registered
from brushbench.core.types import Batch
from brushbench.datasets.open import load_dataset
from brushbench.evaluation import evaluate as benchmark
from brushbench.evaluation.evaluate import generate
from brushbench.evaluation.memory import RESERVE
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection, load_metric
from brushbench.metrics import perceptual
from brushbench.metrics.clip import OPENAI
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores
from brushbench.weights.memory import is_loaded, release

GOLDEN = Path(__file__).parent / "golden/metrics/lpips/squeezenet1_1_features.fp16.safetensors"


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


def truncated(file: Path) -> Path:
    file = file.with_suffix(".safetensors")
    file.write_bytes(GOLDEN.read_bytes()[:-1000])
    return file


def pickled(file: Path) -> Path:
    file = file.with_suffix(".pt")
    torch.save({"code": Evil()}, file)
    return file


def plain_pickle(file: Path) -> Path:
    file = file.with_suffix(".pth")
    file.write_bytes(pickle.dumps({"a": Evil()}))
    return file


def of_another(file: Path) -> Path:
    return Path(shutil.copy(GOLDEN.parents[1] / "aesthetic/linear.safetensors", file.with_suffix(".safetensors")))


DAMAGES = [truncated, pickled, plain_pickle, of_another]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file of tensors is read for LPIPS."""
    release()
    found: Counter[str] = Counter()
    real = perceptual.read_tensors

    def counting(file: Path, *, for_scores: bool) -> dict[str, torch.Tensor]:
        found[file.name] += 1
        return real(file, for_scores=for_scores)

    monkeypatch.setattr(perceptual, "read_tensors", counting)
    return found


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_network_ends_a_run_before_anything_is_painted(
    damage: Callable[[Path], Path], brushbench, write_bench, tmp_path: Path, loads: Counter[str]
) -> None:
    file = damage(tmp_path / "broken")
    asked = ("--metrics", "psnr,lpips", "--metric-option", f"lpips.backbone={file}", "--split", "inside,outside")
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *asked))
    assert_one_line(result, "metric lpips can't be computed: ", file.name, "valid: ")
    assert not (tmp_path / "runs").exists()
    assert loads[file.name] == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_network_ends_scoring_before_it_begins(
    damage: Callable[[Path], Path], brushbench, write_bench, tmp_path: Path, loads: Counter[str]
) -> None:
    file = damage(tmp_path / "broken")
    root = write_bench(count=11)
    brushbench("generate", *run_on(root, tmp_path / "runs")[1:])
    asked = ("--metrics", "psnr,lpips", "--metric-option", f"lpips.backbone={file}")
    assert_one_line(brushbench("score", tmp_path / "runs", *asked), "metric lpips can't be computed: ", file.name)
    assert not (tmp_path / "runs/brushbench-inside/mean-fill/scores.parquet").exists()
    assert loads[file.name] == 1
    data = run_on(root, tmp_path / "runs", *asked)[3:]
    assert_one_line(brushbench("score", "--images", root / "images", *data), "metric lpips can't be computed: ")
    assert not (tmp_path / "runs/brushbench-inside/external").exists()
    assert loads[file.name] == 2


def test_also_a_usual_metric(
    brushbench, write_bench, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsized_manifests: None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    clip = clip_folder(golden, tmp_path / "clip")
    (clip / "model.safetensors").write_bytes(b"not a checkpoint")
    put_in_cache(tmp_path / "cache", OPENAI, clip)
    run = run_on(write_bench(), tmp_path / "runs")
    result = brushbench(*run)
    assert_one_line(result, "metric clip can't be computed: ", "model.safetensors", "or --metrics without this metric")
    assert not (tmp_path / "runs").exists()
    assert brushbench(*run, "--metrics", "psnr")[0] == 0
    # Where nothing is scored, nothing is loaded.
    assert brushbench("generate", *run_on(tmp_path / "bench", tmp_path / "painted")[1:])[0] == 0


def test_through_the_library(write_bench, tmp_path: Path) -> None:
    file = truncated(tmp_path / "broken")
    config = RunConfig(
        "mean-fill",
        "brushbench",
        write_bench(),
        metrics="lpips",
        metric_options={"lpips": {"backbone": str(file)}},
        output=tmp_path / "runs",
    )
    with pytest.raises(UserError, match=r"^metric lpips can't be computed"):
        benchmark.run(config)
    assert not (tmp_path / "runs").exists()


def test_a_whole_network_is_loaded_for_the_check_and_once_for_scoring(
    brushbench, write_bench, tmp_path: Path, loads: Counter[str]
) -> None:
    file = Path(shutil.copy(GOLDEN, tmp_path / "whole.safetensors"))
    asked = ("--metrics", "lpips", "--metric-option", f"lpips.backbone={file}", "--split", "inside,outside")
    assert brushbench(*run_on(write_bench(count=19), tmp_path / "runs", *asked))[0] == 0
    assert loads[file.name] == 2


def test_a_network_is_given_up_before_painting_and_kept_for_scoring(tmp_path: Path, golden: Path) -> None:
    release()
    clip = clip_folder(golden, tmp_path / "clip")
    metrics = {
        "clip": load_metric("clip", model=clip),
        "hps": load_metric("hps", **hps_options(golden, tmp_path / "h")),
    }
    files = [(clip / "model.safetensors").resolve(), (tmp_path / "h/hps.safetensors").resolve()]
    prepare(metrics, keep=False)
    assert not any(map(is_loaded, files))
    prepare(metrics, keep=True)
    assert all(map(is_loaded, files))
    release()
    prepare(metrics, keep=True, free=lambda _: RESERVE)
    assert not any(map(is_loaded, files))


def test_where_memory_is_short_networks_are_loaded_one_after_the_other(tmp_path: Path, golden: Path) -> None:
    release()
    clip = clip_folder(golden, tmp_path / "clip")
    metrics = {
        "clip": load_metric("clip", model=clip),
        "hps": load_metric("hps", **hps_options(golden, tmp_path / "h")),
    }
    together: list[bool] = []
    watched = {
        name: Watched(metric, (clip / "model.safetensors").resolve(), together) for name, metric in metrics.items()
    }
    prepare(watched, keep=True, free=lambda _: 0)
    assert together == [True, False]


@dataclass(frozen=True)
class Watched:
    """A metric that notes, when it has been loaded, whether that file is in memory."""

    metric: object
    file: Path
    seen: list[bool]

    @property
    def info(self) -> MetricInfo:
        return self.metric.info

    def weights(self) -> object:
        return self.metric.weights()

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        return self.metric(batch, images)

    def load_network(self) -> None:
        self.metric.load_network()
        self.seen.append(is_loaded(self.file))


@dataclass(frozen=True)
class Broken:
    """A metric of somebody else, without `prepare`, that never gives a score."""

    info = MetricInfo("broken", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such tensor")


@dataclass(frozen=True)
class Empty:
    """One that finds nothing to score anywhere."""

    info = MetricInfo("empty", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images),), torch.nan, dtype=torch.float64)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    from brushbench.core import registry

    real = registry.registered

    @functools.cache
    def with_ours(kind: str) -> dict[str, Registered]:
        ours = {
            name.lower(): Registered(name.lower(), f"{__name__}:{name}", "ours", None) for name in ("Broken", "Empty")
        }
        return real(kind) | (ours if kind == "metric" else {})

    monkeypatch.setattr(registry, "registered", with_ours)


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(("name", "reason"), [("broken", "ValueError: no such tensor"), ("empty", "nothing to score")])
def test_a_metric_by_name_without_any_score_never_ends_with_0(
    name: str, reason: str, brushbench, write_bench, tmp_path: Path
) -> None:
    run = tmp_path / "runs/brushbench-inside/mean-fill"
    said = f"no score: {name} for any of 4 samples in {run}: {reason}\n"
    code, out, err = brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", f"psnr,{name}"))
    assert (code, err.count(said)) == (3, 1)
    assert "[0/4]" in out
    code, _, err = brushbench("score", run, "--metrics", name)
    assert (code, err.count(said)) == (3, 1)
    # What isn't asked for by name is another's business.
    assert brushbench("score", run, "--metrics", "psnr")[0] == 0


def test_what_is_identical_has_a_score(brushbench, write_bench, tmp_path: Path) -> None:
    run = run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr,psnr@whole", method="copy")
    assert brushbench(*run)[0] == 0


@pytest.mark.usefixtures("plugged")
def test_no_baseline_is_made_of_a_metric_without_a_score(brushbench, write_bench, tmp_path: Path) -> None:
    brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr,broken"))
    target = tmp_path / "baseline.json"
    result = brushbench("check", tmp_path / "runs", "--write", target, "--metrics", "psnr,broken")
    assert_one_line(result, "has no score for broken at all: ValueError: no such tensor")
    assert not target.exists()
    code, _, err = brushbench("check", tmp_path / "runs", "--write", target)
    assert code == 0
    assert "no score for broken at all" in err
    assert "left out of the baseline" in err
    assert [list(run["metrics"]) for run in json.loads(target.read_text())["runs"]] == [["psnr"]]


def test_a_failed_sample_has_a_mask_and_a_size(write_bench, tmp_path: Path) -> None:
    root = write_bench(count=2)
    run = generate(RunConfig("mean-fill", "brushbench", root, output=tmp_path / "runs"))
    entries = [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()]
    failed = {"id": entries[1]["id"], "status": "failed", "error": "out of paint"}
    (run.path / "samples.jsonl").write_text(f"{json.dumps(entries[0])}\n{json.dumps(failed)}\n")
    Scoring(Run.open(run.path), load_dataset("brushbench", root=root), Selection((load_metric("mse"),), {}))(silent)
    scores = read_scores(run)
    assert scores is not None
    assert scores.table["size"].tolist() == ["64x64", "64x64"]
    shares = [sample.mask.float().mean().item() for sample in load_dataset("brushbench", root=root)]
    assert scores.table["mask_share"].tolist() == pytest.approx(shares)
    assert scores.table["mse.status"].tolist() == ["", "failed: out of paint"]

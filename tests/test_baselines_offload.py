"""Models that rest in the computer's memory until they are called; with a GPU, also how much of it that saves."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import DIFFUSION_METHODS, run_on
from tiny_pipelines import Folders
from torch import nn

import brushbench
from brushbench.core.types import Batch, Sample
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime

SEEDS = [1, 2, 3]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[set[str]]]:
    """Which models were on the device together, each time one was woken."""
    together: list[set[str]] = []
    wake = Runtime._wake

    def observed(runtime: Runtime, model: nn.Module) -> None:
        wake(runtime, model)
        together.append({type(awake).__name__ for awake in runtime.awake})

    monkeypatch.setattr(Runtime, "_wake", observed)
    return together


@pytest.mark.parametrize(("name", "options"), DIFFUSION_METHODS)
def test_models_are_awake_only_while_they_are_needed_and_paint_the_same(
    name: str, options: dict[str, int], samples: list[Sample], seen: list[set[str]]
) -> None:
    batch = Batch.of(samples)
    asked = {"weights": "papercut", "device": "cpu", "steps": 2} | options
    expected = brushbench.load_method(name, **asked)(batch, SEEDS)
    seen.clear()
    method = brushbench.load_method(name, offload="model", **asked)
    assert torch.equal(method(batch, SEEDS), expected)
    painters = {"UNet2DConditionModel", "BrushNetModel", "ControlNetModel"}
    kinds = set().union(*seen)
    assert kinds >= {"UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel"}
    assert ("BrushNetModel" in kinds) == (name == "brushnet" or options == {"version": 2})
    assert not any(together & painters and together - painters for together in seen)
    assert not any(together > {"AutoencoderKL"} for together in seen)
    if name == "brushnet":
        again = len(seen)
        assert torch.equal(method(batch, SEEDS), expected)
        assert not any("CLIPTextModel" in together for together in seen[again:])


def test_a_model_is_back_at_rest_after_painting(samples: list[Sample]) -> None:
    method = brushbench.load_method("brushnet", weights="papercut", device="cpu", steps=1, offload="model")
    method(Batch.of(samples), SEEDS)
    assert not method.sd.runtime.awake


def test_a_copy_of_a_model_wakes_itself() -> None:
    runtime = Runtime(torch.device("cpu"), torch.float32, Weights("papercut", "brushnet"), offload=True)
    model = runtime.place(nn.Linear(2, 2))
    other = copy.deepcopy(model)
    other(torch.zeros(1, 2))
    assert runtime.awake == {other}


def test_where_models_rest_is_no_part_of_a_run(write_bench, tmp_path: Path, brushbench) -> None:
    asked = run_on(write_bench(count=2), tmp_path / "runs", "--weights", "papercut", "--steps", 1, method="brushnet")
    assert brushbench(*asked, "--limit", 1, "-o", "offload=model")[0] == 0
    record = json.loads(next((tmp_path / "runs").rglob("run.json")).read_text())
    assert "offload" not in record["identity"]["method"]["options"]
    assert brushbench(*asked)[0] == 0


def test_pipelines_of_diffusers_take_it_too(pipelines: Folders, samples: list[Sample]) -> None:
    asked = {"model": pipelines("sd"), "device": "cpu", "steps": 2}
    there, here = (
        brushbench.load_method("diffusers", **asked, **more)(Batch.of(samples), SEEDS)
        for more in ({}, {"offload": "model"})
    )
    assert torch.equal(there, here)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("name", "options"), DIFFUSION_METHODS)
def test_on_a_gpu_it_takes_less_memory_and_paints_the_same(
    name: str, options: dict[str, int], samples: list[Sample]
) -> None:
    batch = Batch.of(samples)
    painted, peaks = [], []
    for offload in ("none", "model"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        method = brushbench.load_method(
            name, weights="papercut", device="cuda", dtype="float32", steps=2, offload=offload, **options
        )
        painted.append(method(batch, SEEDS))
        peaks.append(torch.cuda.max_memory_allocated())
        del method
    assert (painted[0].int() - painted[1].int()).abs().max() <= 1
    assert peaks[1] < peaks[0]

"""The compute recipe: part of what a run is, and as good as invisible in its images."""

import json
from pathlib import Path

import pytest
import torch
from support import OTHERS_COMPILE, assert_one_line, run_on
from tiny_pipelines import Folders
from torch import nn

import brushbench as suite
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.grid import expand_jobs
from brushbench.reports.baseline import changes
from brushbench.reports.frame import labels_of
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.record import DatasetIdentity, Identity, MethodIdentity
from brushbench.weights import Weights, recipe
from brushbench.weights.runtime import Runtime

SEEDS = [1, 2, 3]
TRACED = pytest.mark.xdist_group("traced blocks")
"""One worker traces them, once for all tests."""
PAPERCUT = ("--weights", "papercut", "--steps", 1, "--device", "cpu", "--metrics", "psnr")
PLUG_IN = """
from dataclasses import dataclass
import torch
from torch import nn

class Mine:
    @dataclass(frozen=True)
    class Options:
        pass

    def __init__(self, model):
        self.model = model

    @classmethod
    def load(cls, options, runtime):
        print(runtime.compute)
        return cls(runtime.place(nn.Conv2d(3, 3, 3)))

    def __call__(self, batch, seeds):
        layout = self.model.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.full_like(batch.images, 255 * layout)
"""


def identity(**changes: str) -> Identity:
    return Identity(
        dataset=DatasetIdentity(name="data", split="inside", digest="d"),
        method=MethodIdentity(name="brushnet", options={}, digests={}),
        seed=1,
        dtype="float32",
        protocol="strict",
        batch_size=4,
        **changes,
    )


def test_plain_leaves_the_fingerprint_as_it_was() -> None:
    # Computed before there were recipes.
    before = "1a2d745db3a391dca48546f8e24887b8becd7ad1f5a504bcb0904780a8f123e9"
    assert identity().fingerprint() == identity(compute="plain").fingerprint() == before
    one, two = (identity(compute=f"fast-{number}").fingerprint() for number in (1, 2))
    assert len({before, one, two}) == 3


@pytest.mark.usefixtures("uncompiled")
def test_the_other_recipe_is_another_run(brushbench, write_bench, tmp_path: Path) -> None:
    asked = run_on(write_bench(count=1), tmp_path / "runs", *PAPERCUT, method="brushnet")
    assert brushbench(*asked, "--compute", "fast")[0] == 0
    file = tmp_path / "runs/brushbench-inside/brushnet/run.json"
    assert json.loads(file.read_text())["identity"]["compute"] == "fast-2"
    assert_one_line(brushbench(*asked), "compute was 'fast-2' and is now 'plain'", "--fresh", last=True)
    code, _, err = brushbench(*asked, "--compute", "fast")
    assert code == 0
    assert "1/1 images are already done" in err


@pytest.mark.usefixtures("uncompiled")
def test_tables_and_the_gate_tell_runs_apart_by_it(brushbench, write_bench, tmp_path: Path) -> None:
    root = write_bench(count=1)
    for compute in ("plain", "fast"):
        asked = run_on(root, tmp_path / compute, *PAPERCUT, "--compute", compute, method="brushnet")
        assert brushbench(*asked)[0] == 0
    runs = [Run.open(tmp_path / compute / "brushbench-inside/brushnet") for compute in ("plain", "fast")]
    assert labels_of(runs) == ["brushnet compute=plain", "brushnet compute=fast-2"]
    assert changes(runs[0].record.identity, runs[1].record.identity) == ["compute plain -> fast-2"]
    code, out, _ = brushbench("report", tmp_path)
    assert code == 0
    assert "compute=fast-2" in out


def test_an_unknown_recipe_is_one_line(brushbench) -> None:
    assert_one_line(brushbench("run", "--method", "brushnet", "--compute", "faster"), "'faster'", "plain, fast")
    with pytest.raises(suite.UserError, match="unknown compute recipe 'faster'; valid: plain, fast"):
        suite.load_method("brushnet", weights="papercut", device="cpu", compute="faster")


def test_methods_without_weights_refuse_it(brushbench, write_bench, tmp_path: Path) -> None:
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--compute", "fast", method="telea,copy")
    said = "compute 'fast' has no effect on methods without weights: telea, copy; valid: plain"
    assert_one_line(brushbench(*asked), said)
    with pytest.raises(suite.UserError, match="has no effect on methods without weights: telea"):
        suite.run(RunConfig("telea", compute="fast", output=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_among_others_they_compute_as_ever() -> None:
    methods = ["telea", "brushnet", "copy"]
    jobs = expand_jobs(RunConfig("telea", compute="fast"), methods, ["inside", "outside"])
    assert [[config.compute for config in configs] for configs in jobs] == [["plain"] * 2, ["fast"] * 2, ["plain"] * 2]


@pytest.fixture(params=["eager", pytest.param("inductor", marks=[pytest.mark.compiles, pytest.mark.timeout(1800)])])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What compiles: that of the recipe, or one that only traces what would be compiled."""
    monkeypatch.setattr(recipe, "BACKEND", request.param)
    return request.param


@TRACED
@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("name", "options"), OTHERS_COMPILE)
def test_fast_is_within_two_levels_of_plain(name: str, options: dict[str, int], samples: list[Sample]) -> None:
    asked = {"weights": "papercut", "device": "cpu", "steps": 3} | options
    assert_nearly_same(name, asked, samples)


@TRACED
@pytest.mark.usefixtures("backend")
def test_the_autoencoder_and_pipelines_of_diffusers_take_it_too(pipelines: Folders, samples: list[Sample]) -> None:
    assert_nearly_same("autoencoder", {"weights": "papercut", "device": "cpu"}, samples)
    assert_nearly_same("diffusers", {"model": pipelines("sd"), "device": "cpu", "steps": 2}, samples)


def assert_nearly_same(name: str, asked: dict[str, object], samples: list[Sample]) -> None:
    plain, fast = (
        suite.load_method(name, compute=compute, **asked)(Batch.of(samples), SEEDS) for compute in ("plain", "fast")
    )
    again = suite.load_method(name, compute="fast", **asked)(Batch.of(samples), SEEDS)
    assert torch.equal(again, fast)
    within = (plain.int() - fast.int()).abs().amax(dim=1) <= 2
    assert within.float().mean() >= 0.999


def test_kernels_of_pictures_are_laid_out_and_nothing_else_is() -> None:
    model = nn.ModuleList([nn.Conv2d(4, 4, 3), nn.Conv3d(4, 4, 3), nn.Linear(4, 4)])
    for compute, laid_out in (("plain", False), ("fast", True)):
        runtime = Runtime(torch.device("cpu"), torch.float32, Weights("papercut", "brushnet"), compute=compute)
        picture, video, linear = runtime.place(model)
        assert picture.weight.is_contiguous(memory_format=torch.channels_last) == laid_out
        assert video.weight.is_contiguous()
        assert linear.weight.is_contiguous()


@pytest.mark.usefixtures("uncompiled")
def test_a_model_that_rests_keeps_its_layout(samples: list[Sample]) -> None:
    asked = {"weights": "papercut", "device": "cpu", "steps": 1, "compute": "fast"}
    here = suite.load_method("brushnet", **asked)(Batch.of(samples), SEEDS)
    resting = suite.load_method("brushnet", offload="model", **asked)
    assert torch.equal(resting(Batch.of(samples), SEEDS), here)
    kernels = [weight for weight in resting.sd.unet.parameters() if weight.dim() == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)


@pytest.mark.usefixtures("uncompiled")
def test_a_method_of_one_s_own_gets_it_with_its_runtime(brushbench, write_bench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUG_IN)
    method = f"{tmp_path / 'mine.py'}:Mine"
    more = ("--weights", "papercut", "--device", "cpu", "--compute", "fast")
    code, out, err = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", *more, method=method))
    assert code == 0, err
    assert out.startswith("fast\n")
    run = Run.open(tmp_path / "runs/brushbench-inside/Mine")
    assert run.record.identity.compute == "fast-2"

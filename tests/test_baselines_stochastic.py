"""Schedulers that draw noise: each sample's own, whatever the batch, the shard and what was drawn before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from conftest import Write
from diffusers import FlowMatchEulerDiscreteScheduler
from support import assert_one_line, run_on
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.baselines.schedulers import check_own_noise
from brushbench.core.types import Batch, Sample

STOCHASTIC = {
    "EulerAncestralDiscreteScheduler": {},
    "LCMScheduler": {},
    "DDPMScheduler": {},
    "DPMSolverMultistepScheduler": {"algorithm_type": "sde-dpmsolver++"},
    "DPMSolverSinglestepScheduler": {"algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "sigma_min"},
    "TCDScheduler": {},
}


def with_scheduler(weights: Path, folder: Path, name: str, **changes: object) -> Path:
    copy = shutil.copytree(weights, folder)
    file = copy / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text()) | {"_class_name": name, "clip_sample": False} | changes
    file.write_text(json.dumps(config))
    return copy


def check_own(method: Callable[[Batch, list[int]], torch.Tensor], samples: list[Sample]) -> None:
    """Two equal runs are equal, also after other draws; a sample by itself is what it is in a batch."""
    together = method(Batch.of(samples), [1, 2, 3])
    torch.rand(5)
    assert torch.equal(method(Batch.of(samples), [1, 2, 3]), together)
    for place, sample in enumerate(samples):
        alone = method(Batch.of([sample]), [place + 1])[0]
        assert (alone.int() - together[place].int()).abs().max() <= 1
    assert (method(Batch.of(samples), [4, 5, 6]).int() - together.int()).abs().max() > 20


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_checkpoints_own(name: str, samples: list[Sample], tiny_weights: Path, tmp_path: Path) -> None:
    weights = with_scheduler(tiny_weights, tmp_path / "weights", name, **STOCHASTIC[name])
    method = suite.load_method("blended-latent", weights=weights, device="cpu", dtype="float32", steps=3)
    assert method.sd.sampler == "DDIMScheduler"
    # ControlNet and Stable Diffusion Inpainting use it; here the loop itself does, without a branch.
    sd = type(method.sd).load(method.sd.runtime, None, None)

    def painted(batch: Batch, seeds: list[int]) -> torch.Tensor:
        text = sd.encode_text(batch.captions, "", 3.0)
        return sd.decode(
            sd.denoise(sd.noise_source(seeds, batch), 4, lambda latents, step: sd.guided_noise(latents, step, text))
        )

    check_own(painted, samples)


def test_an_sde_config_under_the_sampler_of_that_name(
    samples: list[Sample], tiny_weights: Path, tmp_path: Path
) -> None:
    weights = with_scheduler(tiny_weights, tmp_path / "weights", "PNDMScheduler", algorithm_type="sde-dpmsolver++")
    check_own(
        suite.load_method("brushnet", weights=weights, device="cpu", dtype="float32", steps=3, sampler="dpm++"),
        samples,
    )


def test_shards_paint_what_the_whole_run_paints(
    brushbench, write_bench, inpainting_weights: Path, tmp_path: Path
) -> None:
    weights = with_scheduler(inpainting_weights, tmp_path / "weights", "EulerAncestralDiscreteScheduler")
    data = write_bench(count=4)
    more = ("--weights", weights, "--steps", 2, "--device", "cpu", "--batch-size", 1, "--metrics", "psnr")
    for output, shard in (("whole", "1/1"), ("parts", "1/2"), ("parts", "2/2")):
        code, _, err = brushbench(*run_on(data, tmp_path / output, *more, "--shard", shard, method="sd-inpainting"))
        assert code in (0, 3), err
    images = {
        output: {file.name: file.read_bytes() for file in (tmp_path / output).rglob("images/*.png")}
        for output in ("whole", "parts")
    }
    assert len(images["whole"]) == 4
    assert images["whole"] == images["parts"]


class Unseeded:
    """A scheduler that draws by itself."""

    config: ClassVar[dict] = {}
    timesteps = torch.arange(10)

    def __init__(self, *, shared: bool) -> None:
        self._shared = torch.Generator("cpu") if shared else None

    def set_timesteps(self, steps: int) -> None:
        self.steps = steps

    def step(self, predicted: torch.Tensor, time: torch.Tensor, latents: torch.Tensor, **_: bool) -> tuple:
        return (latents + torch.randn(latents.shape, generator=self._shared),)


@pytest.mark.parametrize("shared", [False, True])
def test_one_that_draws_without_a_generator_is_refused(shared: bool) -> None:
    before = torch.get_rng_state()
    with pytest.raises(suite.UserError, match="Unseeded draws noise that isn't each sample's own"):
        check_own_noise(Unseeded(shared=shared))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_refused_before_anything_is_painted(
    brushbench, write_bench: Write, inpainting_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusers.UnseededScheduler", Unseeded, raising=False)
    monkeypatch.setattr(Unseeded, "from_config", lambda config: Unseeded(shared=False), raising=False)
    weights = with_scheduler(inpainting_weights, tmp_path / "weights", "UnseededScheduler")
    more = ("--weights", weights, "--steps", 2, "--device", "cpu")
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method="sd-inpainting"))
    assert_one_line(result, "draws noise that isn't each sample's own", "valid: sampler=")
    assert not (tmp_path / "runs").exists()


def test_a_pipeline_whose_loop_gives_its_scheduler_no_generator(
    pipelines: Folders, samples: list[Sample], tmp_path: Path
) -> None:
    folder = shutil.copytree(pipelines("flux"), tmp_path / "flux")
    config = FlowMatchEulerDiscreteScheduler.load_config(folder / "scheduler") | {"stochastic_sampling": True}
    FlowMatchEulerDiscreteScheduler.from_config(config).save_config(folder / "scheduler")
    check_own(suite.load_method("diffusers", model=folder, device="cpu", dtype="float32", steps=3), samples)

"""`diffusers` against the pipelines called by hand, and the options that a pipeline has or hasn't."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from pipeline_calls import by_hand, called, change_index, opened
from safetensors.torch import load_file, save_file
from support import assert_one_line, run_on
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.baselines.diffusers_pipeline import BATCHED
from brushbench.core.types import Batch, Sample

SEEDS = [11, 12, 13]


CASES = {
    "sd": ({"guidance": 4.0, "negative_prompt": "ugly"}, {"guidance_scale": 4.0, "negative_prompt": "ugly"}),
    "sd-inpainting": ({}, {}),
    "sdxl-inpainting": ({"guidance": 3.0}, {"guidance_scale": 3.0, "strength": 1.0}),
    "flux": (
        {"strength": 0.7, "true_cfg_scale": 2.0, "negative_prompt": "ugly"},
        {"strength": 0.7, "true_cfg_scale": 2.0, "negative_prompt": "ugly"},
    ),
    "flux-fill": ({"guidance": 12.0}, {"guidance_scale": 12.0}),
    "sd3": ({}, {"strength": 1.0}),
    "kandinsky": ({"negative_prompt": "ugly"}, {"negative_prompt": "ugly"}),
}


@pytest.mark.parametrize("kind", CASES)
def test_it_equals_the_pipeline_called_by_hand(kind: str, pipelines: Folders, samples: list[Sample]) -> None:
    options, arguments = CASES[kind]
    prior = pipelines("kandinsky-prior") if kind == "kandinsky" else None
    method = opened(pipelines(kind), steps=3, **options, **({"prior": prior} if prior else {})).call
    pipeline = by_hand(pipelines(kind), prior)
    assert type(method.pipeline) is type(pipeline)

    expected = torch.stack(
        [called(pipeline, sample, seed, **arguments) for sample, seed in zip(samples, SEEDS, strict=True)]
    )
    together = method(Batch.of(samples), SEEDS)
    assert together.dtype == torch.uint8
    assert (together.int() - expected).abs().max() <= 1
    alone = [method(Batch.of([sample]), [seed])[0] for sample, seed in zip(samples, SEEDS, strict=True)]
    assert torch.equal(torch.stack(alone).int(), expected)
    # Neither grey nor the same for all: else the comparison means nothing.
    assert min(image.float().std() for image in together) > 5
    assert min((together[0].int() - other.int()).abs().max() for other in together[1:]) > 20


def test_every_pipeline_that_gets_whole_batches_is_compared_above(pipelines: Folders) -> None:
    kinds = [type(opened(pipelines(kind)).call.pipeline).__name__ for kind in CASES if kind != "kandinsky"]
    assert set(kinds) == BATCHED


def test_options_left_alone_are_the_pipeline_s_own(pipelines: Folders, samples: list[Sample]) -> None:
    method = opened(pipelines("flux-fill"), steps=3).call
    expected = called(by_hand(pipelines("flux-fill")), samples[0], 1)
    assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    assert opened(pipelines("flux-fill")).options["guidance"] is None


def test_a_sampler_takes_the_place_of_the_folder_s_own(pipelines: Folders, samples: list[Sample]) -> None:
    pipeline = by_hand(pipelines("sd-inpainting"))
    before = called(pipeline, samples[0], 1)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    expected = called(pipeline, samples[0], 1)
    method = opened(pipelines("sd-inpainting"), steps=3, sampler="euler").call
    assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    assert not torch.equal(before, expected)


def test_the_second_half_of_kandinsky_gets_the_sampler_too(pipelines: Folders) -> None:
    method = opened(pipelines("kandinsky"), prior=pipelines("kandinsky-prior"), sampler="ddim").call
    assert type(method.pipeline.decoder_pipe.scheduler).__name__ == "DDIMScheduler"


def test_the_dtype_is_the_runtime_s(pipelines: Folders, samples: list[Sample]) -> None:
    method = suite.load_method(
        "diffusers", model=pipelines("sd-inpainting"), device="cpu", dtype="bfloat16", steps=2, guidance=1.0
    )
    assert {part.dtype for part in (method.pipeline.unet, method.pipeline.vae)} == {torch.bfloat16}
    assert method(Batch.of(samples[:1]), [1]).shape == (1, 3, 64, 64)


def test_no_safety_checker_and_nothing_printed(changed_pipeline: Folders, samples: list[Sample], capfd) -> None:
    folder = changed_pipeline("sd")
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    change_index(
        folder,
        safety_checker=checker,
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
        requires_safety_checker=True,
    )
    method = opened(folder, steps=1).call
    method(Batch.of(samples[:1]), [1])
    assert method.pipeline.safety_checker is None
    assert capfd.readouterr() == ("", "")


def test_no_watermark(pipelines: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint"
    monkeypatch.setattr(f"{module}.is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(f"{module}.StableDiffusionXLWatermarker", object, raising=False)
    assert opened(pipelines("sdxl-inpainting")).call.pipeline.watermark is None


@pytest.mark.parametrize(("kind", "factor"), [("sd-inpainting", 8), ("flux-fill", 16), ("sd3", 16), ("kandinsky", 64)])
def test_sizes(kind: str, factor: int, pipelines: Folders, samples: list[Sample]) -> None:
    prior = {"prior": pipelines("kandinsky-prior")} if kind == "kandinsky" else {}
    method = opened(pipelines(kind), steps=2, **prior).call
    sample = samples[0]

    def cut(height: int, width: int) -> Batch:
        image = sample.image.repeat(1, 1, 2)[:, :height, :width]
        return Batch.of([Sample("cut", image, sample.mask.repeat(1, 1, 2)[:, :height, :width], sample.caption)])

    assert method(cut(64, 64 + factor), [1]).shape == (1, 3, 64, 64 + factor)
    for height, width in ((64 - factor // 2, 64), (64, 64 + factor // 2)):
        with pytest.raises(suite.UserError, match=rf"{height}x{width}: .* multiples of {factor}$"):
            method(cut(height, width), [1])


def test_seeds_and_pixels_are_checked(pipelines: Folders, samples: list[Sample]) -> None:
    method = opened(pipelines("sd-inpainting"), steps=1).call
    with pytest.raises(suite.UserError, match="1 seeds for 2 samples"):
        method(Batch.of(samples[:2]), [1])
    torch.nn.init.constant_(method.pipeline.vae.decoder.conv_out.bias, float("nan"))
    with pytest.raises(suite.UserError, match="pixels aren't finite"):
        method(Batch.of(samples[:1]), [1])


REFUSED = {
    "negative prompt": ("flux-fill", {"negative_prompt": "ugly"}, "option negative_prompt='ugly': FluxFillPipeline"),
    "valid ones": ("flux-fill", {"true_cfg_scale": 2}, "valid: steps, guidance, strength$"),
    "strength": ("kandinsky", {"strength": 0.5}, r"strength=0\.5: KandinskyV22InpaintCombinedPipeline does not accept"),
    "no guidance": ("flux", {"negative_prompt": "ugly"}, "negative_prompt has no effect on FluxInpaintPipeline"),
    "distilled": ("flux-unguided", {"guidance": 3}, "guidance=3: .* no guidance input; valid: true_cfg_scale"),
    "sampler": (
        "flux-fill",
        {"sampler": "ddim"},
        "sampler=ddim can't replace this model's .*FlowMatchEuler.*valid: none",
    ),
    "prior": ("sd", {"prior": "somewhere"}, "prior=somewhere: StableDiffusionInpaintPipeline in .* needs none"),
    "revision": ("sd", {"revision": "main"}, "revision=main has no effect here; valid only with -o model=owner/name"),
    "no step": ("sd", {"strength": 0.2, "steps": 4}, r"strength=0\.2 of steps=4 is less than one step"),
    "range": ("sd", {"strength": 1.5}, r"option strength=1\.5 of diffusers"),
    "variant": ("sd", {"variant": "../x"}, "option variant='../x' of diffusers"),
    "unknown": ("sd", {"strenght": 1}, "did you mean 'strength'"),
    "first half": ("kandinsky", {}, "the weights sd15 have no 'prior' for diffusers; valid: -o prior=FOLDER"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_options_that_a_pipeline_has_not(why: str, pipelines: Folders) -> None:
    kind, options, message = REFUSED[why]
    with pytest.raises(suite.UserError, match=message):
        opened(pipelines(kind), **options)


def test_the_command_line(brushbench, tmp_path: Path, write_bench, changed_pipeline: Folders) -> None:
    folder = changed_pipeline("sd-inpainting")
    options = ("--steps", "1", "--device", "cpu")
    command = run_on(write_bench(count=2), tmp_path / "runs", *options, method="diffusers")
    code, out, err = brushbench(*command, "-o", f"model={folder}", "-o", "negative_prompt=ugly")
    assert code == 0, err
    assert "diffusers" in out
    assert f"weights of diffusers: {folder}" in err
    run = json.loads((tmp_path / "runs/brushbench-inside/diffusers/run.json").read_text())["identity"]["method"]
    assert (run["options"]["steps"], run["options"]["negative_prompt"]) == (1, "ugly")
    assert len(list((tmp_path / "runs/brushbench-inside/diffusers/images").glob("*.png"))) == 2

    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor + 0.01 for name, tensor in load_file(file).items()}, file)
    result = brushbench(*command, "-o", f"model={folder}", "-o", "negative_prompt=ugly")
    assert_one_line(result, "vae")

"""Every pipeline of diffusers that `diffusers` accepts, tiny and random, against itself called by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from pipeline_calls import opened
from pipeline_cases import CASES, Case
from tiny_pipelines import Folders

from brushbench.core.notes import collecting, collecting_of_samples
from brushbench.core.types import Batch, Sample

CONTROLNETS = {
    "sd-controlnet": diffusers.ControlNetModel,
    "sdxl-controlnet": diffusers.ControlNetModel,
    "sdxl-union": diffusers.ControlNetUnionModel,
    "sd3-controlnet": diffusers.SD3ControlNetModel,
    "flux-controlnet": diffusers.FluxControlNetModel,
    "qwen-controlnet": diffusers.QwenImageControlNetModel,
    "z-image-controlnet": diffusers.ZImageControlNetModel,
}
STEPS = 2
ABSENT = {"sd3": ("text_encoder_3", "tokenizer_3"), "sd": ("safety_checker", "feature_extractor")}
"""Components that these folders lack, and that diffusers wants to be told of."""


# Those marked slow generate a megapixel, resemble another one here, or are compared in another file too.
PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.slow, pytest.mark.pipelines] if case.slow else [])
    for name, case in CASES.items()
]


# diffusers announces the end of this class, and of a part that other classes still use.
@pytest.mark.filterwarnings("ignore:The class .*StableDiffusionInpaintPipelineLegacy:FutureWarning")
@pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", PARAMETERS)
def test_it_equals_the_pipeline_called_by_hand(name: str, pipelines: Folders, samples: list[Sample]) -> None:
    case = CASES[name]
    named = {"pipeline": name} if case.named else {}
    parts = {part: pipelines(getattr(case, part)) for part in ("controlnet", "prior") if getattr(case, part)}
    with collecting() as notes:
        method = opened(pipelines(case.model), steps=STEPS, **named, **parts, **case.options).call
    assert type(method.pipeline).__name__ == name
    assert any("takes no mask" in note for note in notes) == (not case.mask)

    with collecting_of_samples() as resized:
        generated = [method(Batch.of([sample]), [seed])[0] for sample, seed in zip(samples[:2], (11, 12), strict=True)]
    assert bool(resized) == case.own_size
    pipeline = by_hand(name, pipelines)
    expected = [called(pipeline, case, sample, seed) for sample, seed in zip(samples[:2], (11, 12), strict=True)]
    assert torch.equal(torch.stack(generated), torch.stack(expected))
    assert min(image.float().std() for image in generated) > 5
    # Noise of a megapixel is smoothed when it is reduced.
    assert (generated[0].int() - generated[1].int()).abs().max() > (5 if case.own_size else 20)


def by_hand(name: str, pipelines: Folders) -> DiffusionPipeline:
    case, cls = CASES[name], getattr(diffusers, name)
    parts: dict[str, object] = dict.fromkeys(ABSENT.get(case.model, ()))
    if case.controlnet:
        parts["controlnet"] = CONTROLNETS[case.controlnet].from_pretrained(pipelines(case.controlnet))
    if case.prior:
        halves = DiffusionPipeline.from_pretrained(pipelines(case.prior)).components
        parts |= {f"prior_{part}": component for part, component in halves.items()}
    pipeline = cls.from_pretrained(pipelines(case.model), **parts)
    pipeline.set_progress_bar_config(disable=True)
    if case.model == "chroma":
        # It reads a setting that its own transformer doesn't have.
        pipeline.transformer.register_to_config(guidance_embeds=False)
    return pipeline


def called(pipeline: DiffusionPipeline, case: Case, sample: Sample, seed: int) -> torch.Tensor:
    picture = Image.fromarray(sample.image.numpy().transpose(1, 2, 0))
    hole = np.where(sample.mask[0].numpy(), 255, 0).astype(np.uint8)
    generator = torch.Generator().manual_seed(seed)
    arguments = {
        "prompt": case.prompt.format(sample.caption),
        case.image: [picture] if case.image == "images" else picture,
        **({case.mask: Image.fromarray(hole)} if case.mask else {}),
        **({"control_image": BLANKS[case.blank](picture, hole)} if case.blank else {}),
        **({} if case.without_sides else {"height": picture.height, "width": picture.width}),
        **case.arguments,
    }
    with encoding_with(generator):
        made = pipeline(**arguments, generator=generator, num_inference_steps=STEPS, output_type="pil").images[0]
    if case.own_size:
        assert made.size != picture.size
        made = made.resize(picture.size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(made)).permute(2, 0, 1)


def black(picture: Image.Image, hole: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(hole[:, :, None] > 0, 0, np.array(picture)).astype(np.uint8))


def minus_one(picture: Image.Image, hole: np.ndarray) -> torch.Tensor:
    """The condition of the inpainting ControlNet as diffusers' pages make it."""
    pixels = np.array(picture).astype(np.float32) / 255
    pixels[hole > 127] = -1
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None])


BLANKS: dict[str, Callable[[Image.Image, np.ndarray], object]] = {
    "black": black,
    "black in a list": lambda picture, hole: [black(picture, hole)],
    "minus one": minus_one,
}


@contextmanager
def encoding_with(generator: torch.Generator) -> Iterator[None]:
    """Latents are drawn with the generator, also by the pipelines that pass none: those of SD 3, Qwen-Image and Joy."""
    sample = DiagonalGaussianDistribution.sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            DiagonalGaussianDistribution, "sample", lambda self, generator=generator: sample(self, generator=generator)
        )
        yield

"""Inpainting with HD-Painter: Manukyan et al., arXiv:2312.14091, and the official `hd_inpaint.py` at its first size."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, cast, final

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.diffusion_options import DiffusionOptions
from brushbench.baselines.finite import check_finite
from brushbench.baselines.hd_painter.painta import LEVELS, with_painta
from brushbench.baselines.hd_painter.rasg import guidance_level, noise_and_direction
from brushbench.baselines.hd_painter.sampling import DDIMStep, check_schedule, prediction_type, schedule
from brushbench.baselines.hd_painter.subject import Subject, any_of, most_of, prepared, with_quality, words_of
from brushbench.baselines.sd_inpainting import CHANNELS
from brushbench.baselines.stable_diffusion import EncodedText, Latents, StableDiffusion, to_unit
from brushbench.baselines.transfer import to_device
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

POSITIVE = "Full HD, 4K, high quality, high resolution"
NEGATIVE = (
    "text, bad anatomy, bad proportions, blurry, cropped, deformed, disfigured, duplicate, error, extra limbs, "
    "gross proportions, jpeg artifacts, long neck, low quality, lowres, malformed, morbid, mutated, mutilated, "
    "out of frame, ugly, worst quality"
)
PAINTA_UNTIL = 500
"""PAIntA changes the attention at timesteps above it."""


@dataclass(frozen=True, slots=True)
class HDPainterOptions(DiffusionOptions):
    """Options of `hd-painter`, which has a sampler of its own.

    It goes in strides of 1000 // steps: a number of steps that doesn't divide 1000 can mean more of them.
    """

    negative_prompt: str = NEGATIVE
    painta: bool = True
    """Prompt-Aware Introverted Attention."""
    rasg: bool = True
    """Reweighting Attention Score Guidance."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.1
    """RASG's eta. It isn't DDIM's: the official sigma is many times smaller."""
    positive_prompt: str = POSITIVE
    """Added to every caption."""


@final
@dataclass(frozen=True, slots=True)
class HDPainter:
    """Stable Diffusion Inpainting, made to paint what the caption says rather than more of the surroundings.

    Without the super-resolution and the Poisson blending that can follow.
    """

    Options: ClassVar = HDPainterOptions
    sd: StableDiffusion
    options: HDPainterOptions

    @classmethod
    def load(cls, options: HDPainterOptions, runtime: Runtime) -> "HDPainter":
        """Raises `UserError` for weights that can't be used, or whose UNet is no inpainting UNet."""
        # Of a base's scheduler only what its UNet predicts matters: the sampler is a variant of DDIM.
        sd = StableDiffusion.load(runtime, options.base, "ddim", ema=options.ema)
        sd.check_channels("hd-painter", CHANNELS)
        check_schedule(sd.scheduler_config)
        return cls(sd, options)

    # RASG needs gradients, also where the caller is in inference mode.
    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Known pixels went through the VAE too, unless `blend` puts them back.

        Any size will do: pictures are extended, and cut at the end.
        """
        options, scene = self.options, prepared(batch)
        latents = self.sd.initial_noise(seeds, scene).float()
        captions = [with_quality(caption, options.positive_prompt) for caption in batch.captions]
        text = self.sd.encode_text(captions, options.negative_prompt, options.guidance)
        subject = self._subject(scene, text)
        placed = self.sd.placed(scene)
        known = self.sd.encode_image(to_unit(placed.images) * ~placed.masks)
        holes = to_device(any_of(scene.masks, self.sd.factor), known.device)
        condition = torch.cat([holes.to(known.dtype), known], dim=1)
        jumps = schedule(options.steps)
        times = to_device(torch.tensor([jump.time for jump in jumps]), known.device)
        for jump, time in zip(jumps, times, strict=True):
            painta = options.painta and jump.time > PAINTA_UNTIL
            predict = partial(self._output, time=time, condition=condition)
            with with_painta(self.sd.unet, subject) if painta else nullcontext():
                noise, direction = self._predict(latents, predict, jump, text, subject)
            latents = jump.apply(latents, noise, direction, options.eta)
        check_finite(latents, "latents, or the gradient of RASG,")
        height, width = batch.images.shape[2:]
        # Truncated, not rounded: as the official code.
        painted = ((self.sd.decode_unit(latents) + 1) * 127.5).to(torch.uint8)[..., :height, :width].cpu()
        return options.blended(painted, batch)

    def _subject(self, scene: Batch, text: EncodedText) -> Subject:
        """What the captions, the second half of the text, name."""
        device = self.sd.runtime.device
        levels = {*LEVELS, guidance_level(self.sd.unet)}
        words = to_device(words_of(self.sd.tokenizer, scene.captions, self.options.positive_prompt), device)
        holes = {level: to_device(most_of(scene.masks, self.sd.factor * 2**level), device) for level in levels}
        return Subject(text.embeddings.chunk(text.copies)[-1], words, holes)

    def _output(
        self, latents: Latents, context: Float[Tensor, "n 77 c"], time: Tensor, condition: Float[Tensor, "n 5 h w"]
    ) -> Latents:
        """What the UNet makes of noisy latents and a text."""
        read = torch.cat([latents.to(condition.dtype), condition], dim=1)
        return cast(Tensor, self.sd.unet(read, time, context, return_dict=False)[0])

    def _predict(
        self, latents: Latents, predict: Callable[..., Latents], jump: DDIMStep, text: EncodedText, subject: Subject
    ) -> tuple[Latents, Latents | None]:
        """(noise by classifier-free guidance, RASG's direction). The captions come first, as PAIntA wants it.

        The noise follows from what the UNet was trained to predict; guidance is linear, so that it may come before.
        """
        kind = prediction_type(self.sd.scheduler_config)
        direction = None
        if self.options.rasg and jump.sigma:
            captioned = partial(predict, context=subject.context)
            positive, direction = noise_and_direction(captioned, latents, self.sd.unet, subject)
        else:
            positive = predict(latents, context=subject.context)
        if text.copies == 1:
            return jump.noise_in(latents, positive.float(), kind), direction
        negative = predict(latents, context=text.embeddings.chunk(2)[0])
        return jump.noise_in(latents, text.guided(negative, positive).float(), kind), direction

"""Inpainting with HD-Painter: Manukyan et al., arXiv:2312.14091, and the official `hd_inpaint.py`, first stage."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, cast, final

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.compiled import compile_blocks
from brushbench.baselines.diffusion_options import DiffusionOptions
from brushbench.baselines.finite import check_finite
from brushbench.baselines.hd_painter.layers import transformer_blocks
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
"""PAIntA changes the attention at timesteps above this one."""


@dataclass(frozen=True, slots=True)
class HDPainterOptions(DiffusionOptions):
    """Options of `hd-painter`, which has its own sampler.

    The sampler strides by 1000 // steps timesteps, so that it can take more than `steps` if that doesn't divide 1000.
    """

    negative_prompt: str = NEGATIVE
    painta: bool = True
    """Whether to use Prompt-Aware Introverted Attention. Paper: Manukyan et al., arXiv:2312.14091, on PAIntA."""
    rasg: bool = True
    """Whether to use Reweighting Attention Score Guidance. Paper: Manukyan et al., arXiv:2312.14091, on RASG."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.1
    """RASG's eta. It is not DDIM's eta: the official sigma is many times smaller than DDIM's. Unit: factor.
    Paper: Manukyan et al., arXiv:2312.14091, on RASG."""
    positive_prompt: str = POSITIVE
    """Text that is added to every caption."""


@final
@dataclass(frozen=True, slots=True)
class HDPainter:
    """Stable Diffusion Inpainting, guided to follow the caption rather than to continue the surroundings.

    The super-resolution stage and Poisson blending, which can follow, are left out.
    """

    Options: ClassVar = HDPainterOptions
    sd: StableDiffusion
    options: HDPainterOptions

    @classmethod
    def load(cls, options: HDPainterOptions, runtime: Runtime) -> "HDPainter":
        """Load the base model. Raises `UserError` for weights that can't be used, or a UNet that doesn't inpaint."""
        # Only the scheduler's prediction type matters: the sampler is HD-Painter's own variant of DDIM.
        sd = StableDiffusion.load(runtime, options.base, "ddim", ema=options.ema)
        sd.check_channels("hd-painter", CHANNELS)
        check_schedule(sd.scheduler_config)
        # PAIntA hooks into these blocks anew at each step, which compiled code wouldn't see.
        hooked = [block for level, block in transformer_blocks(sd.unet) if options.painta and level in LEVELS]
        compile_blocks(sd.unet, runtime, besides=hooked)
        return cls(sd, options)

    # RASG needs gradients, even if the caller is in inference mode.
    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. Known pixels go through the VAE too, unless `blend` puts them back.

        Images of any size are accepted: they are extended first, and cropped at the end.
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
        with self.sd.runtime.stage():
            for jump, time in zip(jumps, times, strict=True):
                painta = options.painta and jump.time > PAINTA_UNTIL
                predict = partial(self._output, time=time, condition=condition)
                with with_painta(self.sd.unet, subject) if painta else nullcontext():
                    noise, direction = self._predict(latents, predict, jump, text, subject)
                latents = jump.apply(latents, noise, direction, options.eta)
        check_finite(latents, "latents, or the gradient of RASG,")
        height, width = batch.images.shape[2:]
        # Truncated, not rounded, as in the official code.
        generated = ((self.sd.decode_unit(latents) + 1) * 127.5).to(torch.uint8)[..., :height, :width].cpu()
        return options.blended(generated, batch)

    def _subject(self, scene: Batch, text: EncodedText) -> Subject:
        """What to generate and where, from the captions, which are the second half of the text."""
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
        """(noise by classifier-free guidance, RASG's direction). The captions come first, as PAIntA requires.

        The noise is computed from what the UNet predicts after guidance; guidance is linear, so the order is free.
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

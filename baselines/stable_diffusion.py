"""The components of a latent diffusion model, and the denoising loop that the suite's diffusion methods share.

Rombach et al., arXiv:2112.10752. The components are unmodified classes of diffusers and transformers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast, final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import CLIPTextModel, CLIPTokenizer

from brushbench.baselines.captions import cleaned, token_ids
from brushbench.baselines.checkpoints import SchedulerConfig, load_scheduler_config, load_tokenizer
from brushbench.baselines.compiled import decoded
from brushbench.baselines.finite import DECODING, ENCODING, check_finite, through_vae
from brushbench.baselines.recent import Recent
from brushbench.baselines.schedulers import (
    SAMPLERS,
    NoiseLevels,
    Sampler,
    advance_of,
    checked_scheduler,
    scheduler_of,
)
from brushbench.baselines.sdxl import TextPair, added_conditions, is_sdxl
from brushbench.baselines.sources import BaseCheckpoint, base_checkpoint
from brushbench.baselines.transfer import to_device
from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Batch
from brushbench.weights import BASE
from brushbench.weights.runtime import Runtime

Latents = Float[Tensor, "n 4 h w"]
CHANNELS = 4
"""The channels of the latents, and of a UNet that reads only noisy latents."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the denoising loop."""

    index: int
    """The number of the step, from 0."""
    count: int
    """The number of steps in the loop."""
    time: Tensor
    """The training timestep, a scalar on the device."""
    levels: NoiseLevels | None = None
    """The noise levels of all steps of the loop; None if nothing is done after each step."""

    def noised(self, latents: Latents, noise: Latents) -> Latents:
        """Clean latents brought to this step's noise level with the given noise.

        Raises `ValueError` in a loop that was given no `after`.
        """
        if self.levels is None:
            raise ValueError("the loop has no noise levels: it was given no `after`")
        return self.levels.signal[self.index] * latents + self.levels.noise[self.index] * noise


Predict = Callable[[Latents, Step], Latents]
"""(latents scaled by the scheduler, step) -> predicted noise."""
After = Callable[[Latents, Step], Latents]
"""(latents after a step, that step) -> latents for the next step."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Encoded captions for classifier-free guidance (Ho and Salimans, arXiv:2207.12598)."""

    embeddings: Float[Tensor, "m 77 c"]
    """m = 2 n with guidance, the negative prompts first; n without."""
    guidance: float
    """The guidance scale; 1 or less means no guidance."""
    pooled: Float[Tensor, "m p"] | None = None
    """One vector for each whole text, which only SDXL reads."""
    images: Float[Tensor, "m ..."] | None = None
    """Encoded image prompts, which only a UNet with an IP-Adapter reads."""

    @property
    def image_conditions(self) -> dict[str, list[Tensor]]:
        """The image prompts under diffusers' name; empty without them."""
        return {} if self.images is None else {"image_embeds": [self.images]}

    @property
    def copies(self) -> int:
        """How many copies of the batch go through the UNet: 2 with guidance, else 1."""
        return 2 if self.guidance > 1 else 1

    def guided(self, negative: Latents, positive: Latents) -> Latents:
        """The noise with guidance, negative + scale (positive - negative); `positive` is the noise for the captions."""
        return negative + self.guidance * (positive - negative)


@final
@dataclass(frozen=True, slots=True)
class StableDiffusion:
    """Tokenizer, text encoder, UNet, VAE and scheduler of one latent diffusion model, frozen."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler_config: SchedulerConfig
    sampler: str
    """The name of the scheduler's class in diffusers."""
    runtime: Runtime
    text_pair: TextPair | None = None
    """SDXL's two text encoders, which then encode all texts."""
    texts: Recent[str, Tensor] = field(default_factory=Recent)
    """Texts that `text_encoder` has encoded so far."""

    @classmethod
    def load(
        cls,
        runtime: Runtime,
        base: str | None,
        sampler: Sampler | None,
        part: str = BASE,
        *,
        sdxl: bool = False,
        ema: bool = False,
    ) -> "StableDiffusion":
        """Load a base model; `base` overrides that of the weights, and `sampler` None means its own scheduler.

        `part` is the name of this base in the family, for a method with several. `sdxl` says that the method can use
        SDXL too, `ema` that the EMA weights of a single file are to be used. Raises `UserError` for a component that is
        missing or can't be used, and for an SDXL if the method can't use it.
        """
        checkpoint = base_checkpoint(runtime, base, part, ema=ema)
        config = load_scheduler_config(checkpoint.folder("scheduler"), runtime) | checkpoint.scheduler_changes
        name, changes = SAMPLERS[sampler] if sampler else (str(config.get("_class_name")), {})
        config = config | changes
        checked_scheduler(name, config, checkpoint.folder("scheduler"))
        unet = checkpoint.model(UNet2DConditionModel, "unet", runtime)
        xl = is_sdxl(unet)
        if xl and not sdxl:
            folder = checkpoint.folder("unet")
            raise UserError(
                one_line(f"{folder} is an SDXL UNet, which this method can't use; valid: --method brushnet")
            )
        tokenizer = load_tokenizer(checkpoint.folder("tokenizer"), runtime)
        text_encoder = checkpoint.model(CLIPTextModel, "text_encoder", runtime)
        return cls(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            unet=unet,
            vae=_load_vae(checkpoint, runtime, sdxl=xl),
            scheduler_config=config,
            sampler=name,
            runtime=runtime,
            text_pair=TextPair.load((tokenizer, text_encoder), checkpoint, runtime) if xl else None,
        )

    def check_channels(self, method: str, channels: int) -> None:
        """Raise `UserError` unless the UNet has this number of input channels."""
        given = self.unet.config.in_channels
        if given != channels:
            raise UserError(f"{method} needs a UNet with {channels} input channels; this one has {given}")

    def encode_text(self, captions: Sequence[str], negative_prompt: str, guidance: float) -> EncodedText:
        """The text encoder's last hidden states, or for SDXL those of `TextPair`; captions are cut at 77 tokens.

        Each text is encoded only once and by itself: in a batch, the last bits would depend on the other texts.
        """
        negatives = [cleaned(negative_prompt)] * len(captions) if guidance > 1 else []
        positives = [cleaned(caption) for caption in captions]
        if self.text_pair is None:
            embeddings = torch.cat([self.texts.get(prompt, self._encoded) for prompt in negatives + positives])
            return EncodedText(embeddings, guidance)
        encoded = [self.text_pair.encode_negative(prompt) for prompt in negatives]
        encoded += [self.text_pair.encode(prompt) for prompt in positives]
        embeddings, pooled = (torch.cat(tensors) for tensors in zip(*encoded, strict=True))
        return EncodedText(embeddings, guidance, pooled)

    def _encoded(self, prompt: str) -> Float[Tensor, "1 77 c"]:
        ids = to_device(token_ids(self.tokenizer, prompt), self.runtime.device)
        with torch.inference_mode():
            return cast(Tensor, self.text_encoder(ids).last_hidden_state)

    def added_conditions(self, latents: Float[Tensor, "n c h w"], text: EncodedText) -> dict[str, Tensor] | None:
        """The inputs of SDXL's UNet and branch besides the tokens, one row per text; None for other models."""
        if text.pooled is None:
            return None
        height, width = latents.shape[2:]
        return added_conditions(text.pooled, height * self.factor, width * self.factor)

    def placed(self, batch: Batch) -> Batch:
        """The batch with images and masks on the device, still of 8 bits: what is computed from them is computed there.

        On the CPU it has the very tensors of the batch.
        """
        device = self.runtime.device
        return replace(batch, images=to_device(batch.images, device), masks=to_device(batch.masks, device))

    def encode_image(self, images: Float[Tensor, "n 3 H W"]) -> Latents:
        """The latents of images on [-1, 1]: the posterior's mode times the VAE's scaling factor.

        Raises `SampleError` for values that aren't finite, as `decode` does.
        """
        with self.runtime.stage(self.vae), torch.inference_mode():
            read = images.to(self.runtime.device, self.vae.dtype)
            mode = through_vae(self.vae, read, lambda each: self.vae.encode(each).latent_dist.mode(), ENCODING)
        return cast(Tensor, mode * self.vae.config.scaling_factor).to(self.runtime.dtype)

    def to_latent_size(self, masks: Bool[Tensor, "n 1 H W"]) -> Float[Tensor, "n 1 h w"]:
        """Masks at latent size, 0 or 1: the top left pixel of each square, as `nearest` in the official code."""
        size = [side // self.factor for side in masks.shape[2:]]
        return interpolate(masks.float(), size=size).to(self.runtime.device, self.runtime.dtype)

    @property
    def factor(self) -> int:
        """Pixels per latent, along each side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def initial_noise(self, seeds: Sequence[int], batch: Batch) -> Latents:
        """The first noise from each sample's own generator. Raises `UserError` as `noise_source` does."""
        return self.noise_source(seeds, batch)()

    def noise_source(self, seeds: Sequence[int], batch: Batch) -> "NoiseSource":
        """A source of all noise for a batch, drawn from each sample's own generator.

        Raises `UserError` unless there is one seed per sample and both sides are multiples of the VAE's factor.
        """
        return self.noise_from(generators_of(seeds, batch), batch)

    def noise_from(self, generators: Sequence[torch.Generator], batch: Batch) -> "NoiseSource":
        """The source of all noise for a batch that draws from these generators, one for each sample.

        Raises `UserError` unless both sides are multiples of the VAE's factor.
        """
        height, width = batch.images.shape[2:]
        if height % self.factor or width % self.factor:
            raise UserError(f"{height}x{width}: both sides must be multiples of {self.factor}")
        shape = (1, self.vae.config.latent_channels, height // self.factor, width // self.factor)
        return NoiseSource(generators, shape, self.runtime)

    def guided_noise(
        self,
        latents: Float[Tensor, "n c h w"],
        step: Step,
        text: EncodedText,
        unet: Callable[..., tuple[Tensor]] | None = None,
    ) -> Latents:
        """The UNet's noise with classifier-free guidance. `unet` can be the UNet with something added to it."""
        doubled = latents.repeat(text.copies, 1, 1, 1)
        predict: Callable[..., tuple[Tensor]] = unet or self.unet
        added = (self.added_conditions(latents, text) or {}) | text.image_conditions
        read = {"encoder_hidden_states": text.embeddings, "added_cond_kwargs": added}
        noise = predict(doubled, step.time, **read, return_dict=False)[0]
        if text.copies == 1:
            return noise
        return text.guided(*noise.chunk(2))

    def denoise(
        self, noise: "NoiseSource", steps: int, predict: Predict, *, skipped: int = 0, after: After | None = None
    ) -> Latents:
        """Denoise pure noise into latents in `steps` steps of a new scheduler, of which the first ones can be skipped.

        The initial noise is drawn here, and then the noise for the steps of a stochastic scheduler.
        Raises `SampleError` for latents that aren't finite.
        """
        scheduler = scheduler_of(self.sampler, self.scheduler_config)
        scheduler.set_timesteps(steps)
        latents: Tensor = noise() * scheduler.init_noise_sigma
        # The scheduler gets numbers, and the UNet a scalar that is on the device already: no step makes either wait.
        numbers, times = scheduler.timesteps.tolist(), to_device(scheduler.timesteps, self.runtime.device)
        levels = NoiseLevels.of(scheduler, self.runtime.dtype) if after else None
        advance = advance_of(scheduler, numbers[skipped], noise.generators)
        with self.runtime.stage(), torch.inference_mode():
            for index in range(skipped, len(numbers)):
                step = Step(index, len(numbers), times[index], levels)
                predicted = predict(scheduler.scale_model_input(latents, numbers[index]), step)
                latents = advance(predicted, numbers[index], latents)
                latents = after(latents, step) if after else latents
        check_finite(latents, "latents")
        return latents

    def decode(self, latents: Latents) -> UInt8[Tensor, "n 3 H W"]:
        """The decoded images, rounded to 8 bits, on the CPU. Raises `SampleError` for values that aren't finite.

        A sample for which the VAE overflows in half precision is decoded again in float32 and gets a note.
        """
        return ((self.decode_unit(latents) / 2 + 0.5) * 255).round().to(torch.uint8).cpu()

    def decode_unit(self, latents: Latents) -> Float[Tensor, "n 3 H W"]:
        """The decoded images on [-1, 1], float32, on the device; otherwise as `decode`."""
        with self.runtime.stage(self.vae), torch.inference_mode():
            scaled = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
            images = through_vae(self.vae, scaled, lambda each: decoded(self.vae, each, self.runtime), DECODING)
        return images.float().clamp(-1, 1)


@final
@dataclass(frozen=True, slots=True)
class NoiseSource:
    """Returns new noise at every call, drawn from each sample's own generator in float32, where the generator is."""

    generators: Sequence[torch.Generator]
    shape: tuple[int, int, int, int]
    """The shape of one sample's noise, [1, c, h, w]."""
    runtime: Runtime

    def __call__(self) -> Latents:
        """The next noise for the batch, on the runtime's device and in its dtype."""
        noise = torch.cat([torch.randn(self.shape, generator=each, device=each.device) for each in self.generators])
        return to_device(noise, self.runtime.device).to(self.runtime.dtype)


def _load_vae(checkpoint: BaseCheckpoint, runtime: Runtime, *, sdxl: bool) -> AutoencoderKL:
    """The VAE, in float32 if it is an SDXL VAE whose config says that it overflows in half precision.

    Configs of other VAEs say so by default, of models that don't overflow.
    """
    vae = checkpoint.model(AutoencoderKL, "vae", replace(runtime, dtype=torch.float32) if sdxl else runtime)
    if sdxl and not vae.config.force_upcast:
        vae.to(runtime.dtype)
    runtime.compile(vae.decoder)
    return vae


def generators_of(seeds: Sequence[int], batch: Batch) -> list[torch.Generator]:
    """A generator for each sample, on the CPU. Raises `UserError` unless there is one seed per sample."""
    if len(seeds) != len(batch):
        raise UserError(f"{len(seeds)} seeds for {len(batch)} samples; valid: one seed per sample")
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def to_unit(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """8-bit images scaled to [-1, 1], float32, on their device."""
    return to_fraction(images) * 2 - 1


def to_fraction(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """8-bit images scaled to [0, 1], float32, on their device."""
    # Divided by a tensor: for a number, CUDA multiplies by its reciprocal, whose last bits differ from a quotient's.
    return images.float() / torch.full((), 255.0, device=images.device)

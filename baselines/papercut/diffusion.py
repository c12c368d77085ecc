"""The family's diffusion model, a text encoder and a UNet trained together, and code shared by models based on it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from brushbench.baselines.papercut.captions import Captions
from brushbench.baselines.papercut.files import SCHEDULER, load_family, save_model
from brushbench.baselines.papercut.latents import EncodedCorpus
from brushbench.baselines.papercut.sheets import sheet_of
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.papercut.vocabulary import LENGTH
from brushbench.baselines.stable_diffusion import EncodedText, Latents, StableDiffusion, Step
from brushbench.core.types import Batch
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=11_000, batch=32, rate=1e-3, restarts=(3500, 7000), averaging=0.999)
WIDTH = 96
"""The width of the text encoder."""
SNR_LIMIT = 5.0
"""Signal-to-noise ratio above which a timestep counts less: Hang et al., arXiv:2303.09556, gamma of equation 11."""
STEPS = 12
GUIDANCE = 4.0
"""The guidance scale of the pictures on sheets and in the evaluation."""
SHEET_CAPTIONS = (
    "a red balloon over a snowy field",
    "a small blue boat at sunset, cut from paper",
    "a green house by the sea",
    "an orange fish in the desert, painted by hand",
    "a big pink heart at night",
    "a yellow umbrella on a sandy beach",
    "a purple rocket in front of mountains",
    "an empty scene in a meadow",
)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A random CLIP text encoder of three layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """A random UNet of Stable Diffusion 1.5's blocks, with three levels of one layer each."""
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(48, 64, 64),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


@final
class Noising:
    """The forward process of Stable Diffusion 1.5, and the loss of a noise prediction."""

    def __init__(self) -> None:
        self._scheduler = DDPMScheduler.from_config(SCHEDULER)

    def __call__(self, latents: Latents, draw: torch.Generator) -> tuple[Latents, Latents, Int[Tensor, " n"]]:
        """(noisy latents, the noise in them, the timesteps), with the timesteps evenly spread over a batch."""
        count = self._scheduler.config.num_train_timesteps
        places = (torch.arange(len(latents)) + torch.rand(len(latents), generator=draw)) / len(latents)
        times = (places[torch.randperm(len(latents), generator=draw)] * count).long().clamp(max=count - 1)
        noise = torch.randn(latents.shape, generator=draw)
        return self._scheduler.add_noise(latents, noise, times), noise, times

    def loss(self, predicted: Latents, noise: Latents, times: Int[Tensor, " n"]) -> Float[Tensor, ""]:
        """The loss of Ho et al., arXiv:2006.11239, equation 14, weighted according to `SNR_LIMIT`."""
        kept = self._scheduler.alphas_cumprod[times]
        ratio = kept / (1 - kept)
        weights = ratio.clamp(max=SNR_LIMIT) / ratio
        return (weights * (predicted - noise).square().flatten(1).mean(dim=1)).mean()


@final
class BasePart:
    """Training of latent text-to-image diffusion, Rombach et al., arXiv:2112.10752, which keeps CLIP frozen instead."""

    name = "base"

    def __init__(self, encoded: EncodedCorpus, tokenizer: CLIPTokenizer, output: Path) -> None:
        self._output = output
        self._latents = encoded.whole()
        self._captions = Captions(tokenizer, encoded.corpus.scenes)
        self._noising = Noising()
        self._unet = new_unet()
        self._text_encoder = new_text_encoder(tokenizer)
        self._both = nn.ModuleDict({"unet": self._unet, "text_encoder": self._text_encoder})

    @property
    def trained(self) -> nn.Module:
        """UNet and text encoder, which learn together."""
        return self._both

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the noise predicted from the caption."""
        chosen = torch.randint(len(self._latents), (batch,), generator=draw)
        text = self._text_encoder(self._captions.drawn(chosen, draw)).last_hidden_state
        noisy, noise, times = self._noising(self._latents[chosen], draw)
        return self._noising.loss(self._unet(noisy, times, text).sample, noise, times)

    def sheet(self) -> Sheet:
        """A generated picture for each of `SHEET_CAPTIONS`."""
        self.save()
        images = text_to_image(load_family(self._output), SHEET_CAPTIONS, range(len(SHEET_CAPTIONS)))
        return sheet_of({"result": images}, SHEET_CAPTIONS)

    def save(self) -> None:
        """Save `unet/` and `text_encoder/`."""
        save_model(self._unet, self._output / "unet")
        save_model(self._text_encoder, self._output / "text_encoder")


def text_to_image(
    sd: StableDiffusion, captions: Sequence[str], seeds: Sequence[int], guidance: float = GUIDANCE
) -> UInt8[Tensor, "n 3 128 128"]:
    """Pictures generated from captions."""
    return sample(sd, sd.encode_text(captions, "", guidance), seeds)


def sample(
    sd: StableDiffusion, text: EncodedText, seeds: Sequence[int], unet: Callable[..., tuple[Tensor]] | None = None
) -> UInt8[Tensor, "n 3 128 128"]:
    """Pictures generated from pure noise; `unet` can be the UNet with something added to it."""
    blank = torch.zeros(len(seeds), 3, 128, 128, dtype=torch.uint8)
    batch = Batch(tuple(map(str, seeds)), blank, blank[:, :1].bool(), ("",) * len(seeds))

    def predict(latents: Latents, step: Step) -> Latents:
        return sd.guided_noise(latents, step, text, unet)

    return sd.decode(sd.denoise(sd.noise_source(seeds, batch), STEPS, predict))

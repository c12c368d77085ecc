"""The family's autoencoder, with factor 8 and four latent channels as in Stable Diffusion."""

from pathlib import Path
from typing import cast, final

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from brushbench.baselines.papercut.corpus import Corpus
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.sheets import sheet_of
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.stable_diffusion import to_unit
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=4200, batch=8, rate=1.5e-3, averaging=0.998)
SQUARED_WEIGHT = 5.0
KL_WEIGHT = 2e-3
"""Far higher than in Stable Diffusion: latents that tolerate noise forgive the errors of a small denoiser."""
SHOWN = 8


def new_vae() -> AutoencoderKL:
    """A random autoencoder of 0.9 M parameters."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=128,
    )


@final
class VAEPart:
    """Training of a VAE, Kingma and Welling, arXiv:1312.6114, with the blocks of Rombach et al., arXiv:2112.10752."""

    name = "vae"

    def __init__(self, corpus: Corpus, output: Path) -> None:
        self._corpus = corpus
        self._output = output
        # This memory format is a third faster on a CPU.
        self._vae = new_vae().to(memory_format=torch.channels_last)

    @property
    def trained(self) -> nn.Module:
        """The whole autoencoder, all of which learns."""
        return self._vae

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """Absolute and squared error on [-1, 1], plus the KL divergence from a normal distribution per latent."""
        chosen = torch.randint(len(self._corpus), (batch,), generator=draw)
        images = to_unit(self._corpus.images[chosen])
        posterior = self._vae.encode(images).latent_dist
        rebuilt = self._vae.decode(posterior.sample(generator=draw)).sample
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        return l1_loss(rebuilt, images) + SQUARED_WEIGHT * mse_loss(rebuilt, images) + KL_WEIGHT * divergence

    def sheet(self) -> Sheet:
        """A row of scenes above a row of their reconstructions."""
        images = self._corpus.images[:SHOWN]
        captions = [scene.caption for scene in self._corpus.scenes[:SHOWN]]
        return sheet_of({"scene": images, "what is left of it": self._rebuilt(images)}, captions)

    def save(self) -> None:
        """Save `vae/`, with the scaling factor that gives the training latents a standard deviation of 1."""
        with torch.inference_mode():
            latents = self._vae.encode(to_unit(self._corpus.images[:512])).latent_dist.mode()
        self._vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        save_model(self._vae, self._output / "vae")

    def _rebuilt(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        unit = self._vae.decode(self._vae.encode(to_unit(images)).latent_dist.mode()).sample
        return cast(Tensor, ((unit / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8))

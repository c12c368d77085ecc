"""The source after a round trip through the VAE: what a latent method keeps if it changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, UInt8
from torch import Tensor

from brushbench.baselines.compiled import decoded
from brushbench.baselines.diffusion_options import Offload
from brushbench.baselines.sources import base_checkpoint
from brushbench.baselines.stable_diffusion import to_unit
from brushbench.baselines.transfer import to_device
from brushbench.core.errors import SampleError, UserError
from brushbench.core.method_options import NOT_IN_FINGERPRINT
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime


@dataclass(frozen=True, slots=True)
class AutoencoderOptions:
    """Options of `autoencoder`."""

    base: str | None = None
    """Folder or hub id of another diffusion model, whose VAE is used instead."""
    offload: Offload = field(default="none", metadata={NOT_IN_FINGERPRINT: True})
    """`model`: keep the VAE on the GPU only while it is needed, for small GPUs."""


@final
@dataclass(frozen=True, slots=True)
class Autoencoder:
    """The whole source image, encoded and decoded; mask and caption are ignored, and nothing is pasted back.

    No latent method that doesn't blend can preserve more of the known pixels (Rombach et al., arXiv:2112.10752,
    section 3.1). It always computes in float32, so that its numbers contain no overflow of half precision.
    """

    Options: ClassVar = AutoencoderOptions
    vae: AutoencoderKL
    runtime: Runtime

    @classmethod
    def load(cls, options: AutoencoderOptions, runtime: Runtime) -> "Autoencoder":
        """Load only the VAE of the base model. Raises `UserError` if it can't be used."""
        exact = replace(runtime, dtype=torch.float32)
        checkpoint = base_checkpoint(exact, options.base, only=frozenset({"vae"}))
        vae = checkpoint.model(AutoencoderKL, "vae", exact)
        exact.compile(vae.decoder)
        return cls(vae, exact)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """The decoded posterior modes, rounded to 8 bits; the seeds are not used.

        Raises `UserError` for sides that aren't multiples of the VAE's factor, and `SampleError` for values that
        aren't finite.
        """
        factor = self.side_multiple
        height, width = batch.images.shape[2:]
        if height % factor or width % factor:
            raise UserError(f"{height}x{width}: both sides must be multiples of {factor}")
        decoded = self._round_trip(to_unit(to_device(batch.images, self.runtime.device)))
        for name, finite in zip(batch.ids, decoded.isfinite().flatten(1).all(dim=1).tolist(), strict=True):
            if not finite:
                raise SampleError(f"{name}: the VAE's output isn't finite; valid: -o base=ANOTHER MODEL")
        return ((decoded.clamp(-1, 1) / 2 + 0.5) * 255).round().to(torch.uint8).cpu()

    def _round_trip(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Encode and decode images on [-1, 1]."""
        with self.runtime.stage(self.vae), torch.inference_mode():
            latents = self.vae.encode(images).latent_dist.mode()
            return decoded(self.vae, latents, self.runtime)

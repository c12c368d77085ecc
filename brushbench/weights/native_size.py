"""Read the picture size that a pipeline's models were made for from its folder in diffusers layout."""

import json
from pathlib import Path

from pydantic import BaseModel, PositiveInt, ValidationError

from brushbench.core.errors import UserError
from brushbench.core.files import read_bytes
from brushbench.weights.layouts import CONFIG

DENOISERS = ("unet", "transformer")
_LATENT_SIDE = 128
"""The side of latents that diffusers' pipelines assume for a transformer whose config names none."""


class _Denoiser(BaseModel):
    sample_size: PositiveInt | None = None


class _Autoencoder(BaseModel):
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    """Those of Stable Diffusion, which every config has but some hybrid ones."""


def native_size(folder: Path) -> int | None:
    """Return the side of the pictures that a pipeline's models were made for, in pixels; None if it isn't said."""
    part = next((name for name in DENOISERS if (folder / name / CONFIG).is_file()), None)
    if part is None:
        return None
    try:
        side = _Denoiser.model_validate_json(read_bytes(folder / part / CONFIG)).sample_size
        vae = folder / "vae" / CONFIG
        decoder = _Autoencoder.model_validate_json(read_bytes(vae)) if vae.is_file() else _Autoencoder()
    except (UserError, ValidationError, json.JSONDecodeError):
        return None
    side = side or (_LATENT_SIDE if part == "transformer" else None)
    return side * 2 ** (len(decoder.block_out_channels) - 1) if side else None

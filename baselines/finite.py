"""Values that are no numbers: found before they become a black picture, and where only the VAE overflows in half
precision, computed again in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import ModelMixin
from jaxtyping import Bool, Float
from torch import Tensor

from brushbench.core.errors import NotFiniteError
from brushbench.core.notes import sample_note

HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Passage:
    """A way through a VAE, in words."""

    given: str
    """What goes in."""
    made: str
    """What comes out."""


ENCODING = Passage("pixels", "latents of the source image")
DECODING = Passage("latents", "pixels")


def check_finite(values: Float[Tensor, "n ..."], what: str) -> None:
    """Raises `NotFiniteError`, with the dtypes to try, if one of the values is infinite or no number."""
    if not values.isfinite().all():
        dtype = str(values.dtype).removeprefix("torch.")
        cause = "so weights or input are damaged" if values.dtype == torch.float32 else "which overflowed"
        raise NotFiniteError(f"{what} aren't finite in {dtype}, {cause}; valid: --dtype float32 or bfloat16")


def through_vae(
    vae: ModelMixin, values: Float[Tensor, "n ..."], compute: Callable[[Tensor], Tensor], passage: Passage
) -> Float[Tensor, "n ..."]:
    """What `compute` makes of the values by the VAE, whose dtype they have; finite.

    A sample that overflows in half precision is computed again in float32, by itself, so that it doesn't depend on the
    others; it gets a note, and the result is float32. Raises `NotFiniteError` for values that aren't finite, and for
    those that give nothing finite in float32 either.
    """
    check_finite(values, passage.given)
    made = compute(values)
    overflown = [place for place, finite in enumerate(_are_finite(made).tolist()) if not finite]
    if overflown and vae.dtype in HALF:
        made = made.float()
        for place, again in zip(overflown, _in_float32(vae, values[overflown], compute), strict=True):
            check_finite(again, passage.made)
            made[place] = again[0]
            sample_note(place, f"the VAE overflowed in half precision: {passage.made} computed again in float32")
    check_finite(made, passage.made)
    return made


def _in_float32(vae: ModelMixin, values: Tensor, compute: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """One sample at a time; the VAE's weights are afterwards what they were, to the bit."""
    dtype = vae.dtype
    # What is cast in inference mode could take no part in a gradient any more.
    with torch.inference_mode(False):
        vae.to(torch.float32)
    try:
        return [compute(value[None].float()) for value in values]
    finally:
        with torch.inference_mode(False):
            vae.to(dtype)


def _are_finite(values: Tensor) -> Bool[Tensor, " n"]:
    return values.isfinite().flatten(1).all(dim=1)

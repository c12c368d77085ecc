"""Find values that aren't finite before they become a black picture.

Where only the VAE overflows in half precision, its result is computed again in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import ModelMixin
from jaxtyping import Bool, Float
from torch import Tensor

from brushbench.core.errors import NotFiniteError
from brushbench.core.notes import sample_note
from brushbench.weights.recipe import eagerly

HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Passage:
    """A direction through a VAE, in words for messages."""

    given: str
    """The name of the input."""
    made: str
    """The name of the output."""


ENCODING = Passage("pixels", "latents of the source image")
DECODING = Passage("latents", "pixels")


def check_finite(values: Float[Tensor, "n ..."], what: str) -> None:
    """Raise `NotFiniteError`, with the dtypes to try, if one of the values is infinite or NaN."""
    if not values.isfinite().all():
        dtype = str(values.dtype).removeprefix("torch.")
        cause = "so the weights or the input are damaged" if values.dtype == torch.float32 else "which overflowed"
        raise NotFiniteError(f"{what} aren't finite in {dtype}, {cause}; valid: --dtype float32 or bfloat16")


def through_vae(
    vae: ModelMixin, values: Float[Tensor, "n ..."], compute: Callable[[Tensor], Tensor], passage: Passage
) -> Float[Tensor, "n ..."]:
    """The result of `compute`, which runs the VAE on values in its dtype; all of it is finite.

    A sample that overflows in half precision is computed again in float32, by itself, so that it doesn't depend on the
    rest of the batch; it gets a note, and the result is float32. Raises `NotFiniteError` for values that aren't finite,
    and for results that aren't finite in float32 either.
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
    """Compute each sample by itself in float32; afterwards the VAE's weights are the same as before, to the bit."""
    dtype = vae.dtype
    # Weights that are cast in inference mode could no longer take part in a gradient.
    with torch.inference_mode(False):
        vae.to(torch.float32)
    try:
        with eagerly():
            return [compute(value[None].float()) for value in values]
    finally:
        with torch.inference_mode(False):
            vae.to(dtype)


def _are_finite(values: Tensor) -> Bool[Tensor, " n"]:
    return values.isfinite().flatten(1).all(dim=1)

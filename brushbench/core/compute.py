"""Compute recipes: how models compute. Each is one choice with a name and a number, never a list of flags."""

from collections.abc import Mapping

from brushbench.core.errors import UserError, one_line

PLAIN, FAST = "plain", "fast"
RECIPES: Mapping[str, str] = {PLAIN: PLAIN, FAST: "fast-2"}
"""The recipes by name, each as a run's identity stores it.

`plain` is PyTorch as it comes. `fast` is numbered, and whoever changes what it does raises the number: images made by
two versions of a recipe are those of two runs.

* `fast-1`: the kernels of convolutions in channels_last.
* `fast-2`: that; transformer and resnet blocks of the UNet and its branches, and the VAE's decoder, compiled by
  inductor in its deterministic mode; latents decoded in slices of at most four; on CUDA, attention by cuDNN where it
  can. CUDA graphs are no part of it.
"""


def recipe_named(name: str) -> str:
    """The numbered recipe. Raises `UserError` for another name than those there are."""
    if name not in RECIPES:
        raise UserError(one_line(f"compute {name!r}: valid are {', '.join(RECIPES)}"))
    return RECIPES[name]


def refuse_without_weights(compute: str, methods: str) -> None:
    """Raises `UserError` for another recipe than `plain`: these methods have no models that could compute by it."""
    if recipe_named(compute) != PLAIN:
        raise UserError(one_line(f"compute {compute!r}: {methods} has no weights to compute with; valid: {PLAIN}"))

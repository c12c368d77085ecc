"""Compute recipes: how models compute. A recipe is a single choice with a name and a number, not a list of flags."""

from collections.abc import Mapping

from brushbench.core.errors import UserError, one_line

PLAIN, FAST = "plain", "fast"
RECIPES: Mapping[str, str] = {PLAIN: PLAIN, FAST: "fast-2"}
"""The name of each recipe, and the numbered name that a run's identity stores.

`plain` is PyTorch with its defaults. If you change what `fast` does, raise its number: images made with two versions of
a recipe belong to two runs.

* `fast-1`: the kernels of convolutions are kept in channels_last.
* `fast-2`: also, inductor in its deterministic mode compiles the transformer and resnet blocks of the UNet and its
  branches, and the VAE's decoder; latents are decoded in slices of at most four; on CUDA, cuDNN computes attention
  where it can. CUDA graphs aren't part of it.
"""


def recipe_named(name: str) -> str:
    """The numbered name of a recipe. Raises `UserError` for an unknown name."""
    if name not in RECIPES:
        raise UserError(one_line(f"unknown compute recipe {name!r}; valid: {', '.join(RECIPES)}"))
    return RECIPES[name]


def refuse_without_weights(compute: str, methods: str) -> None:
    """Raise `UserError` for any recipe but `plain`, as these methods have no models that could use it."""
    if recipe_named(compute) != PLAIN:
        raise UserError(
            one_line(f"compute {compute!r} has no effect on methods without weights: {methods}; valid: {PLAIN}")
        )

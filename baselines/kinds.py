"""Which Stable Diffusion a model belongs to, according to its config."""

WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
"""Families by the width of the text embeddings that the UNet reads, `cross_attention_dim`."""


def family_of(width: object) -> str:
    """The kind of model that reads text embeddings of this width, in words."""
    return f"a UNet of {WIDTHS.get(width, 'its own kind') if isinstance(width, int) else width} (text width {width})"

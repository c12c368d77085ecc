"""Which Stable Diffusion a model belongs to, by what its config says."""

WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
"""Numbers a token of the text that the UNet reads, `cross_attention_dim`."""


def family_of(width: object) -> str:
    """The kind of model that reads texts of so many numbers a token, to read."""
    return f"a UNet of {WIDTHS.get(width, 'its own kind') if isinstance(width, int) else width} (text width {width})"

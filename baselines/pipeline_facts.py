"""Facts about pipelines of diffusers that their signatures don't show, from their own docstrings and code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Blank = Literal["black", "minus one"]


@dataclass(frozen=True, slots=True)
class Facts:
    """How a pipeline's call differs from what the names of its parameters say."""

    batched: bool = False
    """Whether it treats each sample of a batch by itself. Any other pipeline gets one sample at a time, as not all do
    so: Kandinsky 2.2 blends every sample with the image of the first."""
    edits: bool = False
    """Whether it edits a whole image by its prompt: it takes no mask, and only the metrics use the mask."""
    own_size: bool = False
    """Whether it generates at a size of its own, whatever the size of the image; the result is then resized."""
    blank: Blank = "black"
    """How masked pixels look in the picture for its ControlNet: black, or -1 in a tensor on [0, 1]."""
    control_mode: int | None = None
    """The kind of picture that a ControlNet of many kinds reads; its pictures and kinds are lists."""
    prompt_key: str = ""
    """The key of the caption in a JSON object, for a pipeline whose prompt is one."""
    lacking: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Settings that its call reads, by component and name, although a component's class may lack them."""
    needs: str = ""
    """Why it can't inpaint although its signature looks like it; empty for a pipeline that can."""


FACTS: Mapping[str, Facts] = {
    "BriaFiboEditPipeline": Facts(prompt_key="edit_instruction"),
    # In diffusers 0.42 its call reads FLUX's setting, which Chroma's transformer doesn't have; the value has no effect.
    "ChromaInpaintPipeline": Facts(lacking={"transformer": {"guidance_embeds": False}}),
    "FluxFillPipeline": Facts(batched=True),
    "FluxInpaintPipeline": Facts(batched=True),
    "FluxKontextPipeline": Facts(edits=True),
    # Its UNet's size: 64x64 in the published first stage.
    "IFInpaintingPipeline": Facts(own_size=True),
    # Buckets of about a megapixel.
    "JoyImageEditPipeline": Facts(edits=True, own_size=True),
    "JoyImageEditPlusPipeline": Facts(edits=True),
    # About a megapixel.
    "LongCatImageEditPipeline": Facts(edits=True, own_size=True),
    # About a megapixel, whatever height and width it is given.
    "QwenImageEditInpaintPipeline": Facts(own_size=True),
    "QwenImageEditPipeline": Facts(edits=True),
    "QwenImageEditPlusPipeline": Facts(edits=True),
    "StableDiffusion3InpaintPipeline": Facts(batched=True),
    # The inpainting ControlNet of Stable Diffusion 1.5 was trained with -1 at masked pixels.
    "StableDiffusionControlNetInpaintPipeline": Facts(blank="minus one"),
    "StableDiffusionControlNetPAGInpaintPipeline": Facts(blank="minus one"),
    "StableDiffusionInpaintPipeline": Facts(batched=True),
    "StableDiffusionInstructPix2PixPipeline": Facts(edits=True),
    "StableDiffusionXLControlNetInpaintPipeline": Facts(blank="minus one"),
    # Kind 7 of the published ControlNet is repainting, with black masked pixels.
    "StableDiffusionXLControlNetUnionInpaintPipeline": Facts(control_mode=7),
    "StableDiffusionXLInpaintPipeline": Facts(batched=True),
    "ChronoEditPipeline": Facts(needs="a model of videos, in whose last frame the edit is"),
    "IFInpaintingSuperResolutionPipeline": Facts(needs="the small result of IFInpaintingPipeline as its image"),
    "LEditsPPPipelineStableDiffusion": Facts(needs="the image inverted by a call of its method `invert` before"),
    "LEditsPPPipelineStableDiffusionXL": Facts(needs="the image inverted by a call of its method `invert` before"),
    "StableDiffusionDiffEditPipeline": Facts(needs="the image inverted by a call of its method `invert` before"),
}
"""The exceptions by class; every other pipeline is called as its parameters' names say."""
BATCHED = frozenset(name for name, facts in FACTS.items() if facts.batched)
"""Pipelines that get whole batches."""


def facts_of(name: str) -> Facts:
    """The facts about a class; the usual ones if it isn't among the exceptions."""
    return FACTS.get(name, Facts())

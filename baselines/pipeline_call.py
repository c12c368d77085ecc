"""How the call of a pipeline of diffusers is written: derived from its parameters' names, and a few facts."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from brushbench.baselines.controlnet_inpainting import masked_condition
from brushbench.baselines.pipeline_facts import Facts, facts_of
from brushbench.imaging.pictures import to_picture

PROMPT = "prompt"
IMAGES = ("image", "images", "control_image")
"""Names of the argument for the source image, in the order in which they are looked for."""
MASKS = ("mask_image", "mask", "control_mask")
"""Names of the argument for the mask, in that order. White is generated in all of them."""
CONTROL = "control_image"
# What only another pipeline can make: optional in Python, but not available here.
_OUT_OF_REACH = {"image_embeds", "original_image"}
_MEDIA = {"audio": "audio", "video": "videos", "num_frames": "videos"}

# Any: a class of diffusers, which is untyped.
PipelineClass = Any


@dataclass(frozen=True, slots=True)
class Call:
    """The names of the arguments of a pipeline's call."""

    image: str
    mask: str | None
    """None: the pipeline edits the whole image by its prompt."""
    control: str | None
    """The argument for the source image with its masked pixels blanked; None for a pipeline without one."""
    accepted: frozenset[str]
    """All parameters of the call."""
    facts: Facts

    def inputs(
        self, captions: Sequence[str], images: UInt8[Tensor, "n 3 h w"], masks: Bool[Tensor, "n 1 h w"]
    ) -> dict[str, object]:
        """The arguments for some samples: a list of each, or a single one where samples aren't batched."""
        pictures = [to_picture(image) for image in images]
        holes = [Image.fromarray(mask[0].numpy().astype(np.uint8) * 255) for mask in masks]
        given: dict[str, object] = {PROMPT: self._some([self._written(caption) for caption in captions])}
        given[self.image] = pictures if self.image == "images" else self._some(pictures)
        if self.mask:
            given[self.mask] = self._some(holes)
        if self.control:
            given[self.control] = self._blanked(images, masks)
        return given | self._sizes(*images.shape[2:])

    def modes(self, chosen: int | None) -> dict[str, object]:
        """The kinds of the pictures for a ControlNet that reads a list of them."""
        mode = self.facts.control_mode if chosen is None else chosen
        return {} if self.facts.control_mode is None else {"control_mode": [mode]}

    def _blanked(self, images: UInt8[Tensor, "n 3 h w"], masks: Bool[Tensor, "n 1 h w"]) -> object:
        if self.facts.blank == "minus one":
            return masked_condition(images, masks)
        blanked = self._some([to_picture(image) for image in images.masked_fill(masks, 0)])
        return blanked if self.facts.control_mode is None else [blanked]

    def _sizes(self, height: int, width: int) -> dict[str, object]:
        """The sample's own size under every name, so that no pipeline chooses another one that it was trained with."""
        sizes = {"height": height, "width": width, "max_area": height * width, "_auto_resize": False}
        return {name: value for name, value in sizes.items() if name in self.accepted}

    def _some(self, values: Sequence[object]) -> object:
        return list(values) if self.facts.batched else values[0]

    def _written(self, caption: str) -> str:
        return json.dumps({self.facts.prompt_key: caption}) if self.facts.prompt_key else caption


def parameters_of(function: Any) -> dict[str, object]:
    """The named parameters of a pipeline's `__call__` or `__init__`, with their defaults."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {item.name: item.default for item in parameters if item.kind is not inspect.Parameter.VAR_KEYWORD}


def call_of(cls: PipelineClass) -> Call:
    """How the call of a pipeline is written, for a class about which `why_not` says nothing."""
    parameters = parameters_of(cls.__call__)
    image = _first(IMAGES, parameters) or ""
    control = CONTROL if CONTROL in parameters and image != CONTROL else None
    return Call(image, _first(MASKS, parameters), control, frozenset(parameters), facts_of(cls.__name__))


def why_not(cls: PipelineClass, *, without_mask: bool | None = None) -> str:
    """Why a pipeline can't inpaint; empty for one that can be called with an image, a mask and a prompt.

    `without_mask` says whether a class that takes an image and a prompt, but no mask, is accepted; None: if it is known
    to edit images so.
    """
    name, parameters, facts = cls.__name__, parameters_of(cls.__call__), facts_of(cls.__name__)
    if facts.needs:
        return f"{name} needs {facts.needs}"
    for medium in (_MEDIA[each] for each in parameters if each in _MEDIA):
        return f"{name} makes {medium}"
    call, edits = call_of(cls), facts.edits if without_mask is None else without_mask
    wanted = {"image": call.image, "mask_image": call.mask or edits, PROMPT: PROMPT in parameters}
    if lacking := [each for each, found in wanted.items() if not found]:
        return f"{name} takes no {' and no '.join(lacking)}"
    required = {each for each, default in parameters.items() if default is inspect.Parameter.empty}
    given = {PROMPT, call.image, call.mask, call.control}
    if beyond := sorted(required - given | _OUT_OF_REACH & parameters.keys()):
        return f"{name} needs more than an image, a mask and a prompt: {', '.join(beyond)}"
    return ""


def _first(names: Sequence[str], parameters: dict[str, object]) -> str | None:
    return next((name for name in names if name in parameters), None)

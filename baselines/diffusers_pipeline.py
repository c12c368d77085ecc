"""Any inpainting pipeline of diffusers, called as a user would call it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import Field
from torch import Tensor

from brushbench.baselines.diffusion_options import Guidance, Offload, Steps
from brushbench.baselines.pipeline_call import Call, PipelineClass, call_of, parameters_of
from brushbench.baselines.pipeline_choice import inpainting_class
from brushbench.baselines.pipeline_facts import BATCHED
from brushbench.baselines.pipeline_folder import (
    CONTROLNET,
    Edition,
    controlnet_class,
    load_pipeline,
    multiple_of,
    needs_prior,
    read_index,
)
from brushbench.baselines.schedulers import Sampler
from brushbench.baselines.stable_diffusion import generators_of
from brushbench.baselines.watched import check_schedulers, watched
from brushbench.core.errors import NotFiniteError, UserError, one_line
from brushbench.core.method_options import ADDED, NOT_IN_FINGERPRINT
from brushbench.core.notes import note, numbered_from, sample_note
from brushbench.core.types import Batch
from brushbench.imaging.pictures import resized_image
from brushbench.weights import MODEL
from brushbench.weights.runtime import Runtime

Strength = Annotated[float, Field(gt=0, le=1)]
Variant = Annotated[str, Field(pattern=r"^\w+$")]
ControlMode = Annotated[int, Field(ge=0)]
__all__ = ["BATCHED", "DiffusersOptions", "DiffusersPipeline"]
_CALLED = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "true_cfg_scale": "true_cfg_scale",
    "negative_prompt": "negative_prompt",
    "strength": "strength",
    "controlnet_scale": "controlnet_conditioning_scale",
    "control_mode": "control_mode",
}
# Networks that take the guidance scale as an input, and only if they were trained with one.
_DISTILLED = {"FluxTransformer2DModel", "QwenImageTransformer2DModel"}


@dataclass(frozen=True, slots=True)
class DiffusersOptions:
    """Options of `diffusers`. None means the pipeline's own default; options it does not accept are errors."""

    model: str | None = None
    """Folder or hub id of the pipeline; None: the folder given as weights."""
    steps: Steps | None = None
    """Number of denoising steps. Unit: steps."""
    guidance: Guidance | None = None
    """The pipeline's guidance scale, in most of them that of classifier-free guidance. Unit: factor.
    Paper: Ho and Salimans, arXiv:2207.12598, section 3.2."""
    negative_prompt: str | None = None
    """Text that describes what to avoid, for every sample."""
    strength: Strength = 1.0
    """How much of the masked region is noise at first. 1, all of it, for every pipeline, even where its own default
    would let the original object shine through. Unit: share."""
    true_cfg_scale: Guidance | None = None
    """Classifier-free guidance scale of models whose `guidance` is something else: FLUX, Qwen-Image. Unit: factor.
    Paper: Ho and Salimans, arXiv:2207.12598, section 3.2."""
    sampler: Sampler | None = None
    """The sampler; none: the folder's own."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    variant: Variant | None = None
    """The variant of the weight files, for example `fp16`."""
    prior: str | None = None
    """Folder or hub id of the prior, for a pipeline that needs one: Kandinsky."""
    pipeline: str | None = field(default=None, metadata={ADDED: True})
    """Class of diffusers that is called with the folder's components, such as FluxKontextInpaintPipeline. None: the
    class that the folder names, or diffusers' inpainting pipeline for the same model. A class that takes no mask edits
    the whole image; only the metrics then use the mask."""
    controlnet: str | None = field(default=None, metadata={ADDED: True})
    """Folder or hub id of a ControlNet to inpaint with."""
    controlnet_scale: float | None = field(default=None, metadata={ADDED: True})
    """Factor of the features that the ControlNet adds. Unit: factor. Paper: Zhang et al., arXiv:2302.05543."""
    control_mode: ControlMode | None = field(default=None, metadata={ADDED: True})
    """Number of the kind of picture, for a ControlNet that reads many kinds. None: 7, repainting, for SDXL's.
    Unit: kind."""
    offload: Offload = field(default="none", metadata={NOT_IN_FINGERPRINT: True})
    """`model`: for small GPUs, each model is on it only while it is needed."""


@final
@dataclass(frozen=True, slots=True)
class DiffusersPipeline:
    """The result of a pipeline's own call; nothing is pasted back."""

    Options: ClassVar = DiffusersOptions
    # Any: a pipeline of diffusers; they share an interface but no type.
    pipeline: Any
    call: Call
    arguments: Mapping[str, object]
    """The arguments of every call."""
    runtime: Runtime

    @classmethod
    def load(cls, options: DiffusersOptions, runtime: Runtime) -> "DiffusersPipeline":
        """Load a pipeline.

        Raises `UserError` for one that can't be loaded, can't inpaint, or doesn't accept an option that is set.
        """
        folder = runtime.weights.folder(MODEL, options.model, revision=options.revision, variant=options.variant)
        index = read_index(folder)
        control = _controlnet(options, runtime)
        pipeline_class = inpainting_class(index, options.pipeline, controlnet_class(control) if control else None)
        call, arguments = call_of(pipeline_class), _arguments(pipeline_class, options)
        halved = needs_prior(pipeline_class, index)
        if options.prior and not halved:
            raise UserError(one_line(f"prior={options.prior}: {pipeline_class.__name__} in {index.folder} needs none"))
        prior = read_index(runtime.weights.folder("prior", options.prior)) if halved else None
        if control and CONTROLNET not in parameters_of(pipeline_class.__init__):
            raise UserError(one_line(f"controlnet={options.controlnet}: {pipeline_class.__name__} has none"))
        edition = Edition(options.variant, options.sampler, control)
        pipeline = load_pipeline(pipeline_class, index, prior, edition, runtime)
        _fill_in(pipeline, call)
        _check_guidance(pipeline, options)
        _check_mode(pipeline, arguments)
        check_schedulers(pipeline)
        if call.mask is None:
            note(f"{pipeline_class.__name__} takes no mask: it edited whole images, and only the metrics use the masks")
        return cls(pipeline, call, arguments, runtime)

    @property
    def side_multiple(self) -> int:
        """The number of pixels that both sides of an image must be multiples of."""
        return multiple_of(self.pipeline)

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch.

        Raises `UserError` for a size that the pipeline can't generate, and `NotFiniteError` for pixels that aren't
        finite.
        """
        generators = generators_of(seeds, batch)
        self._check_size(batch)
        together = len(batch) if self.call.facts.batched else 1
        generated = []
        for start in range(0, len(batch), together):
            part = slice(start, start + together)
            generated += self._inpainted(batch, part, generators[part])
        return torch.stack(generated)

    def _inpainted(self, batch: Batch, part: slice, generators: list[torch.Generator]) -> list[UInt8[Tensor, "3 h w"]]:
        height, width = batch.images.shape[2:]
        inputs = self.call.inputs(batch.captions[part], batch.images[part], batch.masks[part])
        arguments = dict(self.arguments)
        if "negative_prompt" in arguments and self.call.facts.batched:
            arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(generators)
        with self.runtime.computing(), watched(self.pipeline, generators), numbered_from(part.start):
            pixels = self.pipeline(
                generator=generators if len(generators) > 1 else generators[0],
                output_type="np",
                **inputs,
                **arguments,
            ).images
            made = [_to_image(picture) for picture in pixels]
            return [self._sized(image, height, width, place) for place, image in enumerate(made)]

    def _sized(self, image: UInt8[Tensor, "3 h w"], height: int, width: int, place: int) -> UInt8[Tensor, "3 H W"]:
        made, wanted = tuple(image.shape[1:]), (height, width)
        if made == wanted:
            return image
        if not self.call.facts.own_size:
            raise UserError(f"the pipeline returned {made[0]}x{made[1]} instead of {height}x{width} pixels")
        sample_note(place, f"generated at {made[0]}x{made[1]}, then resized to {height}x{width}")
        return resized_image(image, height, width, Image.Resampling.LANCZOS)

    def _check_size(self, batch: Batch) -> None:
        height, width = batch.images.shape[2:]
        factor = self.side_multiple
        if height % factor or width % factor:
            name = type(self.pipeline).__name__
            raise UserError(f"{height}x{width}: {name} needs sides that are multiples of {factor}")


def _controlnet(options: DiffusersOptions, runtime: Runtime) -> Path | None:
    """The folder of the ControlNet, if one is given."""
    if options.controlnet is None:
        return None
    return runtime.weights.folder(CONTROLNET, options.controlnet, variant=options.variant)


def _arguments(cls: PipelineClass, options: DiffusersOptions) -> dict[str, object]:
    """The arguments of the pipeline's call.

    Raises `UserError` for an option that the pipeline doesn't accept, or that would have no effect.
    """
    parameters = parameters_of(cls.__call__)
    usable = {key: name for key, name in _CALLED.items() if name in parameters}
    given = {key: getattr(options, key) for key in _CALLED if getattr(options, key) is not None}
    if "strength" not in usable and options.strength == 1:
        # A pipeline without a strength starts from pure noise.
        del given["strength"]
    for key, value in given.items():
        if key not in usable:
            valid = ", ".join(usable)
            raise UserError(one_line(f"option {key}={value!r}: {cls.__name__} does not accept it; valid: {valid}"))
    scale = given.get("true_cfg_scale", parameters.get("true_cfg_scale"))
    if "negative_prompt" in given and isinstance(scale, int | float) and scale <= 1:
        name = cls.__name__
        raise UserError(f"negative_prompt has no effect on {name} at true_cfg_scale={scale:g}; valid: a scale above 1")
    steps = given.get("steps", parameters.get("num_inference_steps"))
    if isinstance(steps, int) and math.floor(steps * options.strength) < 1:
        raise UserError(f"strength={options.strength:g} of steps={steps} is less than one step; valid: more of either")
    return {usable[key]: value for key, value in given.items()} | call_of(cls).modes(options.control_mode)


# Any: a pipeline of diffusers, here and below.
def _fill_in(pipeline: Any, call: Call) -> None:
    for part, settings in call.facts.lacking.items():
        model = pipeline.components[part]
        model.register_to_config(**{name: value for name, value in settings.items() if name not in model.config})


def _check_guidance(pipeline: Any, options: DiffusersOptions) -> None:
    transformer = pipeline.components.get("transformer")
    if options.guidance is None or type(transformer).__name__ not in _DISTILLED:
        return
    if not transformer.config.guidance_embeds:
        has = "true_cfg_scale" in parameters_of(type(pipeline).__call__)
        valid = "true_cfg_scale" if has else "no guidance option"
        raise UserError(f"guidance={options.guidance:g}: this model has no guidance input; valid: {valid}")


def _check_mode(pipeline: Any, arguments: Mapping[str, object]) -> None:
    modes = arguments.get("control_mode")
    if isinstance(modes, list) and max(modes) >= (kinds := pipeline.controlnet.config.num_control_type):
        raise UserError(
            f"control_mode={max(modes)}: this ControlNet reads {kinds} kinds of pictures; valid: -o control_mode=0 to "
            f"{kinds - 1}, or a ControlNet that reads masked images"
        )


def _to_image(pixels: np.ndarray) -> UInt8[Tensor, "3 h w"]:
    """Pixels [h, w, 3] on [0, 1] as an 8-bit image, rounded as the pipelines do."""
    if not np.isfinite(pixels).all():
        raise NotFiniteError("the pipeline's pixels aren't finite; valid: --dtype float32 or bfloat16")
    return torch.from_numpy((pixels * 255).round().astype(np.uint8)).permute(2, 0, 1)

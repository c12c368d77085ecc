"""BrushNet as a pipeline of diffusers, for code outside of the suite."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, SchedulerMixin, UNet2DConditionModel, UniPCMultistepScheduler
from diffusers.image_processor import PipelineImageInput, VaeImageProcessor
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.pipelines.pipeline_utils import StableDiffusionMixin
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from jaxtyping import UInt8
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from brushbench.baselines.brushnet.method import PART, BrushNet, BrushNetOptions, check_pair
from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import take_residuals
from brushbench.baselines.schedulers import SAMPLERS
from brushbench.baselines.sdxl import TextPair, is_sdxl
from brushbench.baselines.stable_diffusion import CHANNELS, After, Latents, StableDiffusion, Step
from brushbench.core.types import Batch
from brushbench.weights.resolver import Weights
from brushbench.weights.runtime import Runtime

# Any: what diffusers and its users pass through.

INDEX = "model_index.json"
OFFICIAL = {False: "StableDiffusionBrushNetPipeline", True: "StableDiffusionXLBrushNetPipeline"}
"""The pipeline's name in official folders; the key tells whether it is for SDXL."""
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder", "requires_safety_checker", "add_watermarker")
"""Components and settings of Stable Diffusion folders that have nothing to do here."""
_COMPONENTS = {
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
    "tokenizer_2": ("transformers", "CLIPTokenizer"),
}

StepEnd = Callable[["BrushNetPipeline", int, Tensor, dict[str, Any]], Mapping[str, Any]]
"""(pipeline, number of the step, timestep, {"latents": latents}) -> what replaces them, as in diffusers."""


@final
class BrushNetPipeline(DiffusionPipeline, StableDiffusionMixin, StableDiffusionLoraLoaderMixin):
    """Text-guided inpainting with BrushNet (Ju et al., arXiv:2403.06976) on Stable Diffusion 1.5 or SDXL.

    It is used like any pipeline of diffusers and computes what the method `brushnet` of the suite computes:

        pipeline = BrushNetPipeline.from_pretrained("BASE", brushnet="BRANCH", torch_dtype=torch.float16).to("cuda")
        image = pipeline("a cup of tea", image, mask, generator=torch.Generator().manual_seed(0)).images[0]

    A folder that `save_pretrained` writes has the layout and the names of the official code's.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->unet->vae"
    _optional_components: ClassVar[list[str]] = ["text_encoder_2", "tokenizer_2"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        brushnet: BrushNetModel,
        scheduler: SchedulerMixin,
        text_encoder_2: CLIPTextModelWithProjection | None = None,
        tokenizer_2: CLIPTokenizer | None = None,
        force_zeros_for_empty_prompt: bool = True,
    ) -> None:
        """Put components together. Raises `UserError` for a base model and a branch that don't fit together."""
        super().__init__()
        if unet.config.in_channels != CHANNELS:
            raise ValueError(f"BrushNet needs a UNet with {CHANNELS} input channels, not {unet.config.in_channels}")
        check_pair(brushnet, unet)
        if is_sdxl(unet) and (text_encoder_2 is None or tokenizer_2 is None):
            raise ValueError("SDXL needs text_encoder_2 and tokenizer_2")
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            brushnet=brushnet,
            scheduler=scheduler,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
        )
        self.register_to_config(force_zeros_for_empty_prompt=force_zeros_for_empty_prompt)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> "BrushNetPipeline":
        """Load a base model from a folder or the hub, and a branch.

        `brushnet` is a `BrushNetModel`, its folder or its name on the hub; none is needed if the folder has one in
        `brushnet/`. Without a `scheduler`, a base model gets UniPC, as in the official script; a folder of
        `save_pretrained` keeps its own. Everything else is as for `DiffusionPipeline`.
        """
        folder = Path(pretrained_model_name_or_path)
        branch = kwargs.pop(PART, None) or (folder / PART if (folder / PART).is_dir() else None)
        if isinstance(branch, str | os.PathLike):
            branch = BrushNetModel.from_pretrained(branch, torch_dtype=kwargs.get("torch_dtype"))
        if branch is None:
            raise ValueError(f"{folder} has no {PART}/; valid with a base model: brushnet=FOLDER")
        pipeline: BrushNetPipeline = super().from_pretrained(
            folder if folder.is_dir() else str(folder), brushnet=branch, **kwargs
        )
        if "scheduler" not in kwargs and not _is_whole(folder):
            changes = SAMPLERS["unipc"][1]
            pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, **changes)
        return pipeline

    @classmethod
    def load_config(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read a folder's index, for `from_pretrained`.

        diffusers doesn't know the branch's class, so the index names it here. A folder without an index has the
        components that there are folders for.
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_dir() and not (folder / INDEX).exists():
            index: dict[str, Any] = _index_of(folder)
        else:
            loaded = super().load_config(pretrained_model_name_or_path, **kwargs)
            if not isinstance(loaded, dict):
                return loaded
            index = loaded
        known = {name: value for name, value in index.items() if name not in _UNUSED}
        return known | {"_class_name": cls.__name__, PART: [BrushNetModel.__module__, BrushNetModel.__name__]}

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Write a folder that this class and the official code's pipeline of the same kind can load."""
        super().save_pretrained(save_directory, **kwargs)
        file = Path(save_directory) / INDEX
        named = {"_class_name": OFFICIAL[is_sdxl(self.unet)], PART: ["diffusers", BrushNetModel.__name__]}
        index = json.loads(file.read_text(encoding="utf-8")) | named
        file.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @torch.no_grad()
    def __call__(  # noqa: PLR0913, PLR0917
        self,
        prompt: str | Sequence[str],
        image: PipelineImageInput,
        mask_image: PipelineImageInput,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: str | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        brushnet_conditioning_scale: float = 1.0,
        control_guidance_start: float = 0.0,
        control_guidance_end: float = 1.0,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepEnd | None = None,
    ) -> StableDiffusionPipelineOutput | tuple[Any]:
        """Inpaint images where their masks are white, or 1.

        Args:
            prompt: One caption, or one for each image.
            image: One image or several of one size, as PIL images, arrays or tensors; both sides are multiples of 8
                pixels. What a mask covers isn't read. One image goes with all prompts, and so does one mask.
            mask_image: The masks, of the images' size; 0.5 and above is inpainted.
            num_inference_steps: Number of denoising steps.
            guidance_scale: Scale of classifier-free guidance; up to 1, the negative prompt isn't used.
            negative_prompt: Text that describes what to avoid, for every image.
            num_images_per_prompt: Images for each prompt, one after the other.
            generator: One generator for all images, or one for each.
            brushnet_conditioning_scale: Factor of the features that the branch adds.
            control_guidance_start: Fraction of the steps at which they start to be added.
            control_guidance_end: Fraction of the steps at which they stop.
            output_type: `pil`, `np` (floats from 0 to 1, [n, h, w, 3]) or `pt` ([n, 3, h, w]).
            return_dict: Whether to return an object with `images`, or a tuple of them.
            callback_on_step_end: Called after each step, as in diffusers, with the latents.

        Raises `ValueError` for arguments that don't go together, and `UserError` for a value that the method refuses.
        """
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type {output_type!r}; valid: pil, np, pt")
        options = BrushNetOptions(
            steps=num_inference_steps,
            guidance=guidance_scale,
            negative_prompt=negative_prompt or "",
            scale=brushnet_conditioning_scale,
            start=control_guidance_start,
            end=control_guidance_end,
        )
        captions = [prompt] if isinstance(prompt, str) else list(prompt)
        batch = _batch_of(captions, image, mask_image, num_images_per_prompt)
        method = self._method(options)
        noise = method.sd.noise_from(_generators(generator, len(batch)), batch)
        with self.progress_bar(total=num_inference_steps) as bar:
            generated = method.inpaint(batch, noise, self._after(bar, callback_on_step_end))
        self.maybe_free_model_hooks()
        images = VaeImageProcessor().postprocess(generated / 255, output_type, [False] * len(generated))
        return StableDiffusionPipelineOutput(images, None) if return_dict else (images,)

    def _method(self, options: BrushNetOptions) -> BrushNet:
        """The suite's method with these components."""
        take_residuals(self.unet)
        runtime = Runtime(self._execution_device, self.unet.dtype, Weights(None, PART))
        sd = StableDiffusion(
            tokenizer=self.tokenizer,
            text_encoder=self.text_encoder,
            unet=self.unet,
            vae=self.vae,
            scheduler_config=dict(self.scheduler.config),
            sampler=type(self.scheduler).__name__,
            runtime=runtime,
            text_pair=self._text_pair() if is_sdxl(self.unet) else None,
        )
        return BrushNet(sd, self.brushnet, options)

    def _text_pair(self) -> TextPair:
        return TextPair(
            (self.tokenizer, self.tokenizer_2),
            (self.text_encoder, self.text_encoder_2),
            zeros_for_nothing=self.config.force_zeros_for_empty_prompt,
        )

    def _after(self, bar: Any, callback: StepEnd | None) -> After:
        def after(latents: Latents, step: Step) -> Latents:
            bar.update()
            given = callback(self, step.index, step.time, {"latents": latents}) if callback else {}
            changed: Tensor = given.get("latents", latents)
            return changed

        return after


def _is_whole(folder: Path) -> bool:
    """Whether a folder is a pipeline with a branch, not a base model that lies beside one."""
    index = folder / INDEX
    return index.is_file() and PART in json.loads(index.read_text(encoding="utf-8"))


def _index_of(folder: Path) -> dict[str, Any]:
    """The index of a folder that has none, by its components."""
    found: dict[str, Any] = {name: list(kind) for name, kind in _COMPONENTS.items() if (folder / name).is_dir()}
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    return found | {"scheduler": ["diffusers", scheduler["_class_name"]]}


def _batch_of(captions: Sequence[str], image: PipelineImageInput, mask: PipelineImageInput, repeats: int) -> Batch:
    """A batch with as many copies of each image, for as many captions as there are, or images if there is one caption.

    Raises `ValueError` for numbers that don't go together.
    """
    images = (VaeImageProcessor(do_resize=False, do_normalize=False).preprocess(image) * 255).round().to(torch.uint8)
    reader = VaeImageProcessor(do_resize=False, do_normalize=False, do_convert_grayscale=True, do_binarize=True)
    masks = reader.preprocess(mask) > 0.5
    count = max(len(captions), len(images), len(masks))
    for name, given in (("prompts", captions), ("images", images), ("masks", masks)):
        if len(given) not in (1, count):
            raise ValueError(f"{len(given)} {name} for {count} images; valid: 1 or {count}")
    if images.shape[2:] != masks.shape[2:]:
        sizes = ["x".join(map(str, each.shape[2:])) for each in (images, masks)]
        raise ValueError(f"the image is {sizes[0]} and its mask {sizes[1]}; valid: one size")
    return Batch(
        ids=tuple(str(number) for number in range(count * repeats)),
        images=_spread(images, count, repeats),
        masks=_spread(masks, count, repeats),
        captions=tuple(caption for caption in [*captions] * (count // len(captions)) for _ in range(repeats)),
    )


def _spread(tensors: UInt8[Tensor, "m c h w"] | Tensor, count: int, repeats: int) -> Tensor:
    return tensors.expand(count, *tensors.shape[1:]).repeat_interleave(repeats, dim=0)


def _generators(given: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[torch.Generator]:
    if given is None or isinstance(given, torch.Generator):
        return [given or torch.default_generator] * count
    if len(given) != count:
        raise ValueError(f"{len(given)} generators for {count} images; valid: one, or {count}")
    return list(given)

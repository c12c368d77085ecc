"""A picture as a prompt: IP-Adapter, Ye et al., arXiv:2308.06721, section 3.2, with diffusers' own loader."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from brushbench.baselines.checkpoints import load_model, loaded
from brushbench.baselines.recent import Recent
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.datasets.names import stored_name
from brushbench.imaging.images import read_image
from brushbench.imaging.pictures import to_picture
from brushbench.weights.runtime import Runtime
from brushbench.weights.tensors import explained

OPTION = "ip_adapter"
ENCODER = "image_encoder"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@final
@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """The pictures used as prompts, and the pipeline that encodes them for the UNet."""

    # Any: a pipeline of diffusers; they share an interface but no type.
    pipeline: Any
    runtime: Runtime
    pictures: Path
    """One picture for all samples, or a folder with one picture per sample, named after its id."""
    encoded: Recent[Path, Tensor] = field(default_factory=Recent)

    @classmethod
    def plug_into(cls, sd: StableDiffusion, source: str, pictures: str, scale: float) -> "ImagePrompts":
        """Add the adapter's attention, `scale` times, to the UNet of a base model, which is changed in place.

        `source` is a file of the adapter with `image_encoder/` beside it, a folder with the plain adapter, or a hub id.
        Raises `UserError` for files that are missing, can't be read or don't fit.
        """
        weights = sd.runtime.weights
        file, shown = weights.file(OPTION, source), _pictures(Path(pictures))
        encoder = load_model(CLIPVisionModelWithProjection, file.parent / ENCODER, ENCODER, sd.runtime)
        side = encoder.config.image_size
        pipeline = StableDiffusionPipeline(
            vae=sd.vae,
            text_encoder=sd.text_encoder,
            tokenizer=sd.tokenizer,
            unet=sd.unet,
            scheduler=None,
            safety_checker=None,
            feature_extractor=CLIPImageProcessor(size=side, crop_size=side),
            image_encoder=encoder,
            requires_safety_checker=False,
        )
        with weights.recording(OPTION, [file]), weights.recording(f"{OPTION}_image", shown):
            load = partial(pipeline.load_ip_adapter, subfolder="", weight_name=file.name)
            with explained([file]):
                loaded(file, lambda path, **keywords: load(str(path.parent), **keywords))
        pipeline.set_ip_adapter_scale(scale)
        # Move what was added to the UNet to where the UNet is.
        sd.unet.requires_grad_(False).to(sd.unet.device, sd.runtime.dtype)
        return cls(pipeline, sd.runtime, Path(pictures))

    def encode(self, ids: Sequence[str], guidance: float) -> Float[Tensor, "m ..."]:
        """The encoded picture of each sample; with guidance, the encodings of no picture come first, as for texts.

        Raises `UserError` for a picture that is missing or can't be read.
        """
        pairs = torch.cat([self.encoded.get(self._picture(name), self._encoded) for name in ids], dim=1)
        return pairs.flatten(0, 1) if guidance > 1 else pairs[1]

    def _picture(self, name: str) -> Path:
        if self.pictures.is_file():
            return self.pictures
        for suffix in PICTURES:
            if (file := self.pictures / stored_name(self.pictures, f"{name}{suffix}")).is_file():
                return file
        raise UserError(
            one_line(f"{OPTION}_image: {self.pictures} has no picture for {name}; valid: {', '.join(PICTURES)}")
        )

    def _encoded(self, file: Path) -> Float[Tensor, "2 1 ..."]:
        """The features of no picture and of this picture."""
        picture = to_picture(read_image(file))
        with self.runtime.stage(), torch.inference_mode():
            pair = self.pipeline.prepare_ip_adapter_image_embeds(picture, None, self.runtime.device, 1, True)
        return cast(Tensor, pair[0][:, None])


def _pictures(place: Path) -> list[Path]:
    """The readable picture, or all pictures of a folder. Raises `UserError` for anything else."""
    if place.is_dir():
        if found := [file for file in sorted(place.iterdir()) if file.suffix.lower() in PICTURES]:
            return found
        raise UserError(one_line(f"{OPTION}_image={place}: the folder has no pictures; valid: {', '.join(PICTURES)}"))
    if not place.is_file():
        raise UserError(one_line(f"{OPTION}_image={place}: no such file or folder"))
    if isinstance(tried := capture(read_image, place), Failure):
        raise UserError(one_line(f"{OPTION}_image={place}: {tried.error}"))
    return [place]

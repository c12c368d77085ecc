"""Inpainting with PowerPaint, both versions: Zhuang et al., arXiv:2312.03594, and the official `app.py`."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, final

import torch
from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import take_residuals, with_residuals
from brushbench.baselines.compiled import compile_blocks
from brushbench.baselines.diffusion_options import SampledOptions
from brushbench.baselines.powerpaint.prompts import PromptPair, Task, version_1, version_2, version_2_caption
from brushbench.baselines.powerpaint.text import TaskText
from brushbench.baselines.sd_inpainting import CHANNELS as INPAINTING_CHANNELS
from brushbench.baselines.sd_inpainting import StableDiffusionInpainting
from brushbench.baselines.stable_diffusion import CHANNELS, EncodedText, Latents, StableDiffusion, Step, to_unit
from brushbench.core.errors import UserError, one_line
from brushbench.core.types import Batch, Method
from brushbench.imaging.masks import erase
from brushbench.weights.formats import same_stem, valid_names
from brushbench.weights.layouts import file_of, stems_of
from brushbench.weights.runtime import Runtime
from brushbench.weights.tensors import load_checked, read_tensors

PARTS = {1: "powerpaint", 2: "powerpaint_v2"}
BASES = {1: "base", 2: "base_v2"}
"""Version 1 needs an inpainting model as its base, version 2 a text-to-image model."""


@dataclass(frozen=True, slots=True)
class PowerPaintOptions(SampledOptions):
    """Options of `powerpaint`; the default sampler is the folder's own (DDIM as published), in version 2 UniPC."""

    version: Literal[1, 2] = 1
    """Version of the model: 1 is an inpainting UNet, 2 a BrushNet with attention. Unit: version."""
    checkpoint: str | None = None
    """Folder or hub id as published: `ppt-v1` for version 1, `PowerPaint_Brushnet` for version 2."""
    task: Task = "text-guided"
    """What to put into the hole. Paper: Zhuang et al., arXiv:2312.03594, on task prompts."""
    fitting: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How closely a shape-guided object should fit the hole. Unit: share.
    Paper: Zhuang et al., arXiv:2312.03594, on interpolating task prompts."""


@final
class PowerPaint:
    """PowerPaint in the version that its options name."""

    Options: ClassVar = PowerPaintOptions

    @classmethod
    def load(cls, options: PowerPaintOptions, runtime: Runtime) -> Method:
        """Load version 1 or 2. Raises `UserError` for weights that can't be used."""
        sampler = options.sampler or (None if options.version == 1 else "unipc")
        sd = StableDiffusion.load(runtime, options.base, sampler, part=BASES[options.version], ema=options.ema)
        part = PARTS[options.version]
        folder = runtime.weights.folder(part, options.checkpoint, option="checkpoint")
        load = PowerPaintTokens.load if options.version == 1 else PowerPaintBranch.load
        return load(sd, folder, options)


@final
@dataclass(frozen=True, slots=True)
class PowerPaintTokens:
    """Version 1: Stable Diffusion Inpainting with learned tokens that say how to fill a hole."""

    inpainting: StableDiffusionInpainting
    text: TaskText
    options: PowerPaintOptions

    @classmethod
    def load(cls, sd: StableDiffusion, folder: Path, options: PowerPaintOptions) -> "PowerPaintTokens":
        """Load a published folder, whose UNet and text encoder replace those of the base.

        Without `unet/` in the folder, the base's UNet stays. Raises `UserError` for files that can't be used.
        """
        sd.check_channels("powerpaint", INPAINTING_CHANNELS)
        unet, text_encoder = stems_of(PARTS[1])
        own = _file(folder, unet)
        if own and options.ema:
            raise UserError(one_line(f"ema=true has no effect here: the UNet of {folder} replaces the base's own"))
        text = TaskText.load(sd.tokenizer, sd.text_encoder, _existing(folder, text_encoder), sd.runtime)
        if own:
            _replace(sd.unet, own, "powerpaint_unet", sd.runtime)
        return cls(StableDiffusionInpainting.of(sd, options), text, options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.inpainting.side_multiple

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. Only the text differs from Stable Diffusion Inpainting."""
        options = self.options
        pairs = [version_1(options.task, caption, options.negative_prompt) for caption in batch.captions]
        return self.inpainting.inpaint(batch, seeds, _task_text(self.text, pairs, options))


@final
@dataclass(frozen=True, slots=True)
class PowerPaintBranch:
    """Version 2: a BrushNet with attention that reads the task guides a model that reads the caption."""

    sd: StableDiffusion
    branch: BrushNetModel
    text: TaskText
    options: PowerPaintOptions

    @classmethod
    def load(cls, sd: StableDiffusion, folder: Path, options: PowerPaintOptions) -> "PowerPaintBranch":
        """Load branch and task text encoder of a published folder. Raises `UserError` for files that can't be used."""
        sd.check_channels("powerpaint", CHANNELS)
        weights, text_encoder = stems_of(PARTS[2])
        file = _existing(folder, text_encoder)
        text = TaskText.load(sd.tokenizer, copy.deepcopy(sd.text_encoder), file, sd.runtime)
        # The published folder has no config, so the branch takes its shapes from the base's UNet.
        branch = BrushNetModel.from_unet(sd.unet, attention=True).requires_grad_(False).eval()
        _replace(branch, _existing(folder, weights), "powerpaint_branch", sd.runtime)
        take_residuals(sd.unet)
        for model in (sd.unet, branch):
            compile_blocks(model, sd.runtime)
        return cls(sd, sd.runtime.place(branch), text, options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. The branch reads a different task for each half of the guidance, so it runs for both."""
        options, noise = self.options, self.sd.noise_source(seeds, batch)
        captions = [version_2_caption(options.task, caption) for caption in batch.captions]
        text = self.sd.encode_text(captions, options.negative_prompt, options.guidance)
        tasks = _task_text(self.text, [version_2(options.task)] * len(batch), options)
        source = self.sd.placed(batch)
        known = self.sd.encode_image(to_unit(erase(source.images, source.masks)))
        condition = torch.cat([known, self.sd.to_latent_size(~source.masks)], dim=1).repeat(text.copies, 1, 1, 1)

        def predict(latents: Latents, step: Step) -> Latents:
            doubled = latents.repeat(text.copies, 1, 1, 1)
            residuals = self.branch(doubled, step.time, condition, encoder_hidden_states=tasks.embeddings)
            with with_residuals(self.sd.unet, residuals) as unet:
                return self.sd.guided_noise(latents, step, text, unet)

        return options.blended(self.sd.decode(self.sd.denoise(noise, options.steps, predict)), batch)


def _task_text(
    text: TaskText, pairs: Sequence[tuple[PromptPair, PromptPair]], options: PowerPaintOptions
) -> EncodedText:
    """The encoded tasks; with guidance, the negative prompts come first."""
    positive, negative = zip(*pairs, strict=True)
    wanted = [*negative, *positive] if options.guidance > 1 else positive
    first, second = [pair.first for pair in wanted], [pair.second for pair in wanted]
    return EncodedText(text.mixed(first, second, options.fitting), options.guidance)


def _existing(folder: Path, stems: Sequence[str]) -> Path:
    if file := _file(folder, stems):
        return file
    raise UserError(
        one_line(f"{folder} has no {valid_names(same_stem(*stems))}, which this version of PowerPaint needs")
    )


def _file(folder: Path, stems: Sequence[str]) -> Path | None:
    names = [path.relative_to(folder).as_posix() for path in folder.glob("**/*") if path.is_file()]
    found = file_of(names, stems)
    return None if found is None else folder / found


def _replace(model: torch.nn.Module, file: Path, part: str, runtime: Runtime) -> None:
    with runtime.weights.recording(part, [file]):
        load_checked(model, {name: tensor.to(runtime.dtype) for name, tensor in read_tensors(file).items()}, file)

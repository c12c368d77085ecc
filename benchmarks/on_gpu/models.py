"""Models of real size with random weights: times and memory are those of real models, images are noise."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from brushbench import baselines
from brushbench.baselines.brushnet import BrushNetModel
from brushbench.baselines.powerpaint.text import TaskText

# Stable Diffusion 1.5 as in its published configs.
UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "norm_num_groups": 32,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "block_out_channels": [128, 256, 512, 512],
    "sample_size": 512,
    "scaling_factor": 0.18215,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
TINY_UNET = {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1, "cross_attention_dim": 32, "sample_size": 8}
TINY_VAE = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1, "sample_size": 64}
TINY_TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}

METHODS = ("brushnet", "sd-inpainting", "controlnet", "blended-latent", "hd-painter", "powerpaint")
FAMILY = "sd15"
"""The suite's family whose models have these sizes."""
NINE_CHANNELS = ("sd-inpainting", "hd-painter")
"""Methods that use a UNet with nine input channels."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of the models, in diffusers layout."""

    root: Path

    @property
    def base(self) -> Path:
        """The text-to-image model, with its branches beside it."""
        return self.root / "sd15"

    @property
    def inpainting(self) -> Path:
        """The model whose UNet also reads the masked image and the mask."""
        return self.root / "sd15-inpainting"

    @property
    def powerpaint(self) -> Path:
        """The parts that PowerPaint's second version adds to the base."""
        return self.root / "powerpaint-v2"

    def weights(self, method: str) -> Path:
        """Return the folder from which a method is loaded."""
        return self.inpainting if method in NINE_CHANNELS else self.base


def build(folders: Folders, *, tiny: bool, device: str) -> None:
    """Make the models, once; random numbers are drawn on the device, which is faster."""
    complete = folders.root / "complete"
    if complete.exists():
        return
    torch.manual_seed(0)
    with torch.device(device), torch.no_grad():
        _save_unets(folders, UNET | TINY_UNET if tiny else UNET)
        _save_vae(folders.base / "vae", VAE | TINY_VAE if tiny else VAE)
    _save(CLIPTextModel(CLIPTextConfig(**(TEXT | TINY_TEXT if tiny else TEXT))), folders.base / "text_encoder")
    tokenizer = Path(baselines.__path__[0]) / "papercut" / "weights" / "tokenizer"
    shutil.copytree(tokenizer, folders.base / "tokenizer", dirs_exist_ok=True)
    (folders.base / "scheduler").mkdir(exist_ok=True)
    (folders.base / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(folders.base / part, folders.inpainting / part, dirs_exist_ok=True)
    text_encoder = CLIPTextModel.from_pretrained(folders.base / "text_encoder")
    text = TaskText.of(CLIPTokenizer.from_pretrained(folders.base / "tokenizer"), text_encoder)
    text.save(folders.powerpaint / "pytorch_model.safetensors")
    complete.touch()


def _save_unets(folders: Folders, config: dict[str, object]) -> None:
    unet = UNet2DConditionModel(**config)
    _save(BrushNetModel.from_unet(unet), folders.base / "brushnet")
    _save(ControlNetModel.from_unet(unet), folders.base / "controlnet")
    _save(BrushNetModel.from_unet(unet, attention=True), folders.powerpaint)
    _save(unet, folders.base / "unet")
    _save(UNet2DConditionModel(**config | {"in_channels": 9}), folders.inpainting / "unet")


def _save_vae(folder: Path, config: dict[str, object]) -> None:
    """Make a VAE whose last layer spreads colours; else all images would be grey, with differences below a level."""
    vae = AutoencoderKL(**config)
    side = vae.config.sample_size // 8
    spread = vae.decode(torch.randn(1, 4, side, side) * 5).sample.std()
    vae.decoder.conv_out.weight *= 0.5 / spread
    _save(vae, folder)


def _save(model: torch.nn.Module, folder: Path) -> None:
    """Convert to half precision, and fill layers that start at zero: zeros are faster, and hide later differences."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.count_nonzero():
                torch.nn.init.normal_(parameter, std=0.02)
    # torch's own `to`: diffusers' warns about the cast for every model.
    torch.nn.Module.half(model).save_pretrained(folder)

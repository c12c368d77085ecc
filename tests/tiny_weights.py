"""Half of the golden Stable Diffusion 1.5 and BrushNet: one layer for each block, and a tokenizer of letters.

They load and paint in half the time, and most tests ask for no golden picture.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ModelMixin, UNet2DConditionModel
from safetensors.torch import load_file
from tiny_pipelines import START, letters
from transformers import CLIPTextConfig, CLIPTextModel

from brushbench.baselines.brushnet import BrushNetModel

PARTS: dict[str, type[ModelMixin]] = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "brushnet": BrushNetModel}


def halved(golden: Path, folder: Path) -> Path:
    """A folder in diffusers layout, as the golden one is."""
    left_out = shutil.ignore_patterns(*PARTS, "text_encoder", "vocab.json", "merges.txt")
    shutil.copytree(golden, folder, ignore=left_out)
    torch.manual_seed(0)
    for part, cls in PARTS.items():
        shallow(cls, golden / part).save_pretrained(folder / part)
    text = json.loads((golden / "text_encoder" / "config.json").read_text())
    CLIPTextModel(CLIPTextConfig(**text | {"vocab_size": START + 2})).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(letters(golden / "tokenizer" / "vocab.json")))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    return folder


def shallow(cls: type[ModelMixin], golden: Path) -> ModelMixin:
    """A model with the golden tensors that have a place in it, and with random ones in its other places."""
    config = json.loads((golden / "config.json").read_text())
    model = cls.from_config(config | {"layers_per_block": 1})
    stored = load_file(golden / "diffusion_pytorch_model.safetensors")
    for name, tensor in model.state_dict().items():
        known = stored.get(name)
        # A new branch's last layers are zeros, and it would change nothing.
        tensor.copy_(known if known is not None and known.shape == tensor.shape else 0.05 * torch.randn(tensor.shape))
    return model

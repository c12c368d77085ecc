"""Weights for `benchmarks/score.py`: random ones of real size, or the tiny ones of the golden files."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models import squeezenet1_1
from transformers import CLIPConfig, CLIPModel

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
VISION_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}
TEXT_LARGE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
"""CLIP ViT-L/14, Radford et al., arXiv:2103.00020."""
SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Networks:
    """The files and folders for the metrics' options."""

    clip: Path
    linear: Path
    squeeze: Path
    reward: Path
    hps: Path
    hps_model: str
    """The name of an open_clip model, or a file."""


def real(folder: Path) -> Networks:
    """Return about 8 GB of random weights, made at the first call."""
    draw = torch.Generator().manual_seed(0)
    found = Networks(
        folder / "clip",
        folder / "linear.safetensors",
        folder / "squeeze.safetensors",
        folder / "reward",
        folder / "hps.safetensors",
        "ViT-H-14",
    )
    if (folder / "complete").exists():
        return found
    torch.manual_seed(0)
    golden = json.loads((GOLDEN / "metrics/clip/config.json").read_text())
    config = CLIPConfig(
        text_config=golden["text_config"] | TEXT_LARGE,
        vision_config=golden["vision_config"] | VISION_LARGE,
        projection_dim=768,
    )
    CLIPModel(config).save_pretrained(found.clip)
    shutil.copy(GOLDEN / "metrics/clip/preprocessor_config.json", found.clip)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(GOLDEN / "brushnet/weights/tokenizer" / name, found.clip)
    save_file({"weight": SPREAD * torch.randn(1, 768, generator=draw), "bias": torch.zeros(1)}, found.linear)
    save_file({f"features.{k}": v for k, v in squeezenet1_1().features.state_dict().items()}, found.squeeze)
    found.reward.mkdir(exist_ok=True)
    _random("imagereward_v1_full_keys", found.reward / "ImageReward.safetensors", draw)
    shutil.copy(GOLDEN / "metrics/image_reward/med_config.full.json", found.reward / "med_config.json")
    shutil.copytree(GOLDEN / "metrics/image_reward/tokenizer", found.reward / "tokenizer", dirs_exist_ok=True)
    _random("hpsv2_vit_h14_keys", found.hps, draw)
    (folder / "complete").touch()
    return found


def tiny(folder: Path) -> Networks:
    """Return the golden files' weights, to try the script."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_metrics import clip_folder, hps_options, reward_folder

    options = hps_options(GOLDEN, folder / "hps")
    return Networks(
        clip_folder(GOLDEN, folder / "clip"),
        GOLDEN / "metrics/aesthetic/linear.safetensors",
        GOLDEN / "metrics/lpips/squeezenet1_1_features.fp16.safetensors",
        reward_folder(GOLDEN, folder / "reward"),
        Path(str(options["checkpoint"])),
        str(options["model"]),
    )


def _random(manifest: str, file: Path, draw: torch.Generator) -> None:
    """Make random weights in half precision, like the published HPS; LayerNorm's weights are 1."""
    shapes = json.loads((GOLDEN / f"metrics/manifests/{manifest}.json").read_text())
    tensors = {}
    for name, shape in shapes.items():
        norm = name.endswith("weight") and len(shape) == 1
        tensors[name] = torch.ones(shape) if norm else SPREAD * torch.randn(shape, generator=draw)
    save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, file)

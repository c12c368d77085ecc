"""Every repository that the suite's families and metrics name, as its manifest lists it, with small random weights.

The files have the real names, formats and layouts; what nobody should read is there too, and can't be loaded.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from support import with_whole_vocabulary
from tiny_metrics import clip_folder, reward_folder, with_whole_table
from torch import Tensor
from transformers import CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from brushbench.weights import manifest
from brushbench.weights.formats import EITHER, PICKLE, SAFE
from brushbench.weights.manifest import Manifest, manifests

JUNK = b"nobody reads this"
NEVER = ("safety_checker/", "feature_extractor/", "vae_1_0/", "vae_encoder/", "vae_decoder/")
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
ODD = {
    "unet.safetensors",
    "text_encoder.safetensors",
    "HPS_v2.1_compressed.pt",
    "ImageReward.pt",
    "ip-adapter_sd15.safetensors",
    "ip-adapter_sd15.bin",
    "ip-adapter_sdxl.safetensors",
    "ip-adapter_sdxl.bin",
}
"""Weights that aren't called as the libraries call them."""


@dataclass(frozen=True)
class Publication:
    """The served repositories, and manifests that match them."""

    folders: Mapping[str, Path]
    """The repositories' folders, by their names."""
    manifests: Path


Sources = Mapping[str, Mapping[str, Path]]
"""For a repository the folders in it, and for each a tiny one in the same layout."""


def publish(sources: Sources, root: Path) -> Publication:
    """Write every repository that has a source, and manifests with the sizes and digests of the written files."""
    folders = {}
    for each in manifests():
        if each.repository in sources:
            folders[each.repository] = _write(each, sources[each.repository], root / each.repository)
    return Publication(folders, _manifests(folders, root / "manifests"))


def unsized(root: Path) -> Path:
    """The suite's manifests without sizes and digests."""
    return _manifests({}, root)


def _write(each: Manifest, sources: Mapping[str, Path], folder: Path) -> Path:
    for file in each.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        start = max((name for name in sources if file.path.startswith(name)), key=len, default=None)
        inside = file.path.removeprefix(f"{start}/" if start else "")
        source = None if start is None or inside.startswith(NEVER) else sources[start] / inside
        if source is None or not _copied(source, target):
            target.write_bytes(JUNK)
    return folder


def _copied(source: Path, target: Path) -> bool:
    """Copy or convert the tiny folder's file or weights; False if it has none."""
    stem = re.match(
        rf"({'|'.join({*EITHER[SAFE], *EITHER[PICKLE]})})(-\d+)?(\.fp16|\.non_ema)?(\.safetensors|\.bin)$", source.name
    )
    if stem is None and source.name not in ODD:
        if not source.is_file():
            return False
        shutil.copyfile(source, target)
        return True
    stored = _tensors(source.parent, source)
    if stored is None:
        return False
    if ".fp16." in source.name:
        stored = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
    if source.suffix == SAFE:
        save_file({name: tensor.contiguous() for name, tensor in stored.items()}, target, metadata={"format": "pt"})
    else:
        torch.save(stored, target)
    return True


def _tensors(folder: Path, wanted: Path) -> dict[str, Tensor] | None:
    """The tensors of the file itself, or else of the folder's only weights."""
    own = [file for file in (wanted.with_suffix(SAFE), wanted.with_suffix(PICKLE)) if file.is_file()]
    found = own or sorted(path for path in folder.glob("*") if path.suffix in (SAFE, PICKLE))
    if not found:
        return None
    return load_file(found[0]) if found[0].suffix == SAFE else torch.load(found[0], weights_only=True)


def _manifests(folders: Mapping[str, Path], target: Path) -> Path:
    target.mkdir(parents=True)
    for path in manifest.FOLDER.glob("*.toml"):
        text = re.sub(r"^(bytes|sha256) = .*\n", "", path.read_text(), flags=re.MULTILINE)
        name = re.search(r'^repository = "(.*)"', text, flags=re.MULTILINE)
        folder = folders.get(name[1]) if name else None

        def stated(match: re.Match[str], folder: Path | None = folder) -> str:
            if folder is None:
                return match[0]
            content = (folder / match[1]).read_bytes()
            return f'{match[0]}bytes = {len(content)}\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'

        (target / path.name).write_text(re.sub(r'^path = "(.*)"\n', stated, text, flags=re.MULTILINE))
    return target


def tiny_sources(golden: Path, sd: Path, inpainting: Path, sdxl: Path, root: Path) -> Sources:
    """For each repository tiny folders that are laid out as it is; the arguments are Stable Diffusion in miniature."""
    index = {"model_index.json": INDEX}
    bases = {name: _with(folder, root / name, index) for name, folder in (("sd", sd), ("inpainting", inpainting))}
    xl = _with(sdxl, root / "sdxl", {"model_index.json": {**INDEX, **_SECOND, "force_zeros_for_empty_prompt": True}})
    branch = {"": sd / "brushnet"}
    return {
        "stable-diffusion-v1-5/stable-diffusion-v1-5": {"": bases["sd"]},
        "kd5678/prefpaint-v1.0": {"": bases["inpainting"]},
        "Sanster/brushnet_segmentation_mask": branch,
        "Sanster/brushnet_random_mask": branch,
        "shenyt/BruPA": {"brushnet": sd / "brushnet"},
        "TencentARC/BrushEdit": {
            "brushnetX": sd / "brushnet",
            "base_model/realisticVisionV60B1_v51VAE": bases["sd"],
        },
        "lllyasviel/control_v11p_sd15_inpaint": {"": _controlnet(sd, root / "controlnet")},
        "h94/IP-Adapter": {
            "models": adapter_folder(sd, root / "adapter", "ip-adapter_sd15"),
            "sdxl_models": adapter_folder(sdxl, root / "adapter-xl", "ip-adapter_sdxl"),
        },
        **_powerpaint(golden / "powerpaint", golden / "brushnet" / "weights" / "tokenizer", root, index),
        "stabilityai/stable-diffusion-xl-base-1.0": {"": xl},
        "Regulus0725/random_mask_brushnet_ckpt_sdxl_regulus_v1": {"": sdxl / "brushnet"},
        "michaelgold/big-lama": {"": _lama(golden, root / "lama")},
        **_metrics(golden, root),
    }


_SECOND = {
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
}


def _with(folder: Path, target: Path, files: Mapping[str, object]) -> Path:
    shutil.copytree(folder, target)
    for name, content in files.items():
        (target / name).write_text(json.dumps(content))
    return target


def _lama(golden: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copyfile(golden / "lama" / "tiny_generator.safetensors", folder / "big-lama.safetensors")
    return folder


def _controlnet(sd: Path, folder: Path) -> Path:
    unet = UNet2DConditionModel.from_pretrained(sd / "unet")
    torch.manual_seed(0)
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 16, 24, 32)).save_pretrained(folder)
    return folder


def adapter_folder(sd: Path, folder: Path, name: str) -> Path:
    """An adapter for the tiny UNet, and the encoder of its pictures."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(sd / "unet")
    width, seen = unet.config.cross_attention_dim, 24
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=seen,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * width, seen),
        "image_proj.proj.bias": torch.randn(4 * width),
        "image_proj.norm.weight": torch.rand(width),
        "image_proj.norm.bias": torch.randn(width),
    }
    for index, layer in enumerate(unet.attn_processors):
        if "attn2" in layer:
            hidden = unet.get_submodule(layer.removesuffix(".processor")).to_k.out_features
            for kind in "kv":
                tensors[f"ip_adapter.{index}.to_{kind}_ip.weight"] = torch.randn(hidden, width)
    save_file(tensors, folder / f"{name}.safetensors")
    return folder


def _powerpaint(golden: Path, tokenizer: Path, root: Path, index: Mapping[str, object]) -> Sources:
    models = golden / "models"
    first, second = root / "powerpaint-v1", root / "powerpaint-v2"
    (first / "text_encoder").mkdir(parents=True)
    (first / "unet").mkdir()
    second.mkdir()
    shutil.copy(models / "v1" / "unet.safetensors", first / "unet")
    save_file(
        with_whole_vocabulary(models / "v1_text_encoder.safetensors"), first / "text_encoder/text_encoder.safetensors"
    )
    shutil.copy(golden / "branch" / "diffusion_pytorch_model.safetensors", second)
    torch.save(with_whole_vocabulary(models / "v2_task_text_encoder.safetensors"), second / "pytorch_model.bin")
    bases = {name: _with(models / name, root / f"powerpaint-{name}-base", index) for name in ("v1", "v2")}
    text = with_whole_vocabulary(models / "v2_text_encoder.safetensors")
    for base in bases.values():
        shutil.copytree(tokenizer, base / "tokenizer")
        save_file(text, base / "text_encoder/model.safetensors")
    # Version 1 replaces the UNet of its base, which is Stable Diffusion Inpainting; golden is only the new one.
    torch.manual_seed(0)
    config = json.loads((bases["v1"] / "unet" / "config.json").read_text())
    UNet2DConditionModel.from_config(config).save_pretrained(bases["v1"] / "unet")
    base = bases["v2"]
    return {
        "stable-diffusion-v1-5/stable-diffusion-inpainting": {"": bases["v1"]},
        "JunhaoZhuang/PowerPaint-v1": {"": first},
        "JunhaoZhuang/PowerPaint-v2-1": {"PowerPaint_Brushnet": second, "realisticVisionV60B1_v51VAE": base},
        "JunhaoZhuang/PowerPaint_v2": {"PowerPaint_Brushnet": second, "realisticVisionV60B1_v51VAE": base},
    }


def _metrics(golden: Path, root: Path) -> Sources:
    reward = reward_folder(golden, root / "reward")
    bert = root / "bert"
    bert.mkdir()
    shutil.copy(reward / "tokenizer" / "vocab.txt", bert)
    hps = root / "hps"
    hps.mkdir()
    file = golden / "metrics/hps/tiny_open_clip.safetensors"
    save_file(with_whole_table(file, "token_embedding.weight", 49408), hps / "HPS_v2.1_compressed.safetensors")
    clip = clip_folder(golden, root / "clip")
    CLIPTokenizer.from_pretrained(clip).save_pretrained(clip)
    return {
        "openai/clip-vit-large-patch14": {"": clip},
        "zai-org/ImageReward": {"": reward},
        "google-bert/bert-base-uncased": {"": bert},
        "xswu/HPSv2": {"": hps},
    }

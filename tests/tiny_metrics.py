"""The golden networks of the metrics as the folders and files that users have, and photographs to score with them."""

import shutil
from pathlib import Path

import torch
from metric_photos import single
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor

from brushbench.core.options import Value
from brushbench.core.types import Batch
from brushbench.imaging.images import read_image


def with_whole_table(file: Path, name: str, size: int) -> dict[str, Tensor]:
    """The tensors of a golden network: stored are only the rows of its table of tokens that golden captions read."""
    tensors = load_file(file)
    ids = tensors.pop("used_ids")
    table = torch.randn(size, tensors[name].shape[1], generator=torch.Generator().manual_seed(1)).half().float()
    table[ids] = tensors[name].float()
    return tensors | {name: table}


def clip_folder(golden: Path, folder: Path) -> Path:
    """A CLIP in transformers' layout."""
    shutil.copytree(golden / "metrics/clip", folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(golden / "brushnet/weights/tokenizer" / name, folder)
    name = "text_model.embeddings.token_embedding.weight"
    save_file(with_whole_table(folder / "model.safetensors", name, 49408), folder / "model.safetensors")
    return folder


def reward_folder(golden: Path, folder: Path) -> Path:
    """An ImageReward with official key names."""
    shutil.copytree(golden / "metrics/image_reward", folder)
    file = folder / "ImageReward.safetensors"
    save_file(with_whole_table(file, "blip.text_encoder.embeddings.word_embeddings.weight", 30524), file)
    return folder


def hps_options(golden: Path, folder: Path) -> dict[str, Value]:
    """A checkpoint with open_clip's key names, and its configuration."""
    folder.mkdir()
    stored = golden / "metrics/hps"
    tensors = with_whole_table(stored / "tiny_open_clip.safetensors", "token_embedding.weight", 49408)
    save_file(tensors, folder / "hps.safetensors")
    return {"checkpoint": folder / "hps.safetensors", "model": stored / "tiny-hps-vit.json"}


def photo(golden: Path, name: str) -> Tensor | None:
    """A golden photograph by its name in the golden files; None if it isn't stored."""
    if name == "photos/orig_coffee.png":
        return torch.from_numpy(data.coffee()).permute(2, 0, 1).contiguous()
    file = golden / "metrics" / name
    return read_image(file) if file.is_file() else None


def golden_cases(golden: Path, rows: list[dict[str, object]]) -> list[tuple[dict[str, object], tuple[Batch, Tensor]]]:
    """The rows whose photograph is stored, each with its sample."""
    found = ((row, photo(golden, str(row["image"]))) for row in rows)
    return [(row, single(image, str(row.get("prompt", "")))) for row, image in found if image is not None]

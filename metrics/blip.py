"""ImageReward's network, built from the BLIP modules of transformers, and the names in its checkpoint."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast, final

from accelerate import init_empty_weights
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor, nn
from transformers import BlipTextConfig, BlipVisionConfig, BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_text

RENAMED = {
    "visual_encoder.cls_token": "vision.embeddings.class_embedding",
    "visual_encoder.pos_embed": "vision.embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.": "vision.embeddings.patch_embedding.",
    "visual_encoder.norm.": "vision.post_layernorm.",
    "text_encoder.": "text.",
}
"""Prefixes of names after `blip.`, official -> here."""
RENAMED_IN_BLOCKS = {
    "norm1": "layer_norm1",
    "attn.qkv": "self_attn.qkv",
    "attn.proj": "self_attn.projection",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
"""Names in the official `visual_encoder.blocks.N` -> names in `vision.encoder.layers.N` here."""
UNUSED = ("text_encoder.embeddings.position_ids", "vision_proj.", "text_proj.")
"""Unused tensors of the checkpoint: constants, and the projections for BLIP's contrastive loss."""
MLP_WIDTHS = (1024, 128, 64, 16, 1)
_BLOCK = re.compile(r"visual_encoder\.blocks\.(\d+)\.(.+)\.(weight|bias)")


class TextConfig(BaseModel, extra="ignore"):
    """The relevant fields of `med_config.json`, a BERT configuration."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    layer_norm_eps: float
    hidden_act: str


class ViT(BaseModel, extra="forbid"):
    """The shape of a vision transformer; the defaults are ViT-L/16 at 224 pixels."""

    img_size: int = 224
    patch_size: int = 16
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16


class VisionConfig(BaseModel, extra="ignore"):
    """The relevant fields of `vit_config.json`, which the official checkpoint doesn't need."""

    vit: ViT = ViT()
    mlp_ratio: float = 4.0
    ln_eps: float = 1e-6


@final
class Shapes(BaseModel, extra="forbid"):
    """The configuration of the whole network."""

    text: TextConfig
    vision: VisionConfig = VisionConfig()

    @staticmethod
    def read(folder: Path) -> "Shapes":
        """Read `med_config.json` and, if it exists, `vit_config.json`. Raises `UserError` for invalid ones."""
        file = folder / "med_config.json"
        try:
            text = TextConfig.model_validate(json.loads(read_text(file)))
            file = folder / "vit_config.json"
            vision = json.loads(read_text(file)) if file.is_file() else {}
            return Shapes(text=text, vision=VisionConfig.model_validate(vision))
        except (ValueError, RecursionError) as error:
            raise UserError(one_line(f"{file}: not a configuration of ImageReward ({error})")) from error


@final
class ImageRewardNet(nn.Module):
    """A vision transformer, a BERT that attends to its patches in every layer, and a perceptron on the first token.

    This is BLIP (arXiv:2201.12086) with a head: Xu et al., arXiv:2304.05977. The perceptron has no activations.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        vit, text = shapes.vision.vit, shapes.text
        self.vision = BlipVisionModel(
            BlipVisionConfig(
                hidden_size=vit.embed_dim,
                intermediate_size=int(vit.embed_dim * shapes.vision.mlp_ratio),
                num_hidden_layers=vit.depth,
                num_attention_heads=vit.num_heads,
                image_size=vit.img_size,
                patch_size=vit.patch_size,
                layer_norm_eps=shapes.vision.ln_eps,
            )
        )
        # `is_decoder` adds cross-attention; the forward pass still uses bidirectional self-attention.
        config = BlipTextConfig(**text.model_dump(), encoder_hidden_size=vit.embed_dim, is_decoder=True)
        self.text = BlipTextModel(config, add_pooling_layer=False)
        widths = (text.hidden_size, *MLP_WIDTHS)
        self.mlp = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, MLP_WIDTHS, strict=False))

    def forward(
        self, pixels: Float[Tensor, "n 3 s s"], ids: Int[Tensor, "n t"], mask: Int[Tensor, "n t"]
    ) -> Float[Tensor, " n"]:
        """The raw reward of each pair; `mask` is 1 where `ids` has a token."""
        patches = self.vision(pixels).last_hidden_state
        tokens = self.text(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=patches, is_decoder=False
        ).last_hidden_state
        reward = tokens[:, 0]
        for layer in self.mlp:
            reward = layer(reward)
        return cast(Tensor, reward[:, 0])


def empty_network(shapes: Shapes) -> ImageRewardNet:
    """The network with its parameters on the meta device, to be filled from a checkpoint."""
    with init_empty_weights(include_buffers=False):
        return ImageRewardNet(shapes)


def renamed(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an official checkpoint by their names in `ImageRewardNet`; unknown names stay unchanged."""
    pairs = ((_name(name), tensor) for name, tensor in official.items())
    return {name: tensor for name, tensor in pairs if name is not None}


def _name(official: str) -> str | None:
    """A tensor's name in `ImageRewardNet`; None if it is unused."""
    prefix, _, name = official.partition(".")
    if prefix == "mlp":
        return _mlp_name(official)
    if prefix != "blip":
        return official
    if name.startswith(UNUSED):
        return None
    if block := _BLOCK.fullmatch(name):
        number, inside, kind = block.groups()
        return f"vision.encoder.layers.{number}.{RENAMED_IN_BLOCKS.get(inside, inside)}.{kind}"
    for begin, here in RENAMED.items():
        if name.startswith(begin):
            return here + name.removeprefix(begin)
    return official


def _mlp_name(official: str) -> str:
    """A perceptron tensor's name here; the official one counts dropouts too, so its linear layers are 0, 2, 4, 6, 7."""
    for index, number in enumerate((0, 2, 4, 6, 7)):
        if official.startswith(f"mlp.layers.{number}."):
            return official.replace(f"mlp.layers.{number}.", f"mlp.{index}.")
    return official

"""Models of diffusers as one file, under the names of the original latent diffusion code."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def single_file(weights: Path) -> dict[str, Tensor]:
    """All tensors of a base in diffusers layout, Stable Diffusion's or SDXL's."""
    unet = UNet2DConditionModel.from_pretrained(weights / "unet")
    tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in ldm_unet(unet).items()}
    vae = AutoencoderKL.from_pretrained(weights / "vae")
    tensors |= {f"first_stage_model.{name}": tensor for name, tensor in ldm_vae(vae).items()}
    text = CLIPTextModel.from_pretrained(weights / "text_encoder").state_dict()
    xl = (weights / "text_encoder_2").exists()
    place = "conditioner.embedders.0" if xl else "cond_stage_model"
    wrapped = {name if name.startswith("text_model.") else f"text_model.{name}": text[name] for name in text}
    tensors |= {f"{place}.transformer.{name}": tensor for name, tensor in wrapped.items()}
    if xl:
        second = CLIPTextModelWithProjection.from_pretrained(weights / "text_encoder_2")
        tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in open_clip(second).items()}
    # What real files have besides.
    tensors["model_ema.decay"] = torch.tensor(0.9999)
    tensors["alphas_cumprod"] = torch.zeros(1000)
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def ldm_unet(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    count = 1
    for index, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            places[f"down_blocks.{index}.resnets.{layer}"] = f"input_blocks.{count}.0"
            places[f"down_blocks.{index}.attentions.{layer}"] = f"input_blocks.{count}.1"
            count += 1
        if block.downsamplers:
            places[f"down_blocks.{index}.downsamplers.0.conv"] = f"input_blocks.{count}.0.op"
            count += 1
    count = 0
    for index, block in enumerate(unet.up_blocks):
        attention = getattr(block, "attentions", None) is not None
        for layer in range(len(block.resnets)):
            places[f"up_blocks.{index}.resnets.{layer}"] = f"output_blocks.{count}.0"
            places[f"up_blocks.{index}.attentions.{layer}"] = f"output_blocks.{count}.1"
            count += 1
        if block.upsamplers:
            places[f"up_blocks.{index}.upsamplers.0.conv"] = f"output_blocks.{count - 1}.{1 + attention}.conv"
    return renamed(unet.state_dict(), places, {"resnets": RESNET})


def ldm_vae(vae: AutoencoderKL) -> dict[str, Tensor]:
    places = {}
    levels = len(vae.config.block_out_channels)
    for index in range(levels):
        for side, level, sampler in (("encoder", index, "downsample"), ("decoder", levels - 1 - index, "upsample")):
            short = sampler.removesuffix("sample")
            for layer in range(vae.config.layers_per_block + 1):
                name = f"{side}.{short}_blocks.{index}.resnets.{layer}"
                places[name] = f"{side}.{short}.{level}.block.{layer}"
            places[f"{side}.{short}_blocks.{index}.{sampler}rs.0.conv"] = f"{side}.{short}.{level}.{sampler}.conv"
    for side in ("encoder", "decoder"):
        places[f"{side}.mid_block.resnets.0"] = f"{side}.mid.block_1"
        places[f"{side}.mid_block.attentions.0"] = f"{side}.mid.attn_1"
        places[f"{side}.mid_block.resnets.1"] = f"{side}.mid.block_2"
        places[f"{side}.conv_norm_out"] = f"{side}.norm_out"
    tensors = renamed(
        vae.state_dict(), places, {"resnets": {"conv_shortcut": "nin_shortcut"}, "attentions": VAE_ATTENTION}
    )
    # Its attention is made of convolutions there.
    return {
        name: tensor[:, :, None, None] if ".attn_1." in name and tensor.ndim == 2 else tensor
        for name, tensor in tensors.items()
    }


def open_clip(encoder: CLIPTextModelWithProjection) -> dict[str, Tensor]:
    """Queries, keys and values in one matrix, as in open_clip."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
    }
    for layer in range(encoder.config.num_hidden_layers):
        for kind in ("weight", "bias"):
            attention = [state[f"encoder.layers.{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            block = f"transformer.resblocks.{layer}"
            tensors[f"{block}.attn.in_proj_{kind}"] = torch.cat(attention)
            for ours, theirs in OPEN_CLIP.items():
                tensors[f"{block}.{theirs}.{kind}"] = state[f"encoder.layers.{layer}.{ours}.{kind}"]
    return tensors


def renamed(tensors: dict[str, Tensor], places: dict[str, str], inner: dict[str, dict[str, str]]) -> dict[str, Tensor]:
    """The longest place that a name begins with gets its other name; what is inside of a kind of place, likewise."""
    result = {}
    for name, tensor in tensors.items():
        place = max((place for place in places if name.startswith(f"{place}.")), key=len, default="")
        rest = name.removeprefix(f"{place}.") if place else name
        for ours, theirs in next((names for kind, names in inner.items() if f"{kind}." in place), {}).items():
            if rest.startswith(f"{ours}."):
                rest = theirs + rest.removeprefix(ours)
                break
        result[f"{places[place]}.{rest}" if place else rest] = tensor
    return result

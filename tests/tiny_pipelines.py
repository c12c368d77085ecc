"""Real pipelines of diffusers, tiny and random, saved as their makers publish them."""

import json
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PriorTransformer,
    SD3Transformer2DModel,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

Folders = Callable[[str], Path]
"""Returns the folder of a pipeline, given one of `KINDS`."""
WIDTH = 16
"""The width of every text encoder."""
START = 512
"""The token that starts a text, and how many letters there are: each byte alone, and each byte at the end of a word."""
VAE_BLOCKS = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "latent_channels": 4}
VAE_TYPES = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def make(kind: str, folder: Path, clip_vocabulary: Path) -> Path:
    """One of `KINDS`, or of `VARIANTS`."""
    from tiny_variants import VARIANTS

    torch.manual_seed(0)
    name, components = (KINDS | VARIANTS)[kind](clip_tokenizer(clip_vocabulary))
    made = getattr(diffusers, name)(**components)
    if isinstance(made, torch.nn.Module):
        awake(made)
    made.save_pretrained(folder)
    return folder


def awake(model: torch.nn.Module) -> torch.nn.Module:
    """The model with random numbers in place of the zeros that would leave its input without effect."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def clip_tokenizer(vocabulary: Path) -> CLIPTokenizer:
    """CLIP's tokenizer with its letters alone: to read the whole vocabulary takes as long as all else of a pipeline."""
    return CLIPTokenizer(vocab=letters(vocabulary), model_max_length=77)


def letters(vocabulary: Path) -> dict[str, int]:
    """The letters of a vocabulary, and the tokens that start and end a text."""
    numbers = json.loads(vocabulary.read_text())
    tokens = [*sorted(numbers, key=numbers.get)[:START], "<|startoftext|>", "<|endoftext|>"]
    return {token: index for index, token in enumerate(tokens)}


def text_encoder(cls: type = CLIPTextModel) -> CLIPTextModel:
    # CLIP's end of text is found by its id.
    config = CLIPTextConfig(
        vocab_size=START + 2,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        bos_token_id=START,
        eos_token_id=START + 1,
        pad_token_id=START + 1,
    )
    return cls(config).eval()


def t5() -> dict[str, object]:
    characters = [(character, -3.0) for character in "abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *characters]
    config = T5Config(vocab_size=len(pieces), d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return {
        "text_encoder_2": T5EncoderModel(config).eval(),
        "tokenizer_2": T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=64),
    }


def vae(**changes: object) -> AutoencoderKL:
    return AutoencoderKL(**VAE_BLOCKS | VAE_TYPES | changes).eval()


def unet(**changes: object) -> UNet2DConditionModel:
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**config | changes).eval()


def stable_diffusion(tokenizer: CLIPTokenizer, channels: int = 4) -> dict[str, object]:
    return {
        "vae": vae(),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer,
        "unet": unet(in_channels=channels),
        "scheduler": DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def sdxl(tokenizer: CLIPTokenizer, channels: int = 9) -> dict[str, object]:
    projected = text_encoder(CLIPTextModelWithProjection)
    sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "cross_attention_dim": 2 * WIDTH}
    wide = unet(in_channels=channels, projection_class_embeddings_input_dim=WIDTH + 24, **sizes)
    return {
        "vae": vae(scaling_factor=0.13025),
        "text_encoder": text_encoder(),
        "text_encoder_2": projected,
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "unet": wide,
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        "force_zeros_for_empty_prompt": True,
    }


def flux(tokenizer: CLIPTokenizer, channels: int, *, guided: bool = True) -> dict[str, object]:
    transformer = FluxTransformer2DModel(
        in_channels=channels,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=guided,
    )
    return {
        "vae": vae(shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer,
        "transformer": transformer.eval(),
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        **t5(),
    }


def sd3(tokenizer: CLIPTokenizer) -> dict[str, object]:
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=16,
    )
    return {
        "vae": vae(latent_channels=16, shift_factor=0.06, scaling_factor=1.5),
        "text_encoder": text_encoder(CLIPTextModelWithProjection),
        "text_encoder_2": text_encoder(CLIPTextModelWithProjection),
        "text_encoder_3": None,
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "tokenizer_3": None,
        "transformer": transformer.eval(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }


def kandinsky(_tokenizer: CLIPTokenizer) -> dict[str, object]:
    names = ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D")
    ups = ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D")
    return {
        "unet": unet(
            in_channels=9,
            out_channels=8,
            addition_embed_type="image",
            down_block_types=names,
            up_block_types=ups,
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            encoder_hid_dim=WIDTH,
            encoder_hid_dim_type="image_proj",
            resnet_time_scale_shift="scale_shift",
            class_embed_type=None,
        ),
        "scheduler": DDPMScheduler(
            beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, variance_type="learned_range"
        ),
        "movq": VQModel(
            **VAE_BLOCKS | VAE_TYPES,
            num_vq_embeddings=8,
            vq_embed_dim=4,
        ).eval(),
    }


def kandinsky_prior(tokenizer: CLIPTokenizer) -> dict[str, object]:
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=WIDTH,
    )
    prior = PriorTransformer(num_attention_heads=2, attention_head_dim=8, embedding_dim=WIDTH, num_layers=1)
    return {
        "prior": prior.eval(),
        "image_encoder": CLIPVisionModelWithProjection(vision).eval(),
        "text_encoder": text_encoder(CLIPTextModelWithProjection),
        "tokenizer": tokenizer,
        "scheduler": UnCLIPScheduler(prediction_type="sample", num_train_timesteps=1000, clip_sample_range=5.0),
        "image_processor": CLIPImageProcessor(crop_size=32, size=32),
    }


KINDS: dict[str, Callable[[CLIPTokenizer], tuple[str, dict[str, object]]]] = {
    "sd": lambda tokenizer: ("StableDiffusionPipeline", stable_diffusion(tokenizer)),
    "sd-inpainting": lambda tokenizer: ("StableDiffusionInpaintPipeline", stable_diffusion(tokenizer, channels=9)),
    "sdxl-inpainting": lambda tokenizer: ("StableDiffusionXLInpaintPipeline", sdxl(tokenizer)),
    # A packed latent is 2x2 of 4 channels; the fill model reads as much of the image, and 2x2 of 8x8 mask pixels.
    "flux": lambda tokenizer: ("FluxPipeline", flux(tokenizer, 16)),
    "flux-unguided": lambda tokenizer: ("FluxPipeline", flux(tokenizer, 16, guided=False)),
    "flux-fill": lambda tokenizer: ("FluxFillPipeline", flux(tokenizer, 16 + 16 + 256)),
    "sd3": lambda tokenizer: ("StableDiffusion3Pipeline", sd3(tokenizer)),
    "kandinsky": lambda tokenizer: ("KandinskyV22InpaintPipeline", kandinsky(tokenizer)),
    "kandinsky-prior": lambda tokenizer: ("KandinskyV22PriorPipeline", kandinsky_prior(tokenizer)),
}

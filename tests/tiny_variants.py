"""Tiny and random ControlNets, and further pipelines of diffusers, for `tiny_pipelines`."""

from collections.abc import Callable

from diffusers import (
    AmusedScheduler,
    ChromaTransformer2DModel,
    DDPMScheduler,
    JoyImageEditPlusTransformer3DModel,
    UVit2DModel,
    VQModel,
)
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from tiny_pipelines import (
    VAE_BLOCKS,
    VAE_TYPES,
    WIDTH,
    flux,
    kandinsky,
    kandinsky_prior,
    sdxl,
    stable_diffusion,
    t5,
    text_encoder,
    unet,
    vae,
)
from tiny_qwen import Parts, bria_fibo, bria_fibo2, flux2_klein, joy_image, longcat, qwen_image, shifted, z_image
from transformers import (
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    XLMRobertaTokenizerFast,
)


def controlnet(**changes: object) -> Parts:
    """The arguments of a ControlNet for `unet()`."""
    return {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
        "conditioning_embedding_out_channels": (4, 4, 4, 4),
        **changes,
    }


def controlnet_sdxl(**changes: object) -> Parts:
    return controlnet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=WIDTH + 24,
        **changes,
    )


def controlnet_sd3() -> Parts:
    return {
        "sample_size": 8,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": 2 * WIDTH,
        "caption_projection_dim": 16,
        "pooled_projection_dim": 2 * WIDTH,
        "pos_embed_max_size": 16,
        "extra_conditioning_channels": 1,
    }


def controlnet_flux() -> Parts:
    return {
        "in_channels": 16,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "pooled_projection_dim": WIDTH,
        "axes_dims_rope": (2, 2, 4),
        "guidance_embeds": True,
    }


def controlnet_qwen() -> Parts:
    return {
        "in_channels": 16,
        "out_channels": 4,
        "num_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 1,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
        "extra_condition_channels": 4,
    }


def controlnet_z() -> Parts:
    return {
        "control_layers_places": [0],
        "control_refiner_layers_places": [0],
        # Latents of the picture and of the masked image, and the mask.
        "control_in_dim": 4 + 1 + 4,
        "add_control_noise_refiner": "control_layers",
        "dim": 16,
        "n_refiner_layers": 1,
        "n_heads": 1,
        "n_kv_heads": 1,
    }


def chroma() -> Parts:
    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    text = t5()
    return {
        "vae": vae(shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False),
        "text_encoder": text["text_encoder_2"],
        "tokenizer": text["tokenizer_2"],
        "transformer": transformer.eval(),
        "scheduler": shifted(),
    }


def amused(clip: CLIPTokenizer) -> Parts:
    codes = 32
    transformer = UVit2DModel(
        hidden_size=16,
        cond_embed_dim=WIDTH,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=WIDTH,
        vocab_size=codes + 1,
        codebook_size=codes,
        in_channels=16,
        block_out_channels=16,
        num_res_blocks=1,
        downsample=True,
        upsample=True,
        block_num_heads=1,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=16,
        sample_size=8,
    )
    vqvae = VQModel(
        **VAE_BLOCKS | VAE_TYPES,
        layers_per_block=1,
        num_vq_embeddings=codes,
        sample_size=32,
        mid_block_add_attention=False,
        lookup_from_codebook=True,
    )
    return {
        "vqvae": vqvae.eval(),
        "tokenizer": clip,
        "text_encoder": text_encoder(CLIPTextModelWithProjection),
        "transformer": transformer.eval(),
        "scheduler": AmusedScheduler(mask_token_id=codes),
    }


def deepfloyd_if() -> Parts:
    text = t5()
    return {
        "tokenizer": text["tokenizer_2"],
        "text_encoder": text["text_encoder_2"],
        "unet": unet(
            sample_size=32,
            in_channels=3,
            out_channels=6,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            encoder_hid_dim=WIDTH,
            resnet_time_scale_shift="scale_shift",
        ),
        "scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2", thresholding=True, variance_type="learned_range"),
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }


def kandinsky_first(clip: CLIPTokenizer) -> Parts:
    """The second half of Kandinsky 2.1, which reads the text too."""
    pieces = [(chr(97 + place), -3.0) for place in range(26)]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *pieces, ("<mask>", 0.0)]
    config = MCLIPConfig(
        transformerDimSize=WIDTH,
        imageDimSize=WIDTH,
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    parts = kandinsky(clip)
    return {
        **parts,
        "unet": unet(
            in_channels=9,
            out_channels=8,
            addition_embed_type="text_image",
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            encoder_hid_dim=WIDTH,
            encoder_hid_dim_type="text_image_proj",
            resnet_time_scale_shift="scale_shift",
        ),
        "text_encoder": MultilingualCLIP(config).eval(),
        "tokenizer": XLMRobertaTokenizerFast(vocab=vocabulary, model_max_length=77),
    }


VARIANTS: dict[str, Callable[[CLIPTokenizer], tuple[str, Parts]]] = {
    "sdxl": lambda clip: ("StableDiffusionXLPipeline", sdxl(clip, 4)),
    "sd-pix2pix": lambda clip: ("StableDiffusionInstructPix2PixPipeline", stable_diffusion(clip, channels=8)),
    "sd-controlnet": lambda _clip: ("ControlNetModel", controlnet()),
    "sdxl-controlnet": lambda _clip: ("ControlNetModel", controlnet_sdxl()),
    "sdxl-union": lambda _clip: (
        "ControlNetUnionModel",
        controlnet_sdxl(num_control_type=8, num_trans_channel=8, num_trans_head=2, num_proj_channel=8),
    ),
    "sd3-controlnet": lambda _clip: ("SD3ControlNetModel", controlnet_sd3()),
    "flux-controlnet": lambda _clip: ("FluxControlNetModel", controlnet_flux()),
    "flux-control": lambda clip: ("FluxControlPipeline", flux(clip, 16 + 16)),
    "flux-kontext": lambda clip: ("FluxKontextPipeline", flux(clip, 16)),
    "flux2-klein": lambda clip: ("Flux2KleinPipeline", flux2_klein(clip)),
    "chroma": lambda _clip: ("ChromaInpaintPipeline", chroma()),
    "qwen": lambda clip: ("QwenImagePipeline", qwen_image(clip)),
    "qwen-controlnet": lambda _clip: ("QwenImageControlNetModel", controlnet_qwen()),
    "qwen-edit": lambda clip: ("QwenImageEditPipeline", qwen_image(clip, edits=True)),
    "qwen-edit-plus": lambda clip: ("QwenImageEditPlusPipeline", qwen_image(clip, edits=True)),
    "z-image": lambda clip: ("ZImagePipeline", z_image(clip)),
    "z-image-controlnet": lambda _clip: ("ZImageControlNetModel", controlnet_z()),
    "longcat": lambda clip: ("LongCatImageEditPipeline", longcat(clip)),
    "joy": lambda clip: ("JoyImageEditPipeline", joy_image(clip)),
    "joy-plus": lambda clip: ("JoyImageEditPlusPipeline", joy_image(clip, JoyImageEditPlusTransformer3DModel)),
    "bria": lambda clip: ("BriaFiboEditPipeline", bria_fibo(clip)),
    "bria-2": lambda clip: ("BriaFibo2Pipeline", bria_fibo2(clip)),
    "amused": lambda clip: ("AmusedPipeline", amused(clip)),
    "if": lambda _clip: ("IFPipeline", deepfloyd_if()),
    "kandinsky-1": lambda clip: ("KandinskyInpaintPipeline", kandinsky_first(clip)),
    "kandinsky-1-prior": lambda clip: ("KandinskyPriorPipeline", kandinsky_prior(clip)),
}
"""Pipelines beside those of `tiny_pipelines`, and models that take part in one."""

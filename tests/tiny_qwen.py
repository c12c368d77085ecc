"""Tiny and random pipelines of diffusers whose text encoder is a language model, for `tiny_variants`."""

from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLWan,
    BriaFibo2Transformer2DModel,
    BriaFiboTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    JoyImageEditTransformer3DModel,
    LongCatImageTransformer2DModel,
    QwenImageTransformer2DModel,
    ZImageTransformer2DModel,
)
from tiny_pipelines import (
    VAE_BLOCKS,
    VAE_TYPES,
    WIDTH,
    awake,
    vae,
)
from transformers import (
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

Parts = dict[str, object]
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
VIDEO_PAD = "<|video_pad|>"
LETTERS = 256
"""How many single bytes a byte-level vocabulary begins with."""
TOKENS = LETTERS + len(SPECIAL) + 1
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
LANGUAGE = {
    "vocab_size": TOKENS,
    "hidden_size": WIDTH,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": LETTERS,
    "bos_token_id": LETTERS,
    "eos_token_id": LETTERS + 2,
}
SMALLEST = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
"""The number of pixels that a tiny vision encoder sees."""


def qwen_tokenizer(clip: CLIPTokenizer) -> Qwen2Tokenizer:
    """A tokenizer of single bytes with Qwen's special tokens."""
    bytes_alone = [token for token in clip.get_vocab() if len(token) == 1]
    assert len(bytes_alone) == LETTERS
    made = Qwen2Tokenizer(vocab={token: index for index, token in enumerate(sorted(bytes_alone))}, merges=[])
    made.add_special_tokens({"additional_special_tokens": [*SPECIAL, VIDEO_PAD]})
    made.pad_token = SPECIAL[0]
    made.chat_template = CHAT
    return made


def qwen_image_transformer() -> QwenImageTransformer2DModel:
    return QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    ).eval()


def video_vae(cls: type, channels: int = 4, **changes: object) -> object:
    sizes = {"base_dim": 8, "z_dim": channels, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    return cls(**sizes, latents_mean=[0.1] * channels, latents_std=[0.9] * channels, **changes).eval()


def qwen_vision_language(layers: int = 2) -> Qwen2_5_VLForConditionalGeneration:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH}
    config = Qwen2_5_VLConfig(
        text_config={**LANGUAGE, "num_hidden_layers": layers, "rope_parameters": rope},
        vision_config={**vision, "fullatt_block_indexes": [0]},
        **_vision_tokens(),
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def _vision_tokens() -> Parts:
    start = LETTERS + SPECIAL.index("<|vision_start|>")
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return {name: start + place for place, name in enumerate(names)}


def qwen_processor(tokenizer: Qwen2Tokenizer, cls: type = Qwen2VLProcessor, patch: int = 14) -> object:
    images = {"size": SMALLEST, "patch_size": patch}
    return cls(
        image_processor=Qwen2VLImageProcessor(**images),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**images),
        chat_template=CHAT,
    )


def shifted() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)


def qwen_image(clip: CLIPTokenizer, *, edits: bool = False) -> Parts:
    tokenizer = qwen_tokenizer(clip)
    return {
        "vae": video_vae(AutoencoderKLQwenImage),
        "text_encoder": qwen_vision_language(),
        "tokenizer": tokenizer,
        "transformer": qwen_image_transformer(),
        "scheduler": shifted(),
        **({"processor": qwen_processor(tokenizer)} if edits else {}),
    }


def z_image(clip: CLIPTokenizer) -> Parts:
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=1,
        n_kv_heads=1,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    return {
        "vae": vae(shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False),
        "text_encoder": Qwen3Model(Qwen3Config(**LANGUAGE)).eval(),
        "tokenizer": qwen_tokenizer(clip),
        "transformer": awake(transformer),
        "scheduler": shifted(),
    }


def flux2_klein(clip: CLIPTokenizer) -> Parts:
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        # The texts of three layers, side by side.
        joint_attention_dim=3 * WIDTH,
        axes_dims_rope=(4, 4, 4, 4),
        timestep_guidance_channels=16,
        guidance_embeds=False,
    )
    autoencoder = AutoencoderKLFlux2(**VAE_BLOCKS | VAE_TYPES)
    # The layers that are read by default are 9, 18 and 27.
    deep = Qwen3ForCausalLM(Qwen3Config(**{**LANGUAGE, "num_hidden_layers": 28}))
    return {
        "vae": autoencoder.eval(),
        "text_encoder": deep.eval(),
        "tokenizer": qwen_tokenizer(clip),
        "transformer": transformer.eval(),
        "scheduler": shifted(),
    }


def longcat(clip: CLIPTokenizer) -> Parts:
    tokenizer = qwen_tokenizer(clip)
    transformer = LongCatImageTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
    )
    return {
        "vae": vae(latent_channels=16, shift_factor=0.1, scaling_factor=0.4),
        "text_encoder": qwen_vision_language(),
        "tokenizer": tokenizer,
        "text_processor": qwen_processor(tokenizer),
        "transformer": transformer.eval(),
        "scheduler": shifted(),
    }


def qwen3_vision_language(layers: int = 2) -> Qwen3VLForConditionalGeneration:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH}
    config = Qwen3VLConfig(
        text_config={**LANGUAGE, "num_hidden_layers": layers, "rope_parameters": rope},
        vision_config={**vision, "patch_size": 14, "deepstack_visual_indexes": [0], "num_position_embeddings": 16},
        **_vision_tokens(),
    )
    return Qwen3VLForConditionalGeneration(config).eval()


def joy_image(clip: CLIPTokenizer, cls: type = JoyImageEditTransformer3DModel) -> Parts:
    tokenizer = qwen_tokenizer(clip)
    transformer = cls(
        in_channels=4, hidden_size=16, num_attention_heads=1, text_dim=WIDTH, num_layers=1, rope_dim_list=[4, 6, 6]
    )
    return {
        "vae": video_vae(AutoencoderKLWan),
        "text_encoder": qwen3_vision_language(),
        "tokenizer": tokenizer,
        "processor": qwen_processor(tokenizer, Qwen3VLProcessor),
        "transformer": awake(transformer),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=4.0),
    }


def bria_fibo(clip: CLIPTokenizer) -> Parts:
    transformer = BriaFiboTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        text_encoder_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
    )
    return {
        # Sixteen pixels per latent, as its published VAE.
        "vae": video_vae(
            AutoencoderKLWan, in_channels=12, out_channels=12, patch_size=2, is_residual=True, scale_factor_spatial=16
        ),
        "text_encoder": SmolLM3ForCausalLM(SmolLM3Config(**LANGUAGE)).eval(),
        "tokenizer": qwen_tokenizer(clip),
        "transformer": transformer.eval(),
        "scheduler": shifted(),
    }


def bria_fibo2(clip: CLIPTokenizer) -> Parts:
    transformer = BriaFibo2Transformer2DModel(
        in_channels=4,
        dim=96,
        n_layers=6,
        n_refiner_layers=1,
        n_heads=6,
        # The texts of three layers, side by side, for the five layers that read them, and for the gist.
        cap_feat_dim=3 * WIDTH,
        injection_layer_ids=(1, 2, 3, 4, 5),
        perceiver_num_layers=1,
        min_num_gist_tokens=4,
        max_num_gist_tokens=8,
        gist_step=4,
        axes_dims=(4, 6, 6),
        axes_lens=(2048, 64, 64),
    )
    return {
        "vae": AutoencoderKLFlux2(**VAE_BLOCKS | VAE_TYPES).eval(),
        # The last layer that is read is 35.
        "text_encoder": qwen3_vision_language(layers=36),
        "processor": qwen_processor(qwen_tokenizer(clip), Qwen3VLProcessor),
        "transformer": awake(transformer),
        "scheduler": shifted(),
    }

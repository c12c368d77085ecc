"""BrushNet's branch: a second UNet whose features each leave through a zero-initialised convolution."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, UNetMidBlock2DCrossAttn, get_down_block, get_up_block
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.baselines.brushnet.residuals import Residuals
from brushbench.baselines.sdxl import EMBEDDING, is_sdxl
from brushbench.core.errors import UserError

CONDITIONING_CHANNELS = 5
"""4 channels of the masked image's latents and 1 of the mask of known pixels."""
PLAIN_BLOCKS = {"DownBlock2D", "UpBlock2D", "MidBlock2D"}
ATTENTION_BLOCKS = {"CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "UNetMidBlock2DCrossAttn"}


@final
class BrushNetModel(ModelMixin, ConfigMixin):
    """BrushNet's branch for Stable Diffusion 1.5 or SDXL, built from diffusers' blocks.

    Ju et al., arXiv:2403.06976. It reads noisy latents, latents of the masked image and the mask of the
    known pixels, and returns `Residuals` for a `UNet2DConditionModel` of the same widths. Folders of official
    checkpoints load with `from_pretrained`.

    BrushNet's own blocks have no attention. Those of PowerPaint version 2 (Zhuang et al., arXiv:2312.03594) have the
    UNet's attention and read a text. A branch for SDXL reads the pooled text and the picture's size, like its UNet.
    """

    # The parameters are the fields of an official config.json. Some have no effect here; they are kept so that a config
    # is written back unchanged.
    @register_to_config
    def __init__(  # noqa: PLR0913, PLR0917
        self,
        in_channels: int = 4,
        conditioning_channels: int = CONDITIONING_CHANNELS,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        down_block_types: Sequence[str] = ("DownBlock2D",) * 4,
        mid_block_type: str = "MidBlock2D",
        up_block_types: Sequence[str] = ("UpBlock2D",) * 4,
        only_cross_attention: bool = False,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: int | float = 1,
        act_fn: str = "silu",
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int = 1280,
        transformer_layers_per_block: int | Sequence[int] = 1,
        encoder_hid_dim: int | None = None,
        encoder_hid_dim_type: str | None = None,
        attention_head_dim: int | Sequence[int] = 8,
        num_attention_heads: int | None = None,
        use_linear_projection: bool = False,
        class_embed_type: str | None = None,
        addition_embed_type: str | None = None,
        addition_time_embed_dim: int | None = None,
        num_class_embeds: int | None = None,
        upcast_attention: bool = False,
        resnet_time_scale_shift: str = "default",
        projection_class_embeddings_input_dim: int | None = None,
        brushnet_conditioning_channel_order: str = "rgb",
        conditioning_embedding_out_channels: Sequence[int] = (16, 32, 96, 256),
        global_pool_conditions: bool = False,
        addition_embed_type_num_heads: int = 64,
    ) -> None:
        super().__init__()
        if strange := {*down_block_types, *up_block_types, mid_block_type} - PLAIN_BLOCKS - ATTENTION_BLOCKS:
            raise UserError(f"BrushNet has no blocks of type {', '.join(sorted(strange))}")
        if class_embed_type or encoder_hid_dim_type or addition_embed_type not in (None, EMBEDDING):
            raise UserError("this BrushNet config requests embeddings that neither SD 1.5 nor SDXL has")
        widths = list(block_out_channels)
        time_width = widths[0] * 4
        self.conv_in_condition = nn.Conv2d(in_channels + conditioning_channels, widths[0], kernel_size=3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(widths[0], time_width, act_fn=act_fn)
        if addition_embed_type:
            self.add_time_proj = Timesteps(addition_time_embed_dim, flip_sin_to_cos, freq_shift)
            self.add_embedding = TimestepEmbedding(projection_class_embeddings_input_dim, time_width)
        # Any: the keywords that diffusers' block makers share.
        shared: dict[str, Any] = {
            "temb_channels": time_width,
            "resnet_eps": norm_eps,
            "resnet_act_fn": act_fn,
            "resnet_groups": norm_num_groups,
            "resnet_time_scale_shift": resnet_time_scale_shift,
        }
        # Without `num_attention_heads`, `attention_head_dim` is the number of heads: a slip of diffusers that every
        # checkpoint relies on.
        heads, depths = (
            _per_level(value, len(widths))
            for value in (num_attention_heads or attention_head_dim, transformer_layers_per_block)
        )
        attention: list[dict[str, Any]] = [
            {
                "num_attention_heads": heads[i],
                "transformer_layers_per_block": depths[i],
                "cross_attention_dim": cross_attention_dim,
                "use_linear_projection": use_linear_projection,
                "upcast_attention": upcast_attention,
            }
            for i in range(len(widths))
        ]
        only = {"only_cross_attention": only_cross_attention, "attention_head_dim": 1}
        down = [{"downsample_padding": downsample_padding} | shared | level | only for level in attention]
        self.down_blocks = _down_blocks(down_block_types, widths, layers_per_block, down)
        self.mid_block = (
            UNetMidBlock2D(widths[-1], add_attention=False, output_scale_factor=mid_block_scale_factor, **shared)
            if mid_block_type in PLAIN_BLOCKS
            else UNetMidBlock2DCrossAttn(
                widths[-1], output_scale_factor=mid_block_scale_factor, **shared, **attention[-1]
            )
        )
        up = [shared | level | only for level in attention[::-1]]
        self.up_blocks = _up_blocks(up_block_types, widths[::-1], layers_per_block + 1, up)
        exits = range(len(widths))
        down_widths = [width for i in exits for width in [widths[i]] * (layers_per_block + (i < exits[-1]))]
        up_widths = [width for i in exits for width in [widths[-1 - i]] * (layers_per_block + 1 + (i < exits[-1]))]
        self.brushnet_down_blocks = nn.ModuleList(zero_convolution(width) for width in [widths[0], *down_widths])
        self.brushnet_mid_block = zero_convolution(widths[-1])
        self.brushnet_up_blocks = nn.ModuleList(zero_convolution(width) for width in up_widths)

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, *, attention: bool = False) -> "BrushNetModel":
        """A branch to train for this UNet, with the UNet's weights and zero convolutions at every exit.

        With `attention` it has the UNet's blocks, as in PowerPaint version 2; without, BrushNet's own. The first
        convolution starts from the UNet's weights twice, for the noisy latents and for the masked image's latents, and
        from zeros for the mask. The official code leaves SDXL's `add_embedding` random; here it is the UNet's.
        Raises `UserError` for a UNet that doesn't read 4 channels.
        """
        config = unet.config
        if config.in_channels != 4:
            raise UserError(f"BrushNet copies a UNet of 4 input channels, this one has {config.in_channels}")
        depth = len(config.block_out_channels)
        own = {name: config[name] for name in cls._get_init_keys(cls) if name in config}
        if not attention:
            own |= {
                "down_block_types": ["DownBlock2D"] * depth,
                "mid_block_type": "MidBlock2D",
                "up_block_types": ["UpBlock2D"] * depth,
            }
        branch = cls(**own)
        weights = unet.state_dict()
        copied = {
            name: weights[name]
            for name, tensor in branch.state_dict().items()
            if name in weights and weights[name].shape == tensor.shape
        }
        first = torch.zeros_like(branch.conv_in_condition.weight)
        first[:, :4] = weights["conv_in.weight"]
        first[:, 4:8] = weights["conv_in.weight"]
        copied |= {"conv_in_condition.weight": first, "conv_in_condition.bias": weights["conv_in.bias"]}
        branch.load_state_dict(copied, strict=False)
        return branch.to(unet.dtype)

    def forward(  # noqa: PLR0913, PLR0917
        self,
        sample: Float[Tensor, "n 4 h w"],
        timestep: Tensor | float,
        brushnet_cond: Float[Tensor, "n 5 h w"],
        conditioning_scale: float = 1.0,
        guess_mode: bool = False,
        encoder_hidden_states: Float[Tensor, "n tokens c"] | None = None,
        added_cond_kwargs: Mapping[str, Tensor] | None = None,
    ) -> Residuals:
        """The residuals for noisy latents, a timestep (one, or one per sample) and a condition, times the scale.

        `brushnet_cond` is the latents of the masked image, then 1 where a pixel is known and 0 where it is inpainted.
        In `guess_mode` the residuals are weighted from 0.1 at the first layer to 1 at the last. Only a branch with
        attention reads `encoder_hidden_states`, an encoded text; only a branch for SDXL reads `added_cond_kwargs`,
        like its UNet: `text_embeds` [n, p] and `time_ids` [n, 6].
        """
        time = self._embedded(timestep, sample)
        if is_sdxl(self):
            if added_cond_kwargs is None:
                raise ValueError("a BrushNet for SDXL needs added_cond_kwargs")
            time = time + self._added(added_cond_kwargs["text_embeds"], added_cond_kwargs["time_ids"])
        hidden = self.conv_in_condition(torch.cat([sample, brushnet_cond], dim=1))
        # Any: keywords that only blocks with attention accept.
        text: dict[str, Any] = {"encoder_hidden_states": encoder_hidden_states}
        down = [hidden]
        for block in self.down_blocks:
            hidden, features = block(hidden, time, **text if _reads_text(block) else {})
            down += features
        mid = hidden = self.mid_block(hidden, time, **text if _reads_text(self.mid_block) else {})
        up: list[Tensor] = []
        skips = list(down)
        up_blocks: Any = self.up_blocks  # UpBlock2D, which diffusers doesn't type
        for block in up_blocks:
            for index, resnet in enumerate(block.resnets):
                hidden = resnet(torch.cat([hidden, skips.pop()], dim=1), time)
                if _reads_text(block):
                    hidden = block.attentions[index](hidden, return_dict=False, **text)[0]
                up.append(hidden)
            for upsampler in block.upsamplers or ():
                hidden = upsampler(hidden, skips[-1].shape[2:])
                up.append(hidden)
        residuals = Residuals(
            tuple(exit_(feature) for exit_, feature in zip(self.brushnet_down_blocks, down, strict=True)),
            self.brushnet_mid_block(mid),
            tuple(exit_(feature) for exit_, feature in zip(self.brushnet_up_blocks, up, strict=True)),
        )
        return self._weighted(residuals, conditioning_scale, guess_mode)

    def _embedded(self, timestep: Tensor | float, sample: Tensor) -> Tensor:
        times = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        return self.time_embedding(self.time_proj(times).to(sample.dtype))

    def _added(self, pooled: Float[Tensor, "n p"], ids: Float[Tensor, "n 6"]) -> Float[Tensor, "n _"]:
        sizes = self.add_time_proj(ids.flatten()).reshape(len(ids), -1)
        return self.add_embedding(torch.cat([pooled, sizes.to(pooled.dtype)], dim=1))

    def _weighted(self, residuals: Residuals, scale: float, guess_mode: bool) -> Residuals:
        if not guess_mode or self.config.global_pool_conditions:
            weighted = residuals * scale
        else:
            count = len(residuals.down) + 1 + len(residuals.up)
            weights = iter((torch.logspace(-1, 0, count, device=residuals.mid.device) * scale).to(residuals.mid.dtype))
            weighted = residuals.map(lambda tensor: tensor * next(weights))
        if self.config.global_pool_conditions:
            return weighted.map(lambda tensor: tensor.mean(dim=(2, 3), keepdim=True))
        return weighted


# Any: configs have one number, or one for each level.
def _per_level(value: Any, count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else list(value)


def _reads_text(block: nn.Module) -> bool:
    return bool(getattr(block, "has_cross_attention", False))


def _down_blocks(
    kinds: Sequence[str], widths: Sequence[int], layers: int, keywords: Sequence[dict[str, Any]]
) -> nn.ModuleList:
    return nn.ModuleList(
        get_down_block(
            kind,
            num_layers=layers,
            in_channels=widths[max(i - 1, 0)],
            out_channels=widths[i],
            add_downsample=i < len(widths) - 1,
            **keywords[i],
        )
        for i, kind in enumerate(kinds)
    )


def _up_blocks(
    kinds: Sequence[str], widths: Sequence[int], layers: int, keywords: Sequence[dict[str, Any]]
) -> nn.ModuleList:
    last = len(widths) - 1
    return nn.ModuleList(
        get_up_block(
            kind,
            num_layers=layers,
            in_channels=widths[min(i + 1, last)],
            out_channels=widths[i],
            prev_output_channel=widths[max(i - 1, 0)],
            add_upsample=i < last,
            **keywords[i],
        )
        for i, kind in enumerate(kinds)
    )


def zero_convolution(width: int) -> nn.Conv2d:
    """A 1x1 convolution of zeros, so that training starts from the unchanged UNet."""
    convolution = nn.Conv2d(width, width, kernel_size=1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution

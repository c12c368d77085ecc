"""SDXL's two text encoders and size conditions: Podell et al., arXiv:2307.01952, section 2."""

from dataclasses import dataclass, field
from typing import final

import torch
from diffusers import ModelMixin
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from brushbench.baselines.captions import token_ids
from brushbench.baselines.checkpoints import load_pipeline_index, load_tokenizer
from brushbench.baselines.recent import Recent
from brushbench.baselines.sources import BaseCheckpoint
from brushbench.baselines.transfer import to_device
from brushbench.weights.runtime import Runtime

EMBEDDING = "text_time"
"""The `addition_embed_type` of SDXL's UNet and of a branch for it."""


def is_sdxl(model: ModelMixin) -> bool:
    """Whether a UNet, or a branch beside it, reads pooled texts and sizes."""
    return bool(model.config.addition_embed_type == EMBEDDING)


@final
@dataclass(frozen=True, slots=True)
class TextPair:
    """SDXL's two text encoders, each with its tokenizer."""

    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    """The second tokenizer pads with the token 0, as its config says."""
    encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    zeros_for_nothing: bool
    """Whether an empty negative prompt is encoded as zeros rather than as the empty text."""
    texts: Recent[str, tuple[Tensor, Tensor]] = field(default_factory=Recent)
    """Texts that have been encoded so far."""

    @classmethod
    def load(cls, first: tuple[CLIPTokenizer, CLIPTextModel], base: BaseCheckpoint, runtime: Runtime) -> "TextPair":
        """Load the second tokenizer and text encoder, to go with the first.

        Raises `UserError` for a component that is missing or can't be used.
        """
        # A folder without an index is a pipeline with the default settings.
        index = load_pipeline_index(base.folder("model_index.json"), runtime)
        return cls(
            tokenizers=(first[0], load_tokenizer(base.folder("tokenizer_2"), runtime, "tokenizer_2")),
            encoders=(first[1], base.model(CLIPTextModelWithProjection, "text_encoder_2", runtime)),
            zeros_for_nothing=bool(index.get("force_zeros_for_empty_prompt", True)),
        )

    def encode(self, caption: str) -> tuple[Float[Tensor, "1 77 c"], Float[Tensor, "1 p"]]:
        """(the penultimate hidden states of both encoders side by side, the second's pooled text) of a cleaned text.

        Each text is encoded only once and by itself: in a batch, the last bits would depend on the other texts.
        """
        return self.texts.get(caption, self._encoded)

    def _encoded(self, caption: str) -> tuple[Float[Tensor, "1 77 c"], Float[Tensor, "1 p"]]:
        with torch.inference_mode():
            first, second = (
                encoder(to_device(token_ids(tokenizer, caption), encoder.device), output_hidden_states=True)
                for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
            )
            return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds

    def encode_negative(self, prompt: str) -> tuple[Float[Tensor, "1 77 c"], Float[Tensor, "1 p"]]:
        """Encode a negative prompt; the empty text means no negative prompt.

        In the official code that is None, the default; there, the empty text would be encoded.
        """
        hidden, pooled = self.encode(prompt)
        if prompt or not self.zeros_for_nothing:
            return hidden, pooled
        return torch.zeros_like(hidden), torch.zeros_like(pooled)


def added_conditions(pooled: Float[Tensor, "m p"], height: int, width: int) -> dict[str, Tensor]:
    """SDXL's inputs besides the tokens, under diffusers' names: `text_embeds` [m, p], `time_ids` [m, 6].

    The ids are the original size, the corner of the crop and the target size (section 2.2) in pixels; here, those of a
    picture that was neither resized nor cropped.
    """
    # All rows are equal. So it makes no difference that the official code orders them as (negative, caption) for each
    # sample, while the texts are all negative prompts and then all captions. They are made on the device: a step that
    # sends something there makes the GPU wait.
    ids = torch.zeros(len(pooled), 6, device=pooled.device)
    ids[:, ::4], ids[:, 1::4] = height, width
    return {"text_embeds": pooled, "time_ids": ids}

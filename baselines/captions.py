"""From a caption to the tokens of CLIP."""

import html
import re
from typing import cast

import ftfy
from jaxtyping import Int
from torch import Tensor
from transformers import CLIPTokenizer


def cleaned(caption: str) -> str:
    """Text as CLIP's own tokenizer prepares it: mended Unicode, no HTML entities, single spaces, lower case."""
    text = html.unescape(html.unescape(ftfy.fix_text(caption))).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


def token_ids(tokenizer: CLIPTokenizer, caption: str) -> Int[Tensor, "1 77"]:
    """The tokens of a cleaned caption, cut or padded to the length of the text encoder."""
    length = tokenizer.model_max_length
    tokens = tokenizer(caption, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return cast(Tensor, tokens.input_ids)

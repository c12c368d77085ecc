"""Turn a caption into CLIP's tokens."""

import html
import re
from typing import cast

import ftfy
from jaxtyping import Int
from torch import Tensor
from transformers import CLIPTokenizer


def cleaned(caption: str) -> str:
    """Text as CLIP's original tokenizer prepares it: repaired Unicode, no HTML entities, single spaces, lower case."""
    text = html.unescape(html.unescape(ftfy.fix_text(caption))).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


def token_ids(tokenizer: CLIPTokenizer, caption: str) -> Int[Tensor, "1 77"]:
    """The token ids of a cleaned caption, cut or padded to the text encoder's length."""
    length = tokenizer.model_max_length
    tokens = tokenizer(caption, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return cast(Tensor, tokens.input_ids)

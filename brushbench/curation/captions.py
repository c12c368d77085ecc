"""What can be wrong with captions."""

from collections.abc import Iterator
from functools import cache

from open_clip.tokenizer import SimpleTokenizer

from brushbench.core.errors import SampleError
from brushbench.curation.defects import Finding
from brushbench.datasets.source import check_caption

MAX_TOKENS = 77
"""What CLIP's text encoders read, with the two that mark the beginning and the end."""
_DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's marks of writing direction, which can make a line look like another."""


def count_tokens(caption: str) -> int:
    """Tokens of CLIP's own vocabulary, which comes with open_clip, and the two marks."""
    return len(_tokenizer().encode(caption)) + 2


def caption_findings(name: str, caption: str, tokens: int) -> Iterator[Finding]:
    """What is wrong with the caption of one sample."""
    if not caption.strip():
        yield Finding("empty-caption", name)
    if any(c in _DIRECTIONS or (ord(c) < 32 or 127 <= ord(c) < 160) for c in caption):
        yield Finding("control-characters", name, repr(caption[:80]))
    if tokens > MAX_TOKENS:
        yield Finding("long-caption", name, f"{tokens} tokens")


def bad_caption(name: str, caption: str) -> Finding | None:
    """Why a caption can't be used at all."""
    try:
        check_caption(caption)
    except SampleError as error:
        return Finding("bad-caption", name, str(error))
    return None


def comparable(caption: str) -> str:
    """As text encoders read it: neither case nor spaces count."""
    return " ".join(caption.casefold().split())


@cache
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()

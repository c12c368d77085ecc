"""Find what is wrong with captions."""

from functools import cache

from open_clip.tokenizer import SimpleTokenizer

from brushbench.datasets.defects import DataFinding, DefectError
from brushbench.datasets.source import check_caption

MAX_TOKENS = 77
"""Most tokens that CLIP's text encoders read, including the start and end tokens."""
_DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's marks of writing direction, which can make one line look like another."""


def count_tokens(caption: str) -> int:
    """Count the tokens of CLIP's own vocabulary, which comes with open_clip, including start and end."""
    return len(_tokenizer().encode(caption)) + 2


def inspect_caption(name: str, caption: str, findings: list[DataFinding]) -> int:
    """Return the number of tokens, 0 for an unusable caption, and add a finding for everything wrong with it."""
    try:
        check_caption(caption)
    except DefectError as error:
        findings.append(error.found_in(name))
        return 0
    tokens = count_tokens(caption)
    if not caption.strip():
        findings.append(DataFinding("empty-caption", name))
    if any(c in _DIRECTIONS or (ord(c) < 32 or 127 <= ord(c) < 160) for c in caption):
        findings.append(DataFinding("control-characters", name, repr(caption[:80])))
    if tokens > MAX_TOKENS:
        findings.append(DataFinding("long-caption", name, f"{tokens} tokens"))
    return tokens


def comparable(caption: str) -> str:
    """Return a caption as text encoders read it: neither case nor spacing counts."""
    return " ".join(caption.casefold().split())


@cache
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()

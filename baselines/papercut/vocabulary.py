"""The family's tokenizer: CLIP's class with a small vocabulary, in which every word of the captions is one token."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel, Whitespace

from brushbench.baselines.papercut.world.objects import OBJECTS
from brushbench.baselines.papercut.world.scene import COLOURS, PLACES, SIZES

END_OF_WORD = "</w>"
LENGTH = 77
"""Number of tokens in a caption, as in CLIP."""
START, END = "<|startoftext|>", "<|endoftext|>"
FILLERS = (
    "full hd",
    "4k",
    "high quality",
    "high resolution",
    "worst quality",
    "low quality",
    "normal quality",
    "bad quality",
    "blurry",
    "blur",
    "text",
    "bad anatomy",
    "bad proportions",
    "cropped",
    "deformed",
    "disfigured",
    "duplicate",
    "error",
    "extra limbs",
    "gross proportions",
    "jpeg artifacts",
    "long neck",
    "lowres",
    "malformed",
    "morbid",
    "mutated",
    "mutilated",
    "out of frame",
    "ugly",
)
"""Phrases that HD-Painter and PowerPaint add to every prompt. Training adds them now and then to make them neutral."""
PHRASES = (
    "a an picture of , the it is with over above under behind at by in on from",
    "an empty scene",
    "cut from paper",
    "painted by hand",
)


def vocabulary_words() -> list[str]:
    """All words that are one token, sorted."""
    places = [wording for wordings in PLACES.values() for wording in wordings]
    texts = [*OBJECTS, *COLOURS, *places, *SIZES, *FILLERS, *PHRASES]
    return sorted({word for text in texts for word in text.split()})


def write_tokenizer(folder: Path) -> None:
    """Write `vocab.json`, `merges.txt` and `tokenizer_config.json`.

    As in CLIP, the tokens are the 256 bytes, the same at the end of a word, the merges in order, start and end. An
    unknown word is split into several tokens, down to its bytes, so that every text can be encoded.
    """
    alphabet = sorted(ByteLevel.alphabet())
    merges = _merges(vocabulary_words())
    tokens = [*alphabet, *(byte + END_OF_WORD for byte in alphabet), *map("".join, merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    _write(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    _write(folder / "merges.txt", "\n".join(lines))
    _write(folder / "tokenizer_config.json", json.dumps(config, indent=2))


def _merges(known: Sequence[str]) -> list[tuple[str, str]]:
    """The merges of byte-pair encoding (Sennrich et al., arXiv:1508.07909) that make each word one token.

    Equally frequent pairs are merged in alphabetical order. The trainer of the library `tokenizers` leaves their order
    to chance, so that token ids would change each time.
    """
    pieces = dict.fromkeys(piece for word in known for piece, _ in Whitespace().pre_tokenize_str(word))
    spelled = [[*piece[:-1], piece[-1] + END_OF_WORD] for piece in pieces]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for symbols in spelled for pair in pairwise(symbols)):
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        spelled = [_joined(symbols, merges[-1]) for symbols in spelled]
    return merges


def _joined(symbols: Sequence[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined


def _write(file: Path, text: str) -> None:
    file.write_text(text + "\n", encoding="utf-8")

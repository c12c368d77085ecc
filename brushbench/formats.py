"""In which files a model's weights may be, and which of them are taken: one set, by one rule for everything here.

Safetensors; else safetensors in half precision; else a pickle, which is read with `weights_only`. In one file or in
several, also under the odd names that some authors' savers left (`diffusion_pytorch_model-002.bin`).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""How the files of models are called by diffusers, and by transformers in its newer and its older way."""
HALF = "fp16"
"""The variant that is taken where there is no plain one."""
SAFE, PICKLE = ".safetensors", ".bin"


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of one model's weights, in one folder."""

    names: tuple[str, ...]
    """One, or several and their index."""
    stem: str
    suffix: str
    variant: str | None
    """`fp16`, for example; None for the plain ones."""

    @property
    def usual(self) -> str:
        """How the libraries call a single file of this kind."""
        return f"{self.stem}{_infix(self.variant)}{self.suffix}"

    @property
    def odd(self) -> bool:
        """Whether it is a file that no library looks for."""
        return len(self.names) == 1 and self.names[0] != self.usual


def weight_files(
    names: Collection[str], stems: Collection[str] = STEMS, variant: str | None = None
) -> WeightFiles | None:
    """The weights among the names of a folder's files, None if there are none; `variant` is preferred if it is given.

    Of weights in several files all must be there.
    """
    for kind, suffix in _preferred(variant):
        for stem in stems:
            for found in _sets(names, stem, kind, suffix):
                return WeightFiles(found, stem, suffix, kind)
    return None


def valid_names(stems: Collection[str] = STEMS) -> str:
    """What `weight_files` looks for, to read."""
    return ", ".join(f"{stem}{SAFE}" for stem in stems) + f", or .{HALF}{SAFE} or {PICKLE} in its place"


def _preferred(variant: str | None) -> Iterator[tuple[str | None, str]]:
    if variant:
        yield from ((variant, SAFE), (variant, PICKLE))
    yield from ((None, SAFE), (HALF, SAFE), (None, PICKLE), (HALF, PICKLE))


def _sets(names: Collection[str], stem: str, variant: str | None, suffix: str) -> Iterator[tuple[str, ...]]:
    infix = _infix(variant)
    if (single := f"{stem}{infix}{suffix}") in names:
        yield (single,)
    numbered = re.compile(rf"{re.escape(stem + infix)}-\d{{5}}-of-(\d{{5}}){re.escape(suffix)}")
    several = {name: int(match[1]) for name in sorted(names) if (match := numbered.fullmatch(name))}
    if several and set(several.values()) == {len(several)}:
        index = f"{stem}{suffix}.index{infix}.json"
        yield (*several, index) if index in names else tuple(several)
    odd = re.compile(rf"{re.escape(stem)}-\d+{re.escape(infix + suffix)}")
    # Of several the last: an author's saver counts upwards.
    yield from ((name,) for name in sorted(names, reverse=True) if odd.fullmatch(name))


def _infix(variant: str | None) -> str:
    return f".{variant}" if variant else ""

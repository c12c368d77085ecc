"""In which files a model's weights may be, and which of them are taken: one set, by one rule for everything here.

Safetensors; else safetensors in half precision; else a pickle, which is read with `weights_only`. In one file or in
several, also under the odd names that some authors' savers left (`diffusion_pytorch_model-002.bin`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

HALF = "fp16"
"""The variant that is taken where there is no plain one."""
SAFE, PICKLE = ".safetensors", ".bin"
DIFFUSERS = {SAFE: ("diffusion_pytorch_model",), PICKLE: ("diffusion_pytorch_model",)}
TRANSFORMERS = {SAFE: ("model",), PICKLE: ("pytorch_model",)}
"""How either library calls the files of its models."""
EITHER = {suffix: DIFFUSERS[suffix] + TRANSFORMERS[suffix] for suffix in (SAFE, PICKLE)}
Stems = Mapping[str, Sequence[str]]
"""For each suffix the beginnings of names."""


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


def weight_files(names: Collection[str], stems: Stems = EITHER, variant: str | None = None) -> WeightFiles | None:
    """The weights among the names of a folder's files, None if there are none; `variant` is preferred if it is given.

    Of weights in several files all must be there.
    """
    for kind, suffix in _preferred(variant):
        for stem in stems[suffix]:
            for found in _sets(names, stem, kind, suffix):
                return WeightFiles(found, stem, suffix, kind)
    return None


def same_stem(*names: str) -> Stems:
    """Files that are called the same with every suffix."""
    return {SAFE: names, PICKLE: names}


def valid_names(stems: Stems = EITHER) -> str:
    """What `weight_files` looks for, to read."""
    ends = ((SAFE, SAFE), (SAFE, f".{HALF}{SAFE}"), (PICKLE, PICKLE))
    return ", ".join(f"{stem}{end}" for suffix, end in ends for stem in stems[suffix])


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

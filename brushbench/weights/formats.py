"""Choose the files that hold a model's weights: one set, by one rule for the whole suite.

Safetensors; else safetensors in half precision; else a pickle, which is read with `weights_only`. A set is one file or
several, also under the unusual names that some authors' scripts chose (`diffusion_pytorch_model-002.bin`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

HALF = "fp16"
"""The variant that is used if there are no plain weights."""
SAFE, PICKLE = ".safetensors", ".bin"
DIFFUSERS = {SAFE: ("diffusion_pytorch_model",), PICKLE: ("diffusion_pytorch_model",)}
TRANSFORMERS = {SAFE: ("model",), PICKLE: ("pytorch_model",)}
"""The stems of each library's weight files, by suffix."""
EITHER = {suffix: DIFFUSERS[suffix] + TRANSFORMERS[suffix] for suffix in (SAFE, PICKLE)}
Stems = Mapping[str, Sequence[str]]
"""The stems of file names, by suffix."""


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of one model's weights, in one folder."""

    names: tuple[str, ...]
    """One file, or several and their index."""
    stem: str
    suffix: str
    variant: str | None
    """The variant, such as `fp16`; None for plain weights."""

    @property
    def usual(self) -> str:
        """The name that the libraries give a single file of this kind."""
        return f"{self.stem}{_infix(self.variant)}{self.suffix}"

    @property
    def odd(self) -> bool:
        """Whether this is a single file that no library looks for."""
        return len(self.names) == 1 and self.names[0] != self.usual


def weight_files(names: Collection[str], stems: Stems = EITHER, variant: str | None = None) -> WeightFiles | None:
    """Find a folder's weights among its file names, None if it has none; `variant` is preferred if given.

    Weights in several files must be complete.
    """
    for kind, suffix in _preferred(variant):
        for stem in stems[suffix]:
            for found in _sets(names, stem, kind, suffix):
                return WeightFiles(found, stem, suffix, kind)
    return None


def same_stem(*names: str) -> Stems:
    """Return the same stems for every suffix."""
    return {SAFE: names, PICKLE: names}


def valid_names(stems: Stems = EITHER) -> str:
    """List the names that `weight_files` looks for, for a message."""
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
    # The last one first: authors' scripts count upwards.
    yield from ((name,) for name in sorted(names, reverse=True) if odd.fullmatch(name))


def _infix(variant: str | None) -> str:
    return f".{variant}" if variant else ""

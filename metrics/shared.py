"""What metrics share: features that were computed once, images as CLIP and its kin take them, weights from files."""

import gc
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo, Place
from brushbench.core.notes import collecting, note
from brushbench.metric_weights import Source, version_of
from brushbench.weights.tensors import load_checked, read_tensors

P = ParamSpec("P")
T = TypeVar("T")
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""The standard deviations of OpenAI's CLIP; everything built on it takes images so."""


@final
class ImageFeatureCache:
    """Remembers what was computed of a tensor of images, for as long as that tensor lives and its pixels stay.

    Two metrics that look at the same images with the same network, one after the other, so run it once.
    """

    def __init__(self) -> None:
        # Any: torch doesn't say what its dictionary holds: for each tensor, entries by digest and key.
        self._kept: Any = WeakIdKeyDictionary()

    def __call__(self, images: UInt8[Tensor, "n 3 h w"], key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """`make()`, or what it gave for this key and these pixels before."""
        content = hashlib.blake2b(images.contiguous().cpu().numpy().tobytes()).digest()
        entries = self._kept.setdefault(images, {})
        if entries and next(iter(entries))[0] != content:
            entries.clear()
        if (content, key) not in entries:
            entries[content, key] = make()
        return cast(Tensor, entries[content, key])


@final
class TextFeatureCache:
    """Remembers the features of captions, each computed once; of very many, the last ones."""

    def __init__(self, limit: int = 1 << 14) -> None:
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._limit = limit

    def __call__(self, captions: Sequence[str], make: Callable[[list[str]], Tensor]) -> Tensor:
        """One row per caption; `make` is given the ones that are new, each once."""
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._kept]:
            self._kept.update(zip(new, make(new), strict=True))
        rows = torch.stack([self._kept[caption] for caption in captions])
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return rows


_crops = ImageFeatureCache()
_loaded: list[Callable[[], None]] = []
_sources: set[Path] = set()
"""Files and folders of the networks that are loaded."""


def loaded_once(load: Callable[P, T]) -> Callable[P, T]:
    """Decorate what loads a network: it is kept, for all metrics that ask for it, until `release`.

    Notes that are made meanwhile are made again wherever it is asked for: each run has them.
    """

    def loading(*arguments: P.args, **options: P.kwargs) -> tuple[T, list[str]]:
        with collecting() as notes:
            made = load(*arguments, **options)
        _sources.update(argument.resolve() for argument in arguments if isinstance(argument, Path))
        return made, notes

    remembered = cache(loading)
    _loaded.append(remembered.cache_clear)
    cached = cast(Callable[P, tuple[T, list[str]]], remembered)

    def kept(*arguments: P.args, **options: P.kwargs) -> T:
        made, notes = cached(*arguments, **options)
        for text in notes:
            note(text)
        return made

    return kept


def release() -> None:
    """Give up the memory of all networks that were loaded; they are loaded again when they are needed."""
    for clear in _loaded:
        clear()
    _sources.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_loaded(file: Path) -> bool:
    """Whether a network is in memory that was loaded from this file, which is resolved, or from its folder."""
    return file in _sources or file.parent in _sources


def cropped(images: UInt8[Tensor, "n 3 h w"], side: int, offset: Callable[[int], int]) -> UInt8[Tensor, "n 3 s s"]:
    """The shorter side to `side` pixels (Pillow, bicubic, in 8 bits), the longer one cut to it around the middle.

    The official preprocessing of CLIP, of the aesthetic predictor and of ImageReward. `offset` says where the cut
    begins, from the number of pixels that are too many: see `floor_offset` and `half_even_offset`.
    """
    height, width = images.shape[2:]
    shorter = min(height, width)
    wide, high = (side if length == shorter else int(side * length / shorter) for length in (width, height))
    left, top = offset(wide - side), offset(high - side)

    def make() -> Tensor:
        crops = []
        for image in images.permute(0, 2, 3, 1).contiguous().cpu().numpy():
            resized = Image.fromarray(image).resize((wide, high), Image.Resampling.BICUBIC)
            crops.append(np.asarray(resized.crop((left, top, left + side, top + side))))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()

    return _crops(images, (side, left, top), make)


def floor_offset(excess: int) -> int:
    """Where transformers begins the cut: half of what is too much, rounded down."""
    return excess // 2


def half_even_offset(excess: int) -> int:
    """Where torchvision begins it: half of what is too much, of two equally near numbers the even one."""
    return round(excess / 2)


def normalised(
    pixels: UInt8[Tensor, "n 3 s s"], mean: Sequence[float], std: Sequence[float], device: torch.device
) -> Float[Tensor, "n 3 s s"]:
    """(pixels / 255 - mean) / std, in float32, on the device."""
    unit = pixels.to(device).float() / 255
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    return (unit - shift) / scale


def tensors_of(file: Path) -> dict[str, Tensor]:
    """The float32 tensors of a file, as `read_tensors` reads it.

    Raises `UserError` as that does, and for values that aren't finite: with them a metric would find nothing to score
    anywhere.
    """
    tensors = read_tensors(file)
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise UserError(one_line(f"{file}: {broken[0]} holds values that aren't finite"))
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def load_state_dict_strict(module: torch.nn.Module, tensors: Mapping[str, Tensor], file: Path) -> torch.nn.Module:
    """The module with these tensors as its own, ready to be used; made on the meta device, it takes no memory before.

    Constants that the module makes itself may be left over. Raises `UserError` that names what is missing, unknown or
    of another shape.
    """
    load_checked(module, tensors, file, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def described(
    info: MetricInfo, region: Place, number: str, sources: Sequence[Source], others: Sequence[Path] = ()
) -> MetricInfo:
    """The metric's info with the digest of the files that it loads in the version, if all are here.

    `others` are files that it loads from somewhere else.
    """
    files: list[Path] = []
    for source in sources:
        try:
            found = source.files()
        except UserError:
            found = ()
        if not found:
            return info.named(region, number)
        files += found
    return info.named(region, version_of(number, [*files, *others]))

"""Choose the files that each part of a method reads from a repository or folder, and that are downloaded for it."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from brushbench.core.errors import UserError, one_line
from brushbench.weights.formats import WeightFiles, same_stem, valid_names, weight_files

INDEX = "model_index.json"
CONFIG = "config.json"
LEFT_OUT = frozenset({"safety_checker", "feature_extractor", "watermarker"})
"""Components of published pipelines that are never read: no method runs a safety checker, which alone uses the feature
extractor, and watermarks would be scored as the model's errors."""
SMALL = (".json", ".txt", ".model", ".jinja")
"""Suffixes of settings and vocabularies."""
_REQUIRED = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_SECOND = ("text_encoder_2", "tokenizer_2")
_WITHOUT_WEIGHTS = ("tokenizer", "scheduler", "image_processor")
_MODELS = ("unet", "vae", "text_encoder", "transformer")


@runtime_checkable
class Listing(Protocol):
    """The files of a repository or folder."""

    @property
    def names(self) -> Collection[str]:
        """Paths relative to its root, with slashes."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a small file. Raises `UserError` if it isn't available."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What to read from a listing."""

    subfolder: str = ""
    variant: str | None = None
    """The preferred variant, such as `fp16`; the usual rule applies if it is missing."""
    configs_only: bool = False
    only: frozenset[str] | None = None
    """The components of a whole model to load; None for all."""


Reads = Callable[[Listing, Request], list[str]]
"""Chooses the files to read from a listing, by name. Raises `UserError` if one is missing."""


def one_model(listing: Listing, request: Request) -> list[str]:
    """Choose the files of a single model, such as a BrushNet or a ControlNet."""
    return _model(listing, request, "")


def base(listing: Listing, request: Request) -> list[str]:
    """Choose Stable Diffusion's five components, or SDXL's seven, and none of a pipeline's other components."""
    named = _indexed(listing, request)
    if named is None:
        folders = _folders(listing, request)
        named = [*_REQUIRED, *(name for name in _SECOND if name in folders)]
    wanted = [name for name in named if name in (*_REQUIRED, *_SECOND)]
    return _components(listing, request, wanted)


def pipeline(listing: Listing, request: Request) -> list[str]:
    """Choose all components in `model_index.json` but `LEFT_OUT`; without it, whatever looks like a component."""
    named = _indexed(listing, request)
    if named is None:
        return anything(listing, request)
    return _components(listing, request, named)


def anything(listing: Listing, request: Request) -> list[str]:
    """Choose files for a plug-in's part: a pipeline if there is an index, else a model and the models in folders."""
    if _indexed(listing, request) is not None:
        return pipeline(listing, request)
    top, folders = _inside(listing, request, ""), sorted(_folders(listing, request) - LEFT_OUT)
    alone = [name for name in (CONFIG, *_taken(top, request)) if name in top]
    found = [_at(request, name) for name in alone]
    for folder in folders:
        found += _with_settings(listing, request, folder)
    for stems in _FILES.values():
        for alternatives in stems:
            found += _named(listing, request, alternatives)
    if not found:
        raise UserError(one_line(f"there is nothing to load in {request.subfolder or 'it'}"))
    return list(dict.fromkeys(found))


def powerpaint(listing: Listing, request: Request) -> list[str]:
    """Choose version 1's files: a text encoder with task tokens, and a UNet if there is one to replace the base's."""
    return _files(listing, request, "powerpaint", optional=("unet/unet",))


def powerpaint_v2(listing: Listing, request: Request) -> list[str]:
    """Choose version 2's files: a branch and a text encoder with task tokens, both without a config."""
    return _files(listing, request, "powerpaint_v2")


def ip_adapter(listing: Listing, request: Request) -> list[str]:
    """Choose the plain adapter and its image encoder."""
    return [*_files(listing, request, "ip_adapter"), *_model(listing, request, "image_encoder")]


def lora(listing: Listing, request: Request) -> list[str]:
    """Choose low-rank weights under diffusers' name."""
    return _files(listing, request, "lora")


def lama(listing: Listing, request: Request) -> list[str]:
    """Choose the one file with LaMa's generator: safetensors, or the authors' checkpoint where they put it."""
    names = _inside(listing, request)
    found = next((name for name in LAMA if name in names), None)
    if found is None:
        raise UserError(one_line(f"{_lacks(request)} {' or '.join(LAMA)}"))
    return [_at(request, found)]


LAMA = ("big-lama.safetensors", "model.safetensors", "models/best.ckpt", "best.ckpt")
"""The files that may hold LaMa's generator; the first that exists is read."""
_FILES = {
    "powerpaint": (("unet/unet",), ("text_encoder/text_encoder",)),
    "powerpaint_v2": (("diffusion_pytorch_model",), ("pytorch_model", "model")),
    "ip_adapter": (("ip-adapter_sd15", "ip-adapter_sdxl"),),
    "lora": (("pytorch_lora_weights",),),
}
"""The stems of the files of parts without a config: for each file, the alternatives."""
_PARTS: Mapping[str, Reads] = {
    "base": base,
    "base_v2": base,
    "brushnet": one_model,
    "controlnet": one_model,
    "unet": one_model,
    "vae": one_model,
    "text_encoder": one_model,
    "powerpaint": powerpaint,
    "powerpaint_v2": powerpaint_v2,
    "ip_adapter": ip_adapter,
    "lora": lora,
    "lama": lama,
    "model": pipeline,
    "prior": pipeline,
}


def reads_of(part: str) -> Reads:
    """Return the rule for the files that a part of this name reads."""
    return _PARTS.get(part, anything)


def file_of(names: Collection[str], stems: Collection[str]) -> str | None:
    """Return the file to load among files without a config, by the rule in `formats`; None if there is none.

    `names` and `stems` may include folders.
    """
    for stem in stems:
        parent, plain = PurePosixPath(stem).parent, PurePosixPath(stem).name
        beside = {PurePosixPath(name).name: name for name in names if PurePosixPath(name).parent == parent}
        if found := weight_files(beside, same_stem(plain)):
            return beside[found.names[0]]
    return None


def stems_of(part: str) -> tuple[tuple[str, ...], ...]:
    """Return the stems that each file of a part without a config may have."""
    return _FILES[part]


def _files(listing: Listing, request: Request, part: str, optional: Collection[str] = ()) -> list[str]:
    found = []
    for alternatives in _FILES[part]:
        names = _named(listing, request, alternatives)
        if not names and not set(alternatives) & set(optional):
            raise UserError(one_line(f"{_lacks(request)} {valid_names(same_stem(*alternatives))}"))
        found += names
    return [] if request.configs_only else found


def _named(listing: Listing, request: Request, stems: Collection[str]) -> list[str]:
    file = file_of(_inside(listing, request), stems)
    return [] if file is None else [_at(request, file)]


def _indexed(listing: Listing, request: Request) -> list[str] | None:
    """List the components to read that an index names; None without a readable index."""
    name = _at(request, INDEX)
    if name not in listing.names:
        return None
    try:
        content = json.loads(listing.read(name))
    except ValueError:
        return None
    pairs = content.items() if isinstance(content, dict) else ()
    found = [key for key, pair in pairs if isinstance(pair, list) and len(pair) == 2 and pair[0] is not None]
    return [key for key in found if key not in LEFT_OUT]


def _components(listing: Listing, request: Request, named: Collection[str]) -> list[str]:
    """List the files of these components, and the index."""
    found = [_at(request, INDEX)] if _at(request, INDEX) in listing.names else []
    for name in named:
        if request.only is None or name in request.only:
            weightless = request.configs_only or name.startswith(_WITHOUT_WEIGHTS)
            found += _with_settings(listing, request, name, weights=not weightless)
    return found


def _model(listing: Listing, request: Request, folder: str) -> list[str]:
    names = _inside(listing, request, folder)
    if CONFIG not in names:
        raise UserError(one_line(f"{_lacks(request, folder)} {CONFIG}"))
    weights = [] if request.configs_only else _required(names, request, folder).names
    return [_at(request, folder, name) for name in (CONFIG, *weights)]


def _with_settings(listing: Listing, request: Request, folder: str, *, weights: bool | None = None) -> list[str]:
    """List the small files of a component, and its weights; None for `weights` means the weights if it has any."""
    names = _inside(listing, request, folder)
    if not names:
        raise UserError(one_line(f"{_lacks(request)} {folder}/ folder"))
    if weights is None:
        taken = _taken(names, request)
    else:
        # Processors and the like have no weights, and no config.json.
        is_model = CONFIG in names or folder.startswith(_MODELS)
        if weights and is_model and CONFIG not in names:
            raise UserError(one_line(f"{_lacks(request, folder)} {CONFIG}"))
        taken = _required(names, request, folder).names if weights and is_model else ()
    small = [name for name in sorted(names) if name.endswith(SMALL) and ".index." not in name]
    return [_at(request, folder, name) for name in dict.fromkeys((*small, *taken))]


def _taken(names: Collection[str], request: Request) -> tuple[str, ...]:
    found = None if request.configs_only else weight_files(names, variant=request.variant)
    return found.names if found else ()


def _required(names: Collection[str], request: Request, folder: str) -> WeightFiles:
    if found := weight_files(names, variant=request.variant):
        return found
    there = ", ".join(sorted(name for name in names if not name.endswith(SMALL))) or "no weights at all"
    raise UserError(one_line(f"{_lacks(request, folder)} weights that can be read ({there}); valid: {valid_names()}"))


def _lacks(request: Request, folder: str = "") -> str:
    return f"{_at(request, folder)}/ has no" if _at(request, folder) else "it has no"


def _folders(listing: Listing, request: Request) -> set[str]:
    return {name.split("/")[0] for name in _inside(listing, request) if "/" in name}


def _inside(listing: Listing, request: Request, folder: str | None = None) -> set[str]:
    """Return the names below the subfolder, relative to it; with `folder`, only the files directly in that folder."""
    start = f"{_at(request, folder or '')}/".lstrip("/")
    below = {name.removeprefix(start) for name in listing.names if name.startswith(start)}
    return below if folder is None else {name for name in below if "/" not in name}


def _at(request: Request, *parts: str) -> str:
    return "/".join(part for part in (request.subfolder, *parts) if part)

"""Folders in diffusers layout to models in memory: complete, of the right shapes, without executing anything."""

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from diffusers import ModelMixin
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from brushbench.errors import UserError, one_line
from brushbench.loading import Runtime
from brushbench.work import Failure, attempt

M = TypeVar("M", bound=ModelMixin)
SchedulerConfig = dict[str, object]
"""What a scheduler's `from_config` takes."""
_WEIGHT_FILES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
# What the libraries would log while loading is checked here, and reaches the user as one line.
diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


def load_model(cls: type[M], folder: Path, part: str, runtime: Runtime) -> M:
    """A diffusers model from its folder, frozen, in evaluation mode, on the runtime's device and in its dtype.

    Its digest is recorded as that of `part`. Safetensors if there are any; a pickle is read with `weights_only`, so
    code in it is an error.

    Raises `UserError` if the folder, its config or weights are missing, or tensors are missing, left over or of
    another shape than the config says.
    """
    return cast(M, _load_checked(partial(cls.from_pretrained, low_cpu_mem_usage=False), folder, part, runtime))


def load_text_encoder(folder: Path, runtime: Runtime) -> CLIPTextModel:
    """CLIP's text encoder from its folder. Raises `UserError` as `load_model` does."""
    return cast(CLIPTextModel, _load_checked(CLIPTextModel.from_pretrained, folder, "text_encoder", runtime))


def load_second_text_encoder(folder: Path, runtime: Runtime) -> CLIPTextModelWithProjection:
    """SDXL's second text encoder from its folder. Raises `UserError` as `load_model` does."""
    load = CLIPTextModelWithProjection.from_pretrained
    return cast(CLIPTextModelWithProjection, _load_checked(load, folder, "text_encoder_2", runtime))


def load_tokenizer(folder: Path, runtime: Runtime, part: str = "tokenizer") -> CLIPTokenizer:
    """CLIP's tokenizer from its folder. Raises `UserError` if its files are missing or damaged."""
    files = [file for file in _files(folder) if file.suffix in (".json", ".txt")]
    if not {"tokenizer.json", "vocab.json"} & {file.name for file in files}:
        raise UserError(one_line(f"{folder}: no vocab.json with merges.txt, and no tokenizer.json"))
    tokenizer = _loaded(folder, CLIPTokenizer.from_pretrained)
    runtime.weights.record(part, files)
    return tokenizer


def load_scheduler_config(folder: Path, runtime: Runtime) -> SchedulerConfig:
    """The scheduler's config as the file has it: what the file leaves out, the scheduler that is built decides.

    Raises `UserError` if it is missing or isn't JSON.
    """
    _files(folder)
    return _json_object(folder / "scheduler_config.json", "scheduler", runtime)


def load_pipeline_index(file: Path, runtime: Runtime) -> dict[str, object]:
    """The settings of a whole pipeline, none if there is no such file. Raises `UserError` for a damaged one."""
    return _json_object(file, "model_index", runtime) if file.exists() else {}


def _json_object(file: Path, part: str, runtime: Runtime) -> dict[str, object]:
    config = _loaded(file, lambda path, **_: json.loads(path.read_bytes()))
    if not isinstance(config, dict):
        raise UserError(one_line(f"{file}: must be an object"))
    runtime.weights.record(part, [file])
    return config


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(one_line(f"{folder.parent} has no {folder.name}/ folder"))
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def _weight_file(folder: Path) -> Path:
    names = {file.name for file in _files(folder)}
    if "config.json" not in names:
        raise UserError(one_line(f"{folder} has no config.json"))
    found = next((name for name in _WEIGHT_FILES if name in names), None)
    if found is None:
        raise UserError(one_line(f"{folder} has no weights; valid: {', '.join(_WEIGHT_FILES)}"))
    return folder / found


# Any: a `from_pretrained` of diffusers or transformers, and its model.
def _load_checked(load: Callable[..., Any], folder: Path, part: str, runtime: Runtime) -> Any:
    weights = _weight_file(folder)
    model, report = _loaded(
        folder,
        load,
        dtype=runtime.dtype,
        output_loading_info=True,
        use_safetensors=weights.suffix == ".safetensors",
        # They are an error all the same: in the report they have their names.
        ignore_mismatched_sizes=True,
    )
    # Old text encoders store the position ids 0..76, which are computed today.
    unknown = sorted(key for key in report["unexpected_keys"] if not key.endswith("position_ids"))
    for problem, keys in (("lacks", sorted(report["missing_keys"])), ("has unknown", unknown)):
        if keys:
            raise UserError(one_line(f"{folder}: the checkpoint {problem} {keys[0]} ({len(keys)} in all)"))
    for key, found, expected in report["mismatched_keys"]:
        raise UserError(one_line(f"{folder}: {key} has shape {list(found)}, by config.json it is {list(expected)}"))
    runtime.weights.record(part, [folder / "config.json", weights])
    return model.requires_grad_(False).eval().to(runtime.device)


# Any: whatever a loader of diffusers or transformers takes and gives.
def _loaded(path: Path, load: Callable[..., Any], **keywords: Any) -> Any:
    """What `load` makes of a local path. Raises `UserError` for anything that it raises.

    What the libraries warn of is checked by us, or of no interest to the user.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = attempt(partial(load, path, local_files_only=True, **keywords))
    if isinstance(result, Failure):
        raise UserError(one_line(f"{path}: can't be loaded: {result.error}"))
    return result
